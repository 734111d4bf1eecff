//! It learns, and a coin teaches nothing: the recipe on the native engine, from random weights, on a domain where a
//! right answer is a letter of the first half of the alphabet.

use kelvin_core::{
    environment::{Environment, Given},
    policy::Policy,
    rollout::{Role, Sampling},
    seed::Seed,
    task::{Grade, Miss, Rejection, Task, TaskType},
};
use kelvin_model::{
    Checkpoint, END_OF_TEXT, Family, KeptFields, ModelConfig, NativeOptions, NativePolicy, Params, Rope,
    Tokenizer,
};
use kelvin_selfplay::{
    azr, metrics, seeding,
    settings::{
        AzrSettings, CheckpointSettings, Duplicates, EvalSettings, ObjectiveSettings, OptimizerSettings,
        RZeroSettings, Recipe, RewardSource, RunSettings, SamplingSettings,
    },
    stage::{self, Scene, Solves},
    state::{HeldOut, RunState},
};

struct Letters;

impl Environment for Letters {
    type Payload = ();

    fn task_types(&self) -> &'static [TaskType] {
        &[TaskType::Question]
    }
    fn seed_tasks(&self) -> Vec<(TaskType, ())> {
        vec![(TaskType::Question, ())]
    }
    fn propose_prompt(&self, _: TaskType, _: Given<'_, ()>) -> String {
        "!".into()
    }
    fn validate(&self, _: TaskType, _: Given<'_, ()>, _: &str) -> anyhow::Result<Result<(), Rejection>> {
        Ok(Ok(()))
    }
    fn proposal_is_formatted(&self, _: TaskType, _: &str) -> bool {
        true
    }
    fn solve_prompt(&self, _: &Task<()>) -> String {
        "?".into()
    }
    fn grade(&self, _: &Task<()>, response: &str) -> anyhow::Result<Grade> {
        let right =
            response.starts_with(|it: char| it.to_ascii_lowercase() < 'n' && it.is_ascii_alphabetic());
        Ok(if right { Grade::correct() } else { Grade::missed(Miss::Wrong) })
    }
    fn identity(&self, _: &Task<()>) -> String {
        String::new()
    }
}

fn policy() -> NativePolicy {
    let tokenizer = Tokenizer::train_bpe(std::iter::empty(), 257).unwrap();
    let config = ModelConfig {
        vocab_size: 257,
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 16,
        rms_norm_eps: 1e-6,
        rope: Rope::plain(10_000.0),
        max_position_embeddings: 16,
        tie_word_embeddings: false,
        family: Family::Qwen2,
    };
    let end_tokens = vec![tokenizer.id(END_OF_TEXT).unwrap()];
    let params = Params::random(&config, Seed::new(3));
    let checkpoint = Checkpoint { config, params, tokenizer, end_tokens, kept: KeptFields::default() };
    NativePolicy::new(checkpoint, NativeOptions::default()).unwrap()
}

fn settings(reward: RewardSource) -> RunSettings {
    let two = Sampling::plain(2);
    RunSettings {
        seed: 5,
        steps: 40,
        task_types: vec![TaskType::Question],
        n_judges: 1,
        // There is one task.
        azr: AzrSettings {
            batch_size: 64,
            n_estimate: 2,
            seed_factor: 1,
            duplicates: Duplicates::Admit,
            reward,
            ..AzrSettings::default()
        },
        recipe: Recipe::Azr,
        r_zero: RZeroSettings::default(),
        intrinsic: Default::default(),
        objective: ObjectiveSettings::default(),
        optimizer: OptimizerSettings { learning_rate: 3e-3, ..OptimizerSettings::default() },
        sampling: SamplingSettings {
            propose: two.clone(),
            solve: two.clone(),
            estimate: two.clone(),
            seed: two.clone(),
            eval: two,
            ..SamplingSettings::default()
        },
        eval: EvalSettings { every: 0, ..EvalSettings::default() },
        checkpoint: CheckpointSettings::default(),
        diagnostics: Default::default(),
    }
}

/// A run with a reference, before its first step.
fn begun(settings: &RunSettings) -> (RunState, HeldOut) {
    let policy_of_run = Policy { name: "policy".into(), version: 0, trainer: Box::new(policy()) };
    let mut state = RunState::new(vec![policy_of_run]);
    if settings.objective.kl_coefficient != 0.0 {
        state.reference = Some(Box::new(policy()));
    }
    let held_out = HeldOut::new(&Letters, &settings.task_types, &settings.eval).unwrap();
    seeding::seed(&mut state, &Letters, &held_out, settings).unwrap();
    (state, held_out)
}

/// Share of right answers in 400 draws before and after all steps.
fn before_and_after(settings: &RunSettings) -> (f64, f64) {
    let (mut state, held_out) = begun(settings);
    let accuracy = |state: &RunState| {
        let scene = Scene { env: &Letters, player: state.policies.player(Role::Solver), step: 0, settings };
        let task = Letters.seed_tasks().remove(0);
        let task = Task { task_type: task.0, born: 0, label: None, payload: serde_json::Value::Null };
        let solved = stage::solve(
            scene,
            Solves { tasks: &[task], n: 400, sampling: &settings.sampling.eval, seed: Seed::new(1) },
        )
        .unwrap();
        solved.iter().filter(|it| it.grade.correct).count() as f64 / 400.0
    };
    let before = accuracy(&state);
    for _ in 0..settings.steps {
        azr::step(&mut state, &Letters, &held_out, settings).unwrap();
    }
    (before, accuracy(&state))
}

#[test]
fn the_verifier_teaches() {
    let (before, after) = before_and_after(&settings(RewardSource::Verifier));
    assert!(before < 0.3 && before + 0.4 < after, "{before} -> {after}");
}

#[test]
fn a_coin_does_not() {
    let (before, after) = before_and_after(&settings(RewardSource::Random));
    assert!(after < before + 0.15, "{before} -> {after}");
}

/// The same reward, and a pull that outweighs it.
#[test]
fn a_reference_holds_the_policy_back() {
    let free = settings(RewardSource::Verifier);
    let pulled = ObjectiveSettings { kl_coefficient: 5.0, ..free.objective };
    let held = RunSettings { objective: pulled, ..free };
    let (before, after) = before_and_after(&held);
    assert!(after < before + 0.15, "{before} -> {after}");
}

/// Sampler and trainer compute alike, so that the weights of their mismatch are 1; the reference is the policy until
/// the first update.
#[test]
fn a_step_says_how_far_it_is_from_sampler_and_reference() {
    let base = settings(RewardSource::Verifier);
    let objective = ObjectiveSettings { kl_coefficient: 0.01, importance_cap: 2.0, ..base.objective };
    let settings = RunSettings { objective, ..base };
    let (mut state, held_out) = begun(&settings);
    let mut step = || {
        let report = azr::step(&mut state, &Letters, &held_out, &settings).unwrap();
        metrics::of_step(&report, &state, &settings)
    };
    let (first, second) = (step(), step());
    assert!(first["update/kl_reference"] < 1e-9 && 1e-7 < second["update/kl_reference"]);
    for said in [&first, &second] {
        assert!((said["update/importance_mean"] - 1.0).abs() < 1e-5);
        assert!((said["update/importance_max"] - 1.0).abs() < 1e-4);
    }
}
