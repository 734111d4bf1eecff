//! Prime inversion as its users see it: prompts, proposals, answers, and what is counted of them.

mod answers;
mod counts;
mod proposals;

use kelvin_core::{
    environment::{Environment, Given},
    task::{Grade, Reason, Task, TaskType},
};
use kelvin_env::prime_inversion::{Blank, InductionRule, Inversion, PrimeInversion, PromptSet, Settings};

const TYPES: [TaskType; 3] = [TaskType::Deduction, TaskType::Abduction, TaskType::Induction];
const SETS: [PromptSet; 2] = [PromptSet::Full, PromptSet::Compact];

fn env(prompt_set: PromptSet) -> PrimeInversion {
    with(Settings { prompt_set, p_min: 5, ..Settings::default() })
}

/// Under the original's rule, in the full set.
fn any_prime() -> PrimeInversion {
    with(Settings { induction: InductionRule::AnyPrime, p_min: 5, ..Settings::default() })
}

fn with(settings: Settings) -> PrimeInversion {
    PrimeInversion::new(settings).unwrap()
}

fn task(task_type: TaskType, x: u32, p: u32) -> Task<Inversion> {
    Task { task_type, born: 0, label: None, payload: Inversion::of(x, p).unwrap() }
}

fn blank(task_type: TaskType) -> Blank {
    Blank::of(task_type).unwrap()
}

/// A proposal between tags, without references.
fn validate(env: &PrimeInversion, task_type: TaskType, equation: &str) -> Result<Inversion, Reason> {
    let response = format!("so <problem>{equation}</problem>");
    env.validate(task_type, Given::references(&[]), &response).unwrap().map_err(|it| it.reason)
}

fn grade(env: &PrimeInversion, task: &Task<Inversion>, response: &str) -> Grade {
    env.grade(task, response).unwrap()
}
