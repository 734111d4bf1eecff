//! What is known of servers, and which of them draws next.

use std::{collections::VecDeque, sync::Arc};

use super::shelf::Version;

/// What is known of all servers.
#[derive(Default)]
pub(super) struct Known {
    pub(super) places: Vec<Place>,
    /// The newest weights.
    pub(super) wanted: Option<Arc<Version>>,
    /// Publications before it that servers may still hold.
    pub(super) older: VecDeque<Arc<Version>>,
    /// What is older than this draws nothing, however much staleness is allowed.
    pub(super) floor: u64,
    /// Why the list of servers could not be read, or not all of it be taken, the last time.
    pub(super) unread: String,
}

/// What is known of one server.
#[derive(Default)]
pub(super) struct Place {
    pub(super) holds: Option<Arc<Version>>,
    /// What it was told to take and not heard to have let go of.
    pub(super) held: Vec<Arc<Version>>,
    pub(super) is_gone: bool,
    /// It is not among the servers any more: what it draws is waited for, nothing more is asked.
    pub(super) is_out: bool,
    /// Failures since it last answered.
    pub(super) n_failed: u32,
    pub(super) in_flight: usize,
    /// It refused weights when they were last brought to it.
    pub(super) refuses: bool,
    /// How often it was away: it did not take weights, or was not listed.
    pub(super) n_away: u64,
    /// What that was when it last refused a draw.
    refused_at: Option<u64>,
    /// Draws that it was ever asked for: of equally busy servers, the one with the fewest is next.
    n_leased: u64,
    /// What it said last of why it does not serve.
    pub(super) words: String,
}

impl Known {
    /// The server with the least to do of those that may draw and did not refuse, with its weights and how far they are
    /// behind.
    pub(super) fn next(&self, staleness_max: u64, refusals: &Refusals) -> Option<(usize, Arc<Version>, u64)> {
        let newest = self.wanted.as_ref()?.number;
        let may = |(idx, place): (usize, &Place)| {
            let version =
                place.holds.as_ref().filter(|_| place.serves() && refusals.of(idx, place).is_none())?;
            let behind = newest - version.number;
            (behind <= staleness_max && self.floor <= version.number)
                .then(|| ((place.in_flight, place.n_leased, idx), Arc::clone(version), behind))
        };
        let of_least = self.places.iter().enumerate().filter_map(may).min_by_key(|it| it.0);
        of_least.map(|((_, _, idx), version, behind)| (idx, version, behind))
    }

    /// Whether there is nobody who does not refuse.
    pub(super) fn all_refuse(&self, refusals: &Refusals) -> bool {
        let mut there = self.places.iter().enumerate().filter(|it| !it.1.is_out);
        there.all(|(idx, place)| place.refuses || refusals.of(idx, place).is_some())
    }

    /// Whether a server other than this one draws from these weights.
    pub(super) fn is_held_elsewhere(&self, idx: usize, version: &Arc<Version>) -> bool {
        let mut others = self.places.iter().enumerate().filter(|it| it.0 != idx);
        others.any(|(_, place)| place.serves() && place.holds.as_ref() == Some(version))
    }

    /// Takes these for the servers that there are, of `n_met` that ever were. Those that are new are brought the weights before they
    /// draw.
    pub(super) fn list(&mut self, there: &[usize], n_met: usize) {
        self.places.resize_with(n_met, || Place { is_out: true, ..Place::default() });
        for (idx, place) in self.places.iter_mut().enumerate() {
            let is_out = !there.contains(&idx);
            if place.is_out && !is_out {
                (place.is_gone, place.refuses) = (true, false);
                place.n_away += 1;
            }
            place.is_out = is_out;
        }
    }

    /// Servers that are there, and gone or behind.
    pub(super) fn behind(&self) -> Vec<usize> {
        let places = self.places.iter().enumerate();
        let behind = places.filter(|(_, it)| !it.is_out && (it.is_gone || it.holds != self.wanted));
        behind.map(|it| it.0).collect()
    }

    /// Servers that are there no more and draw nothing, with what they have to let go of.
    pub(super) fn left(&self) -> Vec<(usize, Vec<Arc<Version>>)> {
        let places = self.places.iter().enumerate();
        let left = places.filter(|(_, it)| it.is_out && it.in_flight == 0 && !it.held.is_empty());
        left.map(|(idx, it)| (idx, it.held.clone())).collect()
    }

    /// Whether nobody may draw from these weights any more.
    pub(super) fn is_overdue(&self, version: &Version, staleness_max: u64) -> bool {
        self.wanted.as_ref().is_some_and(|newest| version.number + staleness_max < newest.number)
    }

    /// What a server has to let go of.
    pub(super) fn overdue_at(&self, idx: usize, staleness_max: u64) -> Vec<Arc<Version>> {
        let held = self.places[idx].held.iter();
        held.filter(|it| self.is_overdue(it, staleness_max)).cloned().collect()
    }
}

/// What servers said that refused a row.
#[derive(Default)]
pub(super) struct Refusals(Vec<Refusal>);

struct Refusal {
    idx: usize,
    /// [`Place::n_away`] then. Who was away since may not refuse any more.
    n_away: u64,
    words: String,
}

