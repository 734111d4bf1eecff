//! The majority of answers that are equal texts where they are equal.

use std::collections::BTreeMap;

/// What a vote came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The most frequent answer, of several the one that was given first; none where none could be read.
    pub winner: Option<String>,
    /// How often it was given.
    pub count: usize,
    /// All answers, those included that could not be read: they vote for nothing and dilute every share.
    pub n: usize,
    /// Those that could not be read.
    pub n_unreadable: usize,
}

impl Vote {
    /// Share of all answers that the winner got, in `[0, 1]`.
    pub fn share(&self) -> f32 {
        self.count as f32 / self.n.max(1) as f32
    }
}

/// The majority of `answers`, where an answer that cannot be read is `None` (r-zero.md section 3).
pub fn majority_vote(answers: &[Option<String>]) -> Vote {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (at, answer) in answers.iter().enumerate() {
        if let Some(answer) = answer {
            counts.entry(answer).or_insert((0, at)).0 += 1;
        }
    }
    let winner = counts.iter().min_by_key(|(_, (count, first))| (usize::MAX - count, *first));
    Vote {
        winner: winner.map(|(answer, _)| (*answer).to_owned()),
        count: winner.map_or(0, |(_, (count, _))| *count),
        n: answers.len(),
        n_unreadable: answers.iter().filter(|it| it.is_none()).count(),
    }
}
