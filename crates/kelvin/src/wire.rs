//! Names in the configuration to the things they name: the only place that knows every crate.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use kelvin_core::{
    environment::DynEnvironment,
    executor::{Executor, Job, Outcome},
    metrics::Metrics,
    policy::{Exports, Policy, Trainer},
    stop::Stop,
};
use kelvin_env::{
    math_question::MathQuestion, prime_inversion::PrimeInversion, python_triplet::PythonTriplet,
};
use kelvin_exec::PythonExecutor;
use kelvin_model::{
    Checkpoint, Dtype, NativePolicy, NativeSampler, Tokenizer, adapter_base, kernels::Storage,
};
use kelvin_remote::rollouts::Engine;
use kelvin_selfplay::{
    settings::{Recipe, Reference},
    state::RunState,
};

use crate::{
    config::{Backend, Config, EnvironmentName, PolicySettings, threads_or_cores},
    error::note,
    exam::Examiner,
    model::{self, CHALLENGER, POLICY, SOLVER},
    remote,
    terminal::say,
};

/// What a run plays with.
pub(crate) struct World {
    /// Runs programs, in a domain that has any; kept for its report.
    pub(crate) executor: Option<Arc<PythonExecutor>>,
    /// The domain.
    pub(crate) env: Box<dyn DynEnvironment>,
    /// Ends what runs programs.
    stop: Stop,
    /// Benchmarks that are asked as it learns.
    pub(crate) examiner: Option<Examiner>,
}

impl World {
    /// With the benchmarks that the configuration names; `from` is the checkpoint that the run goes on from.
    ///
    /// # Errors
    /// As [`Examiner::open`].
    pub(crate) fn measuring(self, config: &Config, from: Option<&Path>) -> anyhow::Result<World> {
        let stop = self.stop.clone();
        let start = || {
            let started = match &self.executor {
                Some(started) => started.clone(),
                None => Arc::new(config.python.start_executor()?),
            };
            Ok(Arc::new(Heeding { inner: started, stop: stop.clone() }) as Arc<dyn Executor>)
        };
        let examiner = Examiner::open(config, from, start)?;
        Ok(World { examiner, ..self })
    }

    /// Threads that validate and grade: as many as there are programs at once, or cores.
    pub(crate) fn n_judges(&self) -> usize {
        self.executor.as_ref().map_or_else(|| threads_or_cores(0), |it| it.parallelism())
    }
}

/// Makes the environment, and starts the executor of one that runs programs, which takes no more jobs after `stop`.
///
/// # Errors
/// If no Python is found, it does not start, or programs would be confined less than the configuration wants.
pub(crate) fn world(config: &Config, stop: Stop) -> anyhow::Result<World> {
    let mut executor = None;
    let env = environment(config, || {
        let started = Arc::new(config.python.start_executor()?);
        executor = Some(started.clone());
        Ok(Arc::new(Heeding { inner: started, stop: stop.clone() }))
    })?;
    Ok(World { executor, env, stop, examiner: None })
}

/// An executor that takes no more jobs once it is asked to stop.
struct Heeding {
    inner: Arc<dyn Executor>,
    stop: Stop,
}

impl Executor for Heeding {
    fn run(&self, job: &Job) -> anyhow::Result<Vec<Outcome>> {
        self.stop.check()?;
        self.inner.run(job)
    }
    fn run_many(&self, jobs: &[Job]) -> anyhow::Result<Vec<Vec<Outcome>>> {
        self.stop.check()?;
        self.inner.run_many(jobs)
    }
    fn parallelism(&self) -> usize {
        self.inner.parallelism()
    }
    fn timing(&self) -> Metrics {
        self.inner.timing()
    }
}

/// The environment, on an executor that is only started if it runs programs.
///
/// # Errors
/// If its settings contradict themselves, or the executor does not start.
pub(crate) fn environment(
    config: &Config,
    start_executor: impl FnOnce() -> anyhow::Result<Arc<dyn Executor>>,
) -> anyhow::Result<Box<dyn DynEnvironment>> {
    let env: Box<dyn DynEnvironment> = match config.environment {
        EnvironmentName::PythonTriplet => {
            Box::new(PythonTriplet::new(start_executor()?, config.python.environment_settings())?)
        }
        EnvironmentName::PrimeInversion => Box::new(PrimeInversion::new(config.inversion.clone())?),
        EnvironmentName::MathQuestion => Box::new(MathQuestion::new(config.question.clone())?),
    };
    Ok(env)
}

/// Checks what [`state`] would check before it reads a weight.
///
/// # Errors
/// If the model is a run, and a reference or adapters would be made of it.
pub(crate) fn check_state(config: &Config) -> anyhow::Result<()> {
    match config.policy.backend {
        Backend::Native => drop(config.policy.training(config.seed)?),
        Backend::Tinker => {}
    }
    require_reference(config)
}

