//! Texts that repeat one another: sentence BLEU between all pairs, and clusters by average linkage (r-zero.md section
//! 4.1).

mod bleu;
mod linkage;

pub use bleu::Bleu;
pub use linkage::clusters;

/// Which of the two BLEU scores of a pair counts: it depends on which text is the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The mean of both.
    Both,
    /// The earlier text against the later one as its reference, as in the original.
    Earlier,
}

/// Of each text the share of all texts that lie in its cluster. Texts are merged while the mean of 1 - BLEU over the pairs
/// between two clusters is below `distance`.
///
/// Time and memory grow with the square of the number of texts.
pub fn cluster_shares(texts: &[String], distance: f64, direction: Direction) -> Vec<f64> {
    let bleu = Bleu::new(texts);
    let mut distances = vec![0.0; texts.len() * texts.len()];
    for earlier in 0..texts.len() {
        for (at, (as_hypothesis, as_reference)) in bleu.with_later(earlier).into_iter().enumerate() {
            let score = match direction {
                Direction::Both => 0.5 * (as_hypothesis + as_reference),
                Direction::Earlier => as_hypothesis,
            };
            let (later, far) = (earlier + 1 + at, (1.0 - score) as f32);
            distances[earlier * texts.len() + later] = far;
            distances[later * texts.len() + earlier] = far;
        }
    }
    let clusters = clusters(distances, texts.len(), distance as f32);
    let mut sizes = vec![0usize; texts.len()];
    clusters.iter().for_each(|&it| sizes[it] += 1);
    clusters.iter().map(|&it| sizes[it] as f64 / texts.len() as f64).collect()
}

#[cfg(test)]
mod tests {
    use kelvin_core::seed::Seed;

    use super::*;

    fn texts(n: usize, seed: u64) -> Vec<String> {
        const WORDS: [&str; 6] = ["what", "is", "the", "sum", "of", "all"];
        let text = |at: usize| {
            let mut draws = Seed::new(seed).nth(at as u64).draws();
            (0..3 + draws.below(5)).map(|_| *draws.pick(&WORDS)).collect::<Vec<_>>().join(" ")
        };
        (0..n).map(text).collect()
    }

    #[test]
    fn the_penalties_of_a_batch_are_the_squares_of_its_clusters() {
        for direction in [Direction::Both, Direction::Earlier] {
            let texts = texts(60, 1);
            let shares = cluster_shares(&texts, 0.5, direction);
            // Texts of a cluster of size s have the share s / n, so each cluster adds s * s / n.
            let sum: f64 = shares.iter().sum();
            let mut left: Vec<usize> = shares.iter().map(|it| (it * 60.0).round() as usize).collect();
            left.sort_unstable();
            let mut squares = 0;
            while let Some(size) = left.pop() {
                squares += size * size;
                for _ in 1..size {
                    assert_eq!(left.pop(), Some(size), "as many as the cluster is large");
                }
            }
            assert!((sum - squares as f64 / 60.0).abs() < 1e-9);
        }
    }

    #[test]
    fn equal_texts_repeat_each_other_from_four_words_on() {
        let of = |text: &str| cluster_shares(&[text.to_owned(), text.to_owned()], 0.5, Direction::Both);
        assert_eq!(of("one two three four"), [1.0, 1.0]);
        // Two words score 0.3162: a distance over a half.
        assert_eq!(of("one two"), [0.5, 0.5]);
        assert_eq!(of(""), [0.5, 0.5]);
        assert!(cluster_shares(&[], 0.5, Direction::Both).is_empty());
    }

    #[test]
    fn both_directions_do_not_depend_on_order() {
        let texts = texts(40, 2);
        let forward = cluster_shares(&texts, 0.5, Direction::Both);
        let mut turned: Vec<String> = texts.clone();
        turned.reverse();
        let mut backward = cluster_shares(&turned, 0.5, Direction::Both);
        backward.reverse();
        assert_eq!(forward, backward);
    }
}
