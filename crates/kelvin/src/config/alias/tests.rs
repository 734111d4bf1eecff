//! What each name of the original is here, and what is told of it.

use std::collections::BTreeSet;

use kelvin_selfplay::settings::Recipe;
use toml::Table;

use super::*;
use crate::{
    config::{Preset, Raw, Resolved, resolve},
    error::render,
};

fn set(sets: &[&str]) -> anyhow::Result<Resolved> {
    resolve(&[&Raw::from_sets(&sets.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())?])
}

fn file(text: &str) -> anyhow::Result<Resolved> {
    resolve(&[&Raw::parse(text, "run.toml")?])
}

fn value_at<'table>(table: &'table Table, key: &str) -> Option<&'table Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, rest)) => value_at(table.get(section)?.as_table()?, rest),
    }
}

fn keys(alias: &Alias) -> Vec<&'static str> {
    match alias.means {
        Means::Same(keys) | Means::Real(keys) | Means::Number(keys, _) => keys.to_vec(),
        Means::Word(key, _) | Means::Prefix(key, _) | Means::Words(key, _) | Means::Listed(key) => vec![key],
        Means::Only(values, _) => {
            values.iter().flat_map(|(_, sets)| sets.iter()).map(|(key, _)| *key).collect()
        }
        Means::Unread(_) | Means::Nothing(_) => Vec::new(),
    }
}

#[test]
fn every_alias_points_to_a_key_and_is_none_itself() {
    let own = Table::try_from(Preset::Kelvin.config(Recipe::Azr)).unwrap();
    let mut seen = BTreeSet::new();
    for alias in every_alias() {
        for key in keys(alias) {
            assert!(value_at(&own, key).is_some_and(|it| !it.is_table()), "{key}");
        }
        for name in alias.names {
            assert!(value_at(&own, name).is_none(), "{name} is a key of our own");
            assert!(seen.insert(name), "{name} stands there twice");
        }
    }
}

/// What is written by the original's name is what is written by ours, for each value of each setting.
#[test]
fn every_value_that_is_translated_resolves() {
    for alias in every_alias() {
        let (Means::Word(own, words) | Means::Prefix(own, words) | Means::Words(own, words)) = alias.means
        else {
            continue;
        };
        for (theirs, ours) in words {
            for name in alias.names {
                let resolved = set(&[&format!("{name}={theirs}")]);
                if *ours == "error" {
                    // The environment may not pose such tasks; then it says so itself.
                    continue;
                }
                let list = matches!(alias.means, Means::Words(..));
                let ours = if list { format!("{own}=[\"{ours}\"]") } else { format!("{own}={ours}") };
                assert_eq!(resolved.unwrap(), set(&[&ours]).unwrap(), "{name}={theirs}");
            }
        }
    }
}

