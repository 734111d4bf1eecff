//! How much of a batch says nearly the same (r-zero.md section 4.1): texts are clustered by average linkage over the
//! distance 1 - BLEU-4, and a text repeats as large a share of the batch as its cluster is.
//!
//! Matches are counted from a list of texts for each n-gram, not pair by pair; clusters grow along chains of nearest
//! neighbours (Murtagh 1983). Both take time that grows with the square of the number of texts, memory too.

use std::{cmp::Ordering, collections::HashMap};

use serde::{Deserialize, Serialize};

/// BLEU-4 compares n-grams of up to four tokens.
const ORDERS: usize = 4;
/// The numerator of a precision without a match (method 1 of Chen and Cherry 2014).
const EPSILON: f64 = 0.1;

/// Which direction of BLEU a pair is compared by: it is not symmetric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The mean of both.
    #[default]
    Both,
    /// The earlier text as hypothesis, the later one as reference, as in the original.
    Earlier,
}

/// When texts are in one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RepetitionSettings {
    /// How pairs are compared. Default `both`.
    pub direction: Direction,
    /// Clusters merge while the mean distance between their texts is strictly below this. Default 0.5.
    pub distance_below: f64,
}

impl Default for RepetitionSettings {
    fn default() -> RepetitionSettings {
        RepetitionSettings { direction: Direction::Both, distance_below: 0.5 }
    }
}

/// For each text the share of all texts that its cluster is: |C(i)| / B.
pub fn cluster_shares(texts: &[&str], settings: RepetitionSettings) -> Vec<f64> {
    let clusters = clusters(texts, settings);
    let mut sizes = vec![0usize; texts.len()];
    clusters.iter().for_each(|&cluster| sizes[cluster] += 1);
    clusters.iter().map(|&cluster| sizes[cluster] as f64 / texts.len() as f64).collect()
}

/// For each text the first text of its cluster.
pub fn clusters(texts: &[&str], settings: RepetitionSettings) -> Vec<usize> {
    average_linkage(distances(&Profiles::of(texts), settings.direction), settings.distance_below)
}

/// Sentence BLEU-4 with equal weights and a brevity penalty over tokens between blanks, in `[0, 1]`.
pub fn bleu(hypothesis: &str, reference: &str) -> f64 {
    let profiles = Profiles::of(&[hypothesis, reference]);
    let mut matches = profiles.no_matches();
    profiles.count_matches(0, &mut matches);
    let [hypothesis, reference] = [0, 1].map(|at| &profiles.texts[at]);
    score(hypothesis, reference, matches.map(|it| it[1]))
}

/// The n-grams of a text.
struct Profile {
    n_tokens: usize,
    /// Number and count of each n-gram, by order.
    grams: [Vec<(usize, u32)>; ORDERS],
    /// One over the product of the denominators of its precisions, as a hypothesis.
    scale: f64,
}

/// The n-grams of a batch, numbered, with the texts that hold them.
struct Profiles {
    texts: Vec<Profile>,
    /// By order and number of an n-gram: which texts hold it, and how often, in order.
    holders: [Vec<Vec<(usize, u32)>>; ORDERS],
}

