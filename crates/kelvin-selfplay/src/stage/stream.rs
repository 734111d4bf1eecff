//! One call of the sampler: completions are judged on other threads as they finish, while other rows still decode, and
//! a verdict may ask the same call for more.
//!
//! Requests stay open until every verdict is in and none has asked for more. A judge that fails or panics closes them
//! and stops listening, so that the sampler and the other judges end; a sampler that fails closes the completions, so
//! that the judges end and leave what waits for them. Nobody waits for anybody else.

use std::{
    collections::VecDeque,
    panic::resume_unwind,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use kelvin_core::{
    policy::{Indexed, Listener, Sampler, completions},
    rollout::{Completion, SampleRequest},
};

use super::timeline::{Timeline, Work};
use crate::clock::Stopwatch;

/// How soon a stream that was stopped is noticed where no row finishes.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// Says what completions are worth; several threads ask at once.
pub(crate) trait Judge: Sync {
    /// What judging the completion of this request is.
    fn work(&self, index: usize) -> Work;

    /// Judges a completion, keeps the verdict, and says what to ask next; indices are new ones.
    ///
    /// # Errors
    /// If the world is broken.
    fn judge(&self, index: usize, completion: Completion) -> anyhow::Result<Vec<Indexed<SampleRequest>>>;
}

/// Asks for `first` and for what verdicts ask for, until all are judged; says where the time went.
///
/// # Errors
/// If the sampler or a judge fails.
///
/// # Panics
/// If a judge does, or the sampler leaves a request without an answer.
pub(crate) fn stream(
    sampler: &dyn Sampler,
    n_judges: usize,
    first: Vec<Indexed<SampleRequest>>,
    judge: &dyn Judge,
) -> anyhow::Result<Timeline> {
    let (to_sampler, requests) = mpsc::channel();
    let (to_judges, finished) = completions();
    let stream = Stream::default();
    {
        let mut desk = stream.lock();
        desk.to_sampler = Some(to_sampler);
        desk.ask(first);
        desk.close_if_done();
    }
    thread::scope(|scope| {
        scope.spawn(|| stream.receive(finished));
        let judges: Vec<_> = (0..n_judges.max(1)).map(|_| scope.spawn(|| stream.judge_all(judge))).collect();
        let served = sampler.serve(requests, to_judges);
        if served.is_err() {
            stream.stop();
        }
        for judge in judges {
            judge.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        }
        served
    })?;
    let desk = stream.desk.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(desk.n_open, 0, "every request is answered");
    Ok(desk.timeline)
}

/// What the threads of one call share.
#[derive(Default)]
struct Stream {
    desk: Mutex<Desk>,
    changed: Condvar,
}

#[derive(Default)]
struct Desk {
    /// Nothing once nothing can be asked any more.
    to_sampler: Option<Sender<Indexed<SampleRequest>>>,
    /// Completions that no judge has taken, the oldest first.
    finished: VecDeque<Indexed<Completion>>,
    /// Requests without a verdict.
    n_open: usize,
    /// No more completions come, or none is wanted.
    ended: bool,
    timeline: Timeline,
}

impl Stream {
    /// A poisoned lock only says that a thread panicked, which joining it tells; what it guards is whole.
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands completions on until there are no more or the stream is stopped. A thread of its own does it, so that a
    /// finished row is known to be one while all judges are busy.
    fn receive(&self, finished: Listener) {
        loop {
            let next = finished.recv_timeout(LOOK_AROUND);
            let mut desk = self.lock();
            match next {
                Ok(it) if !desk.ended => {
                    desk.timeline.finished();
                    desk.finished.push_back(it);
                    self.changed.notify_one();
                }
                Err(RecvTimeoutError::Timeout) if !desk.ended => {}
                Ok(_) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn judge_all(&self, judge: &dyn Judge) -> anyhow::Result<()> {
        let mut guard = StopUnlessDone { stream: self, done: false };
        while let Some((index, completion)) = self.next(judge) {
            let watch = Stopwatch::start();
            let more = judge.judge(index, completion)?;
            let mut desk = self.lock();
            desk.timeline.judged(judge.work(index), watch.seconds());
            desk.ask(more);
            desk.n_open -= 1;
            desk.close_if_done();
        }
        guard.done = true;
        Ok(())
    }

    /// The next completion to judge; waits for it.
    fn next(&self, judge: &dyn Judge) -> Option<Indexed<Completion>> {
        let mut desk = self.lock();
        loop {
            if let Some((index, completion)) = desk.finished.pop_front() {
                desk.timeline.taken(judge.work(index));
                return Some((index, completion));
            }
            if desk.ended {
                return None;
            }
            desk = self.changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn stop(&self) {
        let mut desk = self.lock();
        desk.to_sampler = None;
        desk.finished.clear();
        desk.ended = true;
        self.changed.notify_all();
    }
}

impl Desk {
    fn ask(&mut self, requests: Vec<Indexed<SampleRequest>>) {
        self.n_open += requests.len();
        self.timeline.asked(requests.len());
        for request in requests {
            // A sampler that has gone says why itself, and so does a judge that stopped the stream.
            let _ = self.to_sampler.as_ref().map(|it| it.send(request));
        }
    }

    /// Tells the sampler that nothing more comes, once that is so.
    fn close_if_done(&mut self) {
        if self.n_open == 0 {
            self.to_sampler = None;
        }
    }
}

/// Stops the stream when a judge leaves by an error or a panic.
struct StopUnlessDone<'stream> {
    stream: &'stream Stream,
    done: bool,
}

impl Drop for StopUnlessDone<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.stream.stop();
        }
    }
}
