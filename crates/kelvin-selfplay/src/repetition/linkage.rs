//! Agglomerative clustering by average linkage (UPGMA) along nearest-neighbour chains (Murtagh 1983): the merges are those
//! of the greedy algorithm, found in time that grows with the square of the number of points.

/// The cluster of each of `n` points, named by the smallest point in it. `distances` are symmetric, by rows. Clusters merge
/// while the mean distance between their points is below `below`.
pub fn clusters(mut distances: Vec<f32>, n: usize, below: f32) -> Vec<usize> {
    assert_eq!(distances.len(), n * n, "a distance for each pair");
    let mut sizes = vec![1usize; n];
    let mut parents: Vec<usize> = (0..n).collect();
    let mut active: Vec<usize> = (0..n).collect();
    let mut chain: Vec<usize> = Vec::new();
    while let Some(&at) = chain.last().or(active.first()) {
        if chain.is_empty() {
            chain.push(at);
        }
        let before = chain.len().checked_sub(2).map(|it| chain[it]);
        let nearest = nearest(at, before, &active, &distances[at * n..(at + 1) * n]);
        match nearest {
            Some((other, far)) if far < below => {
                if Some(other) != before {
                    chain.push(other);
                    continue;
                }
                // Each is the other's nearest: they merge, whatever else there is.
                chain.truncate(chain.len() - 2);
                let (kept, gone) = (at.min(other), at.max(other));
                merge(&mut distances, n, &active, &sizes, (kept, gone));
                sizes[kept] += sizes[gone];
                parents[gone] = kept;
                active.retain(|&it| it != gone);
            }
            // Merging others brings nothing nearer than the nearest was: this one is done.
            Some(_) | None => {
                chain.pop();
                active.retain(|&it| it != at);
            }
        }
    }
    (0..n).map(|it| root(&parents, it)).collect()
}

/// The nearest active cluster; of several the one that the chain came from, or the smallest.
fn nearest(at: usize, before: Option<usize>, active: &[usize], row: &[f32]) -> Option<(usize, f32)> {
    let mut best = before.map(|it| (it, row[it]));
    for &other in active {
        if other != at && best.is_none_or(|(_, far)| row[other] < far) {
            best = Some((other, row[other]));
        }
    }
    best
}

/// The distances of the union of two clusters: means over their points.
fn merge(distances: &mut [f32], n: usize, active: &[usize], sizes: &[usize], (kept, gone): (usize, usize)) {
    let (a, b) = (sizes[kept] as f32, sizes[gone] as f32);
    for &other in active {
        if other != kept && other != gone {
            let far = (a * distances[kept * n + other] + b * distances[gone * n + other]) / (a + b);
            distances[kept * n + other] = far;
            distances[other * n + kept] = far;
        }
    }
}

fn root(parents: &[usize], mut at: usize) -> usize {
    while parents[at] != at {
        at = parents[at];
    }
    at
}

#[cfg(test)]
mod tests {
    use kelvin_core::seed::Seed;

    use super::*;

    fn random(n: usize, seed: Seed) -> Vec<f32> {
        let mut distances = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..i {
                let far = seed.nth(i as u64).nth(j as u64).unit() as f32;
                (distances[i * n + j], distances[j * n + i]) = (far, far);
            }
        }
        distances
    }

    /// Merges the nearest two of all clusters until none are near enough, with means over points.
    fn naive(distances: &[f32], n: usize, below: f32) -> Vec<usize> {
        let mut clusters: Vec<Vec<usize>> = (0..n).map(|it| vec![it]).collect();
        loop {
            let mut best: Option<(f64, usize, usize)> = None;
            for i in 0..clusters.len() {
                for j in 0..i {
                    let sum: f64 = clusters[i]
                        .iter()
                        .flat_map(|a| clusters[j].iter().map(move |b| f64::from(distances[a * n + b])))
                        .sum();
                    let mean = sum / (clusters[i].len() * clusters[j].len()) as f64;
                    if best.is_none_or(|(least, _, _)| mean < least) {
                        best = Some((mean, i, j));
                    }
                }
            }
            match best {
                Some((mean, i, j)) if mean < f64::from(below) => {
                    let gone = clusters.remove(i);
                    clusters[j].extend(gone);
                }
                _ => break,
            }
        }
        let mut names = vec![0; n];
        for cluster in &clusters {
            let name = *cluster.iter().min().unwrap();
            cluster.iter().for_each(|&it| names[it] = name);
        }
        names
    }

    #[test]
    fn chains_merge_as_the_greedy_algorithm_does() {
        for at in 0..200 {
            let seed = Seed::new(8).nth(at);
            let n = 1 + seed.below(14);
            let distances = random(n, seed);
            for below in [0.2, 0.35, 0.5, 0.8] {
                assert_eq!(
                    clusters(distances.clone(), n, below),
                    naive(&distances, n, below),
                    "{at} {below}"
                );
            }
        }
    }

    #[test]
    fn the_threshold_is_strict() {
        let at_half = vec![0.0, 0.5, 0.5, 0.0];
        assert_eq!(clusters(at_half.clone(), 2, 0.5), [0, 1]);
        assert_eq!(clusters(at_half, 2, 0.500_001), [0, 0]);
        assert!(clusters(Vec::new(), 0, 0.5).is_empty());
    }

    #[test]
    fn ties_merge_all_that_are_equal() {
        assert_eq!(clusters(vec![0.0; 25], 5, 0.5), [0; 5]);
    }
}
