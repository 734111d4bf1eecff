//! The steps that a plan is made for: the loop itself, played with the sizes of a configuration on a domain that costs
//! nothing, says which rows it asks for, after which others, what judging them runs and which of them train.

use std::collections::BTreeMap;

use kelvin_core::{
    seed::Seed,
    task::{Step, TaskType},
};
use kelvin_selfplay::{
    settings::Recipe,
    simulation::{self, Habits, Programs, Purpose, Span, Workload},
};

use serde::Serialize;

use super::{
    step::inputs,
    steps::{OfPhase, Steps},
};
use crate::config::{Config, EnvironmentName};

/// The share of proposals that become tasks where none is given: the mean over three runs of the quick start
/// (`results/2026-11-22-quickstart-tries`, all task types and steps).
pub(crate) const VALID: f64 = 0.90;
/// Solve rates of tasks in the same runs: the likeliest of their kind behind how many of eight solves are right.
const SOLVE_RATES: [f64; 2] = [0.35, 0.55];
/// Shares of equal answers where truth is a vote: the likeliest of their kind, to a tenth, behind how many of ten answers agree
/// (`results/2026-11-22-r-zero-tiny/untrained-challenger-*`, all steps).
const VOTE_SHARES: [f64; 2] = [2.0, 0.6];
/// Steps recorded; of R-Zero, of each phase.
const N_RECORDED: Step = 2;
/// The buffer of the first steps holds seeds alone, which nobody tried.
const SPAN: Span = Span { n_before: 4, n_recorded: N_RECORDED as usize };

/// Steps of a run of `config`, by their kinds, in which a share `valid` of the proposals become tasks, with so many judges,
/// on which nothing hangs.
///
/// # Errors
/// If the loop cannot be played with these settings.
pub(super) fn record(config: &Config, valid: f64, n_judges: usize) -> anyhow::Result<Steps<Vec<Workload>>> {
    let solve_rates = match config.environment {
        EnvironmentName::PythonTriplet | EnvironmentName::PrimeInversion => SOLVE_RATES,
        EnvironmentName::MathQuestion => VOTE_SHARES,
    };
    let (habits, settings) = (Habits { valid, solve_rates }, config.run_settings(n_judges));
    Ok(match config.recipe {
        Recipe::Azr => Steps::Alike {
            n_steps: config.steps,
            step: simulation::record(&settings, programs(config), habits, SPAN)?,
        },
        Recipe::RZero => {
            let phases = simulation::record_iteration(&settings, programs(config), habits, N_RECORDED)?;
            let phases = phases.into_iter().map(|(phase, steps)| OfPhase::of(config, phase, steps));
            Steps::Phases { phases: phases.collect() }
        }
    })
}

/// The inputs that verdicts run programs on. Answers to deduction and error tasks are compared as values.
fn programs(config: &Config) -> BTreeMap<TaskType, Programs> {
    let of = |&task_type: &TaskType| {
        let (validate, graded) = inputs(config, task_type);
        let grade = match task_type {
            TaskType::Deduction | TaskType::Error => 0,
            TaskType::Abduction | TaskType::Induction | TaskType::Question => graded,
        };
        (task_type, Programs { validate, grade })
    };
    match config.environment {
        EnvironmentName::PythonTriplet => config.task_types().iter().map(of).collect(),
        EnvironmentName::PrimeInversion | EnvironmentName::MathQuestion => BTreeMap::new(),
    }
}

/// What a configuration does not say of a run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Expected {
    /// Tokens on average; of responses none for a quarter of their limits, of prompts none for a half.
    pub(crate) response_tokens: Option<f64>,
    pub(crate) prompt_tokens: Option<f64>,
    /// Those of proposals, where they have others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proposal_tokens: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proposal_prompt_tokens: Option<f64>,
    /// The share of proposals that become tasks.
    pub(crate) valid: f64,
}

/// Tokens of the rows of a purpose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    pub(super) response_mean: f64,
    pub(super) response_max: f64,
    pub(super) prompt_mean: f64,
}

impl Lengths {
    pub(super) fn of(config: &Config, expected: Expected, purpose: Purpose) -> Lengths {
        let sampling = &config.sampling;
        let Expected { response_tokens, prompt_tokens, proposal_tokens, proposal_prompt_tokens, .. } =
            expected;
        let of_solver = (response_tokens, prompt_tokens);
        let of_proposer = (proposal_tokens.or(response_tokens), proposal_prompt_tokens.or(prompt_tokens));
        let (drawn, prompt_max, (response, prompt)) = match purpose {
            Purpose::Propose => (&sampling.propose, sampling.propose_prompt_tokens_max, of_proposer),
            Purpose::Solve => (&sampling.solve, sampling.solve_prompt_tokens_max, of_solver),
            Purpose::Estimate => (&sampling.estimate, sampling.solve_prompt_tokens_max, of_solver),
        };
        let response_max = drawn.max_new_tokens as f64;
        Lengths {
            response_mean: response.unwrap_or(response_max / 4.0),
            response_max,
            prompt_mean: prompt.unwrap_or(prompt_max as f64 / 2.0),
        }
    }

