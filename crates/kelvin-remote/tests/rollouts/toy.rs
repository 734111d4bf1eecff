//! A policy of one number, which both a trainer and servers compute with: they agree to the bit.

use std::{fs, path::Path, sync::mpsc::Receiver};

use anyhow::{Context, bail};
use kelvin_core::{
    objective::{BatchLoss, Objective, Said},
    policy::{
        AdamParams, Completions, Exported, Exports, Indexed, LossStats, OptimStats, Part, Sampler, Trainer,
        UpdateId,
    },
    rollout::SampleRequest,
    seed::Seed,
};

use crate::world::{How, Weights};

/// Tokens: letters, and 0 for the end.
const SIZE: u64 = 27;
/// Files of an adapter as PEFT has them, and of a model as transformers has it.
const FILES: [[&str; 2]; 2] =
    [["adapter_config.json", "adapter_model.safetensors"], ["config.json", "model.safetensors"]];

/// Log-probabilities of every token after some.
pub fn logprobs(weight: u64, before: &[u32]) -> Vec<f32> {
    let context = before.iter().rev().take(2).fold(Seed::new(weight), |seed, &it| seed.nth(u64::from(it)));
    let logits: Vec<f64> = (0..SIZE).map(|it| 4.0 * context.nth(1000 + it).unit()).collect();
    let sum: f64 = logits.iter().map(|it| it.exp()).sum();
    logits.iter().map(|it| (it - sum.ln()) as f32).collect()
}

/// The weight of a folder.
#[derive(Clone, Copy, Default)]
pub struct Weight(u64);

impl Weights for Weight {
    /// As a server does: nothing is there unless both files are.
    fn read(dir: &Path, exported: Exported) -> anyhow::Result<Weight> {
        let [config, weights] = FILES[exported as usize];
        fs::metadata(dir.join(config)).with_context(|| format!("No adapter found for {}", dir.display()))?;
        Ok(Weight(fs::read_to_string(dir.join(weights))?.parse()?))
    }

    fn draw(&self, prompt: &[u32], How { seed, max_tokens, greedy: _ }: How) -> (Vec<u32>, Vec<f32>, bool) {
        let (mut whole, mut said) = (prompt.to_vec(), Vec::new());
        for at in 0..max_tokens {
            let logprobs = logprobs(self.0, &whole);
            let mut rest = Seed::new(seed).nth(at as u64).unit();
            let token = logprobs.iter().position(|it| {
                rest -= f64::from(*it).exp();
                rest < 0.0
            });
            let token = token.unwrap_or(logprobs.len() - 1);
            whole.push(token as u32);
            said.push(logprobs[token]);
            if token == 0 {
                break;
            }
        }
        let tokens = whole.split_off(prompt.len());
        let ended = tokens.last() == Some(&0);
        (tokens, said, ended)
    }
}

/// Weights that become others with each step.
pub struct Toy {
    pub learnt: u64,
    published: u64,
    exported: Exported,
}

impl Toy {
    pub fn new(exported: Exported) -> Toy {
        Toy { learnt: 5, published: 5, exported }
    }
}

impl Exports for Toy {
    fn export_weights(&self, dir: &Path) -> anyhow::Result<Exported> {
        let [config, weights] = FILES[self.exported as usize];
        fs::write(dir.join(config), "{}")?;
        fs::write(dir.join(weights), self.learnt.to_string())?;
        Ok(self.exported)
    }
}

impl Trainer for Toy {
    fn forward_backward_part(
        &mut self,
        _: UpdateId,
        part: Part<'_>,
        objective: &Objective,
    ) -> anyhow::Result<LossStats> {
        objective.check(part.samples)?;
        let loss = BatchLoss::new(part.samples, objective, part.whole);
        let mut sums = loss.begin(&(0..part.samples.len()).collect::<Vec<_>>());
        for (sample, sums) in part.samples.iter().zip(&mut sums) {
            let mut whole = sample.prompt.to_vec();
            for (at, &token) in sample.response.iter().enumerate() {
                let logprob = f64::from(logprobs(self.learnt, &whole)[token as usize]);
                loss.token(sums, at, Said { logprob, entropy: 0.0 });
                whole.push(token);
            }
        }
        Ok(loss.stats(sums.into_iter()))
    }
    fn optim_step(&mut self, _: UpdateId, _: &AdamParams) -> anyhow::Result<OptimStats> {
        self.learnt += 1;
        Ok(OptimStats::default())
    }
    fn publish(&mut self, _: UpdateId) -> anyhow::Result<()> {
        self.published = self.learnt;
        Ok(())
    }
    fn sampler(&self) -> &dyn Sampler {
        self
    }
    fn reset_optimizer(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
    fn freeze(&self) -> anyhow::Result<Box<dyn Sampler>> {
        bail!("nothing here is compared with it")
    }
    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        Ok(fs::write(dir.join("weight"), self.learnt.to_string())?)
    }
    fn restore(&mut self, dir: &Path) -> anyhow::Result<()> {
        self.learnt = fs::read_to_string(dir.join("weight"))?.parse()?;
        self.published = self.learnt;
        Ok(())
    }
}

impl Sampler for Toy {
    fn serve(&self, _: Receiver<Indexed<SampleRequest>>, _: Completions) -> anyhow::Result<()> {
        bail!("servers draw")
    }
    fn logprobs(&self, sequences: &[Vec<u32>], _: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        let of = |it: &Vec<u32>| {
            (1..it.len()).map(|at| logprobs(self.published, &it[..at])[it[at] as usize]).collect()
        };
        Ok(sequences.iter().map(of).collect())
    }
    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        Ok(prompt.len())
    }
}

/// A scripted server of such weights.
pub type World = crate::world::World<Weight>;
