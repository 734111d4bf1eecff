//! Whole losses against PyTorch's autograd (`xtask/py/objective_goldens.py`) and finite differences.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Goldens {
    samples: Vec<GoldenSample>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct GoldenSample {
    advantage: f32,
    group: String,
    logprobs: Vec<f64>,
    entropies: Vec<f64>,
    old_logprobs: Vec<f32>,
    sampler_logprobs: Vec<f32>,
    reference_logprobs: Vec<f32>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    objective: Objective,
    loss: f64,
    by_logprob: Vec<Vec<f64>>,
    by_entropy: Vec<Vec<f64>>,
}

fn goldens() -> (Vec<Sample>, Vec<Scored>, Vec<Case>) {
    let Goldens { samples, cases } =
        serde_json::from_str(include_str!("../../goldens/objectives.json")).unwrap();
    let scored = samples
        .iter()
        .map(|it| Scored { logprobs: it.logprobs.clone(), entropies: it.entropies.clone() })
        .collect();
    let batch = samples.into_iter().map(|it| Sample {
        prompt: [0].into(),
        response: vec![0; it.logprobs.len()],
        advantage: it.advantage,
        old_logprobs: it.old_logprobs,
        sampler_logprobs: it.sampler_logprobs,
        reference_logprobs: it.reference_logprobs,
        group: it.group,
    });
    (batch.collect(), scored, cases)
}

#[test]
fn losses_and_derivatives_are_those_of_autograd() {
    let (batch, scored, cases) = goldens();
    assert_eq!(cases.len(), 15);
    for case in cases {
        case.objective.check(&batch).unwrap();
        let Evaluated { loss, by } = evaluate(&case.objective, &batch, &scored);
        let close = |found: f64, expected: f64, what: &str| {
            assert!((found - expected).abs() < 1e-12, "{}, {what}: {found}, PyTorch {expected}", case.name);
        };
        close(loss, case.loss, "loss");
        for (idx, by) in by.iter().enumerate() {
            assert_eq!(by.logprobs.len(), case.by_logprob[idx].len());
            for (found, expected) in by.logprobs.iter().zip(&case.by_logprob[idx]) {
                close(*found, *expected, "derivative by a log-probability");
            }
            for (found, expected) in by.entropies.iter().zip(&case.by_entropy[idx]) {
                close(*found, *expected, "derivative by an entropy");
            }
        }
    }
}

/// Every log-probability moved by itself: for GSPO each moves the ratio of its whole response.
#[test]
fn derivatives_match_finite_differences_of_the_whole_loss() {
    let (mut batch, scored, cases) = goldens();
    // Without old log-probabilities the old policy would move along.
    batch[5].old_logprobs = scored[5].logprobs.iter().map(|it| *it as f32).collect();
    let holds_nothing_fixed = |objective: &Objective| match objective.surrogate {
        Surrogate::Cispo { .. } => false,
        Surrogate::Gspo { .. } => objective.importance_cap.is_none(),
        Surrogate::Likelihood | Surrogate::PpoClip { .. } => true,
    };
    for Case { name, objective, .. } in cases.iter().filter(|it| holds_nothing_fixed(&it.objective)) {
        let evaluated = evaluate(objective, &batch, &scored);
        for (sample, by) in evaluated.by.iter().enumerate() {
            for (token, by_logprob) in by.logprobs.iter().enumerate() {
                let at = |x: f64| {
                    let mut moved = scored.clone();
                    moved[sample].logprobs[token] += x;
                    evaluate(objective, &batch, &moved).loss
                };
                let numeric = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!(
                    (numeric - by_logprob).abs() < 1e-8,
                    "{name} {sample} {token}: {numeric} {by_logprob}"
                );
            }
        }
    }
}

/// Where the old policy is the current one all ratios are 1, and every surrogate has REINFORCE's gradient.
#[test]
fn on_policy_all_surrogates_agree() {
    let (mut batch, scored, _) = goldens();
    batch.iter_mut().for_each(|sample| sample.old_logprobs.clear());
    let by = |surrogate| evaluate(&Objective::new(surrogate, Aggregation::Sequence), &batch, &scored).by;
    let reinforce = by(Surrogate::Likelihood);
    assert_eq!(by(Surrogate::PpoClip { low: 0.2, high: 0.28, dual: 3.0 }), reinforce);
    assert_eq!(by(Surrogate::Gspo { low: 3e-4, high: 4e-4 }), reinforce);
    assert_eq!(by(Surrogate::Cispo { low: 1.0, high: 2.0 }), reinforce);
}

#[test]
fn an_objective_of_the_first_version_still_reads() {
    let text = r#"{"surrogate": {"kind": "likelihood"}, "aggregation": "token", "entropy_coefficient": 0.0,
        "temperature": 1.0}"#;
    let read: Objective = serde_json::from_str(text).unwrap();
    assert_eq!(read, Objective::new(Surrogate::Likelihood, Aggregation::Token));
    let row = r#"{"prompt": [1], "response": [2], "advantage": 1.0, "old_logprobs": [], "group": "a"}"#;
    let read: Sample = serde_json::from_str(row).unwrap();
    assert_eq!((read.sampler_logprobs, read.reference_logprobs), (Vec::new(), Vec::new()));
}
