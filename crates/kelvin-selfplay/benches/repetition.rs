//! How long the repetition penalty of a step takes: `cargo bench -p kelvin-selfplay --bench repetition`. One thread.

use kelvin_core::seed::Seed;
use kelvin_selfplay::{
    clock::Stopwatch,
    repetition::{Direction, cluster_shares},
};

/// Questions of an original's step, and words of each.
const SIZE: (usize, usize) = (2048, 60);

fn main() {
    let (n, n_words) = SIZE;
    let text = |at: u64| {
        let mut draws = Seed::new(1).nth(at).draws();
        // One in four words is of the question's theme, so that clusters of all sizes arise.
        let theme = draws.below(64);
        let mut word = |_| match draws.below(4) {
            0 => format!("theme{theme}"),
            _ => format!("word{}", draws.below(400)),
        };
        (0..n_words).map(&mut word).collect::<Vec<_>>().join(" ")
    };
    let texts: Vec<String> = (0..n as u64).map(text).collect();
    for direction in [Direction::Both, Direction::Earlier] {
        let mut seconds: Vec<f64> = (0..5)
            .map(|_| {
                let watch = Stopwatch::start();
                let shares = cluster_shares(&texts, 0.9, direction);
                assert_eq!(shares.len(), n);
                watch.seconds()
            })
            .collect();
        seconds.sort_by(f64::total_cmp);
        println!("{n} questions of {n_words} words, {direction:?}: {:.3} s (median of 5)", seconds[2]);
    }
}
