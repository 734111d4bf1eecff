//! Text drawn greedily against transformers; `xtask/py/decode_goldens.py` writes `goldens/decode_*`.

use std::{path::Path, sync::Arc};

use kelvin_core::{
    policy::{Sampler, Trainer},
    rollout::{Finish, SampleRequest, Sampling},
    seed::Seed,
};
use kelvin_model::{Checkpoint, Dtype, NativeOptions, NativePolicy};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    max_new_tokens: usize,
    end_tokens: Vec<u32>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    prompt: String,
    prompt_ids: Vec<u32>,
    drawn_ids: Vec<u32>,
    text: String,
    logprobs: Vec<f64>,
}

fn compare(policy: &NativePolicy, expected: &Expected) {
    assert_eq!(policy.end_tokens(), expected.end_tokens);
    let sampling = Arc::new(Sampling::greedy(expected.max_new_tokens));
    let request = |row: &Row| SampleRequest {
        prompt: row.prompt.clone(),
        seed: Seed::new(0),
        sampling: sampling.clone(),
    };
    let drawn = policy.sample(expected.rows.iter().map(request).collect()).unwrap();
    let sequences: Vec<Vec<u32>> =
        expected.rows.iter().map(|row| [&row.prompt_ids[..], &row.drawn_ids].concat()).collect();
    let scored = policy.logprobs(&sequences, 1.0).unwrap();
    for ((row, drawn), scored) in expected.rows.iter().zip(&drawn).zip(&scored) {
        assert_eq!(drawn.prompt_tokens[..], row.prompt_ids, "{:?}", row.prompt);
        assert_eq!(drawn.tokens, row.drawn_ids, "{:?}", row.prompt);
        assert_eq!(drawn.text, row.text);
        let stopped = row.drawn_ids.last().is_some_and(|token| expected.end_tokens.contains(token));
        assert_eq!(drawn.finish == Finish::Stop, stopped);
        assert_eq!(scored.len(), row.logprobs.len());
        for (&scored, &expected) in scored.iter().zip(&row.logprobs) {
            assert!((f64::from(scored) - expected).abs() < 1e-4, "{scored}, transformers {expected}");
        }
    }
}

#[test]
fn greedy_text_is_that_of_transformers() {
    for (name, dtype) in [("decode_tied", Dtype::F32), ("decode_untied", Dtype::Bf16)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens").join(name);
        let expected = std::fs::read(folder.join("expected.json")).unwrap();
        let expected: Expected = serde_json::from_slice(&expected).unwrap();
        let options = NativeOptions { threads: 2, ..NativeOptions::default() };
        let checkpoint = Checkpoint::load(&folder).unwrap();
        assert_eq!(checkpoint.config.tie_word_embeddings, name == "decode_tied");
        let policy = NativePolicy::new(checkpoint, options.clone()).unwrap();
        compare(&policy, &expected);
        // What we write, we read as the same model.
        let dir = tempfile::tempdir().unwrap();
        policy.export(dir.path(), dtype).unwrap();
        compare(&NativePolicy::new(Checkpoint::load(dir.path()).unwrap(), options).unwrap(), &expected);
    }
}

/// A run whose tokenizer lost a token goes on with that tokenizer, and exports it.
#[test]
fn a_demoted_token_stays_demoted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/decode_tied");
    let policy = || {
        let mut checkpoint = Checkpoint::load(&folder).unwrap();
        assert!(checkpoint.demote(&[291]).unwrap_err().to_string().contains("ends completions"));
        checkpoint.end_tokens.retain(|&id| id != 291);
        checkpoint.demote(&[291]).unwrap();
        NativePolicy::new(checkpoint, NativeOptions { threads: 1, ..NativeOptions::default() }).unwrap()
    };
    let ids = policy().tokenize("<|im_end|>").unwrap();
    assert_eq!(ids.len(), 10);
    let dir = tempfile::tempdir().unwrap();
    policy().save(dir.path()).unwrap();
    let mut resumed = policy();
    resumed.restore(dir.path()).unwrap();
    assert_eq!(resumed.tokenize("<|im_end|>").unwrap(), ids);
    assert_eq!(Checkpoint::load(dir.path()).unwrap().tokenizer.encode("<|im_end|>").unwrap(), ids);
}
