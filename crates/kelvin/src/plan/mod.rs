//! What a run will take, from its configuration alone: memory, tokens, programs, arithmetic. Nothing is started and no
//! weight is read.

pub(crate) mod cluster;
pub(crate) mod flow;
pub(crate) mod hosted;
mod memory;
mod queue;
mod r_zero;
pub(crate) mod rates;
mod shape;
mod step;
pub(crate) mod steps;
mod work;
pub(crate) mod workload;

use kelvin_selfplay::settings::Recipe;

use crate::config::{Backend, Config};

pub(crate) use memory::footprint;
pub(crate) use shape::{Model, Source, find};
pub(crate) use work::forward_flops;

/// The plan as text: sections with a line for each number.
///
/// # Errors
/// If the settings of the policy do not fit its model.
pub(crate) fn describe(config: &Config, model: Option<&Model>) -> anyhow::Result<String> {
    let step = step::Step::of(config);
    let drawn = match config.recipe {
        Recipe::Azr => step.describe(config),
        Recipe::RZero => r_zero::describe(config),
    };
    if config.policy.backend == Backend::Tinker {
        return Ok(format!(
            "--- memory\nweights and their training are at {}\n\n{drawn}",
            config.policy.remote.url
        ));
    }
    let Some(model) = model else {
        return Ok(format!(
            "--- memory\nnot known: the shape of {} is neither here nor among the published ones\n\n{drawn}",
            config.policy.model,
        ));
    };
    let footprint = footprint(config, &model.config)?;
    if config.recipe == Recipe::RZero {
        return Ok([memory::describe(config, model, &footprint), drawn].join("\n"));
    }
    Ok([memory::describe(config, model, &footprint), drawn, work::describe(config, &step, model, &footprint)]
        .join("\n"))
}

/// Bytes for people.
fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 * 1e-9)
}

/// A number for people: its digits in threes.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let first = digits.len() % 3;
    let mut text = digits[..first].to_owned();
    for (idx, digit) in digits[first..].chars().enumerate() {
        if idx % 3 == 0 && !text.is_empty() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A line of a section: what it is, then how much.
fn line(what: &str, value: impl AsRef<str>, more: &str) -> String {
    format!("{}\n", format!("{what:<22} {:>14}  {more}", value.as_ref()).trim_end())
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_read_in_threes() {
        let told = [0, 999, 1000, 15_544_320, 123_456].map(super::grouped);
        assert_eq!(told, ["0", "999", "1,000", "15,544,320", "123,456"]);
    }
}
