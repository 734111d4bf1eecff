//! The majority vote over answers: R-Zero's pseudo-label and its share (r-zero.md section 3).

use std::{collections::HashMap, hash::Hash};

/// What the samples of one question came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote<'answers, A> {
    /// The most frequent answer, of several the one that came first; none where no sample has an answer.
    pub winner: Option<&'answers A>,
    /// How many samples gave it.
    pub count: usize,
    /// How many samples there are, those without an answer among them.
    pub denominator: usize,
    /// How many have no answer.
    pub n_unparsable: usize,
}

impl<A> Vote<'_, A> {
    /// The winner's share of all samples, in `[0, 1]`; 0 of none.
    pub fn share(&self) -> f64 {
        self.count as f64 / self.denominator.max(1) as f64
    }
}

/// Counts answers, one for each sample, in canonical form. A sample without an answer has no vote, but it stays in the
/// denominator, so that a share is not made by cutting answers off.
pub fn majority_vote<A: Eq + Hash>(answers: &[Option<A>]) -> Vote<'_, A> {
    let mut counts: HashMap<&A, usize> = HashMap::new();
    for answer in answers.iter().flatten() {
        *counts.entry(answer).or_default() += 1;
    }
    let mut vote = Vote { winner: None, count: 0, denominator: answers.len(), n_unparsable: answers.len() };
    for answer in answers.iter().flatten() {
        vote.n_unparsable -= 1;
        if vote.count < counts[answer] {
            (vote.winner, vote.count) = (Some(answer), counts[answer]);
        }
    }
    vote
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    fn vote<'text>(text: &'text [&'text str]) -> (Option<&'text str>, usize, usize, usize, f64) {
        let answers: Vec<Option<&str>> = text.iter().map(|&it| (it != "-").then_some(it)).collect();
        let vote = majority_vote(&answers);
        (vote.winner.copied(), vote.count, vote.denominator, vote.n_unparsable, vote.share())
    }

    #[test]
    fn the_most_frequent_answer_wins_and_ties_go_to_the_earliest() {
        assert_eq!(vote(&["2", "1", "1"]), (Some("1"), 2, 3, 0, 2.0 / 3.0));
        assert_eq!(vote(&["b", "a", "a", "b"]), (Some("b"), 2, 4, 0, 0.5));
        assert_eq!(vote(&["a", "b", "c"]), (Some("a"), 1, 3, 0, 1.0 / 3.0));
    }

    #[test]
    fn the_unparsable_have_no_vote_and_stay_in_the_denominator() {
        assert_eq!(vote(&["-", "-", "-", "1"]), (Some("1"), 1, 4, 3, 0.25));
        assert_eq!(vote(&["-", "-"]), (None, 0, 2, 2, 0.0));
        assert_eq!(vote(&[]), (None, 0, 0, 0, 0.0));
    }

    /// Against counting each answer by itself.
    #[test]
    fn drawn_votes_are_counted() {
        for index in 0..500 {
            let mut draws = Seed::new(6).nth(index).draws();
            let n = draws.below(12);
            let answers: Vec<Option<usize>> =
                (0..n).map(|_| Some(draws.below(4)).filter(|it| *it != 3)).collect();
            let vote = majority_vote(&answers);
            let count = |it: usize| answers.iter().filter(|other| **other == Some(it)).count();
            assert_eq!(vote.count, (0..3).map(count).max().unwrap());
            assert_eq!(vote.n_unparsable, answers.iter().filter(|it| it.is_none()).count());
            let first = answers.iter().flatten().find(|it| count(**it) == vote.count);
            assert_eq!(vote.winner, first);
        }
    }
}
