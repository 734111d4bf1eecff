//! A vocabulary that needs no model.

use std::path::Path;

use kelvin_core::vocabulary::{Cut, Vocabulary};

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
