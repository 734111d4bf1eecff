//! Byte-level byte-pair encoding from a corpus (Sennrich, Haddow and Birch 2016; bytes as in GPT-2).
//!
//! The merge loop is our own: that of the `tokenizers` library walks hash maps with random keys, and equal
//! corpora must give equal files. Splitting, encoding and the file format are the library's.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use anyhow::{anyhow, ensure};
use serde_json::json;
use tokenizers::{
    AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, PreTokenizerWrapper,
    SplitDelimiterBehavior,
    models::bpe::{BPE, Vocab},
    pre_tokenizers::{
        byte_level::ByteLevel,
        digits::Digits,
        sequence::Sequence,
        split::{Split, SplitPattern},
    },
};

use super::{TOKENIZER_CONFIG_JSON, Tokenizer};

/// The end token of trained tokenizers; its id is 0.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// The end token and one token for each byte.
const VOCAB_SIZE_MIN: usize = 257;

type Pair = (u32, u32);

impl Tokenizer {
    /// Learns merges from `texts` until there are `vocab_size` tokens or nothing is left to merge. Id 0 is
    /// [`END_OF_TEXT`], then come the 256 bytes in the order of their GPT-2 characters, then the merges; so
    /// any text round-trips. Every digit is a token of its own. Equal texts give equal files.
    ///
    /// In transformers, `PreTrainedTokenizerFast` reads a text alike. `AutoTokenizer` of version 5 does not:
    /// beside a Qwen2 model it replaces the splitting of any tokenizer by that of Qwen2. Beside Qwen3 and Llama it reads alike.
    ///
    /// # Errors
    /// If `vocab_size` has no room for the end token and the bytes.
    pub fn train_bpe<'text>(
        texts: impl Iterator<Item = &'text str>,
        vocab_size: usize,
    ) -> anyhow::Result<Tokenizer> {
        ensure!(
            VOCAB_SIZE_MIN <= vocab_size,
            "a vocabulary of {vocab_size} has no room for the end token and 256 bytes\n\
             hint: ask for at least {VOCAB_SIZE_MIN} tokens"
        );
        let split = splitter()?;
        let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
        alphabet.sort_unstable();
        let mut spellings: Vec<String> = vec![END_OF_TEXT.to_owned()];
        spellings.extend(alphabet.iter().map(char::to_string));
        let ids: HashMap<char, u32> = (1..).zip(&alphabet).map(|(id, &byte)| (byte, id)).collect();
        let words = count_words(texts, &split)?
            .into_iter()
            .map(|(word, count)| (word.chars().map(|byte| ids[&byte]).collect(), count))
            .collect();
        let merges = learn_merges(words, &mut spellings, vocab_size);
        assemble(&spellings, &merges, split)
    }
}

/// Letters up to a closing quote: those of a string literal without spaces. Each is a token, so that a small model can
/// see what it reverses, counts and replaces.
const QUOTED_LETTER: &str = "[A-Za-z](?=[A-Za-z]*')";

/// Letters of short string literals and digits stand alone, then GPT-2's pattern splits words with their leading space.
fn splitter() -> anyhow::Result<PreTokenizerWrapper> {
    let letters =
        Split::new(SplitPattern::Regex(QUOTED_LETTER.to_owned()), SplitDelimiterBehavior::Isolated, false)
            .map_err(|error| anyhow!("compiling the pattern of quoted letters: {error}"))?;
    Ok(PreTokenizerWrapper::Sequence(Sequence::new(vec![
        PreTokenizerWrapper::Split(letters),
        PreTokenizerWrapper::Digits(Digits::new(true)),
        PreTokenizerWrapper::ByteLevel(byte_level()),
    ])))
}

fn byte_level() -> ByteLevel {
    ByteLevel::new(false, true, true)
}

fn count_words<'text>(
    texts: impl Iterator<Item = &'text str>,
    split: &PreTokenizerWrapper,
) -> anyhow::Result<BTreeMap<String, i64>> {
    let mut counts: HashMap<String, i64> = HashMap::new();
    for text in texts {
        let mut text = PreTokenizedString::from(text);
        split.pre_tokenize(&mut text).map_err(|error| anyhow!("splitting a text: {error}"))?;
        for (word, _, _) in text.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => drop(counts.insert(word.to_owned(), 1)),
            }
        }
    }
    Ok(counts.into_iter().collect())
}

/// How often adjacent tokens occur, and in which words; the most frequent pair is found without a scan.
#[derive(Default)]
struct Pairs {
    /// Count, and indices of words that hold the pair or held it.
    by_pair: HashMap<Pair, (i64, BTreeSet<usize>)>,
    /// Every pair of positive count; the last is the most frequent, among equals the one of smallest ids.
    by_count: BTreeSet<(i64, Reverse<Pair>)>,
}

impl Pairs {
    fn add(&mut self, pair: Pair, change: i64, word: usize) {
        let (count, words) = self.by_pair.entry(pair).or_default();
        self.by_count.remove(&(*count, Reverse(pair)));
        *count += change;
        words.insert(word);
        if 0 < *count {
            self.by_count.insert((*count, Reverse(pair)));
        }
    }

    fn count(&mut self, word: &[u32], change: i64, word_index: usize) {
        for pair in word.windows(2) {
            self.add((pair[0], pair[1]), change, word_index);
        }
    }
}

