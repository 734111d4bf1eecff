//! Which inputs are settled by an attempt and which run again. An attempt is one child and a batch of inputs, of one
//! program or of several. Whoever has no answer when a child ends runs alone; a suspect, whose own child died or who was
//! near a limit, runs again alone once.

use std::collections::VecDeque;

use kelvin_core::executor::{Limits, Outcome};

use crate::metrics::Counters;
use crate::protocol::Answer;

/// From this share of its CPU limit on, a call that ended is run again alone; `driver/zygote.py` ends a call at 1.25.
const NEAR_LIMIT: f64 = 0.8;

/// Inputs for one child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) inputs: Vec<usize>,
    pub(crate) turn: Turn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    First,
    /// A suspect, alone; what comes of it stands.
    Again,
}

/// What came of one child.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// For the first inputs of the batch, in order.
    pub(crate) answers: Vec<Answer>,
    /// How the child ended; says why the first input without an answer has none.
    pub(crate) end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    CpuLimit,
    WallLimit,
    OutOfMemory,
    Died { detail: String },
}

/// Inputs on their way to outcomes.
pub(crate) struct Settlement {
    outcomes: Vec<Option<Outcome>>,
    queue: VecDeque<Batch>,
    limit_us: f64,
}

impl Settlement {
    /// `shared`: all of them begin in one child.
    pub(crate) fn new(n_inputs: usize, shared: bool, limits: &Limits) -> Settlement {
        let first = |inputs| Batch { inputs, turn: Turn::First };
        let queue = match shared {
            _ if n_inputs == 0 => VecDeque::new(),
            true => VecDeque::from([first((0..n_inputs).collect())]),
            false => (0..n_inputs).map(|input| first(vec![input])).collect(),
        };
        Settlement { outcomes: vec![None; n_inputs], queue, limit_us: limits.cpu_s * 1e6 }
    }

    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        self.queue.pop_front()
    }

    /// Takes in an attempt whose child is gone. Says whether it settled an input in a way that a sick machine could
    /// be behind: as crashed, or as timed out by the wall clock.
    pub(crate) fn settle(&mut self, batch: Batch, attempt: Attempt, counters: &Counters) -> bool {
        let Batch { inputs, turn } = batch;
        let n_answers = attempt.answers.len();
        for (place, (answer, &input)) in attempt.answers.into_iter().zip(&inputs).enumerate() {
            self.take_answer(input, answer, turn, place, counters);
        }
        let rest = &inputs[n_answers..];
        let Some(&suspect) = rest.first() else { return false };
        if 1 < inputs.len() {
            // Answers that were not sent yet are lost with a child, so that any of these may be to blame.
            counters.n_retries.add(rest.len());
            rest.iter().for_each(|&input| self.enqueue(vec![input], Turn::First));
            return false;
        }
        match (attempt.end, turn) {
            (End::CpuLimit, _) => self.time_out(suspect, counters),
            (End::OutOfMemory, _) => self.put(suspect, Outcome::OutOfMemory, counters),
            (end, Turn::First) => {
                // A machine that stood still looks like a program that waits: the first time is no verdict, and the
                // second counts only if the machine is well.
                if end == End::WallLimit {
                    counters.n_wall_kills.add(1);
                }
                self.run_again(suspect, counters);
                return false;
            }
            (End::WallLimit, Turn::Again) => {
                counters.n_wall_kills.add(1);
                self.time_out(suspect, counters);
                return true;
            }
            (End::Done, Turn::Again) => {
                self.put(suspect, Outcome::Crashed { detail: "no answer".into() }, counters);
                return true;
            }
            (End::Died { detail }, Turn::Again) => {
                self.put(suspect, Outcome::Crashed { detail }, counters);
                return true;
            }
        }
        false
    }

    /// Takes in that the worker itself was lost: nothing that its child said counts. Says whether that settled an
    /// input as crashed.
    pub(crate) fn settle_lost(&mut self, batch: Batch, detail: &str, counters: &Counters) -> bool {
        match (batch.inputs.as_slice(), batch.turn) {
            (&[input], Turn::Again) => {
                self.put(input, Outcome::Crashed { detail: detail.to_owned() }, counters);
                return true;
            }
            (&[input], Turn::First) => self.run_again(input, counters),
            (inputs, Turn::First | Turn::Again) => {
                inputs.iter().for_each(|&input| self.enqueue(vec![input], Turn::First));
            }
        }
        false
    }

    pub(crate) fn finish(self) -> Vec<Outcome> {
        assert!(self.queue.is_empty(), "batches remain");
        self.outcomes.into_iter().map(|outcome| outcome.expect("every input has left the queue")).collect()
    }

    fn take_answer(&mut self, input: usize, answer: Answer, turn: Turn, place: usize, counters: &Counters) {
        let cpu_us = answer.cpu_us as f64;
        match turn {
            Turn::First if cpu_us >= NEAR_LIMIT * self.limit_us => {
                counters.n_near_limit_reruns.add(1);
                self.enqueue(vec![input], Turn::Again);
            }
            // What earlier inputs left on the heap may have been too much.
            Turn::First if place > 0 && answer.outcome == Outcome::OutOfMemory => {
                self.run_again(input, counters);
            }
            Turn::Again if cpu_us > self.limit_us => self.time_out(input, counters),
            Turn::First | Turn::Again => self.put(input, answer.outcome, counters),
        }
    }

    fn run_again(&mut self, input: usize, counters: &Counters) {
        counters.n_retries.add(1);
        self.enqueue(vec![input], Turn::Again);
    }

    fn enqueue(&mut self, inputs: Vec<usize>, turn: Turn) {
        self.queue.push_back(Batch { inputs, turn });
    }

    fn time_out(&mut self, input: usize, counters: &Counters) {
        self.put(input, Outcome::TimedOut, counters);
    }

    fn put(&mut self, input: usize, outcome: Outcome, counters: &Counters) {
        match &outcome {
            Outcome::TimedOut => counters.n_timeouts.add(1),
            Outcome::OutOfMemory => counters.n_out_of_memory.add(1),
            Outcome::Crashed { .. } => counters.n_crashes.add(1),
            Outcome::Value { .. }
            | Outcome::NotLiteral { .. }
            | Outcome::Raised { .. }
            | Outcome::CompileError { .. }
            | Outcome::Nondeterministic
            | Outcome::TooLarge { .. } => {}
        }
        let before = self.outcomes[input].replace(outcome);
        assert!(before.is_none(), "input {input} is settled twice");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, share_of_limit: f64) -> Answer {
        Answer { outcome: Outcome::Value { repr: text.into() }, cpu_us: (share_of_limit * 10e6) as u64 }
    }

    fn died() -> End {
        End::Died { detail: "signal 11".into() }
    }

    /// Feeds attempts to a job of three inputs and gives the batches that were run and what came of them.
    fn play(attempts: Vec<Attempt>) -> (Vec<Vec<usize>>, Vec<Outcome>, Counters) {
        let counters = Counters::default();
        let mut settlement = Settlement::new(3, true, &Limits::default());
        let mut batches = Vec::new();
        for attempt in attempts {
            let batch = settlement.next_batch().expect("a batch for each attempt");
            batches.push(batch.inputs.clone());
            settlement.settle(batch, attempt, &counters);
        }
        (batches, settlement.finish(), counters)
    }

    fn attempt(answers: Vec<Answer>, end: End) -> Attempt {
        Attempt { answers, end }
    }

    fn reprs(outcomes: &[Outcome]) -> Vec<String> {
        let text = |outcome: &Outcome| match outcome {
            Outcome::Value { repr } => repr.clone(),
            other => format!("{other:?}"),
        };
        outcomes.iter().map(text).collect()
    }

    fn alone(text: &str) -> Attempt {
        attempt(vec![value(text, 0.0)], End::Done)
    }

    #[test]
    fn whoever_has_no_answer_when_a_child_dies_runs_alone() {
        let (batches, outcomes, counters) = play(vec![
            attempt(vec![value("0", 0.0)], died()),
            attempt(vec![], died()),
            alone("2"),
            attempt(vec![], died()),
        ]);
        assert_eq!(batches, [vec![0, 1, 2], vec![1], vec![2], vec![1]]);
        assert_eq!(reprs(&outcomes), ["0", "Crashed { detail: \"signal 11\" }", "2"]);
        assert_eq!((counters.snapshot().n_crashes, counters.snapshot().n_retries), (1, 3));
    }

    #[test]
    fn a_death_that_does_not_repeat_is_forgotten() {
        let (_, outcomes, _) = play(vec![attempt(vec![], died()), alone("0"), alone("1"), alone("2")]);
        assert_eq!(reprs(&outcomes), ["0", "1", "2"]);
    }

    /// In company any of them may have used the time up, also one whose answer was not sent yet.
    #[test]
    fn a_timeout_is_final_for_one_that_is_alone() {
        let (batches, outcomes, counters) = play(vec![
            attempt(vec![], End::CpuLimit),
            alone("0"),
            attempt(vec![], End::CpuLimit),
            alone("2"),
        ]);
        assert_eq!(batches, [vec![0, 1, 2], vec![0], vec![1], vec![2]]);
        assert_eq!(reprs(&outcomes), ["0", "TimedOut", "2"]);
        assert_eq!(counters.snapshot().n_timeouts, 1);
    }

    #[test]
    fn a_wall_kill_counts_only_the_second_time() {
        let waits = || attempt(vec![], End::WallLimit);
        let (batches, outcomes, counters) = play(vec![waits(), waits(), alone("1"), alone("2"), waits()]);
        assert_eq!(batches, [vec![0, 1, 2], vec![0], vec![1], vec![2], vec![0]]);
        assert_eq!(reprs(&outcomes), ["TimedOut", "1", "2"]);
        assert_eq!((counters.snapshot().n_wall_kills, counters.snapshot().n_timeouts), (2, 1));
        let (_, outcomes, counters) = play(vec![waits(), waits(), alone("1"), alone("2"), alone("0")]);
        assert_eq!(reprs(&outcomes), ["0", "1", "2"]);
        assert_eq!((counters.snapshot().n_wall_kills, counters.snapshot().n_timeouts), (1, 0));
    }

    #[test]
    fn near_the_limit_the_run_alone_decides() {
        let (batches, outcomes, counters) = play(vec![
            attempt(vec![value("0", 0.85), value("1", 1.1), value("2", 0.79)], End::Done),
            attempt(vec![value("0", 0.99)], End::Done),
            attempt(vec![value("1", 1.01)], End::Done),
        ]);
        assert_eq!(batches, [vec![0, 1, 2], vec![0], vec![1]]);
        assert_eq!(reprs(&outcomes), ["0", "TimedOut", "2"]);
        assert_eq!(counters.snapshot().n_near_limit_reruns, 2);
    }

    #[test]
    fn memory_that_earlier_inputs_used_is_not_held_against_later_ones() {
        let full = Answer { outcome: Outcome::OutOfMemory, cpu_us: 0 };
        let (batches, outcomes, _) = play(vec![
            attempt(vec![full.clone(), full], End::OutOfMemory),
            attempt(vec![value("1", 0.0)], End::Done),
            attempt(vec![], End::OutOfMemory),
        ]);
        assert_eq!(batches, [vec![0, 1, 2], vec![1], vec![2]]);
        assert_eq!(reprs(&outcomes), ["OutOfMemory", "1", "OutOfMemory"]);
    }

    #[test]
    fn inputs_without_company_get_a_child_each() {
        let counters = Counters::default();
        let mut settlement = Settlement::new(2, false, &Limits::default());
        for text in ["0", "1"] {
            let batch = settlement.next_batch().unwrap();
            assert_eq!(batch.inputs.len(), 1);
            settlement.settle(batch, alone(text), &counters);
        }
        assert_eq!(reprs(&settlement.finish()), ["0", "1"]);
    }

    #[test]
    fn a_lost_worker_is_blamed_on_an_input_that_loses_it_alone_twice() {
        let counters = Counters::default();
        let mut settlement = Settlement::new(2, true, &Limits::default());
        let lose = |settlement: &mut Settlement| {
            let batch = settlement.next_batch().unwrap();
            (batch.inputs.clone(), settlement.settle_lost(batch, "the worker died", &counters))
        };
        assert_eq!(lose(&mut settlement), (vec![0, 1], false));
        assert_eq!(lose(&mut settlement), (vec![0], false));
        let batch = settlement.next_batch().unwrap();
        assert_eq!(batch, Batch { inputs: vec![1], turn: Turn::First });
        settlement.settle(batch, attempt(vec![value("1", 0.0)], End::Done), &counters);
        assert_eq!(lose(&mut settlement), (vec![0], true));
        let outcomes = settlement.finish();
        assert_eq!(reprs(&outcomes), ["Crashed { detail: \"the worker died\" }", "1"]);
    }
}
