//! Where the wall time of a sampling call goes. At each moment either a row is decoded, which is the sampler's time
//! whatever the judges do meanwhile; or none is and judges work, which is theirs, shared by how many validate and how
//! many grade; or nobody does anything. Of its time the sampler says how much of it was waiting for servers; the rest is
//! divided among roles by the tokens that it drew for each, since rows of all roles are decoded together.

use crate::clock::Stopwatch;

/// What a judge does with a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Validates a proposal.
    Validate,
    /// Grades a solution.
    Grade,
}

/// Seconds by phase, which do not overlap, and how long verdicts took.
#[derive(Clone, Debug, Default)]
pub struct StreamTime {
    /// Decoding proposals.
    pub propose_s: f64,
    /// Validating while nothing decoded.
    pub validate_s: f64,
    /// Decoding Monte-Carlo solutions, those that were dropped included.
    pub estimate_s: f64,
    /// Decoding solutions of drawn problems.
    pub solve_s: f64,
    /// Grading while nothing decoded.
    pub grade_s: f64,
    /// Waiting for servers to draw the rows that were asked for.
    pub servers_s: f64,
    /// The whole of the calls; what is not in the phases above, nobody did anything in.
    pub whole_s: f64,
    /// How long each validation took, from a judge's taking it to its verdict.
    pub validations_s: Vec<f64>,
    /// How long each grading took.
    pub gradings_s: Vec<f64>,
}

impl StreamTime {
    /// That of two calls, one after the other.
    pub fn then(mut self, later: StreamTime) -> StreamTime {
        self.validations_s.extend(later.validations_s);
        self.gradings_s.extend(later.gradings_s);
        StreamTime {
            propose_s: self.propose_s + later.propose_s,
            validate_s: self.validate_s + later.validate_s,
            estimate_s: self.estimate_s + later.estimate_s,
            solve_s: self.solve_s + later.solve_s,
            grade_s: self.grade_s + later.grade_s,
            servers_s: self.servers_s + later.servers_s,
            whole_s: self.whole_s + later.whole_s,
            ..self
        }
    }

    /// Seconds in which a row was decoded.
    pub fn decoding_s(&self) -> f64 {
        self.propose_s + self.estimate_s + self.solve_s
    }

    /// Seconds of all phases together.
    pub fn phases_s(&self) -> f64 {
        self.decoding_s() + self.validate_s + self.grade_s + self.servers_s
    }
}

/// Tokens drawn, by what for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tokens {
    /// Proposals.
    pub(super) propose: usize,
    /// Monte-Carlo solutions.
    pub(super) estimate: usize,
    /// Solutions of drawn problems.
    pub(super) solve: usize,
}

/// Follows one call.
#[derive(Debug)]
pub(crate) struct Timeline {
    watch: Stopwatch,
    n_decoding: usize,
    n_validating: usize,
    n_grading: usize,
    decoding_s: f64,
    time: StreamTime,
}

impl Default for Timeline {
    fn default() -> Timeline {
        Timeline {
            watch: Stopwatch::start(),
            n_decoding: 0,
            n_validating: 0,
            n_grading: 0,
            decoding_s: 0.0,
            time: StreamTime::default(),
        }
    }
}

impl Timeline {
    /// The sampler has so many more rows.
    pub(super) fn asked(&mut self, n: usize) {
        self.advance();
        self.n_decoding += n;
    }

    /// A row has come out.
    pub(super) fn finished(&mut self) {
        self.advance();
        self.n_decoding -= 1;
    }

    /// A judge begins.
    pub(super) fn taken(&mut self, work: Work) {
        self.advance();
        *self.n_judging(work) += 1;
    }

    /// A judge has taken so long.
    pub(super) fn judged(&mut self, work: Work, seconds: f64) {
        self.advance();
        *self.n_judging(work) -= 1;
        match work {
            Work::Validate => self.time.validations_s.push(seconds),
            Work::Grade => self.time.gradings_s.push(seconds),
        }
    }

    /// So much of what counts as decoding was waiting for servers.
    pub(super) fn waited(&mut self, seconds: f64) {
        let seconds = seconds.min(self.decoding_s);
        self.decoding_s -= seconds;
        self.time.servers_s += seconds;
    }

    /// The time of a call that has ended, in which so many tokens were drawn.
    pub(super) fn ended(mut self, tokens: Tokens) -> StreamTime {
        self.advance();
        let Tokens { propose, estimate, solve } = tokens;
        let share = |n: usize| self.decoding_s * n as f64 / (propose + estimate + solve).max(1) as f64;
        StreamTime {
            propose_s: share(propose),
            estimate_s: share(estimate),
            solve_s: share(solve),
            ..self.time
        }
    }

    fn n_judging(&mut self, work: Work) -> &mut usize {
        match work {
            Work::Validate => &mut self.n_validating,
            Work::Grade => &mut self.n_grading,
        }
    }

    fn advance(&mut self) {
        let seconds = self.watch.lap();
        self.credit(seconds);
    }

    fn credit(&mut self, seconds: f64) {
        self.time.whole_s += seconds;
        let n_judging = self.n_validating + self.n_grading;
        if 0 < self.n_decoding {
            self.decoding_s += seconds;
        } else if 0 < n_judging {
            let each = seconds / n_judging as f64;
            self.time.validate_s += each * self.n_validating as f64;
            self.time.grade_s += each * self.n_grading as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decoding hides judging; what is left of judging is shared; nothing is counted twice.
    #[test]
    fn phases_do_not_overlap() {
        let mut line = Timeline { n_decoding: 1, n_validating: 1, ..Timeline::default() };
        line.credit(8.0);
        (line.n_decoding, line.n_grading) = (0, 3);
        line.credit(4.0);
        (line.n_validating, line.n_grading) = (0, 0);
        line.credit(2.0);
        let time = line.ended(Tokens { propose: 1, estimate: 5, solve: 2 });
        assert_eq!((time.propose_s, time.estimate_s, time.solve_s), (1.0, 5.0, 2.0));
        assert_eq!((time.validate_s, time.grade_s), (1.0, 3.0));
        // The end is read from the clock.
        assert!(14.0 <= time.whole_s && time.phases_s() == 12.0);
        let both = time.clone().then(time);
        assert_eq!((both.phases_s(), both.decoding_s()), (24.0, 16.0));
    }

    #[test]
    fn waiting_for_servers_is_no_decoding() {
        let mut line = Timeline { n_decoding: 1, ..Timeline::default() };
        line.credit(8.0);
        line.n_decoding = 0;
        line.waited(2.0);
        let time = line.ended(Tokens { propose: 1, estimate: 0, solve: 2 });
        assert_eq!((time.propose_s, time.solve_s, time.servers_s, time.phases_s()), (2.0, 4.0, 2.0, 8.0));
    }
}
