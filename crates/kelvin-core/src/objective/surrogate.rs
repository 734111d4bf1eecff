//! What is minimised for each response token, before weights, bonuses and pulls.

use serde::{Deserialize, Serialize};

use super::bounded;

/// What is minimised for each response token, with `r` for the ratio of its probability to that before the update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Surrogate {
    /// `-A log p`: REINFORCE (Williams 1992), and maximum likelihood where the advantage is 1.
    #[serde(alias = "reinforce")]
    Likelihood,
    /// PPO's clipped ratio (Schulman et al. 2017): `-min(r A, clip(r, 1 - low, 1 + high) A)`, and for negative
    /// advantages not above `-dual A` (dual clip, Ye et al. 2020; infinite turns it off).
    PpoClip {
        /// Lower clip; 1 turns it off.
        low: f64,
        /// Upper clip.
        high: f64,
        /// Dual clip, over 1.
        dual: f64,
    },
    /// Group sequence policy optimization (Zheng et al. 2025, Eq. 5): PPO's clip of the geometric mean of the ratios
    /// of a response. Tokens share their response's advantage, so GSPO-token (Eq. 13) is the same gradient; it is
    /// the form taken here, since weights of single tokens fit into it.
    Gspo {
        /// Lower clip; 1 turns it off.
        low: f64,
        /// Upper clip.
        high: f64,
    },
    /// Clipped importance weights (MiniMax 2025, M1, Eq. 4): `-w A log p` with `w = clip(r, 1 - low, 1 + high)` held
    /// fixed, so that no token's gradient stops.
    Cispo {
        /// Lower clip; 1 turns it off, as in the paper.
        low: f64,
        /// Upper clip.
        high: f64,
    },
}

/// A surrogate at one token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// The loss.
    pub value: f64,
    /// Its derivative by the log-probability.
    pub slope: f64,
    /// Where the clip stopped the gradient, or for CISPO bounded the weight.
    pub clipped: Option<Side>,
}

/// A side of the clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The token has become too unlikely.
    Low,
    /// The token has become too likely; the dual clip's side too.
    High,
}

/// Bounds of the log-ratio, against overflow (azr.md section 5.2).
pub const LOG_RATIO_MAX: f64 = 20.0;

impl Surrogate {
    /// Whether the log-ratio of [`Surrogate::term`] is the mean over the response, so that a token's derivative
    /// depends on all tokens of its response.
    pub fn is_sequence_level(&self) -> bool {
        match self {
            Surrogate::Gspo { .. } => true,
            Surrogate::Likelihood | Surrogate::PpoClip { .. } | Surrogate::Cispo { .. } => false,
        }
    }

    /// The loss of a token and its derivative with respect to `logprob`.
    pub fn term(&self, logprob: f64, log_ratio: f64, advantage: f64) -> Term {
        match *self {
            Surrogate::Likelihood => Term { value: -advantage * logprob, slope: -advantage, clipped: None },
            Surrogate::PpoClip { low, high, dual } => clip(log_ratio, advantage, [low, high, dual]),
            Surrogate::Gspo { low, high } => clip(log_ratio, advantage, [low, high, f64::INFINITY]),
            Surrogate::Cispo { low, high } => {
                let ratio = bounded(log_ratio).exp();
                let weight = ratio.clamp(1.0 - low, 1.0 + high);
                Term {
                    value: -weight * advantage * logprob,
                    slope: -weight * advantage,
                    clipped: (weight != ratio).then(|| Side::of(log_ratio)),
                }
            }
        }
    }
}

impl Side {
    fn of(log_ratio: f64) -> Side {
        if log_ratio < 0.0 { Side::Low } else { Side::High }
    }
}

