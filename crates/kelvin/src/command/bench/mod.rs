//! `kelvin bench`: measurements as JSON lines. Every number is the median over repeats.

mod decode;
mod exec;
mod serve;
mod step;
mod subject;
mod train;

use clap::Subcommand;

use crate::interrupt::Interrupt;

/// Measure speeds, one JSON object for each measurement
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Exec(exec::Args),
    Decode(decode::Args),
    Train(train::Args),
    Step(step::Args),
    Serve(serve::Args),
}

/// Measures.
///
/// # Errors
/// If what is measured fails.
pub(crate) fn run(args: &Args, interrupt: &Interrupt) -> anyhow::Result<()> {
    match &args.what {
        What::Exec(args) => exec::run(args, interrupt),
        What::Decode(args) => decode::run(args, interrupt),
        What::Train(args) => train::run(args, interrupt),
        What::Step(args) => step::run(args, interrupt),
        What::Serve(args) => serve::run(args, interrupt),
    }
}

/// The middle of `values`, or the mean of the two in the middle.
///
/// # Panics
/// If there are none: a measurement is repeated at least once.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value below which the share `q` of `values` lies, interpolated.
///
/// # Panics
/// If there are none.
fn quantile(values: impl IntoIterator<Item = f64>, q: f64) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    assert!(!sorted.is_empty(), "a measurement has values");
    let place = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    low + (high - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(quantile([10.0, 20.0], 0.99), 19.9);
        assert_eq!(quantile([7.0], 0.99), 7.0);
    }
}
