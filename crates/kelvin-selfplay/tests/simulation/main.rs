//! Whole runs from one number: settings, faults in executor, sampler, trainer and disk, stops and losses of power, as
//! many lives as it takes. The end is that of a run of the same settings to which nothing happened; so no fault became a
//! reward. A failure names its number, and `KELVIN_SIMULATE=number` plays it alone.

mod answers;
mod faults;
mod lives;
mod medium;
mod workloads;

use std::{env, panic::catch_unwind};

use lives::{play, play_long};

/// In every test run; the slow tier has more.
const FEW: u64 = 30;
const MANY: u64 = 1000;

#[test]
fn whatever_happens_a_run_ends_as_if_nothing_had() {
    let alone = env::var("KELVIN_SIMULATE").ok().map(|it| it.parse().expect("a number"));
    let many = env::var_os("KELVIN_SLOW").is_some();
    let numbers = match alone {
        Some(number) => number..number + 1,
        None => 0..if many { MANY } else { FEW },
    };
    let mut n_lives = 0;
    let n = numbers.end - numbers.start;
    for number in numbers {
        match catch_unwind(|| play(number)) {
            Ok(lives) => n_lives += lives,
            Err(_) => panic!("number {number} failed: KELVIN_SIMULATE={number} plays it alone"),
        }
    }
    assert!(alone.is_some() || n < n_lives, "faults end lives: {n_lives} of {n} runs");
    eprintln!("{n} runs in {n_lives} lives");
}

#[test]
fn two_thousand_steps_end_as_if_nothing_had_happened() {
    if env::var_os("KELVIN_SLOW").is_none() {
        eprintln!("skipped: set KELVIN_SLOW");
        return;
    }
    let n_lives = play_long();
    assert!(10 < n_lives, "{n_lives} lives");
    eprintln!("2,000 steps in {n_lives} lives");
}
