//! What clustering a batch of 2,048 questions of 60 tokens costs on one core. Prints one line for each kind of batch:
//! words drawn from few or from many, the frequent ones more often, and questions that copy one another.

use std::time::Instant;

use kelvin_core::seed::{Draws, Seed};
use kelvin_selfplay::repetition::{RepetitionSettings, cluster_shares};

const N_TEXTS: usize = 2048;
const N_TOKENS: usize = 60;

fn main() {
    for (name, n_words, n_originals) in [
        ("many words", 20_000, N_TEXTS),
        ("few words", 200, N_TEXTS),
        ("copies", 2000, 20),
        ("one text", 2000, 1),
    ] {
        let mut draws = Seed::new(1).fork(name).draws();
        let originals: Vec<Vec<usize>> = (0..n_originals).map(|_| words(&mut draws, n_words)).collect();
        let texts: Vec<String> = (0..N_TEXTS)
            .map(|at| {
                let mut text = originals[at % n_originals].clone();
                text[draws.below(N_TOKENS)] = draws.below(n_words);
                text.iter().map(|word| format!("w{word} ")).collect()
            })
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        measure(name, &texts);
    }
}

/// Words with frequencies that fall as one over the rank, roughly.
fn words(draws: &mut Draws, n_words: usize) -> Vec<usize> {
    (0..N_TOKENS).map(|_| (n_words as f64).powf(draws.unit()) as usize - 1).collect()
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn measure(name: &str, texts: &[&str]) {
    let start = Instant::now();
    let shares = cluster_shares(texts, RepetitionSettings::default());
    let seconds = start.elapsed().as_secs_f64();
    let mean = shares.iter().sum::<f64>() / shares.len() as f64;
    println!("{name}: {seconds:.3} s, mean share {mean:.4}");
}