impl Profiles {
    fn of(texts: &[&str]) -> Profiles {
        let mut words: HashMap<&str, usize> = HashMap::new();
        // An n-gram is the number of its first n - 1 tokens and the number of its last.
        let mut numbers: [HashMap<(usize, usize), usize>; ORDERS] = Default::default();
        let mut profiles = Profiles { texts: Vec::with_capacity(texts.len()), holders: Default::default() };
        for (text, content) in texts.iter().enumerate() {
            let number = |word| {
                let n_known = words.len();
                *words.entry(word).or_insert(n_known)
            };
            let tokens: Vec<usize> = content.split_whitespace().map(number).collect();
            let mut grams: [Vec<(usize, u32)>; ORDERS] = Default::default();
            let mut starts = vec![0; tokens.len()];
            for order in 0..ORDERS {
                let n_grams = tokens.len().saturating_sub(order);
                for (at, start) in starts.iter_mut().enumerate().take(n_grams) {
                    let n_known = numbers[order].len();
                    *start = *numbers[order].entry((*start, tokens[at + order])).or_insert(n_known);
                }
                grams[order] = counted(starts[..n_grams].to_vec());
                profiles.holders[order].resize(numbers[order].len(), Vec::new());
                for &(gram, count) in &grams[order] {
                    profiles.holders[order][gram].push((text, count));
                }
            }
            let n_tokens = tokens.len();
            let denominators = (0..ORDERS).map(|order| n_tokens.saturating_sub(order).max(1) as f64);
            profiles.texts.push(Profile { n_tokens, grams, scale: denominators.product::<f64>().recip() });
        }
        profiles
    }

    fn no_matches(&self) -> [Vec<u32>; ORDERS] {
        std::array::from_fn(|_| vec![0; self.texts.len()])
    }

    /// How many n-grams text `at` shares with each later one, by order.
    fn count_matches(&self, at: usize, matches: &mut [Vec<u32>; ORDERS]) {
        for ((grams, holders), matches) in self.texts[at].grams.iter().zip(&self.holders).zip(matches) {
            matches[at..].fill(0);
            for &(gram, count) in grams {
                let holders = &holders[gram];
                let later = holders.partition_point(|holder| holder.0 <= at);
                for &(other, its) in &holders[later..] {
                    matches[other] += count.min(its);
                }
            }
        }
    }
}

/// Each number once, with how often it is there.
fn counted(mut numbers: Vec<usize>) -> Vec<(usize, u32)> {
    numbers.sort_unstable();
    numbers.chunk_by(usize::eq).map(|equal| (equal[0], equal.len() as u32)).collect()
}

/// BLEU of a hypothesis that shares this many n-grams with its reference.
fn score(hypothesis: &Profile, reference: &Profile, matches: [u32; ORDERS]) -> f64 {
    if matches[0] == 0 {
        return 0.0;
    }
    let numerators = matches.map(|it| if it == 0 { EPSILON } else { f64::from(it) });
    let precision = (numerators.into_iter().product::<f64>() * hypothesis.scale).sqrt().sqrt();
    match hypothesis.n_tokens.cmp(&reference.n_tokens) {
        Ordering::Less => precision * (1.0 - reference.n_tokens as f64 / hypothesis.n_tokens as f64).exp(),
        Ordering::Equal | Ordering::Greater => precision,
    }
}

fn distances(profiles: &Profiles, direction: Direction) -> Pairs {
    let mut pairs = Pairs::new(profiles.texts.len());
    let mut matches = profiles.no_matches();
    for (at, text) in profiles.texts.iter().enumerate() {
        profiles.count_matches(at, &mut matches);
        for (other, later) in profiles.texts.iter().enumerate().skip(at + 1) {
            let shared = std::array::from_fn(|order| matches[order][other]);
            let forward = score(text, later, shared);
            let score = match direction {
                Direction::Both => (forward + score(later, text, shared)) / 2.0,
                Direction::Earlier => forward,
            };
            *pairs.of(at, other) = 1.0 - score;
        }
    }
    pairs
}

/// A number for each pair of things.
struct Pairs {
    n: usize,
    /// The pairs of the first thing, then those of the second without the first, and so on.
    values: Vec<f64>,
}

impl Pairs {
    fn new(n: usize) -> Pairs {
        Pairs { n, values: vec![0.0; n * n.saturating_sub(1) / 2] }
    }

    fn of(&mut self, a: usize, b: usize) -> &mut f64 {
        let (low, high) = (a.min(b), a.max(b));
        &mut self.values[low * (2 * self.n - low - 1) / 2 + high - low - 1]
    }
}

