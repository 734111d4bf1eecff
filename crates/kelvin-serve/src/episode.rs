//! Episodes of OpenEnv: a task is posed, one answer is graded, and that is all. A socket has one; those that are spoken to by
//! single calls lie here by their names, each until it is done or idle for too long.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    app::Desk,
    clock::Moment,
    gate::Room,
    judge::{Judged, Truth},
    refusal::Refusal,
    tasks::Posed,
};

/// The longest name of an episode, in bytes (OpenEnv).
const ID_BYTES_MAX: usize = 255;

/// What a caller may say when an episode begins. More is not looked at, as OpenEnv has it.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Beginning {
    #[serde(default)]
    pub(crate) seed: Option<u64>,
    #[serde(default)]
    pub(crate) episode_id: Option<String>,
}

/// What an agent does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Action {
    pub(crate) response: String,
    #[serde(default, rename = "metadata")]
    _metadata: serde_json::Map<String, Value>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Episode {
    pub(crate) id: String,
    posed: Posed,
    n_steps: u64,
}

/// What OpenEnv calls its state.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Standing {
    episode_id: Option<String>,
    step_count: u64,
}

impl Episode {
    /// Poses a task.
    ///
    /// # Errors
    /// If there is none, or the name is too long.
    pub(crate) fn begin(desk: &Desk, beginning: Beginning) -> Result<Episode, Refusal> {
        let posed = desk.draws.draw(&desk.served, beginning.seed)?;
        let id = match beginning.episode_id {
            Some(id) if ID_BYTES_MAX < id.len() => {
                return Err(Refusal::malformed(format!("episode_id: over {ID_BYTES_MAX} bytes")));
            }
            Some(id) => id,
            None => desk.episodes.fresh_id(),
        };
        Ok(Episode { id, posed, n_steps: 0 })
    }

    pub(crate) fn is_done(&self) -> bool {
        0 < self.n_steps
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing { episode_id: Some(self.id.clone()), step_count: self.n_steps }
    }

    /// What is seen after a reset, in OpenEnv's frame.
    pub(crate) fn first_sight(&self) -> Value {
        self.sight(None)
    }

    /// Grades an answer. After an error the episode is as before.
    ///
    /// # Errors
    /// If the episode is done, or there is no verdict.
    pub(crate) async fn step(&mut self, desk: &Desk, room: Room, action: Action) -> Result<Value, Refusal> {
        if self.is_done() {
            let why = "the episode is done\nhint: reset";
            return Err(Refusal::Status(StatusCode::CONFLICT, why.to_owned()));
        }
        let (truth, served) = (Truth::Task(self.posed.task.clone()), desk.served.clone());
        let work = desk.gate.work(room, move || truth.judge(&served, &action.response));
        let judged = desk.gate.in_time(work).await?;
        self.n_steps += 1;
        Ok(self.sight(Some(judged)))
    }

    fn sight(&self, judged: Option<Judged>) -> Value {
        let metadata = json!({ "episode_id": self.id, "task_index": self.posed.index });
        let mut observation = json!({
            "prompt": self.posed.prompt, "task_type": self.posed.task.task_type.as_str(), "metadata": metadata,
        });
        if let Some(Judged { grade, .. }) = judged {
            observation["correct"] = json!(grade.correct);
            observation["formatted"] = json!(grade.formatted);
            observation["score"] = json!(grade.score);
            observation["miss"] = json!(grade.miss.map(|it| it.as_str()));
        }
        json!({
            "observation": observation, "reward": judged.map(|it| it.reward), "done": judged.is_some(), "metadata": metadata,
        })
    }
}

/// The episodes of single calls, and the seats of all.
pub(crate) struct Episodes {
    seats: Arc<Semaphore>,
    n_seats: usize,
    idle: Duration,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    n_begun: u64,
    n_taken: u64,
    /// The newest episode of each name that is being stepped.
    in_hand: HashMap<String, u64>,
    by_id: HashMap<String, Waiting>,
}

struct Waiting {
    episode: Episode,
    since: Moment,
    seat: OwnedSemaphorePermit,
}