impl Refusals {
    /// Notes what the server in this place said. Gives whether it refused no row before, since it was last away.
    pub(super) fn add(&mut self, idx: usize, place: &mut Place, words: &str) -> bool {
        self.0.retain(|it| it.idx != idx);
        self.0.push(Refusal { idx, n_away: place.n_away, words: words.to_owned() });
        place.refused_at.replace(place.n_away) != Some(place.n_away)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the server in this place said, if that still counts.
    pub(super) fn of(&self, idx: usize, place: &Place) -> Option<&str> {
        let refusal = self.0.iter().find(|it| it.idx == idx && it.n_away == place.n_away)?;
        Some(&refusal.words)
    }
}

impl Place {
    /// Whether it is asked for draws.
    pub(super) fn serves(&self) -> bool {
        !self.is_gone && !self.is_out
    }

    /// It is told to take these weights.
    pub(super) fn may_hold(&mut self, version: &Arc<Version>) {
        if !self.held.contains(version) {
            self.held.push(Arc::clone(version));
        }
    }

    /// One more draw is asked for there.
    pub(super) fn lease(&mut self) {
        self.in_flight += 1;
        self.n_leased += 1;
    }
}

#[cfg(test)]
mod tests {
    use kelvin_core::policy::Exported;

    use super::*;

    fn version(number: u64) -> Arc<Version> {
        let name = format!("v{number}");
        Arc::new(Version { number, path: name.clone(), name, exported: Exported::Adapter })
    }

    fn place(holds: Option<u64>, in_flight: usize) -> Place {
        Place { holds: holds.map(version), in_flight, ..Place::default() }
    }

    #[test]
    fn the_least_loaded_of_the_fresh_ones_draws() {
        let places = vec![place(Some(4), 9), place(Some(5), 3), place(None, 0), place(Some(5), 3)];
        let mut known = Known { places, wanted: Some(version(5)), ..Known::default() };
        let next =
            |known: &Known, staleness| known.next(staleness, &Refusals::default()).map(|it| (it.0, it.2));
        assert_eq!(next(&known, 0), Some((1, 0)));
        known.places[1].in_flight = 4;
        assert_eq!(next(&known, 0), Some((3, 0)));
        known.places[0].in_flight = 0;
        assert_eq!(next(&known, 0), Some((3, 0)));
        assert_eq!(next(&known, 1), Some((0, 1)));
        known.floor = 5;
        assert_eq!(next(&known, 1), Some((3, 0)));
        known.places[3].is_gone = true;
        known.places[1].is_gone = true;
        assert_eq!(next(&known, 1), None);
    }

    /// Who refused a row is not asked for it again, unless it was away since.
    #[test]
    fn a_row_that_is_refused_goes_elsewhere() {
        let places = vec![place(Some(1), 0), place(Some(1), 0), Place { is_out: true, ..Place::default() }];
        let mut known = Known { places, wanted: Some(version(1)), ..Known::default() };
        let mut refusals = Refusals::default();
        let next = |known: &Known, refusals: &Refusals| known.next(0, refusals).map(|it| it.0);
        assert!(refusals.add(0, &mut known.places[0], "too long"));
        assert_eq!((next(&known, &refusals), known.all_refuse(&refusals)), (Some(1), false));
        assert!(refusals.add(1, &mut known.places[1], "too long"));
        assert_eq!((next(&known, &refusals), known.all_refuse(&refusals)), (None, true));
        known.places[0].n_away += 1;
        assert_eq!((next(&known, &refusals), known.all_refuse(&refusals)), (Some(0), false));
        known.places[0].refuses = true;
        assert!(known.all_refuse(&refusals));
        // That it refuses is news once, and again after it was away.
        let mut other = Refusals::default();
        assert!(other.add(0, &mut known.places[0], "too long"));
        assert!(!other.add(1, &mut known.places[1], "too long"));
    }

    #[test]
    fn servers_come_and_go() {
        let places = vec![place(Some(1), 0), place(Some(1), 2)];
        let mut known = Known { places, wanted: Some(version(1)), ..Known::default() };
        known.places[1].held = vec![version(1)];
        known.list(&[0, 2], 3);
        // The new one is brought the weights; the other one still draws, and is left alone meanwhile.
        assert_eq!((known.behind(), known.left()), (vec![2], vec![]));
        assert_eq!(known.next(0, &Refusals::default()).map(|it| it.0), Some(0));
        known.places[1].in_flight = 0;
        assert_eq!(known.left(), vec![(1, vec![version(1)])]);
        let mut refusals = Refusals::default();
        refusals.add(1, &mut known.places[1], "no");
        known.places[1].refuses = true;
        known.list(&[0, 1, 2], 3);
        let place = &known.places[1];
        assert!(!place.refuses && refusals.of(1, place).is_none(), "what it said before does not count");
        assert_eq!(
            (known.behind(), known.left()),
            (vec![1, 2], vec![]),
            "one that comes again is asked anew"
        );
    }

    #[test]
    fn equally_busy_servers_take_turns() {
        let places = vec![place(Some(1), 0), place(Some(1), 0)];
        let mut known = Known { places, wanted: Some(version(1)), ..Known::default() };
        let mut drew = [0; 2];
        for _ in 0..12 {
            let (idx, ..) = known.next(0, &Refusals::default()).unwrap();
            known.places[idx].lease();
            known.places[idx].in_flight -= 1;
            drew[idx] += 1;
        }
        assert_eq!(drew, [6, 6]);
    }
}