/// Clusters that merge while the mean distance between their members is strictly below a limit; for each thing the first
/// of its cluster. Of equally near neighbours the first is taken.
///
/// Merging two clusters brings nothing nearer to a third than the nearer of both was. Hence nearest neighbours of each
/// other may be merged in any order, and a cluster without a neighbour below the limit will never have one.
fn average_linkage(mut sums: Pairs, below: f64) -> Vec<usize> {
    let n = sums.n;
    let mut firsts: Vec<usize> = (0..n).collect();
    // The sum of the distances between two clusters stands at their first members.
    let mut sizes = vec![1.0; n];
    let mut open: Vec<usize> = (0..n).collect();
    let mut chain: Vec<usize> = Vec::new();
    while let Some(&start) = open.first() {
        let end = *chain.last().unwrap_or(&start);
        if chain.is_empty() {
            chain.push(start);
        }
        let previous = chain.len().checked_sub(2).map(|at| chain[at]);
        let mut nearest: Option<(f64, usize)> = None;
        for &other in open.iter().filter(|other| **other != end) {
            let distance = *sums.of(end, other) / (sizes[end] * sizes[other]);
            // A tie with the one before ends the chain, which would else go round in a circle.
            let is_nearer = nearest
                .is_none_or(|(least, _)| distance < least || distance == least && Some(other) == previous);
            if is_nearer {
                nearest = Some((distance, other));
            }
        }
        match nearest.filter(|(distance, _)| *distance < below) {
            None => {
                chain.pop();
                open.retain(|it| *it != end);
            }
            Some((_, other)) if Some(other) == previous => {
                chain.truncate(chain.len() - 2);
                let (first, second) = (end.min(other), end.max(other));
                open.retain(|it| *it != second);
                for &third in open.iter().filter(|third| **third != first) {
                    *sums.of(first, third) += *sums.of(second, third);
                }
                sizes[first] += sizes[second];
                firsts.iter_mut().filter(|it| **it == second).for_each(|it| *it = first);
            }
            Some((_, other)) => chain.push(other),
        }
    }
    firsts
}

