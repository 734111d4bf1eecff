//! Tests as EvalPlus has them (Liu et al. 2023): a candidate and the publisher's own solution are called with the same
//! arguments, and their results are compared. Expected results are not shipped, so the solution runs first; what runs sees
//! arguments only.

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::bail;
use kelvin_core::{
    benchmark::{Profile, Verdict},
    task::Miss,
};

use super::{
    harness::{Called, Harness, TestCalls},
    oracle::Oracle,
};
use crate::grading::code::Closeness;

/// A task with base and further tests.
pub(crate) struct PlusTask {
    /// The publisher's identifier, such as `HumanEval/0`.
    pub(crate) id: String,
    /// The function that is called.
    pub(crate) entry: String,
    /// The publisher's solution, a whole program.
    pub(crate) solution: String,
    /// The tests of the benchmark that this one extends.
    pub(crate) base: Tests,
    /// Those that EvalPlus adds.
    pub(crate) plus: Tests,
    /// What argument lists are made into: a name of `SHAPES` in `harness.py`.
    pub(crate) shape: &'static str,
    /// How results are compared.
    pub(crate) oracle: Oracle,
}

/// Argument lists as JSON, and what the publisher's solution makes of them once it ran.
pub(crate) struct Tests {
    pub(crate) json: String,
    pub(crate) n: usize,
    expected: Mutex<Option<Arc<Vec<Called>>>>,
}

/// How long a candidate may take: `least_s`, or so many times what the publisher's solution takes. CPU time here, wall
/// time there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeLimits {
    least_s: f64,
    factor: f64,
}

/// CPU time of all tests of a task together, in seconds (EvalPlus).
const TASK_S: f64 = 60.0;

/// CPU time of the publisher's solution on all tests of a task, in seconds.
const SOLUTION_S: f64 = 300.0;

/// Into how many parts tests are divided that took too long together.
const N_PARTS: usize = 8;

/// Jobs of a candidate that may take too long before all of it does. One that computes for no more than [`TASK_S`] needs no
/// more: the whole, its parts, and twice, of theirs and of those parts', as many as the least limit goes into that time. One that
/// waits uses no CPU time, and each of its jobs goes on until the wall clock ends it.
const LONG_JOBS_MAX: usize = 1 + N_PARTS + 2 * 15;

impl TimeLimits {
    /// EvalPlus' own, and those that AZR set.
    pub(crate) fn of(profile: Profile) -> TimeLimits {
        match profile {
            Profile::Clean => TimeLimits { least_s: 4.0, factor: 4.0 },
            Profile::Paper => TimeLimits { least_s: 10.0, factor: 8.0 },
        }
    }

    /// Of one test.
    fn of_test_s(self, solution: &Called) -> f64 {
        self.least_s.max(self.factor * 1e-6 * solution.cpu_us as f64)
    }
}

impl Tests {
    pub(crate) fn new(json: String, n: usize) -> Tests {
        Tests { json, n, expected: Mutex::default() }
    }
}

/// What a candidate came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlusVerdict {
    /// Why base tests fail.
    pub(crate) base: Option<Miss>,
    /// Why base tests, or the further ones, fail.
    pub(crate) plus: Option<Miss>,
}

impl PlusTask {
    /// The verdict on a candidate, with that of the base tests alone.
    ///
    /// # Errors
    /// As [`PlusTask::grade`].
    pub(crate) fn verdict(
        &self,
        harness: &Harness,
        limits: TimeLimits,
        program: String,
    ) -> anyhow::Result<Verdict> {
        let PlusVerdict { base, plus } = self.grade(harness, limits, &program)?;
        Ok(Verdict { also: vec![("base".to_owned(), base.is_none())], ..Verdict::on(program, plus) })
    }

    /// Runs a candidate; the further tests only where the base ones pass.
    ///
    /// # Errors
    /// If the sandbox is broken, or the publisher's solution fails.
    pub(crate) fn grade(
        &self,
        harness: &Harness,
        limits: TimeLimits,
        program: &str,
    ) -> anyhow::Result<PlusVerdict> {
        let base = self.run(harness, limits, program, &self.base)?;
        let plus = match base {
            Some(_) => base,
            None => self.run(harness, limits, program, &self.plus)?,
        };
        Ok(PlusVerdict { base, plus })
    }

