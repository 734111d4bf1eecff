//! What a policy is made of here: tokens that are bytes, and a trainer that writes the same weights whatever happens.

use std::{fs, path::Path, sync::mpsc::Receiver};

use anyhow::bail;
use kelvin_core::{
    objective::Objective,
    policy::{
        AdamParams, Completions, Exported, Exports, Indexed, LossStats, OptimStats, Part, Sampler, Trainer,
        UpdateId,
    },
    rollout::SampleRequest,
    vocabulary::{Cut, Vocabulary},
};

/// A token a byte.
pub struct Bytes;

impl Vocabulary for Bytes {
    fn encode(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        Ok(text.bytes().map(u32::from).collect())
    }
    fn decode(&self, ids: &[u32]) -> anyhow::Result<String> {
        Ok(ids.iter().map(|&it| char::from(it as u8)).collect())
    }
    fn cut(&self, _: &[u32], _: &[String]) -> anyhow::Result<Option<Cut>> {
        Ok(None)
    }
    fn end_tokens(&self) -> &[u32] {
        &[]
    }
    fn size(&self) -> usize {
        256
    }
    fn positions(&self) -> usize {
        4096
    }
    fn save(&self, _: &Path) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Learns nothing.
pub struct Still;

impl Exports for Still {
    fn export_weights(&self, dir: &Path) -> anyhow::Result<Exported> {
        fs::write(dir.join("adapter_config.json"), "{}")?;
        Ok(Exported::Adapter)
    }
}

impl Trainer for Still {
    fn forward_backward_part(
        &mut self,
        _: UpdateId,
        _: Part<'_>,
        _: &Objective,
    ) -> anyhow::Result<LossStats> {
        bail!("nothing is learnt here")
    }
    fn optim_step(&mut self, _: UpdateId, _: &AdamParams) -> anyhow::Result<OptimStats> {
        bail!("nothing is learnt here")
    }
    fn publish(&mut self, _: UpdateId) -> anyhow::Result<()> {
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
    fn save(&self, _: &Path) -> anyhow::Result<()> {
        Ok(())
    }
    fn restore(&mut self, _: &Path) -> anyhow::Result<()> {
        Ok(())
    }
}

impl Sampler for Still {
    fn serve(&self, _: Receiver<Indexed<SampleRequest>>, _: Completions) -> anyhow::Result<()> {
        bail!("servers draw")
    }
    fn logprobs(&self, _: &[Vec<u32>], _: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        bail!("nothing here is compared with it")
    }
    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        Ok(prompt.len())
    }
}
