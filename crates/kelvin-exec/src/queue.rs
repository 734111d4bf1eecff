//! Jobs that wait: bounded, grading before proposing, each with where its answer goes. A thread that takes one takes
//! others along that may share its process.

use std::collections::{HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};

use kelvin_core::executor::{Calls, Job, Outcome};

use crate::clock::Watch;
use crate::preload::Preload;

/// What comes back: outcomes, or why the sandbox is broken, in words.
pub(crate) type Reply = Result<Vec<Outcome>, String>;

/// A job that waits.
pub(crate) struct Ticket {
    pub(crate) job: Job,
    pub(crate) preload: Preload,
    pub(crate) since: Watch,
    /// Of the job among those that were asked for together.
    pub(crate) place: usize,
    pub(crate) reply: mpsc::Sender<(usize, Reply)>,
}

impl Ticket {
    /// Whether another can run in this one's child, as far as the child is concerned. Who needs few modules may join
    /// one who needs all.
    fn fits(&self, other: &Ticket) -> bool {
        let (a, b) = (&self.job, &other.job);
        (a.hash_seed, a.calls, a.names, a.limits) == (b.hash_seed, b.calls, b.names, b.limits)
            && (self.preload == other.preload || self.preload == Preload::Full)
    }
}

/// A program and its inputs together, and all that share a child: far over what a model writes.
pub(crate) const MAX_JOB_BYTES: usize = 16 << 20;

/// The length of a job's texts.
pub(crate) fn n_bytes(job: &Job) -> usize {
    job.program.len() + job.inputs.iter().map(String::len).sum::<usize>()
}

/// How far a thread looks for company in the queue.
const LOOK_AHEAD: usize = 1024;

pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    room: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct Waiting {
    /// Jobs that grade: someone's reward hangs on them, and they are short.
    grading: VecDeque<Ticket>,
    proposing: VecDeque<Ticket>,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Queue {
        let waiting = Mutex::new(Waiting::default());
        Queue { waiting, arrived: Condvar::new(), room: Condvar::new(), capacity }
    }

    /// Waits for room. A closed queue drops tickets, which whoever waits for their reply sees.
    pub(crate) fn push(&self, tickets: impl IntoIterator<Item = Ticket>) {
        let mut waiting = self.lock();
        for ticket in tickets {
            while !waiting.closed && self.capacity <= waiting.grading.len() + waiting.proposing.len() {
                self.arrived.notify_all();
                waiting = self.room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            match ticket.job.calls {
                _ if waiting.closed => return,
                Calls::Once => waiting.grading.push_back(ticket),
                Calls::Twice => waiting.proposing.push_back(ticket),
            }
        }
        drop(waiting);
        self.arrived.notify_all();
    }

    /// The next job with those that may share its child: up to `inputs_max` inputs, and no more than leaves as many
    /// for each of `n_threads`. `None` once the queue is closed.
    pub(crate) fn take(
        &self,
        inputs_max: usize,
        n_threads: usize,
        apart: &Mutex<HashSet<String>>,
    ) -> Option<Vec<Ticket>> {
        let mut waiting = self.lock();
        let first = loop {
            if waiting.closed {
                return None;
            }
            let next = waiting.grading.pop_front().or_else(|| waiting.proposing.pop_front());
            match next {
                Some(ticket) => break ticket,
                None => waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner),
            }
        };
        let lane = match first.job.calls {
            Calls::Once => &mut waiting.grading,
            Calls::Twice => &mut waiting.proposing,
        };
        let apart = apart.lock().unwrap_or_else(PoisonError::into_inner);
        let shares = |it: &Ticket| it.job.company.as_ref().is_some_and(|class| !apart.contains(class));
        let n_jobs_max = (lane.len() + 1).div_ceil(n_threads);
        let mut taken = vec![first];
        if shares(&taken[0]) {
            let mut n_inputs = taken[0].job.inputs.len();
            let mut n_bytes_taken = n_bytes(&taken[0].job);
            let n_seen = lane.len().min(LOOK_AHEAD);
            let mut passed_over = Vec::new();
            for candidate in lane.drain(..n_seen) {
                let n_with = n_inputs + candidate.job.inputs.len();
                let n_bytes_with = n_bytes_taken + n_bytes(&candidate.job);
                let has_room =
                    taken.len() < n_jobs_max && n_with <= inputs_max && n_bytes_with <= MAX_JOB_BYTES;
                if has_room && shares(&candidate) && taken[0].fits(&candidate) {
                    (n_inputs, n_bytes_taken) = (n_with, n_bytes_with);
                    taken.push(candidate);
                } else {
                    passed_over.push(candidate);
                }
            }
            passed_over.into_iter().rev().for_each(|it| lane.push_front(it));
        }
        drop(apart);
        drop(waiting);
        self.room.notify_all();
        Some(taken)
    }

    /// Lets every thread end. What waits is dropped.
    pub(crate) fn close(&self) {
        *self.lock() = Waiting { closed: true, ..Waiting::default() };
        self.arrived.notify_all();
        self.room.notify_all();
    }

    /// A panic elsewhere leaves the queue whole.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use kelvin_core::executor::{HashSeed, Limits, Names};

    use super::*;

    /// A job of one input that grades and shares no child.
    pub(crate) fn plain_job(program: &str) -> Job {
        Job {
            program: program.into(),
            inputs: vec!["1".into()],
            names: Names::Literals,
            company: None,
            hash_seed: HashSeed::A,
            calls: Calls::Once,
            limits: Limits::default(),
        }
    }

    fn queue(jobs: &[(&str, Option<&str>, Calls)]) -> Queue {
        let queue = Queue::new(100);
        for (program, company, calls) in jobs {
            let job = Job { company: company.map(str::to_owned), calls: *calls, ..plain_job(program) };
            queue.push([Ticket {
                job,
                preload: Preload::Lean,
                since: Watch::start(),
                place: 0,
                reply: mpsc::channel().0,
            }]);
        }
        queue
    }

    fn take(queue: &Queue, inputs_max: usize, n_threads: usize, apart: &[&str]) -> Vec<String> {
        let apart = Mutex::new(apart.iter().map(|it| (*it).to_owned()).collect());
        queue.take(inputs_max, n_threads, &apart).unwrap().into_iter().map(|it| it.job.program).collect()
    }

    #[test]
    fn grading_comes_first_and_company_is_of_one_kind() {
        let (once, twice) = (Calls::Once, Calls::Twice);
        let queue = queue(&[
            ("a", Some(""), twice),
            ("b", Some("math"), once),
            ("c", None, once),
            ("d", Some(""), once),
            ("e", Some(""), twice),
            ("f", Some("re"), once),
        ]);
        assert_eq!(take(&queue, 10, 1, &["re"]), ["b", "d"]);
        assert_eq!(take(&queue, 10, 1, &["re"]), ["c"]);
        assert_eq!(take(&queue, 10, 1, &["re"]), ["f"]);
        assert_eq!(take(&queue, 10, 1, &[]), ["a", "e"]);
    }

    #[test]
    fn nobody_takes_what_others_could_run_meanwhile() {
        let jobs: Vec<(&str, Option<&str>, Calls)> = vec![("a", Some(""), Calls::Once); 10];
        let queue = queue(&jobs);
        assert_eq!(take(&queue, 100, 4, &[]).len(), 3);
        assert_eq!(take(&queue, 4, 1, &[]).len(), 4);
        assert_eq!(take(&queue, 1, 1, &[]).len(), 1);
    }

    #[test]
    fn what_shares_a_child_fits_in_one_frame() {
        let long = "x".repeat(MAX_JOB_BYTES / 2);
        let queue = queue(&[
            (&long, Some(""), Calls::Once),
            (&long, Some(""), Calls::Once),
            ("a", Some(""), Calls::Once),
        ]);
        assert_eq!(take(&queue, 100, 1, &[]), [long.as_str(), "a"]);
        assert_eq!(take(&queue, 100, 1, &[]), [long]);
    }

    #[test]
    fn a_closed_queue_ends_its_takers() {
        let queue = queue(&[]);
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| queue.take(1, 1, &Mutex::default()).is_none());
            queue.close();
            assert!(taker.join().unwrap());
        });
    }

    /// Whoever waits hears of it: those in the queue, those in front of a full one, and those who come later.
    #[test]
    fn a_closed_queue_drops_what_waits() {
        let queue = Queue::new(1);
        let job = plain_job("");
        let ask = || {
            let (reply, answer) = mpsc::channel();
            queue.push([Ticket {
                job: job.clone(),
                preload: Preload::Lean,
                since: Watch::start(),
                place: 0,
                reply,
            }]);
            answer.recv().is_err()
        };
        std::thread::scope(|scope| {
            let waiting = [scope.spawn(ask), scope.spawn(ask)];
            queue.close();
            assert!(waiting.into_iter().all(|it| it.join().unwrap()));
        });
        assert!(ask());
    }
}
