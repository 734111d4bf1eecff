//! One call of the sampler: completions are judged on other threads as they finish, while other rows still decode, and
//! a verdict may ask the same call for more.
//!
//! Judges start when a completion finds all others busy, up to a limit that leaves room for many who wait for the
//! sandbox: mostly a few are enough, and what each thread leaves behind with the allocator outlives it.
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
    thread::{self, Scope, ScopedJoinHandle},
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

/// Asks for `first` and for what verdicts ask for, until all are judged by up to `n_judges` at once; says where the time
/// went.
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
    let waited_before_us = sampler.stats().waited_us;
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
        let first = scope.spawn(|| stream.judge_all(judge));
        let more = scope.spawn(|| stream.receive(finished, scope, n_judges.max(1) - 1, judge));
        let served = sampler.serve(requests, to_judges);
        if served.is_err() {
            stream.stop();
        }
        let more = more.join().unwrap_or_else(|panic| resume_unwind(panic));
        for judge in [first].into_iter().chain(more) {
            judge.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        }
        served
    })?;
    let mut desk = stream.desk.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(desk.n_open, 0, "every request is answered");
    desk.timeline.waited((sampler.stats().waited_us - waited_before_us) as f64 * 1e-6);
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
    /// Judges that have a completion.
    n_busy: usize,
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

    /// Hands completions on until there are no more or the stream is stopped, and starts up to `n_more` judges as they
    /// are needed, which it returns. A thread of its own does it, so that a finished row is known to be one while all
    /// judges are busy.
    fn receive<'scope>(
        &'scope self,
        finished: Listener,
        scope: &'scope Scope<'scope, '_>,
        n_more: usize,
        judge: &'scope dyn Judge,
    ) -> Vec<ScopedJoinHandle<'scope, anyhow::Result<()>>> {
        let mut judges = Vec::new();
        loop {
            let next = finished.recv_timeout(LOOK_AROUND);
            let mut desk = self.lock();
            match next {
                Ok(it) if !desk.ended => {
                    desk.timeline.finished();
                    desk.finished.push_back(it);
                    self.changed.notify_one();
                    let is_short = 1 + judges.len() < desk.n_busy + desk.finished.len();
                    drop(desk);
                    if is_short && judges.len() < n_more {
                        // Where no more threads can be had, those that are there do it.
                        let started = thread::Builder::new().spawn_scoped(scope, || self.judge_all(judge));
                        judges.extend(started);
                    }
                }
                Err(RecvTimeoutError::Timeout) if !desk.ended => {}
                Ok(_) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        self.lock().ended = true;
        self.changed.notify_all();
        judges
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
            desk.n_busy -= 1;
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
                desk.n_busy += 1;
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

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        sync::{Arc, Barrier},
        thread::ThreadId,
    };

    use kelvin_core::{fake::FakePolicy, rollout::Sampling, seed::Seed};

    use super::*;

    fn request(index: usize) -> Indexed<SampleRequest> {
        let sampling = Arc::new(Sampling::plain(9));
        (index, SampleRequest { prompt: "go on".into(), seed: Seed::new(index as u64), sampling })
    }

    /// Waits for so many others, and asks for the next of `n` where it is alone.
    struct Noting {
        n: usize,
        together: Barrier,
        is_chain: bool,
        judged_by: Mutex<Vec<ThreadId>>,
    }

    impl Noting {
        fn threads(n: usize, n_together: usize, is_chain: bool, n_judges: usize) -> usize {
            let judge =
                Noting { n, together: Barrier::new(n_together), is_chain, judged_by: Mutex::default() };
            let first = (0..if is_chain { 1 } else { n }).map(request).collect();
            stream(&FakePolicy::new(|_, _| "done".into()), n_judges, first, &judge).unwrap();
            let judged_by = judge.judged_by.into_inner().unwrap();
            assert_eq!(judged_by.len(), n);
            judged_by.into_iter().collect::<HashSet<_>>().len()
        }
    }

    impl Judge for Noting {
        fn work(&self, _: usize) -> Work {
            Work::Grade
        }

        fn judge(&self, index: usize, _: Completion) -> anyhow::Result<Vec<Indexed<SampleRequest>>> {
            self.together.wait();
            self.judged_by.lock().unwrap().push(thread::current().id());
            let next = index + 1;
            Ok(if self.is_chain && next < self.n { vec![request(next)] } else { Vec::new() })
        }
    }

    #[test]
    fn one_judge_is_enough_where_one_completion_comes_at_a_time() {
        assert_eq!(Noting::threads(200, 1, true, 64), 1);
    }

    #[test]
    fn as_many_judge_at_once_as_there_are_completions_up_to_the_limit() {
        assert_eq!(Noting::threads(3, 3, false, 64), 3);
        assert_eq!(Noting::threads(9, 3, false, 3), 3);
    }
}
