//! From an objective to what a server minimises.
//!
//! A server averages what it is given: the gradient is the mean over data of the weighted mean over a datum's tokens, or
//! the sum over all tokens ([`Gradient`]). kelvin's loss of a batch is a sum over tokens of weight times slope. Each loss here
//! is linear in the advantage, so advantages take what the averages lack: times the number of data of the whole update and of
//! the datum's tokens, the server's gradient is kelvin's, however the batch is split.
//!
//! With [`Losses::Ours`] the log-probabilities that ratios are to are those of the same weights: every ratio is 1, and the
//! gradient of `importance_sampling`, `-A r grad log p`, is the slope that the objective has there, whatever it is made of.

use anyhow::{Context, ensure};
use kelvin_core::{
    objective::{BatchLoss, Mismatch, Normalisation, Objective, Said, Surrogate},
    policy::LossStats,
    rollout::Sample,
};

use super::{
    settings::{Entropy, Gradient, Losses, TinkerSettings},
    wire::{Datum, LossFn},
};

/// A setting that the server cannot express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its key.
    pub key: &'static str,
    /// What would do.
    pub hint: &'static str,
}

/// The first of an objective's settings that gradients over this protocol cannot have.
pub fn refusal(objective: &Objective, settings: &TinkerSettings) -> Option<Refusal> {
    let refused = |key, hint| Some(Refusal { key, hint });
    let is_server = settings.losses == Losses::Server;
    if objective.temperature != 1.0 {
        return refused(
            "sampling.solve.temperature",
            "servers learn at temperature 1 alone: set every temperature to 1",
        );
    }
    if objective.entropy_coefficient != 0.0 && (is_server || settings.entropy == Entropy::Refuse) {
        return refused(
            "objective.entropy_coefficient",
            "no loss of the server has an entropy bonus: set it to 0, or estimate its gradient from the drawn tokens with \
             policy.remote.entropy = \"sampled\" (and losses = \"ours\")",
        );
    }
    if !is_server {
        return None;
    }
    const OURS: &str = "the server's losses lack it: set it off, or policy.remote.losses = \"ours\"";
    match objective.surrogate {
        _ if objective.kl.is_some() => refused("objective.kl_coefficient", OURS),
        _ if objective.importance_cap.is_some() => refused("objective.importance_cap", OURS),
        Surrogate::Gspo { .. } => refused("objective.loss", OURS),
        Surrogate::PpoClip { dual, .. } if dual.is_finite() => refused(
            "objective.dual_clip",
            "the server's losses lack it: set it to inf, which is off, or policy.remote.losses = \"ours\"",
        ),
        Surrogate::PpoClip { .. } | Surrogate::Cispo { .. } | Surrogate::Likelihood => None,
    }
}

/// A part of a batch as the server is given it.
pub(super) struct Given {
    pub(super) loss: LossFn,
    pub(super) data: Vec<Datum>,
    /// What the loss says of itself, where log-probabilities were there before.
    pub(super) stats: Option<LossStats>,
}

/// A sequence whose response's tokens are scored, without a loss.
///
/// # Errors
/// If there is no prompt, so that the first token follows nothing.
pub(super) fn scored(prompt: &[u32], response: &[u32]) -> anyhow::Result<Datum> {
    ensure!(!prompt.is_empty(), "a sample has no prompt\nhint: a response follows at least one token");
    let whole = [prompt, response].concat();
    let n_before = prompt.len() - 1;
    let weights = (0..whole.len() - 1).map(|idx| if idx < n_before { 0.0 } else { 1.0 });
    Ok(Datum {
        input: whole[..whole.len() - 1].to_vec(),
        targets: whole[1..].to_vec(),
        weights: weights.collect(),
        advantages: Vec::new(),
        logprobs: Vec::new(),
    })
}

