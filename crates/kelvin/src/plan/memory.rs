//! What a run holds in memory, from the sizes of its model.

use kelvin_model::{Dtype, Footprint, Load, ModelConfig, Pack, kernels::Storage};

use kelvin_selfplay::settings::Recipe;

use super::{Model, Source, gigabytes, grouped, line};
use crate::{config::Config, wire};

/// The memory of the run's policy.
///
/// # Errors
/// If its adapters would stand on a run.
pub(crate) fn footprint(config: &Config, model: &ModelConfig) -> anyhow::Result<Footprint> {
    let training = config.policy.training(config.seed)?;
    Ok(Footprint::of_policy(model, &training, &config.policy.native_options(), load(config, model)))
}

/// The longest row and the largest call.
fn load(config: &Config, model: &ModelConfig) -> Load {
    let (azr, rules, eval, played) = (&config.azr, &config.r_zero, &config.eval, config.task_types());
    let of_step = match config.recipe {
        Recipe::Azr => azr.batch_size * played.len() * azr.n_estimate.max(azr.n_solutions),
        Recipe::RZero => {
            let of_pool = rules.pool.div_ceil(rules.curriculum_steps as usize) * rules.label_votes;
            let of_challenger = if rules.challenger_steps == 0 { 0 } else { rules.questions * rules.votes };
            of_pool.max(of_challenger).max(rules.solver_batch * rules.solver_rollouts)
        }
    };
    let n_held_out = eval.n_tasks * eval.types(played).len();
    let of_evaluation = if eval.every == 0 { 0 } else { n_held_out * eval.n_samples };
    Load { longest: longest_row(config).min(model.max_position_embeddings), rows: of_step.max(of_evaluation) }
}

/// Tokens of the longest prompt with the longest response to it.
fn longest_row(config: &Config) -> usize {
    let sampling = &config.sampling;
    let proposal = sampling.propose_prompt_tokens_max + sampling.propose.max_new_tokens;
    let solution = sampling.solve.max_new_tokens.max(sampling.estimate.max_new_tokens);
    proposal.max(sampling.solve_prompt_tokens_max + solution)
}

/// What is held when: the largest of these is what the machine needs.
struct Phases {
    drawing: u64,
    learning: u64,
    publishing: u64,
}

impl Phases {
    /// Of one policy that draws, learns or publishes, beside what is there whatever it does.
    fn of(config: &Config, footprint: &Footprint) -> Phases {
        let packed = footprint.packed;
        let beside = reference(config, footprint) + other_policy(config, footprint);
        let (kept, published) = match config.policy.options.pack {
            Pack::Always => (packed, footprint.publishing()),
            Pack::ForDraws => (0, footprint.held() + packed),
        };
        Phases {
            drawing: footprint.drawing() + beside,
            learning: footprint.learning() + kept + beside,
            publishing: published + beside,
        }
    }
}

/// The copy of weights that a run keeps which pulls towards them: of the first ones, or of those at the start of a phase, as
/// they are drawn from.
fn reference(config: &Config, footprint: &Footprint) -> u64 {
    let storage = match config.policy.dtype {
        Dtype::Bf16 => Storage::Bf16,
        Dtype::F32 => Storage::F32,
    };
    if config.objective.kl_coefficient == 0.0 { 0 } else { footprint.n_weights * storage.bytes() as u64 }
}

/// What the policy holds that waits while another draws or learns; where one plays both roles, nothing.
fn other_policy(config: &Config, footprint: &Footprint) -> u64 {
    let n_others = wire::policies(config).len() - 1;
    // Both draw in the steps of a challenger, so that the copy to draw from is there too.
    n_others as u64 * (footprint.held() + footprint.packed)
}