impl Known {
    fn wait(&mut self, episode: Episode, seat: OwnedSemaphorePermit) {
        self.by_id.insert(episode.id.clone(), Waiting { episode, since: Moment::now(), seat });
    }

    /// Nobody steps it any more. Whether no other of its name began since it was taken.
    fn let_go(&mut self, taken: &Taken) -> bool {
        let id = &taken.episode.id;
        let is_newest = self.in_hand.get(id) == Some(&taken.number);
        if is_newest {
            self.in_hand.remove(id);
        }
        is_newest
    }
}

/// An episode that a call steps.
pub(crate) struct Taken {
    pub(crate) episode: Episode,
    seat: OwnedSemaphorePermit,
    number: u64,
}

impl Episodes {
    pub(crate) fn new(n_seats: usize, idle: Duration) -> Episodes {
        Episodes { seats: Arc::new(Semaphore::new(n_seats)), n_seats, idle, known: Mutex::default() }
    }

    /// A seat, if one is free once those who idle too long have given up theirs.
    pub(crate) fn seat(&self) -> Option<OwnedSemaphorePermit> {
        self.lock().by_id.retain(|_, it| it.since.passed() < self.idle);
        self.seats.clone().try_acquire_owned().ok()
    }

    /// How many are open, and how many may be.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.n_seats - self.seats.available_permits(), self.n_seats)
    }

    fn fresh_id(&self) -> String {
        let mut known = self.lock();
        loop {
            known.n_begun += 1;
            let id = format!("episode-{}", known.n_begun);
            // A caller may have called its own so.
            if !known.by_id.contains_key(&id) && !known.in_hand.contains_key(&id) {
                return id;
            }
        }
    }

    /// Keeps an episode; one of the same name is over, also if it is being stepped.
    pub(crate) fn keep(&self, episode: Episode, seat: OwnedSemaphorePermit) {
        let mut known = self.lock();
        known.in_hand.remove(&episode.id);
        known.wait(episode, seat);
    }

    /// Keeps an episode that was taken and got no verdict, unless another of its name began meanwhile.
    pub(crate) fn put_back(&self, taken: Taken) {
        let mut known = self.lock();
        if known.let_go(&taken) {
            known.wait(taken.episode, taken.seat);
        }
    }

    /// An episode that was taken is over.
    pub(crate) fn end(&self, taken: &Taken) {
        self.lock().let_go(taken);
    }

    /// Takes an episode out, so that no second call steps it meanwhile. Without a name it is the only one there is.
    ///
    /// # Errors
    /// If there is none of that name, or there are several and none is named.
    pub(crate) fn take(&self, id: Option<&str>) -> Result<Taken, Refusal> {
        let mut known = self.lock();
        known.by_id.retain(|_, it| it.since.passed() < self.idle);
        let id = match (id, known.by_id.len()) {
            (Some(id), _) => id.to_owned(),
            (None, 1) => known.by_id.keys().next().expect("there is one").clone(),
            (None, 0) => {
                let why = "no episode is open\nhint: reset first; a socket on /ws has its own";
                return Err(Refusal::Status(StatusCode::CONFLICT, why.to_owned()));
            }
            (None, _) => {
                let why =
                    "several episodes are open\nhint: send the episode_id that reset gave in its metadata";
                return Err(Refusal::Status(StatusCode::CONFLICT, why.to_owned()));
            }
        };
        match known.by_id.remove(&id) {
            Some(Waiting { episode, seat, .. }) => {
                known.n_taken += 1;
                let number = known.n_taken;
                known.in_hand.insert(id, number);
                Ok(Taken { episode, seat, number })
            }
            None => {
                let why = "no episode of that name is open: it is done, being stepped, or idled too long";
                Err(Refusal::Status(StatusCode::NOT_FOUND, why.to_owned()))
            }
        }
    }

    /// How the episode of that name stands; as one that has not begun where there is none.
    pub(crate) fn standing(&self, id: Option<&str>) -> Standing {
        let known = self.lock();
        let found = match id {
            Some(id) => known.by_id.get(id),
            None if known.by_id.len() == 1 => known.by_id.values().next(),
            None => None,
        };
        found.map(|it| it.episode.standing()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