/// What is minimised where kelvin computes slopes: `logprobs` are those of each response under the weights that learn.
///
/// # Errors
/// As [`scored`].
pub(super) fn ours(
    objective: &Objective,
    gradient: Gradient,
    (samples, whole): (&[Sample], &Normalisation),
    logprobs: &[Vec<f32>],
) -> anyhow::Result<Given> {
    let loss = BatchLoss::new(samples, objective, whole);
    let order: Vec<usize> = (0..samples.len()).collect();
    let mut sums = loss.begin(&order);
    let mut data = Vec::with_capacity(samples.len());
    for (idx, (sample, logprobs)) in samples.iter().zip(logprobs).enumerate() {
        assert_eq!(sample.response.len(), logprobs.len(), "a score for each token");
        // A token's entropy is seen through the token alone: the mean of -log p is that of entropies.
        let said = |&logprob: &f32| Said { logprob: f64::from(logprob), entropy: -f64::from(logprob) };
        let said: Vec<Said> = logprobs.iter().map(said).collect();
        if loss.is_coupled(&[idx]) {
            said.iter().enumerate().for_each(|(at, it)| loss.read(&mut sums[idx], at, *it));
        }
        let scale = scale(gradient, whole, sample);
        let slope = |(at, it): (usize, &Said)| {
            let (by_logprob, by_entropy) = loss.token(&mut sums[idx], at, *it);
            // grad H = -E[log p grad log p], of which this token is a draw.
            by_logprob - by_entropy * it.logprob
        };
        let advantages = said.iter().enumerate().map(slope).map(|it| (-it * scale) as f32).collect();
        data.push(filled(sample, advantages, logprobs.clone())?);
    }
    Ok(Given { loss: LossFn::ImportanceSampling, data, stats: Some(loss.stats(sums.into_iter())) })
}

/// What is minimised where the server computes losses, with ratios to `old_logprobs`, which every sample has.
///
/// # Errors
/// As [`scored`].
pub(super) fn servers(
    objective: &Objective,
    gradient: Gradient,
    (samples, whole): (&[Sample], &Normalisation),
) -> anyhow::Result<Given> {
    let bounds = |low: f64, high: f64| (1.0 - low, 1.0 + high);
    let loss = match objective.surrogate {
        Surrogate::Likelihood => LossFn::ImportanceSampling,
        Surrogate::PpoClip { low, high, .. } => {
            let (low, high) = bounds(low, high);
            LossFn::Ppo { low, high }
        }
        Surrogate::Cispo { low, high } => {
            let (low, high) = bounds(low, high);
            LossFn::Cispo { low, high }
        }
        Surrogate::Gspo { .. } => unreachable!("the configuration was checked for it"),
    };
    let datum = |sample: &Sample| {
        let weight = whole.weight(objective, sample) * scale(gradient, whole, sample);
        let advantage = (f64::from(sample.advantage) * weight) as f32;
        filled(sample, vec![advantage; sample.response.len()], sample.old_logprobs.clone())
    };
    let data = samples.iter().map(datum).collect::<anyhow::Result<_>>()?;
    Ok(Given { loss, data, stats: None })
}

/// Samples with the log-probabilities that ratios are to where the server computes losses: those before the update if a
/// sample has them, else the sampler's.
///
/// # Errors
/// If a sample has neither.
pub(super) fn with_old_logprobs(samples: &[Sample]) -> anyhow::Result<Vec<Sample>> {
    let with = |sample: &Sample| {
        let known = [&sample.old_logprobs, &sample.sampler_logprobs].into_iter().find(|it| !it.is_empty());
        let old_logprobs = known.context(
            "a sample has neither old_logprobs nor sampler_logprobs, to which the server's losses take ratios\nhint: give \
             one of them, or set policy.remote.losses = \"ours\"",
        )?;
        Ok(Sample { old_logprobs: old_logprobs.clone(), ..sample.clone() })
    };
    samples.iter().map(with).collect()
}

