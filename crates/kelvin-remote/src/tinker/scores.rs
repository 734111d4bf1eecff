//! What adapters say of tokens that are given: forward passes, and adapters that are kept for nothing else.

use std::sync::{Arc, mpsc::Receiver};

use anyhow::{Context, bail};
use kelvin_core::{
    policy::{Completions, Indexed, Sampler},
    rollout::SampleRequest,
    vocabulary::Vocabulary,
};

use super::{
    answers,
    engine::{Call, Engine},
    losses,
    model::Model,
    reference::require_temperature_1,
    wire::{Datum, LossFn, Pass},
};

/// What a policy was, in adapters that never learn.
pub(super) struct Frozen {
    pub(super) engine: Arc<Engine>,
    pub(super) vocabulary: Arc<dyn Vocabulary>,
    pub(super) model: Model,
}

impl Sampler for Frozen {
    fn serve(&self, _: Receiver<Indexed<SampleRequest>>, _: Completions) -> anyhow::Result<()> {
        bail!("what is frozen is compared with, nothing is drawn from it")
    }

    fn logprobs(&self, sequences: &[Vec<u32>], temperature: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        logprobs(&self.engine, &self.model, sequences, temperature)
    }

    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        Ok(self.vocabulary.encode(prompt)?.len())
    }
}

/// Log-probabilities of each token after the first, under adapters as they are.
pub(super) fn logprobs(
    engine: &Engine,
    model: &Model,
    sequences: &[Vec<u32>],
    temperature: f32,
) -> anyhow::Result<Vec<Vec<f32>>> {
    require_temperature_1(temperature)?;
    // What has one token at most has nothing to say.
    let long: Vec<usize> = (0..sequences.len()).filter(|&it| 1 < sequences[it].len()).collect();
    let data = long.iter().map(|&it| losses::scored(&sequences[it][..1], &sequences[it][1..]));
    let scores = score(engine, model, &data.collect::<anyhow::Result<Vec<_>>>()?)?;
    let mut logprobs = vec![Vec::new(); sequences.len()];
    long.into_iter().zip(scores).for_each(|(idx, it)| logprobs[idx] = it);
    Ok(logprobs)
}

/// A forward pass: what adapters say of every target.
pub(super) fn score(engine: &Engine, model: &Model, data: &[Datum]) -> anyhow::Result<Vec<Vec<f32>>> {
    let mut scores = Vec::with_capacity(data.len());
    for data in data.chunks(engine.link.settings.data_max) {
        scores.extend(engine.wait_heeding(async {
            let call = model.pass(data, LossFn::CrossEntropy, Pass::Forward).await?;
            answered(engine, &call, data).await
        })?);
    }
    Ok(scores)
}

/// What the server says of the targets of a pass. An answer that makes no sense is asked for again, under the same number.
pub(super) async fn answered(engine: &Engine, call: &Call, data: &[Datum]) -> anyhow::Result<Vec<Vec<f32>>> {
    let link = &engine.link;
    let mut tried = 0;
    loop {
        let reply =
            link.call(call).await.map_err(|it| link.told("asking for log-probabilities or gradients", it))?;
        match answers::scores(&reply, data) {
            Err(_) if tried < link.settings.retries => {
                link.http.pause(tried).await;
                tried += 1;
            }
            read => return read.with_context(|| format!("reading what {} computed", link.http.server())),
        }
    }
}
