//! Several servers: each is brought to the newest weights, and one that fails is asked for nothing until it answers again.

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::bail;
use kelvin_core::{notices::Notices, policy::Exported};
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{self, AbortHandle, JoinSet},
    time,
};

use super::{
    known::{Known, Place, Refusals},
    roster::{Listed, Roster},
    server::{Server, Unusable},
    settings::RolloutSettings,
    shelf::Version,
    waits::Waits,
};

/// The longest that somebody who is done waits for servers to let go.
const GOODBYE: Duration = Duration::from_secs(2);

/// Servers with what is known of them.
pub(super) struct Fleet {
    roster: Roster,
    pub(super) settings: RolloutSettings,
    known: Mutex<Known>,
    /// Some server may draw that could not, or refuses weights.
    pub(super) has_room: Notify,
    /// Some server is behind or gone.
    pub(super) has_work: Notify,
    /// What whoever watches should know.
    pub(super) notices: Notices,
    /// Rows that are asked for, and those of them that nobody draws.
    pub(super) waits: Waits,
}

/// Ends a task when nobody holds it any more.
pub(super) struct Tending(AbortHandle);

impl Drop for Tending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Fleet {
    /// Clients of the servers. Nothing is asked yet.
    ///
    /// # Errors
    /// If the file of servers cannot be read or may be half written; if an address is none, or would send keys in plain text to
    /// another machine.
    pub(super) fn new(settings: RolloutSettings, key: Option<&str>) -> anyhow::Result<Fleet> {
        let roster = Roster::new(settings.clone(), key)?;
        let places = (0..roster.n_met()).map(|_| Place::default()).collect();
        let known = Mutex::new(Known { places, ..Known::default() });
        let (has_room, has_work, notices, waits) = Default::default();
        Ok(Fleet { roster, settings, known, has_room, has_work, notices, waits })
    }

    pub(super) fn server(&self, idx: usize) -> Arc<Server> {
        self.roster.get(idx)
    }

