//! Who works and who waits. Work is blocking and runs on threads of its own, as many at once as there are seats; a bounded
//! number of calls waits for one; the rest is sent away at once.

use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{extract::FromRequestParts, http::request::Parts};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinSet, spawn_blocking},
    time::timeout,
};

use crate::{refusal::Refusal, settings::Settings};

/// See the module.
#[derive(Clone)]
pub(crate) struct Gate {
    /// For those who work and those who wait.
    places: Arc<Semaphore>,
    /// For those who work.
    seats: Arc<Semaphore>,
    n_seats: usize,
    n_places: usize,
    /// In KiB, for bodies of calls that were not answered yet or are still worked on.
    room: Arc<Semaphore>,
    body_bytes_max: usize,
    n_room: u32,
    deadline: Duration,
    broken: Arc<AtomicBool>,
}

/// A call that was let in: it works or waits.
pub(crate) struct Admission {
    gate: Gate,
    place: Arc<OwnedSemaphorePermit>,
    room: Room,
}

/// Room for the body of a call. It is free again when both the call and the work that it began are over; a call without a body
/// has none.
#[derive(Clone, Default)]
pub(crate) struct Room {
    _held: Option<Arc<OwnedSemaphorePermit>>,
}

impl<S: Sync> FromRequestParts<S> for Room {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Room, Infallible> {
        Ok(parts.extensions.get::<Room>().cloned().unwrap_or_default())
    }
}

impl Gate {
    pub(crate) fn new(settings: &Settings) -> Gate {
        let n_seats = settings.running_max.max(1);
        let n_places = n_seats + settings.waiting_max;
        let n_room = kib(settings.bodies_bytes_max.max(settings.body_bytes_max));
        Gate {
            places: Arc::new(Semaphore::new(n_places)),
            seats: Arc::new(Semaphore::new(n_seats)),
            n_seats,
            n_places,
            room: Arc::new(Semaphore::new(n_room as usize)),
            body_bytes_max: settings.body_bytes_max,
            n_room,
            deadline: settings.deadline,
            broken: Arc::default(),
        }
    }

    /// Room for a body of at most so many bytes, waited for in the order of coming, before anything of it is read. Whose length
    /// nobody knows may be of the longest.
    pub(crate) async fn room(&self, bytes: Option<u64>) -> Room {
        let bytes = bytes.and_then(|it| usize::try_from(it).ok()).unwrap_or(usize::MAX);
        let n = kib(bytes.min(self.body_bytes_max)).min(self.n_room);
        let held = self.room.clone().acquire_many_owned(n).await.expect("nobody closes it");
        Room { _held: Some(Arc::new(held)) }
    }

    /// Lets a call in, or sends it away. What its body takes is kept as long as it works.
    pub(crate) fn admit(&self, room: Room) -> Result<Admission, Refusal> {
        match self.places.clone().try_acquire_owned() {
            Ok(place) => Ok(Admission { gate: self.clone(), place: Arc::new(place), room }),
            Err(_) => Err(Refusal::Busy),
        }
    }

    /// Does one piece of work of a call whose body has this room.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        room: Room,
        work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.admit(room)?.work(work).await
    }

    /// What takes too long is late; what it began goes on, and keeps its seat and the room of its body while it does.
    pub(crate) async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        timeout(self.deadline, answer).await.unwrap_or(Err(Refusal::Late))
    }

    /// Whether the world was found broken, which nothing here mends.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Pieces of work that run, and calls that are in.
    pub(crate) fn load(&self) -> (usize, usize) {
        let running = self.n_seats - self.seats.available_permits();
        (running, self.n_places - self.places.available_permits())
    }
}

impl Admission {
    /// Does one piece of work on a thread of its own, when there is a seat.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let seat = self.gate.seats.clone().acquire_owned().await.expect("nobody closes it");
        let held = (seat, self.place.clone(), self.room.clone());
        let done = spawn_blocking(move || {
            let _held = held;
            work()
        });
        match done.await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => {
                self.gate.broken.store(true, Ordering::Relaxed);
                Err(Refusal::Broken(format!("{error:#}")))
            }
            Err(_) => Err(Refusal::Panicked),
        }
    }

    /// Does several pieces of work at once; results in their order.
    pub(crate) async fn work_all<T: Send + 'static, W>(&self, works: Vec<W>) -> Result<Vec<T>, Refusal>
    where
        W: FnOnce() -> anyhow::Result<T> + Send + 'static,
    {
        let mut set = JoinSet::new();
        let n = works.len();
        for (index, work) in works.into_iter().enumerate() {
            let (gate, place, room) = (self.gate.clone(), self.place.clone(), self.room.clone());
            let admission = Admission { gate, place, room };
            set.spawn(async move { (index, admission.work(work).await) });
        }
        let mut results: Vec<Option<T>> = (0..n).map(|_| None).collect();
        while let Some(joined) = set.join_next().await {
            let (index, result) = joined.map_err(|_| Refusal::Panicked)?;
            results[index] = Some(result?);
        }
        Ok(results.into_iter().map(|it| it.expect("every piece of work was joined")).collect())
    }
}

/// So many KiB, or the most that there can be.
fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}
