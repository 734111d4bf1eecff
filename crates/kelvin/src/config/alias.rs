//! Names of the original's settings (azr.md sections 1 to 10), read as the settings here that they mean.

mod table;

use toml::Value;

use table::TABLE;

/// Settings of the original under one meaning.
pub(super) struct Alias {
    /// Its spellings: as on the original's command line, then alone. One without a dot is read below `azr` as well.
    pub(super) names: &'static [&'static str],
    /// What it is here.
    pub(super) means: Means,
}

/// What a setting of the original is here.
pub(super) enum Means {
    /// These keys, with its value.
    Same(&'static [&'static str]),
    /// This key, with its word in ours: pairs of both. There are no others.
    Word(&'static str, &'static [(&'static str, &'static str)]),
    /// This key, with each word of its list in ours.
    Words(&'static str, &'static [(&'static str, &'static str)]),
    /// This key, which holds a list, with its one value.
    Listed(&'static str),
    /// These keys, with another number.
    Number(&'static [&'static str], fn(i64) -> i64),
    /// Nothing, for the reason given; nor is anything below it.
    Nothing(&'static str),
}

/// Keys and their values.
type Meaning = Vec<(&'static str, Value)>;

/// A name or a value of the original that is not to be had here.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) what: String,
    /// Why, or what to do instead.
    pub(super) why: String,
}

/// What `key` with `value` is here: keys and values, or `None` if the original has no such name.
///
/// # Errors
/// If the name or the value has no counterpart.
pub(super) fn meaning(key: &str, value: &Value) -> Result<Option<Meaning>, Refused> {
    let Some(alias) = TABLE.iter().find(|alias| alias.is_written(key)) else { return Ok(None) };
    let all = |keys: &[&'static str], value: Value| -> Meaning {
        keys.iter().map(|&key| (key, value.clone())).collect()
    };
    let meaning = match &alias.means {
        Means::Nothing(why) => {
            let what = format!("`{key}` is a setting of the original that has no counterpart here");
            return Err(Refused { what, why: (*why).to_owned() });
        }
        Means::Same(keys) => all(keys, plain(value)),
        Means::Listed(own) => vec![(*own, Value::Array(vec![value.clone()]))],
        Means::Number(keys, ours) => match value {
            Value::Integer(theirs) => all(keys, Value::Integer(ours(*theirs))),
            other => all(keys, plain(other)),
        },
        Means::Word(own, words) => vec![(*own, translated(key, value, words)?)],
        Means::Words(own, words) => {
            let one = |value| translated(key, value, words);
            let list = match value {
                Value::Array(list) => list.iter().map(one).collect::<Result<Vec<_>, _>>()?,
                alone => vec![one(alone)?],
            };
            vec![(*own, Value::Array(list))]
        }
    };
    Ok(Some(meaning))
}

impl Alias {
    fn is_written(&self, key: &str) -> bool {
        let alone = key.strip_prefix("azr.").filter(|rest| !rest.contains('.'));
        self.names.iter().any(|&name| {
            let below = key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
            name == key || alone == Some(name) || (below && matches!(self.means, Means::Nothing(_)))
        })
    }
}

/// Truth as Python writes it is a word to `--set`.
fn plain(value: &Value) -> Value {
    match value.as_str() {
        Some("True") => Value::Boolean(true),
        Some("False") => Value::Boolean(false),
        Some(_) | None => value.clone(),
    }
}

fn translated(key: &str, value: &Value, words: &[(&str, &str)]) -> Result<Value, Refused> {
    let said = match plain(value) {
        Value::String(word) => word,
        other => other.to_string(),
    };
    let ours = words.iter().find(|(theirs, _)| said == *theirs);
    match ours {
        Some((_, ours)) => Ok(Value::String((*ours).to_owned())),
        None => {
            let known: Vec<&str> = words.iter().map(|(theirs, _)| *theirs).collect();
            Err(Refused {
                what: format!("the original's `{key}` = {value} has no counterpart here"),
                why: format!("values that have one: {}", known.join(", ")),
            })
        }
    }
}

#[cfg(test)]
mod tests {
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
            Means::Same(keys) | Means::Number(keys, _) => keys.to_vec(),
            Means::Word(key, _) | Means::Words(key, _) | Means::Listed(key) => vec![key],
            Means::Nothing(_) => Vec::new(),
        }
    }

    #[test]
    fn every_alias_points_to_a_key_and_is_none_itself() {
        let own = Table::try_from(Preset::Kelvin.config(Recipe::Azr)).unwrap();
        let mut seen = BTreeSet::new();
        for alias in TABLE {
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
        for alias in TABLE {
            let (Means::Word(own, words) | Means::Words(own, words)) = alias.means else { continue };
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
        let sets = all
            .map(|it| format!("azr.reward.generation_reward_config.{it}_diversity_reward.hierarchical=True"));
        let config = set(&[&sets[0], &sets[1], &sets[2]]).unwrap().config;
        assert_eq!(config.intrinsic.diversity, kelvin_selfplay::settings::Diversity::Hierarchical);
        assert!(!set(&["train_propose=False"]).unwrap().config.azr.train_propose);
        let config = set(&["data.max_response_length=77"]).unwrap().config.sampling;
        assert_eq!([config.propose, config.eval].map(|it| it.max_new_tokens), [77, 77]);
    }

    #[test]
    fn each_name_is_noted_with_its_place() {
        let mut own = Table::try_from(Preset::Kelvin.config(Recipe::Azr)).unwrap();
        let raw = Raw::parse("steps = 3\nn_samples = 4\nclip_ratio = 0.3", "run.toml").unwrap();
        let (_, notes) = raw.translated(&mut own).unwrap();
        assert_eq!(
            notes,
            [
                "run.toml:2: `n_samples` is `azr.n_estimate` here",
                "run.toml:3: `clip_ratio` is `objective.clip_low`, `objective.clip_high` here"
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
            "num_inputs = 5",
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
}