#[cfg(test)]
mod tests {
    use super::*;
    use kelvin_core::seed::{Draws, Seed};

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }

    /// Vectors of r-zero.md section 4.1, and numbers worked out by hand.
    #[test]
    fn bleu_vectors() {
        near(bleu("a b c d", "a b c d"), 1.0);
        near(bleu("a b c d e f", "a b c d e f"), 1.0);
        near(bleu("a b c", "a b c"), 0.5623);
        near(bleu("a b", "a  b"), 0.3162);
        near(bleu("a", "a"), 0.1f64.powf(0.75));
        near(bleu("", ""), 0.0);
        near(bleu("", "a"), 0.0);
        near(bleu("a", ""), 0.0);
        near(bleu("a b c d", "A B C D"), 0.0);
        // Four tokens of five: each precision is 1, and the penalty is exp(1 - 5/4).
        near(bleu("a b c d", "a b c d e"), (-0.25f64).exp());
        // Precisions 4/5, 3/4, 2/3, 1/2.
        near(bleu("a b c d e", "a b c d"), 0.2f64.powf(0.25));
        // Counts are clipped: 1/4 of the tokens, and no longer n-gram of 3, 2 and 1.
        near(bleu("a a a a", "a"), (0.25f64 * 0.1 / 3.0 * 0.1 / 2.0 * 0.1).powf(0.25));
    }

    #[test]
    fn short_texts_repeat_nothing_and_long_ones_their_like() {
        let settings = RepetitionSettings::default();
        let long = "find the sum of all primes below ten";
        let shares = cluster_shares(&[long, "a b", long, "a b", "", "", long], settings);
        let (three, one) = (3.0 / 7.0, 1.0 / 7.0);
        assert_eq!(shares, [three, one, three, one, one, one, three]);
        assert_eq!(cluster_shares(&[], settings), [0.0; 0]);
        assert_eq!(cluster_shares(&["x"], settings), [1.0]);
    }

    /// A long text that holds a short one: as hypothesis it lacks precision, as reference it makes the other too brief.
    #[test]
    fn directions_differ() {
        let (short, long) = ("a b c d e", "a b c d e f g h i j k l");
        let earlier = RepetitionSettings { direction: Direction::Earlier, ..RepetitionSettings::default() };
        let (forward, backward) = (bleu(short, long), bleu(long, short));
        assert!((forward - backward).abs() > 0.05, "{forward} {backward}");
        for (texts, score) in [([short, long], forward), ([long, short], backward)] {
            for (settings, distance) in
                [(earlier, 1.0 - score), (RepetitionSettings::default(), 1.0 - (forward + backward) / 2.0)]
            {
                let with =
                    |distance_below| clusters(&texts, RepetitionSettings { distance_below, ..settings });
                assert_eq!(with(distance + 1e-9), [0, 0]);
                assert_eq!(with(distance - 1e-9), [0, 1]);
            }
        }
    }

    fn pairs(n: usize, mut distance: impl FnMut(usize, usize) -> f64) -> Pairs {
        let mut pairs = Pairs::new(n);
        for a in 0..n {
            for b in a + 1..n {
                *pairs.of(a, b) = distance(a, b);
            }
        }
        pairs
    }

    #[test]
    fn the_limit_is_strict() {
        assert_eq!(average_linkage(pairs(2, |_, _| 0.5), 0.5), [0, 1]);
        assert_eq!(average_linkage(pairs(2, |_, _| 0.5f64.next_down()), 0.5), [0, 0]);
        // 0 and 1 merge; their mean distance to 2 is exactly one half.
        let third = |a: usize, b: usize| [0.25, 0.375, 0.625][a + b - 1];
        assert_eq!(average_linkage(pairs(3, third), 0.5), [0, 0, 2]);
        assert_eq!(average_linkage(pairs(3, third), 0.5f64.next_up()), [0, 0, 0]);
    }

    /// Merges the nearest two clusters by the mean over all pairs of members, until none is below the limit.
    fn naive(distance: &[Vec<f64>], below: f64) -> Vec<usize> {
        let mut clusters: Vec<Vec<usize>> = (0..distance.len()).map(|it| vec![it]).collect();
        loop {
            let mut best = (below, None);
            for a in 0..clusters.len() {
                for b in a + 1..clusters.len() {
                    let (left, right) = (&clusters[a], &clusters[b]);
                    let sum: f64 =
                        left.iter().flat_map(|&x| right.iter().map(move |&y| distance[x][y])).sum();
                    let mean = sum / (left.len() * right.len()) as f64;
                    if mean < best.0 {
                        best = (mean, Some((a, b)));
                    }
                }
            }
            let Some((a, b)) = best.1 else { break };
            let merged = clusters.remove(b);
            clusters[a].extend(merged);
        }
        let mut firsts = vec![0; distance.len()];
        for cluster in &clusters {
            let first = *cluster.iter().min().unwrap();
            cluster.iter().for_each(|&it| firsts[it] = first);
        }
        firsts
    }

    fn drawn_distances(draws: &mut Draws, n: usize) -> Vec<Vec<f64>> {
        let places: Vec<(f64, f64)> = (0..n).map(|_| (draws.unit(), draws.unit())).collect();
        let (spread, noise) = (draws.unit() * 2.0, draws.unit() * 0.3);
        let mut distance = vec![vec![0.0; n]; n];
        for a in 0..n {
            for b in 0..a {
                let ((ax, ay), (bx, by)) = (places[a], places[b]);
                distance[a][b] = (ax - bx).hypot(ay - by) * spread + noise * draws.unit();
                distance[b][a] = distance[a][b];
            }
        }
        distance
    }

    #[test]
    fn chains_find_what_the_definition_finds() {
        let (mut n_joined, mut n_apart) = (0, 0);
        for index in 0..400 {
            let mut draws = Seed::new(9).nth(index).draws();
            let n = draws.between(1, 24) as usize;
            let distance = drawn_distances(&mut draws, n);
            let expected = naive(&distance, 0.5);
            assert_eq!(average_linkage(pairs(n, |a, b| distance[a][b]), 0.5), expected, "{distance:?}");
            n_joined += expected.iter().enumerate().filter(|(at, first)| at != *first).count();
            n_apart += expected.iter().enumerate().filter(|(at, first)| at == *first).count();
        }
        assert!(1000 < n_joined && 1000 < n_apart, "{n_joined} {n_apart}");
    }

    fn drawn_text(draws: &mut Draws) -> String {
        let n = draws.below(12);
        (0..n).map(|_| ["a", "b", "c", "d"][draws.below(4)]).collect::<Vec<_>>().join(" ")
    }

    /// The definition, n-gram by n-gram.
    fn naive_bleu(hypothesis: &str, reference: &str) -> f64 {
        let tokens = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (hypothesis, reference) = (tokens(hypothesis), tokens(reference));
        let mut logs = 0.0;
        for n in 1..=ORDERS {
            let mut left: Vec<&[String]> = reference.windows(n).collect();
            let grams: Vec<&[String]> = hypothesis.windows(n).collect();
            let n_grams = grams.len();
            let matches = grams.into_iter().filter(|gram| match left.iter().position(|it| it == gram) {
                Some(at) => {
                    left.swap_remove(at);
                    true
                }
                None => false,
            });
            let matches = matches.count();
            if n == 1 && matches == 0 {
                return 0.0;
            }
            let numerator = if matches == 0 { EPSILON } else { matches as f64 };
            logs += (numerator / n_grams.max(1) as f64).ln() / 4.0;
        }
        let (h, r) = (hypothesis.len() as f64, reference.len() as f64);
        logs.exp() * if h < r { (1.0 - r / h).exp() } else { 1.0 }
    }

    #[test]
    fn counted_matches_are_the_definition() {
        for index in 0..200 {
            let mut draws = Seed::new(10).nth(index).draws();
            let texts: Vec<String> = (0..5).map(|_| drawn_text(&mut draws)).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let mut both = distances(&Profiles::of(&texts), Direction::Both);
            let mut earlier = distances(&Profiles::of(&texts), Direction::Earlier);
            for a in 0..5 {
                for b in a + 1..5 {
                    let (forward, backward) =
                        (naive_bleu(texts[a], texts[b]), naive_bleu(texts[b], texts[a]));
                    assert!((bleu(texts[a], texts[b]) - forward).abs() < 1e-12, "{texts:?}");
                    assert!((*earlier.of(a, b) - (1.0 - forward)).abs() < 1e-12, "{texts:?}");
                    assert!((*both.of(a, b) - (1.0 - (forward + backward) / 2.0)).abs() < 1e-12, "{texts:?}");
                }
            }
        }
    }

    /// Over texts, the cluster shares sum to what the squares of the cluster sizes sum to (r-zero.md section 14).
    #[test]
    fn shares_sum_to_the_squares_of_sizes() {
        for index in 0..50 {
            let mut draws = Seed::new(13).nth(index).draws();
            let texts: Vec<String> = (0..40).map(|_| drawn_text(&mut draws)).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let settings = RepetitionSettings::default();
            let firsts = clusters(&texts, settings);
            let sizes: Vec<usize> =
                (0..40).map(|cluster| firsts.iter().filter(|first| **first == cluster).count()).collect();
            let squares: usize = sizes.iter().map(|size| size * size).sum();
            let sum: f64 = cluster_shares(&texts, settings).iter().sum();
            assert!((sum - squares as f64 / 40.0).abs() < 1e-9);
            assert!(firsts.iter().enumerate().all(|(at, &first)| first <= at && firsts[first] == first));
        }
    }
}