pub(super) fn describe(config: &Config, model: &Model, footprint: &Footprint) -> String {
    let from = match model.source {
        Source::Files(_) => "from the files of",
        Source::Published => "from the published shape of",
    };
    let Phases { drawing, learning, publishing } = Phases::of(config, footprint);
    let mut text = format!("--- memory, {from} {}\n", config.policy.model);
    let mut add = |what: &str, bytes: u64, more: String| {
        if 0 < bytes {
            text += &line(what, gigabytes(bytes), &more);
        }
    };
    let of = |n: u64, what: &str| format!("{} {what}", grouped(n));
    add("weights", footprint.weights, of(footprint.n_weights, "in f32"));
    add("weights behind", footprint.master, "in f32, behind those rounded to bf16".to_owned());
    add("adapters", footprint.adapters, of(footprint.n_learnt, "in f32"));
    add("gradients", footprint.gradient, of(footprint.n_learnt, "that learn"));
    add("moments", footprint.moments, "both of AdamW".to_owned());
    add("activations", footprint.activations, of(footprint.chunk_rows, "tokens at a time"));
    add("weights to draw from", footprint.packed, "packed".to_owned());
    add("reference", reference(config, footprint), "for objective.kl_coefficient".to_owned());
    add(
        "the other policy",
        other_policy(config, footprint),
        "weights, moments and what it draws from".to_owned(),
    );
    let per_token = format!("at most; {} bytes for each token", grouped(footprint.kv_per_token));
    add("keys and values", footprint.kv, per_token);
    add("decoding", footprint.decoding, "activations and logits".to_owned());
    add("while drawing", drawing, String::new());
    add("while learning", learning, String::new());
    let packing = match config.policy.options.pack {
        Pack::Always => "new weights are packed beside the old",
        Pack::ForDraws => "weights are packed",
    };
    add("while publishing", publishing, packing.to_owned());
    let longest = longest_row(config);
    if model.config.max_position_embeddings < longest {
        text += &format!(
            "a prompt and a response may take {longest} tokens, and the model has {}\npositions: the longest end there\n",
            model.config.max_position_embeddings
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use kelvin_model::{LoraConfig, NativeOptions, Training};
    use kelvin_selfplay::settings::Reference;

    use super::*;
    use crate::{
        config::{PolicySettings, Raw, resolve},
        plan::find,
    };

    const MEASURED: &str = include_str!("../../../../docs/engine.md");

    /// Bytes that the table of docs/engine.md says were held.
    fn measured(what: &str) -> f64 {
        let row = MEASURED.lines().find(|it| it.starts_with(&format!("| {what}"))).expect(what);
        let gigabytes = row.split('|').nth(2).unwrap().trim().strip_suffix(" GB").unwrap();
        1e9 * gigabytes.parse::<f64>().unwrap()
    }

    fn half_a_billion() -> ModelConfig {
        let policy = PolicySettings { model: "Qwen/Qwen2.5-0.5B".to_owned(), ..PolicySettings::default() };
        find(&policy).0.unwrap().config
    }

    /// Against what `kelvin bench` measured: within a tenth.
    #[test]
    fn the_plan_is_what_was_measured() {
        let model = half_a_billion();
        let options = NativeOptions { threads: 2, ..NativeOptions::default() };
        let drawn = |storage| {
            Footprint::of_sampler(&model, storage, &options, Load { longest: 33, rows: 8 }).drawing()
        };
        let learnt = |rank| {
            let lora = LoraConfig { rank, ..LoraConfig::default() };
            let training = Training { lora, ..Training::default() };
            let load = Load { longest: 1024, rows: 8 };
            Footprint::of_policy(&model, &training, &options, load).learning()
        };
        for (what, planned) in [
            ("drawing, f32", drawn(Storage::F32)),
            ("drawing, bf16", drawn(Storage::Bf16)),
            ("a step of adapters of rank 16", learnt(16)),
            ("a step of all weights", learnt(0)),
        ] {
            let ratio = planned as f64 / measured(what);
            assert!((0.9..=1.1).contains(&ratio), "{what}: {planned} is {ratio} of what was measured");
        }
    }

    /// The memory that files in configs/ claim at their heads: within a fiftieth.
    #[test]
    fn configurations_claim_the_memory_that_they_take() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
        let mut seen = 0;
        for path in fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()) {
            let text = fs::read_to_string(&path).unwrap();
            let Some(claim) = text.lines().find_map(|it| it.strip_prefix("# Memory:")) else { continue };
            let claimed: f64 = claim.trim().split_once(" GB").unwrap().0.parse().unwrap();
            let config = resolve(&[&Raw::read(&path).unwrap()]).unwrap().config;
            let model = find(&config.policy).0.expect("a published shape").config;
            let footprint = footprint(&config, &model).unwrap();
            let Phases { drawing, learning, publishing } = Phases::of(&config, &footprint);
            let peak = 1e-9 * drawing.max(learning).max(publishing) as f64;
            assert!((peak / claimed - 1.0).abs() < 0.02, "{path:?} claims {claimed} GB and takes {peak:.1}");
            seen += 1;
        }
        assert_eq!(seen, 9);
    }

    #[test]
    fn a_reference_and_a_kept_copy_count() {
        let (mut config, model) = (Config::default(), half_a_billion());
        let weights = 4 * 494_032_768;
        let phases = |config: &Config| {
            let footprint = footprint(config, &model).unwrap();
            Phases::of(config, &footprint)
        };
        let always = phases(&config);
        config.policy.options.pack = Pack::ForDraws;
        let for_draws = phases(&config);
        assert_eq!(always.learning - for_draws.learning, weights);
        assert_eq!(always.publishing - for_draws.publishing, weights);
        config.objective.kl_coefficient = 0.1;
        assert_eq!(phases(&config).drawing - for_draws.drawing, weights);
        config.policy.dtype = Dtype::Bf16;
        let footprint = footprint(&config, &model).unwrap();
        assert_eq!(reference(&config, &footprint), weights / 2);
    }

    #[test]
    fn two_policies_count_twice_but_for_what_one_works_with() {
        let (mut config, model) = (Config { recipe: Recipe::RZero, ..Config::default() }, half_a_billion());
        config.policy.dtype = Dtype::Bf16;
        let footprint = footprint(&config, &model).unwrap();
        let two = Phases::of(&config, &footprint);
        config.r_zero.two_policies = false;
        let one = Phases::of(&config, &footprint);
        // Weights, those behind them, gradient, both moments, and the copy to draw from.
        assert_eq!(two.learning - one.learning, (5 * 4 + 2) * 494_032_768);
        config.objective.kl_coefficient = 0.01;
        for at in [Reference::PhaseStart, Reference::Base] {
            config.r_zero.reference = at;
            assert_eq!(reference(&config, &footprint), 2 * 494_032_768);
        }
    }
}