/// PPO's clip with the bounds low, high and dual.
fn clip(log_ratio: f64, advantage: f64, [low, high, dual]: [f64; 3]) -> Term {
    let ratio = bounded(log_ratio).exp();
    let free = -advantage * ratio;
    let clipped = -advantage * ratio.clamp(1.0 - low, 1.0 + high);
    let stopped = |value| Term { value, slope: 0.0, clipped: Some(Side::of(log_ratio)) };
    if free < clipped {
        return stopped(clipped);
    }
    if advantage < 0.0 && -advantage * dual < free {
        return stopped(-advantage * dual);
    }
    if advantage != 0.0 && LOG_RATIO_MAX <= log_ratio.abs() {
        return stopped(free);
    }
    Term { value: free, slope: free, clipped: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIP: Surrogate = Surrogate::PpoClip { low: 0.2, high: 0.28, dual: 3.0 };
    const GSPO: Surrogate = Surrogate::Gspo { low: 3e-4, high: 4e-4 };
    const CISPO: Surrogate = Surrogate::Cispo { low: 1.0, high: 2.0 };
    const ALL: [Surrogate; 4] = [CLIP, GSPO, CISPO, Surrogate::Likelihood];

    #[test]
    fn descending_raises_what_earned_more() {
        for surrogate in ALL {
            assert!(surrogate.term(-1.0, 0.0, 1.0).slope < 0.0);
            assert!(0.0 < surrogate.term(-1.0, 0.0, -1.0).slope);
            assert_eq!(surrogate.term(-1.0, 0.0, 0.0).slope, 0.0);
            assert_eq!(surrogate.term(-1.0, 0.3, 0.0).value, 0.0);
        }
    }

    /// The edges of each clip from both sides, and far beyond.
    fn log_ratios(low: f64, high: f64, dual: f64) -> Vec<f64> {
        let edges = [1.0 - low, 1.0 + high, dual].map(f64::ln);
        let near = edges.into_iter().filter(|it| it.is_finite()).flat_map(|it| [it - 1e-4, it + 1e-4]);
        near.chain([-25.0, -2.0, -0.5, -0.1, 0.0, 0.1, 0.5, 2.0, 25.0]).collect()
    }

    #[test]
    fn derivatives_match_finite_differences_up_to_the_clips() {
        for (surrogate, low, high, dual) in
            [(CLIP, 0.2, 0.28, 3.0), (GSPO, 3e-4, 4e-4, 3.0), (Surrogate::Likelihood, 0.2, 0.2, 3.0)]
        {
            for log_ratio in log_ratios(low, high, dual) {
                for advantage in [-1.5, -0.1, 0.7, 2.0] {
                    let h = 1e-6;
                    let at = |x: f64| surrogate.term(-1.3 + x, log_ratio + x, advantage).value;
                    let numeric = (at(h) - at(-h)) / (2.0 * h);
                    let analytic = surrogate.term(-1.3, log_ratio, advantage).slope;
                    // A loss of e^2 has a third derivative of the same size, and 16 digits.
                    let tolerance = 1e-8 * (1.0 + at(0.0).abs());
                    assert!(
                        (numeric - analytic).abs() < tolerance,
                        "{surrogate:?} {advantage} {log_ratio}: {numeric} {analytic}"
                    );
                }
            }
        }
    }

    /// The weight is held fixed, so the difference is taken in the log-probability alone.
    #[test]
    fn cispo_weighs_and_never_stops() {
        for log_ratio in log_ratios(0.999, 2.0, 3.0) {
            for advantage in [-1.5, 0.7] {
                let h = 1e-6;
                let at = |x: f64| CISPO.term(-1.3 + x, log_ratio, advantage).value;
                let Term { slope, clipped, .. } = CISPO.term(-1.3, log_ratio, advantage);
                assert!(((at(h) - at(-h)) / (2.0 * h) - slope).abs() < 1e-8);
                assert!(slope != 0.0 && slope.abs() <= 3.0 * advantage.abs());
                assert_eq!(clipped.is_some(), 3f64.ln() < log_ratio, "{log_ratio}");
            }
        }
    }

    #[test]
    fn the_ratio_is_clipped_not_the_advantage() {
        let free = |value| Term { value, slope: value, clipped: None };
        let stopped = |value, side| Term { value, slope: 0.0, clipped: Some(side) };
        assert_eq!(CLIP.term(0.0, 0.0, 50.0), free(-50.0));
        assert_eq!(CLIP.term(1.0, 1.0, 1.0), stopped(-1.28, Side::High));
        assert_eq!(CLIP.term(-1.0, -1.0, -1.0), stopped(0.8, Side::Low));
        assert_eq!(CLIP.term(5.0, 5.0, -1.0), stopped(3.0, Side::High));
        // The clip is a pessimist: what already went the wrong way is free to come back.
        assert_eq!(CLIP.term(-1.0, -1.0, 1.0).clipped, None);
    }

    #[test]
    fn reinforce_is_likelihood_by_its_other_name() {
        let read: Surrogate = serde_json::from_str("{\"kind\": \"reinforce\"}").unwrap();
        assert_eq!(read, Surrogate::Likelihood);
    }
}