    /// Looks who is there now. Of a list that cannot be read nothing is taken, which is said once.
    async fn look(self: &Arc<Fleet>) {
        if self.roster.is_fixed() {
            return;
        }
        let fleet = Arc::clone(self);
        let looked = task::spawn_blocking(move || {
            let listed = fleet.roster.look();
            let mut known = fleet.known();
            let unread = match listed {
                Ok(Listed { there, n_left_out }) => {
                    known.list(&there, fleet.roster.n_met());
                    // Who waits for one that is out now waits for nobody.
                    fleet.has_room.notify_waiters();
                    match n_left_out {
                        0 => String::new(),
                        n => format!(
                            "{n} of the servers are left out, since a process meets no more: `kelvin resume` begins anew"
                        ),
                    }
                }
                Err(error) => {
                    let what = format!("{error:#}").lines().next().unwrap_or_default().to_owned();
                    format!("{what}; the servers stay those that they were")
                }
            };
            if !unread.is_empty() && unread != known.unread {
                fleet.notices.say(format!("warning: {unread}"));
            }
            known.unread = unread;
        });
        drop(looked.await);
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on nothing older than the next publication draws.
    pub(super) fn forget_older(&self) {
        let mut known = self.known();
        known.floor = known.wanted.as_ref().map_or(0, |it| it.number + 1);
    }

    /// Makes these the weights that are drawn from. Without staleness it waits for every server that answers, else until
    /// any may draw; where none may and not all refuse, for the first that comes back. Gives those that no server needs any
    /// more.
    ///
    /// # Errors
    /// If no server may draw; to ask again is safe.
    pub(super) async fn offer(self: &Arc<Fleet>, version: Version) -> anyhow::Result<Vec<Arc<Version>>> {
        let version = Arc::new(version);
        {
            let mut known = self.known();
            if let Some(before) = known.wanted.replace(Arc::clone(&version)).filter(|it| *it != version) {
                known.older.push_back(before);
            }
        }
        self.look().await;
        let (gone, there): (Vec<usize>, Vec<usize>) = {
            let known = self.known();
            let listed = (0..known.places.len()).filter(|it| !known.places[*it].is_out);
            listed.partition(|it| known.places[*it].is_gone)
        };
        self.bring_all(there, &version).await;
        if !self.may_draw() {
            // Where others draw, these are brought while they do.
            self.bring_all(gone, &version).await;
        }
        let none = Refusals::default();
        if !self.may_draw() && !self.known().all_refuse(&none) {
            let _tending = self.tend(&Handle::current());
            let most = self.settings.staleness_max;
            self.found(|known| (known.next(most, &none).is_some() || known.all_refuse(&none)).then_some(()))
                .await;
        }
        if !self.may_draw() {
            bail!(
                "no server took the weights {}: {}\nhint: servers read {}; docs/engines/rollouts.md says how they are \
                 started, and `kelvin resume` goes on from the last checkpoint",
                version.name,
                self.told(&none),
                version.path
            );
        }
        Ok(self.release_older().await)
    }

    /// Whether any server may draw.
    fn may_draw(&self) -> bool {
        self.known().next(self.settings.staleness_max, &Refusals::default()).is_some()
    }

    /// Waits until `find` finds something in what is known of servers that may draw, at most `wait_s`.
    pub(super) async fn found<T>(&self, mut find: impl FnMut(&mut Known) -> Option<T>) -> Option<T> {
        let finds = async {
            loop {
                let mut changed = pin!(self.has_room.notified());
                changed.as_mut().enable();
                let found = find(&mut self.known());
                if let Some(found) = found {
                    return found;
                }
                changed.await;
            }
        };
        time::timeout(Duration::from_secs_f64(self.settings.wait_s), finds).await.ok()
    }

    /// Brings servers to these weights, all at once. With staleness it waits until any may draw.
    async fn bring_all(self: &Arc<Fleet>, servers: Vec<usize>, version: &Arc<Version>) {
        let mut brought = JoinSet::new();
        for idx in servers {
            let (fleet, version) = (Arc::clone(self), Arc::clone(version));
            brought.spawn(async move { fleet.bring(idx, &version).await });
        }
        while brought.join_next().await.is_some() {
            if 0 < self.settings.staleness_max && self.may_draw() {
                // The others go on where draws are served.
                brought.detach_all();
                break;
            }
        }
    }

    /// Brings a server to the newest weights, with retries unless it was gone, or another one has them: a server that is
    /// stuck keeps nobody waiting for longer than one answer takes.
    async fn bring(&self, idx: usize, version: &Arc<Version>) {
        let was_gone = self.known().places[idx].is_gone;
        let is_dispensable = || was_gone || self.known().is_held_elsewhere(idx, version);
        let mut tried = 0;
        let taken = loop {
            let telling = || self.known().places[idx].may_hold(version);
            let taken = self.server(idx).take(version, telling).await;
            let is_passing = matches!(taken, Err(Unusable::Passing(_)));
            if !is_passing || self.settings.retries <= tried || is_dispensable() {
                break taken;
            }
            self.server(idx).pause(tried).await;
            tried += 1;
            if is_dispensable() {
                break taken;
            }
        };
        let overdue = self.brought(idx, version, taken);
        self.let_go_at(idx, overdue).await;
    }

    /// Notes how that went; gives what the server has to let go of now.
    fn brought(&self, idx: usize, version: &Arc<Version>, taken: Result<(), Unusable>) -> Vec<Arc<Version>> {
        let mut known = self.known();
        if known.wanted.as_ref() != Some(version) {
            return Vec::new();
        }
        let place = &mut known.places[idx];
        match taken {
            Ok(()) => {
                (place.holds, place.is_gone, place.n_failed) = (Some(Arc::clone(version)), false, 0);
                place.refuses = false;
                place.words.clear();
                self.has_room.notify_waiters();
            }
            Err(unusable) => {
                place.refuses = matches!(unusable, Unusable::Refused(_));
                place.n_away += 1;
                self.has_room.notify_waiters();
                // Adapters that it held are still there, if it is; of one set of weights it may have half.
                place.is_gone |= version.exported == Exported::Model || self.settings.staleness_max == 0;
                place.words = unusable.words().to_owned();
                return Vec::new();
            }
        }
        known.overdue_at(idx, self.settings.staleness_max)
    }

    /// Lets servers forget what is older than any of them may draw from. What a server does not let go of now, it is asked
    /// for again when it is next brought to the newest.
    async fn release_older(self: &Arc<Fleet>) -> Vec<Arc<Version>> {
        let staleness_max = self.settings.staleness_max;
        let (released, held) = {
            let known = self.known();
            let released = known.older.iter().filter(|it| known.is_overdue(it, staleness_max));
            let overdue_at = |idx: usize| match known.places[idx].serves() {
                true => known.overdue_at(idx, staleness_max),
                false => Vec::new(),
            };
            (released.cloned().collect(), (0..known.places.len()).map(overdue_at).collect())
        };
        self.let_go(held).await;
        released
    }

    /// Notes that nothing is left of these weights here.
    pub(super) fn forget(&self, version: &Arc<Version>) {
        self.known().older.retain(|it| it != version);
    }

    /// Asks all servers at once to let go of what each holds.
    async fn let_go(self: &Arc<Fleet>, held: Vec<Vec<Arc<Version>>>) {
        let mut asked = JoinSet::new();
        for (idx, held) in held.into_iter().enumerate() {
            let fleet = Arc::clone(self);
            asked.spawn(async move { fleet.let_go_at(idx, held).await });
        }
        asked.join_all().await;
    }

    async fn let_go_at(&self, idx: usize, held: Vec<Arc<Version>>) {
        for version in held {
            if self.server(idx).release(&version).await.is_err() {
                return;
            }
            self.known().places[idx].held.retain(|it| *it != version);
        }
    }

    /// Lets servers forget all, soon. Gives what there was.
    pub(super) async fn say_goodbye(self: &Arc<Fleet>) -> Vec<Arc<Version>> {
        let (all, held) = {
            let mut known = self.known();
            let wanted = known.wanted.take();
            let all: Vec<Arc<Version>> = known.older.drain(..).chain(wanted).collect();
            // Also where a server seems to be gone: it may hold them all the same.
            (all, known.places.iter().map(|it| it.held.clone()).collect())
        };
        drop(time::timeout(GOODBYE, self.let_go(held)).await);
        all
    }

    /// Brings servers that are behind or gone to the newest weights, again and again while the answer is held; each by itself,
    /// so that one which hangs holds up no other.
    pub(super) fn tend(self: &Arc<Fleet>, handle: &Handle) -> Tending {
        let fleet = Arc::clone(self);
        let rejoin = Duration::from_secs_f64(self.settings.rejoin_s);
        let tends = async move {
            let mut at_work = JoinSet::new();
            // Whose task panics stays here, and is left alone: what is broken in this program is not tried again.
            let mut busy = BTreeSet::new();
            loop {
                fleet.look().await;
                while let Some(ended) = at_work.try_join_next() {
                    if let Ok(idx) = ended {
                        busy.remove(&idx);
                    }
                }
                let (wanted, behind, left) = {
                    let known = fleet.known();
                    (known.wanted.clone(), known.behind(), known.left())
                };
                for idx in behind {
                    if let Some(version) = wanted.clone().filter(|_| busy.insert(idx)) {
                        let fleet = Arc::clone(&fleet);
                        at_work.spawn(async move {
                            fleet.bring(idx, &version).await;
                            idx
                        });
                    }
                }
                for (idx, held) in left {
                    if busy.insert(idx) {
                        let fleet = Arc::clone(&fleet);
                        at_work.spawn(async move {
                            fleet.let_go_at(idx, held).await;
                            idx
                        });
                    }
                }
                drop(time::timeout(rejoin, fleet.has_work.notified()).await);
            }
        };
        Tending(handle.spawn(tends).abort_handle())
    }

    /// What each server said that does not serve, or refused a row.
    pub(super) fn told(&self, refusals: &Refusals) -> String {
        let known = self.known();
        let of = |(idx, place): (usize, &Place)| {
            let words = refusals.of(idx, place).unwrap_or(&place.words);
            match words.is_empty() || place.is_out {
                true => None,
                false => Some(format!("{}: {words}", self.server(idx).name())),
            }
        };
        let mut told: Vec<String> = known.places.iter().enumerate().filter_map(of).collect();
        told.extend(Some(known.unread.clone()).filter(|it| !it.is_empty()));
        told.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{rollouts::Engine, threads::Threads};

    #[test]
    fn that_a_list_is_not_read_is_said_once() {
        let dir = tempfile::tempdir().unwrap();
        let servers_file = dir.path().join("servers");
        let list = |lines: &str| fs::write(&servers_file, lines).unwrap();
        list("http://127.0.0.1:1\n");
        let settings = RolloutSettings {
            engine: Engine::Vllm,
            servers_file: servers_file.clone(),
            ..RolloutSettings::default()
        };
        let fleet = Arc::new(Fleet::new(settings, None).unwrap());
        let threads = Threads::start().unwrap();
        let said = || {
            threads.wait(fleet.look());
            fleet.notices.take().len()
        };
        assert_eq!(said(), 0);
        list("");
        assert_eq!([said(), said()], [1, 0]);
        list("http://127.0.0.1:");
        assert_eq!([said(), said()], [1, 0]);
        list("http://127.0.0.1:1\n");
        assert_eq!(said(), 0);
        list("");
        assert_eq!(said(), 1);
        assert!(fleet.known().places.iter().all(|it| !it.is_out));
    }
}
