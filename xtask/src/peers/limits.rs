//! What kelvin measures of itself and must not pass: memory, the time to load, what sharing saves.

use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Options, checkpoint, kelvin, median};

/// One number of `kelvin bench`, or how many times larger it is than in another run.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    pub(super) name: String,
    /// What is measured.
    key: String,
    /// What it is shown in.
    unit: String,
    /// The number is divided by this, for its unit; without, by 1.
    scale: Option<f64>,
    at_most: Option<f64>,
    at_least: Option<f64>,
    /// Rounds, of which the median counts.
    #[serde(default = "one_round")]
    rounds: usize,
    /// Arguments after `kelvin bench`.
    kelvin: Vec<String>,
    /// Or by that of this other run.
    against: Option<Vec<String>>,
}

fn one_round() -> usize {
    1
}

/// What came out of it.
#[derive(Serialize)]
pub(super) struct Held {
    pub(super) name: String,
    measured: f64,
    unit: String,
    at_most: Option<f64>,
    at_least: Option<f64>,
    pub(super) is_held: bool,
    /// Every run as kelvin printed it, that which it is compared with second.
    rounds: Vec<Vec<Value>>,
}

pub(super) const HEAD: &str = "| what | measured | wanted | held |\n|---|---|---|---|";

impl Limit {
    /// # Errors
    /// If it bounds nothing or is divided twice, or kelvin cannot be started or fails.
    pub(super) fn measure(&self, root: &Path, options: &Options) -> anyhow::Result<Held> {
        ensure!(self.at_most.is_some() || self.at_least.is_some(), "`{}` bounds nothing", self.name);
        ensure!(self.scale.is_none() || self.against.is_none(), "`{}` is divided twice", self.name);
        if self.kelvin.iter().any(|it| it == checkpoint::FOLDER) {
            checkpoint::written(root)?;
        }
        let runs: Vec<&Vec<String>> = std::iter::once(&self.kelvin).chain(&self.against).collect();
        let mut rounds = Vec::new();
        for _ in 0..self.rounds {
            let said = runs.iter().map(|arguments| kelvin(root, options, arguments, false, &self.name));
            rounds.push(said.collect::<anyhow::Result<Vec<Value>>>()?);
        }
        let number = |said: &Value| {
            let number = said.get(&self.key).and_then(Value::as_f64);
            number.with_context(|| format!("a round of `{}` lacks `{}`", self.name, self.key))
        };
        let of = |round: &Vec<Value>| {
            let by = round.get(1).map_or(Ok(self.scale.unwrap_or(1.0)), number)?;
            Ok(number(&round[0])? / by)
        };
        let measured = median(rounds.iter().map(of).collect::<anyhow::Result<_>>()?);
        let is_held =
            self.at_most.is_none_or(|it| measured <= it) && self.at_least.is_none_or(|it| it <= measured);
        let (name, unit) = (self.name.clone(), self.unit.clone());
        Ok(Held { name, measured, unit, at_most: self.at_most, at_least: self.at_least, is_held, rounds })
    }
}

impl Held {
    pub(super) fn row(&self) -> String {
        let Held { name, measured, unit, .. } = self;
        let wanted = [(self.at_least, "at least"), (self.at_most, "at most")];
        let wanted = wanted.into_iter().filter_map(|(bound, how)| Some(format!("{how} {}", bound?)));
        let wanted: Vec<String> = wanted.collect();
        let held = if self.is_held { "yes" } else { "NO" };
        format!("| {name} | {measured:.2} {unit} | {} | {held} |", wanted.join(", "))
    }
}