/// What a loss says of itself, given log-probabilities of each response that came with the gradient.
pub(super) fn stats(
    objective: &Objective,
    (samples, whole): (&[Sample], &Normalisation),
    logprobs: &[Vec<f32>],
) -> LossStats {
    let loss = BatchLoss::new(samples, objective, whole);
    let order: Vec<usize> = (0..samples.len()).collect();
    let mut sums = loss.begin(&order);
    for (sums, logprobs) in sums.iter_mut().zip(logprobs) {
        for (at, &logprob) in logprobs.iter().enumerate() {
            let logprob = f64::from(logprob);
            loss.token(sums, at, Said { logprob, entropy: -logprob });
        }
    }
    // Ratios are to the sampler's log-probabilities here, which say nothing of the trainer's.
    LossStats { mismatch: Mismatch::default(), ..loss.stats(sums.into_iter()) }
}

/// What the server's average divides a token's loss by.
fn scale(gradient: Gradient, whole: &Normalisation, sample: &Sample) -> f64 {
    match gradient {
        Gradient::MeanPerDatum => whole.n_sequences() as f64 * sample.response.len() as f64,
        Gradient::TokenSum => 1.0,
    }
}

/// A datum with what its response's tokens are given; the prompt's are given zeros.
fn filled(sample: &Sample, advantages: Vec<f32>, logprobs: Vec<f32>) -> anyhow::Result<Datum> {
    let datum = scored(&sample.prompt, &sample.response)?;
    let padded = |values: Vec<f32>| [vec![0.0; datum.input.len() - values.len()], values].concat();
    let (advantages, logprobs) = (padded(advantages), padded(logprobs));
    Ok(Datum { advantages, logprobs, ..datum })
}

#[cfg(test)]
mod tests {
    use kelvin_core::objective::{Aggregation, KlEstimator, KlTerm, Scored, evaluate};

    use super::*;

    const ALL: [Aggregation; 4] =
        [Aggregation::GroupToken, Aggregation::Token, Aggregation::Sequence, Aggregation::Constant];

    /// Samples of unequal lengths in two groups, with what a model says of them.
    fn batch() -> (Vec<Sample>, Vec<Vec<f32>>) {
        let mut draws = kelvin_core::seed::Seed::new(4).draws();
        let mut number = |low: f64, high: f64| (low + (high - low) * draws.seed().unit()) as f32;
        let rows = [(3, "a"), (1, "a"), (7, "b"), (4, "b"), (2, "b")].map(|(n, group)| {
            let logprobs: Vec<f32> = (0..n).map(|_| number(-3.0, -0.1)).collect();
            let mut near = |by: f64| logprobs.iter().map(|it| it + number(-by, by)).collect::<Vec<f32>>();
            let sample = Sample {
                prompt: [1, 2, 3].into(),
                response: (0..n).collect(),
                old_logprobs: near(0.4),
                sampler_logprobs: near(0.1),
                reference_logprobs: near(1.0),
                advantage: number(-2.0, 2.0),
                group: group.to_owned(),
            };
            (sample, logprobs)
        });
        rows.into_iter().unzip()
    }

    /// The server's gradient by each response token's log-probability, in f64: the definitions of section 5 of what was
    /// measured on a server (docs/engines/tinker.md), and the sum over tokens.
    fn of_server(given: &[Given], gradient: Gradient, logprobs: &[Vec<f32>]) -> Vec<Vec<f64>> {
        let n_data = given.iter().map(|it| it.data.len()).sum::<usize>() as f64;
        let data = given.iter().flat_map(|it| it.data.iter().map(move |datum| (it.loss, datum)));
        let slopes = data.zip(logprobs).map(|((loss, datum), now)| {
            let n = datum.input.len();
            let weight: f64 = datum.weights.iter().map(|it| f64::from(*it)).sum();
            let divided = match gradient {
                Gradient::MeanPerDatum => weight * n_data,
                Gradient::TokenSum => 1.0,
            };
            let token = |at: usize| {
                let (old, advantage) = (f64::from(datum.logprobs[at]), f64::from(datum.advantages[at]));
                let ratio = (f64::from(now[at + now.len() - n]) - old).exp();
                let by_logprob = match loss {
                    LossFn::CrossEntropy => -1.0,
                    LossFn::ImportanceSampling => -advantage * ratio,
                    LossFn::Ppo { low, high } if ratio.clamp(low, high) * advantage < ratio * advantage => {
                        0.0
                    }
                    LossFn::Ppo { .. } => -advantage * ratio,
                    LossFn::Cispo { low, high } => -advantage * ratio.clamp(low, high),
                };
                f64::from(datum.weights[at]) * by_logprob / divided
            };
            (n - now.len()..n).map(token).collect()
        });
        slopes.collect()
    }

