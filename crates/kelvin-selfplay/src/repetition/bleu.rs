//! Sentence BLEU-4 (Papineni et al. 2002) as the original computes it: words between blanks, uniform weights, a numerator
//! of 0.1 where no n-gram matches (method 1 of Chen and Cherry 2014), 0 where not even a word does.

use std::collections::HashMap;

/// Longest n-gram.
const ORDER: usize = 4;
/// Stands for the matches of an order that has none.
const NO_MATCH: f64 = 0.1;

/// Texts with their n-grams counted.
pub struct Bleu {
    n_words: Vec<usize>,
    /// Of each text its n-grams, by order and number, with their counts.
    grams: Vec<Vec<(usize, u32)>>,
    /// Of each n-gram its order and the texts that have it, ascending, with their counts.
    texts: Vec<(usize, Vec<(u32, u32)>)>,
}

impl Bleu {
    /// Counts the n-grams of `texts`.
    pub fn new(texts: &[String]) -> Bleu {
        // Equal n-grams have equal numbers; which ones does not matter.
        let mut numbers: HashMap<Vec<&str>, usize> = HashMap::new();
        let mut bleu = Bleu { n_words: Vec::new(), grams: Vec::new(), texts: Vec::new() };
        for (text_idx, text) in texts.iter().enumerate() {
            let words: Vec<&str> = text.split_whitespace().collect();
            let mut found: Vec<usize> = Vec::new();
            for order in 0..ORDER {
                found.extend(words.windows(order + 1).map(|gram| {
                    *numbers.entry(gram.to_vec()).or_insert_with(|| {
                        bleu.texts.push((order, Vec::new()));
                        bleu.texts.len() - 1
                    })
                }));
            }
            found.sort_unstable();
            let counted: Vec<(usize, u32)> =
                found.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len() as u32)).collect();
            for &(gram, count) in &counted {
                bleu.texts[gram].1.push((text_idx as u32, count));
            }
            bleu.n_words.push(words.len());
            bleu.grams.push(counted);
        }
        bleu
    }

    /// BLEU of one text and each later one: as the hypothesis against it, and as its reference. In `[0, 1]`, in the order of
    /// the later texts.
    pub fn with_later(&self, text: usize) -> Vec<(f64, f64)> {
        // How many n-grams of each order two texts share, each at most as often as the other has it, is the same from both
        // sides. It is counted gram by gram, so that texts that share nothing cost nothing.
        let first = text + 1;
        let mut matches = vec![[0u32; ORDER]; self.n_words.len() - first];
        for &(gram, count) in &self.grams[text] {
            let (order, texts) = &self.texts[gram];
            let begin = texts.partition_point(|(it, _)| (*it as usize) < first);
            for &(other, others_count) in &texts[begin..] {
                matches[other as usize - first][*order] += count.min(others_count);
            }
        }
        let score = |(at, matches): (usize, &[u32; ORDER])| {
            let (own, other) = (self.n_words[text], self.n_words[first + at]);
            (bleu(matches, own, other), bleu(matches, other, own))
        };
        matches.iter().enumerate().map(score).collect()
    }
}

/// The score of a hypothesis of which so many n-grams of each order are in a reference.
fn bleu(matches: &[u32; ORDER], hypothesis_words: usize, reference_words: usize) -> f64 {
    if matches[0] == 0 {
        return 0.0;
    }
    let mut product = 1.0;
    for (order, &n_matches) in matches.iter().enumerate() {
        let n_grams = hypothesis_words.saturating_sub(order).max(1) as f64;
        product *= if n_matches == 0 { NO_MATCH } else { f64::from(n_matches) } / n_grams;
    }
    let (own, other) = (hypothesis_words as f64, reference_words as f64);
    let brevity = if own < other { (1.0 - other / own).exp() } else { 1.0 };
    brevity * product.sqrt().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(hypothesis: &str, reference: &str) -> f64 {
        let forward = Bleu::new(&[hypothesis.to_owned(), reference.to_owned()]).with_later(0)[0].0;
        let backward = Bleu::new(&[reference.to_owned(), hypothesis.to_owned()]).with_later(0)[0].1;
        assert_eq!(forward, backward);
        forward
    }

    /// r-zero.md section 4.1.
    #[test]
    fn the_vectors_of_the_specification() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 5e-5, "{a} {b}");
        close(score("a b c d", "a b c d"), 1.0);
        close(score("a b c", "a b c"), 0.5623);
        close(score("a b", "a b"), 0.3162);
        close(score("", ""), 0.0);
        close(score("a b c d", "e f g h"), 0.0);
        close(score("", "a b"), 0.0);
    }

    /// By hand: of 5 words 4 match, of 4 pairs 2, of 3 triples 1, of 2 quadruples none.
    #[test]
    fn a_pair_by_hand() {
        let product: f64 = (4.0 / 5.0) * (2.0 / 4.0) * (1.0 / 3.0) * (0.1 / 2.0);
        let found = score("the cat sat on mats", "the cat sat here on");
        assert!((found - product.powf(0.25)).abs() < 1e-12, "{found}");
        // The shorter text pays for its brevity, the longer one does not.
        let (short, long) = ("a b c d", "a b c d e");
        assert!((score(short, long) - (1.0f64 - 5.0 / 4.0).exp()).abs() < 1e-12);
        let precise: f64 = (4.0 / 5.0) * (3.0 / 4.0) * (2.0 / 3.0) * (1.0 / 2.0);
        assert!((score(long, short) - precise.powf(0.25)).abs() < 1e-12);
        // A word counts as often as the reference has it.
        let clipped: f64 = (1.0 / 4.0) * (0.1 / 3.0) * (0.1 / 2.0) * 0.1;
        assert!((score("a a a a", "b a c d") - clipped.powf(0.25)).abs() < 1e-12);
    }
}