/// What has few values here sets the keys that stand beside each, or none at all.
#[test]
fn every_value_that_is_so_here_resolves() {
    for alias in every_alias() {
        let Means::Only(values, _) = alias.means else { continue };
        for (theirs, sets) in values {
            let ours: Vec<String> =
                sets.iter().map(|(key, ours)| format!("{key}={}", ours.value())).collect();
            let ours = set(&ours.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
            for name in alias.names {
                assert_eq!(set(&[&format!("{name}={theirs}")]).unwrap(), ours, "{name}={theirs}");
            }
        }
    }
}

/// The values that the original's scripts have.
#[test]
fn what_is_so_anyway_changes_nothing() {
    let scripts = [
        "azr.ast_check=True",
        "azr.executor=qwq",
        "azr.executor_cleanup_frequency=1",
        "azr.data_selection_strategy.batched_estimate=False",
        "azr.data_selection_strategy.update_iteration=1",
        "azr.past_epoch_window=1",
        "azr.reward.extract_code_block=True",
        "azr.reward.generation_reward_config.complexity_reward.coef=0",
        "azr.reward.generation_reward_config.complexity_reward.enabled=False",
        "azr.seed_dataset=null",
        "actor_rollout_ref.rollout.n=1",
        "actor_rollout_ref.actor.ppo_mini_batch_size=128",
        "actor_rollout_ref.actor.ppo_epochs=1",
        "actor_rollout_ref.actor.use_kl_loss=False",
        "actor_rollout_ref.actor.kl_loss_coef=0.001",
        "actor_rollout_ref.actor.kl_loss_type=low_var_kl",
        "algorithm.use_kl_in_reward=False",
        "algorithm.kl_ctrl.kl_coef=0.0",
        "algorithm.kl_ctrl.type=fixed",
        "algorithm.gamma=1",
        "algorithm.lam=1.0",
        "trainer.logger=['console']",
        "trainer.nnodes=1",
        "trainer.resume_mode=auto",
        "trainer.wandb_run_id=null",
    ];
    assert_eq!(set(&scripts).unwrap().config, set(&[]).unwrap().config);
}

#[test]
fn values_are_translated_by_how_they_begin() {
    for (theirs, ours) in [
        ("answer_conditional", "tags"),
        ("answer_addition", "tags"),
        ("boxed_conditional", "boxed"),
        ("none_addition", "plain"),
    ] {
        let theirs = set(&[&format!("reward_fn.extraction_type={theirs}")]);
        assert_eq!(theirs.unwrap(), set(&[&format!("python.answer={ours}")]).unwrap());
    }
}

#[test]
fn the_window_of_new_tasks_has_two_names() {
    assert_eq!(set(&["past_epoch_window=3"]).unwrap().config.azr.new_window, 3);
    assert_eq!(file("[azr]\npast_epoch_window = 2").unwrap().config.azr.new_window, 2);
    assert!(set(&["azr.past_epoch_window=0"]).is_err());
    assert!(set(&["update_iteration=1", "past_epoch_window=2"]).is_err());
}

#[test]
fn the_scheduler_of_composites_has_a_key_for_each_number() {
    let scheduler = file(
        "[azr.data_selection_strategy.composite_scheduler]\nenabled = true\nupdate_num_programs_start = 7\n\
         update_num_programs_interval = 8\nnum_programs_max = 5\nupdate_probability_start = 9\n\
         update_probability_interval = 10\nupdate_probability_max = 0.7\nupdate_probability_increment = 0.02",
    );
    let ours = kelvin_selfplay::settings::CompositeScheduler {
        enabled: true,
        count_start: 7,
        count_interval: 8,
        // Five are not among them there.
        count_max: 4,
        chance_start: 9,
        chance_interval: 10,
        chance_max: 0.7,
        chance_increment: 0.02,
    };
    assert_eq!(scheduler.unwrap().config.azr.composite.scheduler, ours);
}

#[test]
fn the_run_is_named_and_kept_as_there() {
    let config = set(&[
        "trainer.project_name=azr",
        "trainer.experiment_name=coder_7b",
        "trainer.remove_previous_ckpt_in_save=True",
        "trainer.test_freq=-1",
    ]);
    let config = config.unwrap().config;
    assert_eq!((config.tracking.project.as_str(), config.tracking.run.as_str()), ("azr", "coder_7b"));
    assert_eq!((config.checkpoint.keep, config.eval.every), (1, 0));
    let off = Raw::parse("tracking.tensorboard = false", "run.toml").unwrap();
    let on = Raw::from_sets(&["trainer.logger=['console', 'tensorboard']".to_owned()]).unwrap();
    assert!(resolve(&[&off, &on]).unwrap().config.tracking.tensorboard);
}

#[test]
fn files_and_assignments_take_the_names_of_the_original() {
    let theirs = file(
        "[data]\ntrain_batch_size = 32\nmax_response_length = 512\n[azr]\nproblem_types = ['code_o', 'code_f']\n\
         pred_data_mix_strategy = 'uniform_total'\nn_samples = 4\n[azr.data_selection_strategy]\nio_n = 3\n\
         [actor_rollout_ref.rollout]\ntop_k = -1\n[actor_rollout_ref.actor]\nclip_ratio = 0.1",
    );
    let ours = set(&[
        "azr.batch_size=32",
        "data.max_response_length=512",
        "python.task_types=[\"deduction\", \"induction\"]",
        "azr.solver_mix=uniform",
        "azr.n_estimate=4",
        "azr.n_references=3",
        "objective.clip_low=0.1",
        "objective.clip_high=0.1",
    ]);
    assert_eq!(theirs.unwrap(), ours.unwrap());
    let settled =
        set(&["seed_dataset=seeds.jsonl", "pretrain_pred_steps=-1", "f_replace_location=any_first"]);
    let config = settled.unwrap().config;
    assert_eq!(config.azr.seed_files, [std::path::PathBuf::from("seeds.jsonl")]);
    assert_eq!((config.azr.solver_only_steps, config.python.entry), (0, kelvin_python::Entry::AnyFirst));
    // Off there, and two helpers at most.
    let config = set(&[
        "azr.data_selection_strategy.composite_start_step=-1",
        "azr.data_selection_strategy.composite_function_n_min=0",
        "azr.data_selection_strategy.composite_function_n_max=0",
    ]);
    let composite = config.unwrap().config.azr.composite;
    assert_eq!((composite.start_step, composite.n_helpers_at(1)), (u32::MAX, (0, 0)));
    let config = set(&["composite_function_n_max=3", "composite_chance=0.5", "composite_start_step=1"]);
    assert_eq!(config.unwrap().config.azr.composite.n_helpers_at(1), (1, 2));
    assert!(set(&["composite_function_n_min=0", "composite_chance=0.5"]).is_err());
    // One setting for all three, which may be said thrice.
    let all = ["answer", "f_input_answer", "f_output_answer"];
    let sets =
        all.map(|it| format!("azr.reward.generation_reward_config.{it}_diversity_reward.hierarchical=True"));
    let config = set(&[&sets[0], &sets[1], &sets[2]]).unwrap().config;
    assert_eq!(config.intrinsic.diversity, kelvin_selfplay::settings::Diversity::Hierarchical);
    assert!(!set(&["train_propose=False"]).unwrap().config.azr.train_propose);
    let config = set(&["data.max_response_length=77"]).unwrap().config.sampling;
    assert_eq!([config.propose, config.eval].map(|it| it.max_new_tokens), [77, 77]);
}

#[test]
fn each_name_is_noted_with_its_place() {
    let mut own = Table::try_from(Preset::Kelvin.config(Recipe::Azr)).unwrap();
    let raw = Raw::parse(
        "steps = 3\nn_samples = 4\nclip_ratio = 0.3\nast_check = true\nppo_mini_batch_size = 128",
        "run.toml",
    )
    .unwrap();
    let (_, notes) = raw.translated(&mut own).unwrap();
    assert_eq!(
        notes,
        [
            "run.toml:2: `n_samples` is `azr.n_estimate` here",
            "run.toml:3: `clip_ratio` is `objective.clip_low`, `objective.clip_high` here",
            "run.toml:4: `ast_check` changes nothing here: a program that does not parse is always rejected",
            "run.toml:5: `ppo_mini_batch_size` changes nothing here: a step is one update on the whole batch, as it is \
             there whatever is written",
        ]
    );
}

#[test]
fn what_has_no_counterpart_is_refused_with_why() {
    let mut told = String::new();
    for text in [
        "n_samples = 4\n[azr]\nn_estimate = 5",
        "clip_ratio = 0.2\nclip_ratio_high = 0.28",
        "pred_data_mix_strategy = \"newest\"",
        "algorithm.adv_estimator = \"grpo\"",
        "azr.problem_types = [\"code_x\"]",
        "extraction_type = \"think\"",
        "num_inputs = 5",
        "ast_check = false",
        "azr.executor = \"sandboxfusion\"",
        "actor_rollout_ref.actor.use_kl_loss = true",
        "trainer.logger = [\"console\", \"wandb\"]",
        "trainer.resume_mode = \"checkpoints/7\"",
        "complexity_reward.coef = 0.1\ncomplexity_reward.enabled = false",
        "[reward_model.sandbox_fusion]\nurl = \"x\"",
        "actor_rollout_ref.rollout.tensor_model_parallel_size = 2",
        "n_samples = \"many\"",
        "azr.n_sampels = 3",
    ] {
        told.push_str(&format!("{text}\n-----\n{}\n", render(&file(text).unwrap_err())));
    }
    insta::assert_snapshot!(told);
    // A later source may say it in its own words.
    let raw = Raw::parse("n_samples = 4", "run.toml").unwrap();
    let over = Raw::from_sets(&["azr.n_estimate=2".to_owned()]).unwrap();
    assert_eq!(resolve(&[&raw, &over]).unwrap().config.azr.n_estimate, 2);
}