    fn assert_close(found: &[Vec<f64>], expected: &[Vec<f64>], what: &str) {
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            // Advantages and log-probabilities travel in f32.
            assert!((found - expected).abs() < 1e-6 * (1.0 + expected.abs()), "{what}: {found}, {expected}");
        }
        assert_eq!(found.iter().map(Vec::len).sum::<usize>(), expected.iter().map(Vec::len).sum::<usize>());
    }

    /// The slopes of kelvin's own reference.
    fn of_kelvin(objective: &Objective, samples: &[Sample], logprobs: &[Vec<f32>]) -> Vec<Vec<f64>> {
        let scored = |it: &Vec<f32>| Scored {
            logprobs: it.iter().map(|it| f64::from(*it)).collect(),
            entropies: vec![0.0; it.len()],
        };
        let scored: Vec<Scored> = logprobs.iter().map(scored).collect();
        evaluate(objective, samples, &scored).by.into_iter().map(|it| it.logprobs).collect()
    }

    fn objective(surrogate: Surrogate, aggregation: Aggregation) -> Objective {
        Objective { constant_length: 9, ..Objective::new(surrogate, aggregation) }
    }

    #[test]
    fn every_objective_has_the_gradient_of_the_reference_whatever_it_is_made_of() {
        let (samples, logprobs) = batch();
        let surrogates = [
            Surrogate::Likelihood,
            Surrogate::PpoClip { low: 0.2, high: 0.28, dual: 1.5 },
            Surrogate::Gspo { low: 0.05, high: 0.05 },
            Surrogate::Cispo { low: 0.3, high: 0.2 },
        ];
        let whole = Normalisation::of(&samples);
        for (surrogate, aggregation) in surrogates.iter().flat_map(|s| ALL.map(|a| (*s, a))) {
            for estimator in [None, Some(KlEstimator::K1), Some(KlEstimator::K2), Some(KlEstimator::K3)] {
                let objective = Objective {
                    kl: estimator.map(|estimator| KlTerm { estimator, coefficient: 0.3 }),
                    importance_cap: estimator.map(|_| 1.02),
                    ..objective(surrogate, aggregation)
                };
                let expected = of_kelvin(&objective, &samples, &logprobs);
                for gradient in [Gradient::MeanPerDatum, Gradient::TokenSum] {
                    // In one part and in two.
                    for cut in [0, 2] {
                        let parts = [0..cut, cut..samples.len()].map(|part| {
                            ours(&objective, gradient, (&samples[part.clone()], &whole), &logprobs[part])
                                .unwrap()
                        });
                        let found = of_server(&parts, gradient, &logprobs);
                        assert_close(&found, &expected, &format!("{objective:?} {gradient:?}"));
                    }
                }
            }
        }
    }

    #[test]
    fn the_servers_own_losses_are_those_of_the_reference() {
        let (samples, logprobs) = batch();
        let whole = Normalisation::of(&samples);
        let plain = TinkerSettings { losses: Losses::Server, ..TinkerSettings::default() };
        for surrogate in [
            Surrogate::PpoClip { low: 0.2, high: 0.28, dual: f64::INFINITY },
            Surrogate::Cispo { low: 0.3, high: 0.2 },
        ] {
            for aggregation in ALL {
                let objective = objective(surrogate, aggregation);
                assert_eq!(refusal(&objective, &plain), None);
                for gradient in [Gradient::MeanPerDatum, Gradient::TokenSum] {
                    let given = servers(&objective, gradient, (&samples, &whole)).unwrap();
                    let found = of_server(&[given], gradient, &logprobs);
                    assert_close(&found, &of_kelvin(&objective, &samples, &logprobs), "by a log-probability");
                }
            }
        }
    }

    /// Over a distribution, the sampled gradient of an entropy bonus has the mean of the exact one.
    #[test]
    fn the_sampled_entropy_has_the_right_mean() {
        let logits = [0.3f64, -1.2, 0.9, 0.1];
        let sum: f64 = logits.iter().map(|it| it.exp()).sum();
        let p: Vec<f64> = logits.iter().map(|it| it.exp() / sum).collect();
        let entropy: f64 = p.iter().map(|p| -p * p.ln()).sum();
        let objective =
            Objective { entropy_coefficient: 0.7, ..objective(Surrogate::Likelihood, Aggregation::Token) };
        // The loss is -0.7 H; by the logit j it has the derivative 0.7 p_j (log p_j + H).
        let mut mean = [0.0; 4];
        for (token, p_token) in p.iter().enumerate() {
            let sample = Sample { prompt: [1].into(), response: vec![token as u32], ..Sample::default() };
            let whole = Normalisation::of([&sample]);
            let logprob = p_token.ln() as f32;
            let given =
                ours(&objective, Gradient::MeanPerDatum, (&[sample], &whole), &[vec![logprob]]).unwrap();
            let by_logprob = of_server(&[given], Gradient::MeanPerDatum, &[vec![logprob]])[0][0];
            for (j, mean) in mean.iter_mut().enumerate() {
                *mean += p_token * by_logprob * (f64::from(u8::from(j == token)) - p[j]);
            }
        }
        for (found, p) in mean.iter().zip(&p) {
            assert!((found - 0.7 * p * (p.ln() + entropy)).abs() < 1e-6, "{found}");
        }
    }

    #[test]
    fn what_a_server_cannot_express_is_named() {
        let ours = TinkerSettings::default();
        let server = TinkerSettings { losses: Losses::Server, ..ours.clone() };
        let refusing = TinkerSettings { entropy: Entropy::Refuse, ..ours.clone() };
        let plain = objective(Surrogate::Likelihood, Aggregation::Token);
        let kl = Some(KlTerm { estimator: KlEstimator::K2, coefficient: 0.1 });
        let ppo = Surrogate::PpoClip { low: 0.2, high: 0.2, dual: 3.0 };
        for (objective, settings, key) in [
            (plain, &ours, None),
            (Objective { temperature: 0.7, ..plain }, &ours, Some("sampling.solve.temperature")),
            (
                Objective { entropy_coefficient: 0.1, ..plain },
                &refusing,
                Some("objective.entropy_coefficient"),
            ),
            (Objective { entropy_coefficient: 0.1, ..plain }, &ours, None),
            (Objective { entropy_coefficient: 0.1, ..plain }, &server, Some("objective.entropy_coefficient")),
            (Objective { kl, ..plain }, &ours, None),
            (Objective { kl, ..plain }, &server, Some("objective.kl_coefficient")),
            (Objective { importance_cap: Some(2.0), ..plain }, &server, Some("objective.importance_cap")),
            (Objective { surrogate: ppo, ..plain }, &ours, None),
            (Objective { surrogate: ppo, ..plain }, &server, Some("objective.dual_clip")),
            (
                Objective { surrogate: Surrogate::Gspo { low: 0.1, high: 0.1 }, ..plain },
                &server,
                Some("objective.loss"),
            ),
        ] {
            assert_eq!(refusal(&objective, settings).map(|it| it.key), key, "{objective:?}");
        }
    }
}
