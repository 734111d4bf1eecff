//! The model below the adapters, of which no adapter's weights are read: what a KL term of a whole run pulls towards.

use std::sync::{Arc, mpsc::Receiver};

use anyhow::{Context, bail, ensure};
use kelvin_core::{
    policy::{Completions, Indexed, Sampler},
    rollout::SampleRequest,
    stop::Stop,
    vocabulary::Vocabulary,
};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    engine::Engine,
    sampler,
    wire::{self, Draw, Source},
};

/// A model of the server as it was served.
pub struct BaseModel {
    engine: Arc<Engine>,
    vocabulary: Arc<dyn Vocabulary>,
    name: String,
}

impl BaseModel {
    /// The model that the server calls `name`.
    pub fn new(engine: Arc<Engine>, vocabulary: Arc<dyn Vocabulary>, name: String) -> BaseModel {
        BaseModel { engine, vocabulary, name }
    }
}

impl Sampler for BaseModel {
    fn serve(&self, _: Receiver<Indexed<SampleRequest>>, _: Completions) -> anyhow::Result<()> {
        bail!("a reference is compared with, nothing is drawn from it")
    }

    fn listen(&mut self, stop: Stop) {
        self.engine.threads.listen(stop);
    }

    /// By drawing one token after each sequence, which nobody reads: servers say what they think of a prompt.
    fn logprobs(&self, sequences: &[Vec<u32>], temperature: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        require_temperature_1(temperature)?;
        let link = &self.engine.link;
        self.engine.wait_heeding(async {
            let room = Arc::new(Semaphore::new(link.settings.concurrent_max));
            let mut tasks = JoinSet::new();
            for (idx, sequence) in sequences.iter().enumerate() {
                let permit = Arc::clone(&room).acquire_owned().await.expect("nobody closes it");
                let (link, n) = (Arc::clone(link), sequence.len());
                let body = wire::sample(&Draw {
                    source: Source::Base(&self.name),
                    prompt: sequence,
                    max_tokens: 1,
                    temperature: 1.0,
                    seed: 0,
                    stop: &[],
                    prompt_logprobs: true,
                });
                let asked = async move {
                    let drawn = sampler::ask(&link, body).await?;
                    drop(permit);
                    let said = drawn.prompt_logprobs.context(
                        "the server does not say log-probabilities of prompts\nhint: a KL term needs them; set \
                         objective.kl_coefficient = 0",
                    )?;
                    anyhow::Ok((idx, after_the_first(said, n)?))
                };
                tasks.spawn(asked);
            }
            let mut logprobs = vec![Vec::new(); sequences.len()];
            while let Some(scored) = tasks.join_next().await {
                let (idx, scored) = scored.context("a request panicked")??;
                logprobs[idx] = scored;
            }
            Ok(logprobs)
        })
    }

    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        Ok(self.vocabulary.encode(prompt)?.len())
    }
}

/// Of the tokens after the first: some servers leave the first out, some say that there is nothing to say of it.
fn after_the_first(mut said: Vec<f32>, n_tokens: usize) -> anyhow::Result<Vec<f32>> {
    if said.len() == n_tokens {
        said.remove(0);
    }
    ensure!(
        said.len() + 1 == n_tokens && said.iter().all(|it| it.is_finite()),
        "the server says {} log-probabilities of a prompt of {n_tokens} tokens, or some that are not finite",
        said.len()
    );
    Ok(said)
}

/// Checks what log-probabilities are asked for.
///
/// # Errors
/// If they are at another temperature than 1.
pub(super) fn require_temperature_1(temperature: f32) -> anyhow::Result<()> {
    ensure!(
        temperature == 1.0,
        "log-probabilities at the temperature {temperature} are asked of a server that has them at 1 alone\nhint: set \
         sampling.solve.temperature to 1"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_token_has_nothing_to_follow() {
        assert_eq!(after_the_first(vec![f32::NAN, -1.0, -2.0], 3).unwrap(), [-1.0, -2.0]);
        assert_eq!(after_the_first(vec![-1.0, -2.0], 3).unwrap(), [-1.0, -2.0]);
        assert!(after_the_first(vec![-1.0], 3).is_err());
        assert!(after_the_first(vec![-1.0, f32::NAN], 3).is_err());
    }
}