/// Merges the most frequent pair again and again; `spellings` grows by each new token.
fn learn_merges(
    mut words: Vec<(Vec<u32>, i64)>,
    spellings: &mut Vec<String>,
    vocab_size: usize,
) -> Vec<(String, String)> {
    let mut pairs = Pairs::default();
    for (index, (word, count)) in words.iter().enumerate() {
        pairs.count(word, *count, index);
    }
    let mut known: HashMap<String, u32> = (0..).zip(&*spellings).map(|(id, it)| (it.clone(), id)).collect();
    let mut merges = Vec::new();
    while spellings.len() < vocab_size {
        let Some(&(_, Reverse(pair))) = pairs.by_count.last() else { break };
        let (left, right) = (spellings[pair.0 as usize].clone(), spellings[pair.1 as usize].clone());
        // Two merges may spell the same token; it keeps its first id.
        let merged = *known.entry(format!("{left}{right}")).or_insert_with_key(|spelling| {
            spellings.push(spelling.clone());
            (spellings.len() - 1) as u32
        });
        merges.push((left, right));
        let holders = pairs.by_pair.get(&pair).expect("a counted pair has holders").1.clone();
        for index in holders {
            let (word, count) = &mut words[index];
            pairs.count(word, -*count, index);
            *word = merge(word, pair, merged);
            pairs.count(word, *count, index);
        }
        pairs.by_pair.remove(&pair);
    }
    merges
}

/// `word` with every occurrence of `pair`, taken from the left, replaced.
fn merge(word: &[u32], pair: Pair, merged: u32) -> Vec<u32> {
    let mut out = Vec::with_capacity(word.len());
    let mut at = 0;
    while at < word.len() {
        if word[at..].starts_with(&[pair.0, pair.1]) {
            out.push(merged);
            at += 2;
        } else {
            out.push(word[at]);
            at += 1;
        }
    }
    out
}

fn assemble(
    spellings: &[String],
    merges: &[(String, String)],
    split: PreTokenizerWrapper,
) -> anyhow::Result<Tokenizer> {
    let broken = |error: tokenizers::Error| anyhow!("assembling the tokenizer: {error}");
    let vocab: Vocab = spellings.iter().cloned().zip(0..).collect();
    let model = BPE::builder().vocab_and_merges(vocab, merges.to_vec()).build().map_err(broken)?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer
        .with_pre_tokenizer(Some(split))
        .with_post_processor(Some(byte_level()))
        .with_decoder(Some(byte_level()))
        .add_special_tokens(&[AddedToken::from(END_OF_TEXT, true)]);
    let json = tokenizer.to_string(true).map_err(broken)?;
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": false,
        "add_prefix_space": false,
        "clean_up_tokenization_spaces": false,
        "eos_token": END_OF_TEXT,
        "pad_token": END_OF_TEXT,
    });
    let mut tokenizer = Tokenizer::from_bytes(json.as_bytes())?;
    let config = serde_json::to_vec_pretty(&config).expect("a JSON value can be written");
    tokenizer.files.push((TOKENIZER_CONFIG_JSON.to_owned(), config));
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXTS: [&str; 3] = [
        "def f(a, b):\n    return [a + b, a - b]\n",
        "def f(xs):\n    total = 0\n    for x in xs:\n        total += x\n    return total\n",
        "aaaa aaaaa          spaces 1234 \u{e9}\u{e9}",
    ];

    fn trained() -> Tokenizer {
        Tokenizer::train_bpe(TEXTS.into_iter().cycle().take(9), 300).unwrap()
    }

    #[test]
    fn equal_texts_give_equal_files() {
        assert_eq!(trained().json(), trained().json());
    }

    #[test]
    fn the_vocabulary_is_filled_in_the_promised_order() {
        let tokenizer = trained();
        assert_eq!(tokenizer.vocab_size(), 300);
        assert_eq!(tokenizer.id(END_OF_TEXT), Some(0));
        assert_eq!(tokenizer.id("!"), Some(1));
        let exhausted = Tokenizer::train_bpe(["ab"].into_iter(), 1000).unwrap();
        assert_eq!(exhausted.vocab_size(), 258);
        assert_eq!(exhausted.encode("abab").unwrap(), [257, 257]);
        assert!(Tokenizer::train_bpe(["ab"].into_iter(), 256).is_err());
    }

    #[test]
    fn the_most_frequent_pair_is_merged_first_and_ties_go_to_small_ids() {
        let mut spellings: Vec<String> = ["", "a", "b", "c"].map(String::from).to_vec();
        let words = vec![(vec![1, 2, 3], 2), (vec![2, 3], 1), (vec![1, 1, 1, 1, 1], 1)];
        let merges = learn_merges(words, &mut spellings, 8);
        // (a,a) occurs four times, (b,c) three times; then (a,bc) twice, (aa,aa) and (aa,a) once each.
        let expected = [("a", "a"), ("b", "c"), ("a", "bc"), ("aa", "a")];
        assert_eq!(merges, expected.map(|(left, right)| (left.to_owned(), right.to_owned())));
    }

    #[test]
    fn digits_stand_alone() {
        assert_eq!(trained().encode("1234").unwrap().len(), 4);
    }

    #[test]
    fn the_end_token_is_read_but_not_shown() {
        let tokenizer = trained();
        let ids = tokenizer.encode("a<|endoftext|>b").unwrap();
        assert_eq!(ids[1], 0);
        assert_eq!(tokenizer.decode(&ids).unwrap(), "ab");
        assert_eq!(tokenizer.configured_end_token().unwrap(), Some(0));
    }

    #[test]
    fn every_byte_has_a_token() {
        let tokenizer = trained();
        let ids: BTreeSet<u32> = (0..=0x10_ffffu32)
            .step_by(61)
            .filter_map(char::from_u32)
            .flat_map(|it| tokenizer.encode(&it.to_string()).unwrap())
            .collect();
        assert!(ids.iter().all(|&id| (id as usize) < 300));
    }

    #[test]
    fn any_text_round_trips() {
        let tokenizer = trained();
        proptest!(|(text in any::<String>())| {
            let ids = tokenizer.encode(&text).unwrap();
            prop_assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        });
    }
}
