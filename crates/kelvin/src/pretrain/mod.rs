//! Making a base model from nothing: the corpus of kelvin-env, a byte-level BPE, and maximum likelihood through the
//! same `Trainer` that self-play uses.

mod examine;
mod settings;

use std::sync::Arc;

use kelvin_core::{
    objective::{Aggregation, Objective, Surrogate},
    policy::Trainer,
    rollout::Sample,
    seed::Seed,
};
use kelvin_env::corpus::Example;
use kelvin_model::Tokenizer;
use rayon::prelude::*;
use serde::Serialize;

pub(crate) use examine::examine;
pub(crate) use settings::{PretrainSettings, Start, TrainSettings};

/// One line of the loss curve.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CurvePoint {
    /// Updates so far.
    pub(crate) update: u64,
    /// Tokens read so far, prompts included.
    pub(crate) tokens: u64,
    /// Mean loss since the point before, in nats, as the objective weighs it.
    pub(crate) loss: f64,
    /// Step size of the update.
    pub(crate) learning_rate: f64,
}

/// Updates between two points of the loss curve.
const CURVE_EVERY: u64 = 25;

/// The examples as samples: what is asked is conditioned on, what is answered is learnt.
///
/// # Errors
/// If a text cannot be tokenised.
pub(crate) fn samples(tokenizer: &Tokenizer, end: u32, examples: &[Example]) -> anyhow::Result<Vec<Sample>> {
    let sample = |example: &Example| {
        let prompt: Arc<[u32]> = tokenizer.encode(&example.prompt)?.into();
        let mut response = tokenizer.encode(&example.response)?;
        response.push(end);
        Ok(Sample {
            prompt,
            response,
            advantage: 1.0,
            group: example.kind.group().into(),
            ..Sample::default()
        })
    };
    examples.par_iter().map(sample).collect()
}

/// Trains on `samples` in seeded order, over and over, until `settings.tokens` tokens are read.
///
/// # Errors
/// If the trainer fails, or `stop` does.
pub(crate) fn train(
    trainer: &mut dyn Trainer,
    samples: &[Sample],
    settings: &TrainSettings,
    seed: Seed,
    stop: &dyn Fn() -> anyhow::Result<()>,
    watcher: &mut dyn FnMut(&CurvePoint),
) -> anyhow::Result<Vec<CurvePoint>> {
    let objective = Objective::new(Surrogate::Likelihood, Aggregation::GroupToken);
    let mut order = Order::new(samples.len(), seed);
    let (mut curve, mut tokens, mut update, mut losses) = (Vec::new(), 0u64, 0u64, Vec::new());
    while tokens < settings.tokens {
        stop()?;
        let mut batch = Vec::new();
        let mut batch_tokens = 0;
        while batch_tokens < settings.batch_tokens {
            let sample = &samples[order.next()];
            batch_tokens += sample.prompt.len() + sample.response.len();
            batch.push(sample.clone());
        }
        let adam = settings.adam(tokens);
        tokens += batch_tokens as u64;
        update += 1;
        losses.push(trainer.forward_backward(update, &batch, &objective)?.loss);
        trainer.optim_step(update, &adam)?;
        if update.is_multiple_of(CURVE_EVERY) || settings.tokens <= tokens {
            let loss = losses.iter().sum::<f64>() / losses.len() as f64;
            let point = CurvePoint { update, tokens, loss, learning_rate: adam.learning_rate };
            watcher(&point);
            curve.push(point);
            losses.clear();
        }
    }
    trainer.publish(update)?;
    Ok(curve)
}

/// Indices in an order that each epoch draws anew.
struct Order {
    seed: Seed,
    epoch: u64,
    left: Vec<usize>,
    n: usize,
}

impl Order {
    fn new(n: usize, seed: Seed) -> Order {
        assert!(0 < n, "training on nothing");
        Order { seed, epoch: 0, left: Vec::new(), n }
    }

    fn next(&mut self) -> usize {
        if self.left.is_empty() {
            self.left = self.seed.nth(self.epoch).draws().distinct(self.n, self.n);
            self.epoch += 1;
        }
        self.left.pop().expect("an epoch is not empty")
    }
}
