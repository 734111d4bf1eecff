//! The bytes of each token of a byte-level tokenizer, so that text can be followed token by token.

use anyhow::bail;
use tokenizers::DecoderWrapper;

use super::Tokenizer;

/// Bytes by token. Those of a sequence, put together, are the sequence's text before it is made valid UTF-8.
#[derive(Debug)]
pub(crate) struct TokenBytes {
    bytes: Vec<u8>,
    /// Where the bytes of each id begin; one more than ids.
    starts: Vec<usize>,
}

impl TokenBytes {
    /// The bytes of `id`: none for special tokens and for ids without a token, which have no text.
    pub(crate) fn get(&self, id: u32) -> &[u8] {
        match self.starts.get(id as usize..).and_then(|starts| starts.get(..2)) {
            Some(bounds) => &self.bytes[bounds[0]..bounds[1]],
            None => &[],
        }
    }
}

impl Tokenizer {
    /// What [`Tokenizer::decode`] puts together.
    ///
    /// # Errors
    /// If the tokenizer is not byte-level, so that a token's text depends on its neighbours.
    pub(crate) fn token_bytes(&self) -> anyhow::Result<TokenBytes> {
        let Some(DecoderWrapper::ByteLevel(_)) = self.inner.get_decoder() else {
            bail!(
                "the model's tokenizer is not byte-level, so that stop sequences cannot be looked for\n\
                 hint: use a model with a byte-level BPE such as Qwen's or Llama 3's, or leave out `stop`"
            );
        };
        let mut byte_of = vec![None; 512];
        for byte in 0..=u8::MAX {
            byte_of[u32::from(character(byte)) as usize] = Some(byte);
        }
        let added = self.inner.get_added_vocabulary();
        let (mut bytes, mut starts) = (Vec::new(), vec![0]);
        for id in 0..self.vocab_size() as u32 {
            let token = self.inner.id_to_token(id).filter(|token| !added.is_special_token(token));
            if let Some(token) = token {
                let byte = |letter: char| byte_of.get(u32::from(letter) as usize).copied().flatten();
                match token.chars().map(byte).collect::<Option<Vec<u8>>>() {
                    Some(letters) => bytes.extend(letters),
                    // An added token is spelled as it reads.
                    None => bytes.extend(token.as_bytes()),
                }
            }
            starts.push(bytes.len());
        }
        Ok(TokenBytes { bytes, starts })
    }
}

/// The character that stands for a byte in GPT-2's vocabulary: printable bytes stand for themselves, the others for
/// the characters from 256 on, in their order.
fn character(byte: u8) -> char {
    let is_printable = |byte: u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    if is_printable(byte) {
        return char::from(byte);
    }
    let rank = (0..byte).filter(|&below| !is_printable(below)).count() as u32;
    char::from_u32(256 + rank).expect("there are 68 of them")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kelvin_core::seed::Seed;
    use serde_json::json;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;

    use super::*;

    #[test]
    fn characters_are_those_of_the_library() {
        let ours: BTreeSet<char> = (0..=u8::MAX).map(character).collect();
        assert_eq!(ours, ByteLevel::alphabet().into_iter().collect());
    }

    #[test]
    fn bytes_put_together_are_the_decoded_text() {
        let trained = Tokenizer::train_bpe(["größe = 'añb' # €\n"].into_iter(), 290).unwrap();
        let mut file: serde_json::Value = serde_json::from_slice(trained.json()).unwrap();
        for (id, content, special) in
            [(290, "<tool call>", false), (291, "<think>", false), (292, "<|im_end|>", true)]
        {
            let token = json!({
                "id": id, "content": content, "special": special,
                "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            });
            file["added_tokens"].as_array_mut().unwrap().push(token);
        }
        let tokenizer = Tokenizer::from_bytes(file.to_string().as_bytes()).unwrap();
        let bytes = tokenizer.token_bytes().unwrap();
        for row in 0..300 {
            let mut draws = Seed::new(4).nth(row).draws();
            // Ids beyond the vocabulary too, and sequences that are no UTF-8.
            let ids: Vec<u32> = (0..row % 23).map(|_| draws.below(296) as u32).collect();
            let whole: Vec<u8> = ids.iter().flat_map(|&id| bytes.get(id).iter().copied()).collect();
            assert_eq!(String::from_utf8_lossy(&whole), tokenizer.decode(&ids).unwrap(), "{ids:?}");
        }
    }

    #[test]
    fn other_tokenizers_are_refused() {
        let words = json!({
            "version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "WhitespaceSplit"},
            "model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"},
        });
        let error = Tokenizer::from_bytes(words.to_string().as_bytes()).unwrap().token_bytes().unwrap_err();
        assert!(error.to_string().contains("not byte-level"), "{error}");
        assert!(error.to_string().contains("\nhint: "), "{error}");
    }
}