/// A run that has not begun, with its policy and, where the objective pulls towards one, its reference: the model
/// that the run begins with. One that is to be restored from a checkpoint takes its weights there: the model may be gone.
///
/// # Errors
/// If the model cannot be read, or is a run and there is a reference; if `stop` is asked while a server is.
pub(crate) fn state(config: &Config, from: Option<&Path>, stop: &Stop) -> anyhow::Result<RunState> {
    require_reference(config)?;
    if config.policy.rollouts.engine != Engine::Off && config.objective.importance_cap == 0.0 {
        note(
            "objective.importance_cap is 0: nothing mends the difference between what servers draw and what is learnt from it; \
             update/mismatch_kl says how large it is, and 2 is usual",
        );
    }
    let policies =
        policies(config).iter().map(|it| policy(config, it, from, stop)).collect::<anyhow::Result<_>>()?;
    let mut state = RunState::new(policies);
    // So that a resume does not hold the whole log for a moment.
    state.buffer.limit(&config.run_settings(1));
    if has_reference(config) {
        state.reference = Some(match config.policy.backend {
            Backend::Native => Box::new(reference(&config.policy)?),
            Backend::Tinker => Box::new(remote::reference(&config.policy)?),
        });
    }
    Ok(state)
}

/// Whether a KL term pulls towards what the run began with, which each start then reads.
pub(crate) fn has_reference(config: &Config) -> bool {
    config.objective.kl_coefficient != 0.0 && !keeps_its_own_reference(config)
}

/// Whether what a KL term pulls towards comes from the run itself.
fn keeps_its_own_reference(config: &Config) -> bool {
    config.recipe == Recipe::RZero && config.r_zero.reference == Reference::PhaseStart
}

fn require_reference(config: &Config) -> anyhow::Result<()> {
    let is_elsewhere = config.policy.backend == Backend::Tinker;
    if !has_reference(config) || is_elsewhere {
        return Ok(());
    }
    model::require_lasting(
        &config.policy.model,
        "the reference of objective.kl_coefficient is read at each start",
    )
}

/// The model that a run begins with, to draw from: of the weights that its policy computes with at first.
fn reference(policy: &PolicySettings) -> anyhow::Result<NativeSampler> {
    let (name, options) = (&policy.model, policy.native_options());
    match policy.dtype {
        Dtype::F32 => {
            model::sampler_upon(name, policy.lora.from(), Storage::F32, options, &policy.demote_tokens)
                .with_context(|| cannot_load(name))
        }
        Dtype::Bf16 => {
            let Checkpoint { config, mut params, tokenizer, end_tokens, .. } = loaded(policy)?;
            // Storage in bf16 leaves norms and biases as they are; a policy in bf16 has them rounded too.
            params.round_to_bf16();
            NativeSampler::new(&config, &params, Storage::Bf16, tokenizer, end_tokens, options)
        }
    }
}

/// The model of a policy, with its tokens demoted.
fn loaded(policy: &PolicySettings) -> anyhow::Result<Checkpoint> {
    let mut checkpoint = model::load(&policy.model).with_context(|| cannot_load(&policy.model))?;
    checkpoint.demote(&policy.demote_tokens).context("policy.demote_tokens does not fit the model")?;
    Ok(checkpoint)
}

/// What a run's policies are called.
pub(crate) fn policies(config: &Config) -> &'static [&'static str] {
    match config.recipe {
        Recipe::RZero if config.r_zero.two_policies => &[CHALLENGER, SOLVER],
        Recipe::RZero | Recipe::Azr => &[POLICY],
    }
}

/// Loads a policy of a run, to be called `name`. Of a checkpoint it takes the weights, unless adapters alone are in it.
///
/// # Errors
/// If its model cannot be read.
fn policy(config: &Config, name: &str, from: Option<&Path>, stop: &Stop) -> anyhow::Result<Policy> {
    let trainer = match config.policy.backend {
        Backend::Native => {
            let mut training = config.policy.training(config.seed)?;
            let checkpoint = match from.map(|it| it.join(name)) {
                // Its tokenizer has the tokens demoted that the run began with.
                Some(folder) if training.lora.rank == 0 => Checkpoint::load(&folder)?,
                Some(_) | None => loaded(&config.policy)?,
            };
            match (&training.from, from) {
                // What was learnt is restored, and where it began from may be gone.
                (_, Some(_)) => training.from = None,
                (Some(dir), None) => say_what_goes_on(name, dir, &config.policy, &checkpoint)?,
                (None, None) => {}
            }
            drawing(
                config,
                name,
                NativePolicy::training(checkpoint, config.policy.native_options(), training)?,
            )?
        }
        // Its checkpoint names a state on the server.
        Backend::Tinker => drawing(config, name, remote::policy(config, name, stop)?)?,
    };
    Ok(Policy { name: name.into(), version: 0, trainer })
}

