//! A vocabulary of letters.

use std::path::Path;

use kelvin_core::vocabulary::{Cut, Vocabulary};

/// Ids of letters; 0 ends a completion.
pub struct Letters;

impl Vocabulary for Letters {
    fn encode(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        Ok(text.bytes().map(|it| u32::from(it - b'`')).collect())
    }
    fn decode(&self, ids: &[u32]) -> anyhow::Result<String> {
        Ok(ids.iter().map(|&it| char::from(it as u8 + b'`')).collect())
    }
    fn cut(&self, ids: &[u32], stops: &[String]) -> anyhow::Result<Option<Cut>> {
        let text = self.decode(ids)?;
        let found = stops.iter().filter_map(|stop| Some((text.find(stop)?, stop.len()))).min();
        Ok(found.map(|(at, n)| Cut { n_tokens: at + n, text: text[..at].to_owned() }))
    }
    fn end_tokens(&self) -> &[u32] {
        &[0]
    }
    fn size(&self) -> usize {
        27
    }
    fn positions(&self) -> usize {
        40
    }
    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        Ok(std::fs::write(dir.join("letters"), "a to z")?)
    }
}
