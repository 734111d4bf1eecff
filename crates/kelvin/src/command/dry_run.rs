//! `kelvin train --dry-run`: what a configuration means and takes, and what it would ask. Nothing is started: no Python,
//! no run folder, and no weight is read.

use std::{path::Path, sync::Arc};

use anyhow::bail;
use kelvin_core::{
    environment::{DynEnvironment, Floors, Given},
    executor::{Executor, Job, Outcome},
    rollout::Role,
    task::Task,
};
use kelvin_model::{Lora, LoraConfig};

use crate::{
    config::{Config, Resolved},
    error::{Usage, render},
    exam::Examiner,
    plan::{self, Model, Source},
    terminal::{say, show},
    wire,
};

/// Shows the resolved configuration, the plan, and one prompt of each kind.
///
/// # Errors
/// If the settings do not fit the environment or the model. That the model is not here is a warning.
pub(super) fn run(resolved: &Resolved) -> anyhow::Result<()> {
    let config = &resolved.config;
    show(&resolved.text);
    wire::check_state(config)?;
    let (model, missing) = plan::find(&config.policy);
    if let Some(error) = missing {
        let told = render(&error);
        say(&format!("warning: {}", told.trim_start_matches("error: ").trim_end()));
    }
    if let Some(from) = config.policy.lora.from() {
        check_adapter(config, from, model.as_ref())?;
    }
    show(&plan::describe(config, model.as_ref())?);
    let env = wire::environment(config, || Ok(Arc::new(NotStarted)))?;
    if let Some(floors) = floors(config, &*env) {
        show(&floors);
    }
    if let Some(examiner) = Examiner::open(config, None, || Ok(Arc::new(NotStarted)))? {
        show(&examiner.describe()?);
    }
    for Shown { role, of, prompt } in prompts(config, &*env)? {
        let tokens = tokens(config, model.as_ref(), role, &prompt)?;
        show(&format!("--- {}, {of}{tokens}\n{prompt}", role.as_str()));
    }
    Ok(())
}

/// Checks what learning goes on from, but for its numbers.
fn check_adapter(config: &Config, from: &Path, model: Option<&Model>) -> anyhow::Result<()> {
    // Where all that it is was written, nobody has read its file yet.
    config.policy.lora.config().require_stored(&LoraConfig::load(from)?, from)?;
    model.map_or(Ok(()), |it| Lora::check(from, &it.config))
}

/// What guesses would get of the evaluation; `None` where nobody can count that.
fn floors(config: &Config, env: &dyn DynEnvironment) -> Option<String> {
    let types = if config.eval.every == 0 { &[] } else { config.eval.types(env.task_types()) };
    let lines = types.iter().filter_map(|&task_type| {
        let Floors { uniform, constant } = env.floors(task_type)?;
        let (uniform, constant) = (100.0 * uniform, 100.0 * constant);
        Some(format!(
            "{task_type:<11} uniform guess {uniform:>5.1} %, best constant answer {constant:>5.1} %\n"
        ))
    });
    let lines: String = lines.collect();
    (!lines.is_empty()).then(|| format!("--- floors of the evaluation\n{lines}"))
}

/// A prompt, and of what.
struct Shown {
    role: Role,
    of: String,
    prompt: String,
}

/// A prompt of each role and task type, as the first round of the seed stage would have it; and of composite proposals, where a
/// run comes to have some.
fn prompts(config: &Config, env: &dyn DynEnvironment) -> anyhow::Result<Vec<Shown>> {
    let seeds: Vec<Task> = env.seed_tasks();
    let azr = config.run_settings(1).azr;
    let wanted = if azr.include_references { azr.n_references } else { 0 };
    let has_composites = (1..=config.steps).any(|step| 0.0 < azr.composite.chance_at(step));
    let mut prompts = Vec::new();
    for &task_type in env.task_types() {
        let from = env.reference_types(task_type);
        let references: Vec<Task> = seeds.iter().filter(|it| from.contains(&it.task_type)).cloned().collect();
        let shown = env.references_needed(task_type).unwrap_or(wanted).min(references.len());
        let given = Given::references(&references[..shown]);
        let mut show = |role, of, prompt| prompts.push(Shown { role, of, prompt });
        show(Role::Proposer, task_type.to_string(), env.propose_prompt(task_type, given)?);
        for helper in seeds.iter().filter(|_| has_composites) {
            if env.can_help(task_type, helper)? {
                let given = Given { helpers: std::slice::from_ref(helper), ..given };
                show(
                    Role::Proposer,
                    format!("{task_type}, composite"),
                    env.propose_prompt(task_type, given)?,
                );
                break;
            }
        }
        let task = seeds.iter().find(|it| it.task_type == task_type);
        let task = task.ok_or_else(|| Usage::error(format!("the environment has no {task_type} tasks")))?;
        show(Role::Solver, task_type.to_string(), env.solve_prompt(task)?);
    }
    Ok(prompts)
}

/// How long a prompt is and may be, where the tokenizer is here.
fn tokens(config: &Config, model: Option<&Model>, role: Role, prompt: &str) -> anyhow::Result<String> {
    let Some(Model { source: Source::Files(tokenizer), .. }) = model else { return Ok(String::new()) };
    let most = match role {
        Role::Proposer => config.sampling.propose_prompt_tokens_max,
        Role::Solver => config.sampling.solve_prompt_tokens_max,
    };
    Ok(format!(" ({} tokens of at most {most})", tokenizer.encode(prompt)?.len()))
}

/// Stands where programs would be run.
struct NotStarted;

impl Executor for NotStarted {
    fn run(&self, _job: &Job) -> anyhow::Result<Vec<Outcome>> {
        bail!("a dry run was asked to run a program")
    }

    fn parallelism(&self) -> usize {
        1
    }
}