/// Says that a policy goes on from an adapter, and what of it may have been learnt with something else.
fn say_what_goes_on(
    name: &str,
    dir: &Path,
    policy: &PolicySettings,
    checkpoint: &Checkpoint,
) -> anyhow::Result<()> {
    let (shown, model) = (dir.display(), &policy.model);
    say(&format!("{name} goes on from the adapter in {shown}"));
    // Names of one model differ between machines, so this is no error.
    if let Ok(Some(base)) = adapter_base(dir)
        && base != *model
        && base != model::lasting_name(model)?
    {
        note(&format!("the adapter in {shown} says that it is for {base}; it goes on upon {model}"));
    }
    if Tokenizer::in_folder(dir)?.is_some_and(|it| it.json() != checkpoint.tokenizer.json()) {
        note(&format!(
            "the tokenizer beside the adapter in {shown} is another than that of {model}, which counts; policy.demote_tokens \
             may be what differs"
        ));
    }
    Ok(())
}

/// A policy that draws where it learns, or at servers of their own.
fn drawing<T: Exports + Sync + 'static>(
    config: &Config,
    name: &str,
    learner: T,
) -> anyhow::Result<Box<dyn Trainer>> {
    Ok(match config.policy.rollouts.engine {
        Engine::Off => Box::new(learner),
        Engine::Vllm | Engine::VllmGrpc | Engine::Sglang => {
            Box::new(remote::rollouts(config, name, learner)?)
        }
    })
}

fn cannot_load(name: &str) -> String {
    format!("cannot load the model `{name}`")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use kelvin_core::{
        rollout::Role,
        seed::Seed,
        stop::{Stop, Stopped},
    };

    use kelvin_model::{Lora, LoraConfig};

    use crate::config::{Raw, resolve};

    use super::*;

    fn config(sets: &[&str]) -> Config {
        let sets: Vec<String> = sets.iter().map(|it| (*it).to_owned()).collect();
        resolve(&[&Raw::from_sets(&sets).unwrap()]).unwrap().config
    }

    fn golden() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../kelvin-model/goldens/decode_tied")
    }

    /// A run that trains on would be another model at each start.
    #[test]
    fn a_run_is_no_model_of_a_reference_or_of_adapters() {
        let dir = tempfile::tempdir().unwrap();
        let policy = dir.path().join("checkpoints/000010/policy");
        fs::create_dir_all(&policy).unwrap();
        for file in fs::read_dir(golden()).unwrap().map(|it| it.unwrap().file_name()) {
            fs::copy(golden().join(&file), policy.join(&file)).unwrap();
        }
        fs::write(policy.with_file_name("COMPLETE"), r#"{"format": 1, "files": []}"#).unwrap();
        let model = format!("policy.model={}", dir.path().display());
        for more in ["objective.kl_coefficient=0.01", "policy.lora.rank=2"] {
            let error = state(&config(&[&model, more]), None, &Stop::default()).err().unwrap().to_string();
            assert!(error.contains("is a run") && error.contains("kelvin export"), "{error}");
            let checkpoint = format!("policy.model={}", policy.display());
            state(&config(&[&checkpoint, more]), None, &Stop::default()).unwrap();
        }
        state(&config(&[&model]), None, &Stop::default()).unwrap();
    }

    /// Before the first step the policy is as far from its reference as from itself, whatever it computes with.
    #[test]
    fn the_reference_is_the_model_that_the_run_begins_with() {
        let model = format!("policy.model={}", golden().display());
        let adapter = tempfile::tempdir().unwrap();
        let mut lora = Lora::new(
            &Checkpoint::load(&golden()).unwrap().config,
            &LoraConfig { rank: 2, ..LoraConfig::default() },
            Seed::new(1),
        );
        lora.flat.iter_mut().for_each(|it| *it += 0.2);
        lora.save(adapter.path(), "a name of elsewhere").unwrap();
        let adapter = format!("policy.lora.from={}", adapter.path().display());
        let mut seen = Vec::new();
        for dtype in ["policy.dtype=f32", "policy.dtype=bf16", &adapter] {
            let config = config(&[&model, "objective.kl_coefficient=0.01", dtype]);
            let mut state = state(&config, None, &Stop::default()).unwrap();
            let sequences = [vec![1, 5, 9, 30, 2, 77]];
            let player = state.policies.player(Role::Solver).sampler.logprobs(&sequences, 1.0).unwrap();
            assert_eq!(
                state.reference.as_ref().unwrap().logprobs(&sequences, 1.0).unwrap(),
                player,
                "{dtype}"
            );
            seen.push(player);
            // Both hear that they are to end.
            let stop = Stop::default();
            state.listen(&stop);
            stop.ask();
            let told = [
                state.reference.as_ref().unwrap().logprobs(&sequences, 1.0),
                state.policies.player(Role::Solver).sampler.logprobs(&sequences, 1.0),
            ];
            assert!(told.into_iter().all(|it| it.unwrap_err().is::<Stopped>()), "{dtype}");
        }
        assert_ne!(seen[0], seen[1], "the weights are not those of bf16");
        assert_ne!(seen[0], seen[2], "the adapter moves nothing");
    }
}