    /// Tokens of a row: exponential about the mean, cut at the limit. Completions end at any token with a like chance.
    pub(super) fn draw(&self, seed: Seed) -> f64 {
        (-(1.0 - seed.unit()).ln() * self.response_mean).clamp(1.0, self.response_max)
    }
}

/// Whether a trainer reads equal prompts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompts {
    /// Once for all rows behind it.
    Shared,
    /// With each row.
    Repeated,
}

/// Tokens of a step, as they are likely to be.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Tokens {
    pub(crate) rows: f64,
    pub(crate) response_mean: f64,
    pub(crate) prompt_mean: f64,
    pub(crate) drawn: f64,
    /// Rows that the trainer is given.
    pub(crate) trained: f64,
    /// Their tokens, with those of their prompts.
    pub(crate) learnt: f64,
    /// Tokens whose log-probabilities are asked for beside that, with those of their prompts: once for each pass.
    pub(crate) scored: f64,
    pub(crate) programs: f64,
}

pub(super) const PURPOSES: [Purpose; 3] = [Purpose::Propose, Purpose::Solve, Purpose::Estimate];

impl Tokens {
    /// Those of one step.
    pub(super) fn of(workload: &Workload, lengths: impl Fn(Purpose) -> Lengths, prompts: Prompts) -> Tokens {
        let mut tokens = Tokens { programs: workload.n_programs() as f64, ..Tokens::default() };
        let mut prompt_tokens = 0.0;
        for purpose in PURPOSES {
            let (length, n) = (lengths(purpose), workload.n_rows(purpose) as f64);
            let n_trained = workload.n_trained(purpose);
            let n_prompts = match prompts {
                Prompts::Shared => workload.n_trained_prompts(purpose),
                Prompts::Repeated => n_trained,
            };
            tokens.rows += n;
            tokens.drawn += n * length.response_mean;
            prompt_tokens += n * length.prompt_mean;
            tokens.trained += n_trained as f64;
            tokens.learnt += n_trained as f64 * length.response_mean + n_prompts as f64 * length.prompt_mean;
            tokens.scored += workload.n_scored(purpose) as f64 * (length.response_mean + length.prompt_mean);
        }
        tokens.response_mean = tokens.drawn / tokens.rows.max(1.0);
        tokens.prompt_mean = prompt_tokens / tokens.rows.max(1.0);
        tokens
    }

