//! A run's settings beside those of the presets.

use serde_json::{Value, json};
use toml::Table;

use crate::config::{Raw, resolve};

/// Every setting as its dotted key and its value in TOML, in the file's order.
pub(super) fn flat(config: &Table) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    descend("", config, &mut settings);
    settings
}

fn descend(above: &str, table: &Table, settings: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        match value {
            toml::Value::Table(below) => descend(&key, below, settings),
            value => settings.push((key, value.to_string())),
        }
    }
}

/// The value of a dotted key as a word; empty where it is not there.
pub(super) fn word(config: &Table, key: &str) -> String {
    let found = flat(config).into_iter().find(|it| it.0 == key);
    found.map(|it| it.1.trim_matches('"').to_owned()).unwrap_or_default()
}

/// What the presets would have said for the same recipe and environment.
pub(super) struct Presets(Vec<(&'static str, Vec<(String, String)>)>);

impl Presets {
    /// A preset that this version refuses for them is left out.
    pub(super) fn of(config: &Table) -> Presets {
        let resolved = |preset: &'static str| {
            let [recipe, environment] = ["recipe", "environment"].map(|it| word(config, it));
            let text = format!("preset = {preset:?}\nrecipe = {recipe:?}\nenvironment = {environment:?}\n");
            let resolved = resolve(&[&Raw::parse(&text, preset).ok()?]).ok()?;
            Some((preset, flat(&toml::from_str(&resolved.text).ok()?)))
        };
        Presets(["kelvin", "paper", "code"].into_iter().filter_map(resolved).collect())
    }

    /// Those that have this value.
    fn with(&self, setting: &(String, String)) -> Vec<&'static str> {
        self.0.iter().filter(|(_, settings)| settings.contains(setting)).map(|it| it.0).collect()
    }
}

/// Key, value and the presets that have it, of every setting.
pub(super) fn settings(config: &Table, presets: &Presets) -> Value {
    let settings = flat(config);
    settings.iter().map(|it| json!({ "key": it.0, "value": it.1, "presets": presets.with(it) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_name_the_presets_that_share_them() {
        let text = "preset = \"paper\"\nrecipe = \"azr\"\nenvironment = \"python_triplet\"\n";
        let written: Table =
            toml::from_str(&resolve(&[&Raw::parse(text, "x").unwrap()]).unwrap().text).unwrap();
        let settings = settings(&written, &Presets::of(&written));
        let of = |key: &str| settings.as_array().unwrap().iter().find(|it| it["key"] == key).unwrap().clone();
        // azr.md: the paper pays 0 for learnability 0, the code and kelvin -0.5.
        assert_eq!(of("azr.zero_learnability_reward")["presets"], json!(["paper"]));
        assert_eq!(of("recipe")["presets"], json!(["kelvin", "paper", "code"]));
    }
}