    fn run(
        &self,
        harness: &Harness,
        limits: TimeLimits,
        program: &str,
        tests: &Tests,
    ) -> anyhow::Result<Option<Miss>> {
        let expected = self.expected(harness, tests)?;
        let mut trial = Trial {
            task: self,
            harness,
            limits,
            program,
            tests,
            expected: &expected,
            closeness: self.oracle.closeness(),
            used_us: 0,
            n_long: 0,
        };
        // One test alone first: a program that does not end mostly does not end there.
        for range in [0..tests.n.min(1), tests.n.min(1)..tests.n] {
            if let Some(miss) = trial.run(range)? {
                return Ok(Some(miss));
            }
        }
        Ok(None)
    }

    /// What the publisher's solution makes of the tests; it runs once.
    fn expected(&self, harness: &Harness, tests: &Tests) -> anyhow::Result<Arc<Vec<Called>>> {
        // A poisoned lock only says that another judge panicked; what it guards is whole or missing.
        let mut kept = tests.expected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(expected) = &*kept {
            return Ok(expected.clone());
        }
        let all = self.calls(&self.solution, tests, 0..tests.n, SOLUTION_S);
        let expected = match harness.calls(&all)? {
            Ok(results) if results.len() == tests.n && results.iter().all(|it| it.written.is_some()) => {
                results
            }
            Ok(_) => {
                bail!("{}: the publisher's solution raises\nhint: the file of tests may be damaged", self.id)
            }
            Err(miss) => bail!(
                "{}: the publisher's solution ends with {miss}\nhint: the sandbox may be too small or too slow for it",
                self.id
            ),
        };
        Ok(kept.insert(Arc::new(expected)).clone())
    }

    fn calls<'it>(
        &'it self,
        program: &'it str,
        tests: &'it Tests,
        range: Range<usize>,
        cpu_s: f64,
    ) -> TestCalls<'it> {
        TestCalls { program, entry: &self.entry, tests: &tests.json, shape: self.shape, range, cpu_s }
    }
}

/// A candidate on its way through the tests, in their order.
struct Trial<'it> {
    task: &'it PlusTask,
    harness: &'it Harness,
    limits: TimeLimits,
    program: &'it str,
    tests: &'it Tests,
    expected: &'it [Called],
    /// As it is after the tests so far.
    closeness: Closeness,
    used_us: u64,
    n_long: usize,
}

impl Trial<'_> {
    /// Why one of some tests fails. They run together and are timed together; what takes too long together runs again in
    /// parts, down to single tests with their own limit.
    fn run(&mut self, range: Range<usize>) -> anyhow::Result<Option<Miss>> {
        if range.is_empty() {
            return Ok(None);
        }
        // A result may take longer to write than to find.
        let of_solution: u64 = self.expected[range.clone()].iter().map(|it| it.whole_us).sum();
        let cpu_s = self.limits.least_s.max(self.limits.factor * 1e-6 * of_solution as f64);
        let calls = self.task.calls(self.program, self.tests, range.clone(), cpu_s);
        let results = match self.harness.calls(&calls)? {
            Ok(results) => results,
            Err(Miss::Timeout) if 1 < range.len() && self.n_long < LONG_JOBS_MAX => {
                self.n_long += 1;
                let step = range.len().div_ceil(N_PARTS);
                for begin in range.clone().step_by(step) {
                    if let Some(miss) = self.run(begin..range.end.min(begin + step))? {
                        return Ok(Some(miss));
                    }
                }
                return Ok(None);
            }
            Err(miss) => return Ok(Some(miss)),
        };
        for (place, result) in range.clone().zip(&results) {
            self.used_us += result.cpu_us;
            if let Some(miss) = self.judge(place, result) {
                return Ok(Some(miss));
            }
        }
        // It says less than was asked without having raised.
        Ok((results.len() < range.len()).then_some(Miss::Crash))
    }

    fn judge(&mut self, place: usize, result: &Called) -> Option<Miss> {
        let Some(written) = &result.written else { return Some(Miss::RuntimeError) };
        let expected = &self.expected[place];
        let too_long = self.limits.of_test_s(expected) < 1e-6 * result.cpu_us as f64;
        if too_long || TASK_S < 1e-6 * self.used_us as f64 {
            return Some(Miss::Timeout);
        }
        let gold = expected.written.as_deref().expect("a solution that raises has no expected results");
        let agrees = self.task.oracle.accepts(&self.tests.json, place, gold, written, &mut self.closeness);
        (!agrees).then_some(Miss::Wrong)
    }
}
