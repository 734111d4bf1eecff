//! The decoder: forward passes that keep what their hand-written backward passes need.
//!
//! A batch is ragged: sequences of different lengths lie one after another as rows, without padding. Each op
//! has its forward and backward side by side in one file; what a row comes out as depends on its own sequence
//! up to it alone, bit for bit, and so not on whether its prompt is shared.

mod attention;
mod backbone;
mod embedding;
#[cfg(test)]
mod gradient_tests;
mod head;
mod layer;
mod linear;
mod logprobs;
mod mlp;
mod ragged;
#[cfg(test)]
mod sharing_tests;
mod threads;

use std::fmt::Display;

use anyhow::{Result, ensure};

pub(crate) use backbone::{Backbone, Keep, Workspace};
pub(crate) use head::{Head, PredictedRows, logits_rows};
pub use logprobs::forward_logprobs;
pub(crate) use ragged::{CHUNK_ROWS, Ragged, balanced_chunks};
pub(crate) use threads::Threads;

use crate::config::ModelConfig;

/// Checks that the model can read a sequence of `len` tokens, all of them in `tokens`.
///
/// # Errors
/// If it is longer than the model's positions or has a token outside the vocabulary; the message starts with
/// `what`.
pub(crate) fn check_tokens<'tokens>(
    config: &ModelConfig,
    what: impl Display,
    len: usize,
    tokens: impl IntoIterator<Item = &'tokens u32>,
) -> Result<()> {
    ensure!(
        len <= config.max_position_embeddings,
        "{what} has {len} tokens, the model {} positions\nhint: shorten it",
        config.max_position_embeddings
    );
    for &token in tokens {
        ensure!(
            (token as usize) < config.vocab_size,
            "{what} has token {token}, which is not below the vocabulary size {}\nhint: use the model's own \
             tokenizer",
            config.vocab_size
        );
    }
    Ok(())
}

/// Makes `buffer` exactly `len` floats, in the memory it has if that is enough, else in new memory of that size: no two
/// of them at once, and no room beyond the most that was ever asked for. Contents are unspecified.
pub(crate) fn sized(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.capacity() < len {
        *buffer = Vec::new();
        buffer.reserve_exact(len);
    }
    buffer.resize(len, 0.0);
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_takes_what_was_asked_for_at_most() {
        let mut buffer = Vec::new();
        for (len, most) in [(1000, 1000), (10, 1000), (1001, 1001), (900, 1001)] {
            assert_eq!(sized(&mut buffer, len).len(), len);
            assert_eq!(buffer.capacity(), most);
        }
    }
}