    /// The mean of several steps.
    pub(super) fn mean(steps: &[Tokens]) -> Tokens {
        let mean = |of: fn(&Tokens) -> f64| steps.iter().map(of).sum::<f64>() / steps.len() as f64;
        Tokens {
            rows: mean(|it| it.rows),
            response_mean: mean(|it| it.response_mean),
            prompt_mean: mean(|it| it.prompt_mean),
            drawn: mean(|it| it.drawn),
            trained: mean(|it| it.trained),
            learnt: mean(|it| it.learnt),
            scored: mean(|it| it.scored),
            programs: mean(|it| it.programs),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use kelvin_core::{
        environment::{Environment, Given},
        executor::{Executor, Job, Outcome},
        task::Task,
    };
    use kelvin_env::python_triplet::{InductionPairs, Problem, PythonTriplet};

    use super::*;
    use crate::{
        config::{Raw, resolve},
        plan::step::{Executions, Step},
    };

    fn quickstart(sets: &[&str]) -> Config {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/quickstart.toml");
        let sets: Vec<String> = sets.iter().map(|it| (*it).to_owned()).collect();
        resolve(&[&Raw::read(&path).unwrap(), &Raw::from_sets(&sets).unwrap()]).unwrap().config
    }

    fn alike(config: &Config, valid: f64, n_judges: usize) -> Vec<Workload> {
        match record(config, valid, n_judges).unwrap() {
            Steps::Alike { step, .. } => step,
            Steps::Phases { .. } => panic!("it is of Absolute Zero"),
        }
    }

    /// Where every proposal is a task, what is asked for is the budget, but for what nothing runs for.
    #[test]
    fn a_step_asks_for_what_its_budget_allows() {
        let config = quickstart(&[]);
        let step = Step::of(&config);
        let compared: u64 = step
            .executions
            .iter()
            .filter(|it| it.task_type == TaskType::Deduction)
            .map(|it| it.estimate + it.solve)
            .sum();
        // A proposal runs under two hash seeds.
        let sum = |it: &Executions| 2 * it.validate + it.estimate + it.solve;
        let n_programs = step.executions.iter().map(sum).sum::<u64>() - compared;
        for workload in alike(&config, 1.0, 1) {
            let n = |purpose| workload.n_rows(purpose) as u64;
            assert_eq!(
                [n(Purpose::Propose), n(Purpose::Solve), n(Purpose::Estimate)],
                [step.proposals, step.solutions, step.estimates]
            );
            assert_eq!(workload.n_programs() as u64, n_programs);
            assert_eq!(workload.n_trained(Purpose::Propose) as u64, step.proposals);
            let n_trained: usize = PURPOSES.map(|it| workload.n_trained(it)).iter().sum();
            assert!((n_trained as u64) < step.trained, "what all solve or none teaches nothing");
            // Proposals and solutions at once, then the tries of each proposal behind it.
            assert_eq!((workload.asks[0].after.clone(), workload.asks[0].rows.clone()), (0..0, 0..96 + 768));
            let behind: Vec<_> =
                workload.asks[1..].iter().map(|it| (it.after.clone(), it.rows.len())).collect();
            assert_eq!(behind, (0..96).map(|it| (it..it + 1, 8)).collect::<Vec<_>>());
        }
    }

    /// Against the environment itself, on an executor that counts.
    #[test]
    fn programs_are_those_that_the_environment_runs() {
        let mut config = quickstart(&[]);
        config.python.task_types =
            vec![TaskType::Deduction, TaskType::Abduction, TaskType::Induction, TaskType::Error];
        for pairs in [InductionPairs::Hidden, InductionPairs::All] {
            config.python.induction_pairs = pairs;
            let counter = Arc::new(Counter::default());
            let env = PythonTriplet::new(counter.clone(), config.python.environment_settings()).unwrap();
            let (program, n_inputs) =
                ("def f(x):\n    return x", config.python.prompt_set.n_induction_inputs());
            let problem = Problem::triplet(program.into(), "2".into(), "2".into());
            let task = |task_type, payload| Task { task_type, born: 0, label: None, payload };
            for (task_type, programs) in programs(&config) {
                let references = [task(TaskType::Deduction, problem.clone())];
                let references = if task_type == TaskType::Induction { &references[..] } else { &[] };
                let proposal = match task_type {
                    TaskType::Induction => "input: 2\n".repeat(n_inputs) + "message: gives it back",
                    _ => format!("{program}\ninput: 2"),
                };
                let posed = env.validate(task_type, Given { references, helpers: &[] }, &proposal);
                assert_eq!(counter.take(), 2 * programs.validate, "{task_type}");
                let answer = if task_type == TaskType::Induction { program } else { "2" };
                env.grade(&task(task_type, posed.unwrap().unwrap()), answer).unwrap();
                assert_eq!(counter.take(), programs.grade, "{task_type} {pairs:?}");
            }
        }
    }

    /// Every program gives 2.
    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Counter {
        fn take(&self) -> usize {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    impl Executor for Counter {
        fn run(&self, job: &Job) -> anyhow::Result<Vec<Outcome>> {
            self.0.fetch_add(job.inputs.len(), Ordering::Relaxed);
            Ok(vec![Outcome::Value { repr: "2".into() }; job.inputs.len()])
        }
        fn parallelism(&self) -> usize {
            1
        }
    }

    /// 28,207 tokens a step are what three runs of the quick start trained on, of 30 a row.
    #[test]
    fn what_trains_is_what_trained() {
        let config = quickstart(&[]);
        let steps = alike(&config, VALID, 2);
        let n: usize = steps.iter().flat_map(|it| &it.rows).filter(|it| it.is_trained).count();
        let n_tokens = 30.0 * n as f64 / steps.len() as f64;
        assert!((n_tokens / 28_207.0 - 1.0).abs() < 0.05, "{n_tokens}");
    }

    #[test]
    fn recordings_do_not_depend_on_judges() {
        let sets =
            ["azr.estimate_stop='interval'", "azr.n_estimate=16", "azr.solve_lag=0", "azr.batch_size=8"];
        let config = quickstart(&sets);
        let alone = alike(&config, VALID, 1);
        for n_judges in [2, 5] {
            assert_eq!(alike(&config, VALID, n_judges), alone);
        }
        // Of every step, solutions wait for all rows of the call before.
        for workload in &alone {
            let last = workload.asks.last().unwrap();
            assert_eq!((last.after.clone(), last.rows.end), (0..last.rows.start, workload.rows.len()));
            assert_eq!(last.rows.len(), 24 * 8);
            let n_rounds = workload.asks.iter().filter(|it| it.after.len() == 4).count();
            assert!(24 < n_rounds && workload.asks.iter().all(|it| it.rows.len() <= 24 * 8));
        }
    }

    #[test]
    fn without_programs_there_is_nothing_to_run() {
        let mut config = quickstart(&["azr.batch_size=4", "azr.train_propose=false"]);
        config.environment = EnvironmentName::PrimeInversion;
        let steps = alike(&config, VALID, 1);
        assert!(steps.iter().all(|it| it.n_programs() == 0 && it.n_trained(Purpose::Propose) == 0));
    }
}
