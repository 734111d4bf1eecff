//! Folders in and out, whole and broken.

use std::{fs, ops::Range, path::Path};

use half::bf16;
use kelvin_core::seed::Seed;
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::{config::tests::small, params::Tensor};

mod config;

/// A random model with a tokenizer that fits it.
pub(crate) fn tiny(tied: bool) -> Checkpoint {
    let tokenizer =
        Tokenizer::train_bpe(["def f(a):\n    return a + 1\n"].into_iter().cycle().take(4), 270).unwrap();
    let config = ModelConfig { vocab_size: 272, ..small(tied, true) };
    let mut params = Params::random(&config, Seed::new(11));
    for tensor in params.layout.tensors() {
        // Biases and norms of a trained model are neither 0 nor 1.
        if !tensor.decays() {
            let seed = Seed::new(12).fork(&tensor.name);
            for (index, value) in params.flat[tensor.range].iter_mut().enumerate() {
                *value += 0.2 * (seed.nth(index as u64).unit() as f32 - 0.5);
            }
        }
    }
    Checkpoint { config, params, tokenizer, end_tokens: vec![0], kept: KeptFields::default() }
}

fn saved(tied: bool, dtype: Dtype) -> (Checkpoint, TempDir) {
    let (checkpoint, dir) = (tiny(tied), tempfile::tempdir().unwrap());
    checkpoint.save(dir.path(), dtype).unwrap();
    (checkpoint, dir)
}

fn bits(params: &Params) -> Vec<u32> {
    params.flat.iter().map(|it| it.to_bits()).collect()
}

fn message(dir: &Path) -> String {
    let message = format!("{:#}", Checkpoint::load(dir).unwrap_err());
    assert!(message.contains("hint: "), "no hint in: {message}");
    message
}

/// Writes tensors whose values lie in `flat`.
fn write_flat(path: &Path, tensors: &[Tensor], flat: &[f32]) {
    write_tensors(path, tensors, &flat.to_vec(), Dtype::F32, &[]).unwrap();
}

/// The library that writes asks for bytes and takes no error.
#[test]
fn weights_that_cannot_be_read_are_not_written_in_silence() {
    struct Broken;
    impl WeightSource for Broken {
        fn read_rows(&self, tensor: &Tensor, _: Range<usize>, _: &mut [f32]) -> anyhow::Result<()> {
            bail!("{} is gone", tensor.name)
        }
    }
    let (checkpoint, dir) = (tiny(true), tempfile::tempdir().unwrap());
    let Checkpoint { config, tokenizer, kept, .. } = &checkpoint;
    let error = save(dir.path(), Dtype::F32, (config, &Broken), tokenizer, &[], kept).unwrap_err();
    assert!(
        format!("{error:#}").ends_with("model.safetensors: model.embed_tokens.weight is gone"),
        "{error:#}"
    );
}

fn edit_json(path: &Path, edit: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    edit(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn single_precision_comes_back_bit_for_bit() {
    for tied in [true, false] {
        let (written, dir) = saved(tied, Dtype::F32);
        let read = Checkpoint::load(dir.path()).unwrap();
        assert_eq!((&read.config, &read.end_tokens), (&written.config, &written.end_tokens));
        assert_eq!(bits(&read.params), bits(&written.params));
        assert_eq!(read.tokenizer.json(), written.tokenizer.json());
    }
}

#[test]
fn half_precision_rounds_once_to_nearest_even() {
    let (written, dir) = saved(true, Dtype::Bf16);
    let read = Checkpoint::load(dir.path()).unwrap();
    let rounded: Vec<f32> = written.params.flat.iter().map(|&it| bf16::from_f32(it).to_f32()).collect();
    assert_eq!(read.params.flat, rounded);
    let again = tempfile::tempdir().unwrap();
    read.save(again.path(), Dtype::Bf16).unwrap();
    let bytes = |dir: &TempDir| fs::read(dir.path().join(MODEL_SAFETENSORS)).unwrap();
    assert_eq!(bytes(&dir), bytes(&again));
    // 1 + 2^-8 lies midway between two values and goes to the even one; so does 1 + 3 * 2^-8.
    assert_eq!(bf16::from_f32(1.0 + 1.0 / 256.0).to_f32(), 1.0);
    assert_eq!(bf16::from_f32(1.0 + 3.0 / 256.0).to_f32(), 1.015_625);
}

#[test]
fn memory_and_folder_are_read_alike() {
    let (written, dir) = saved(false, Dtype::F32);
    let files: Vec<(String, Vec<u8>)> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    assert_eq!(OpenCheckpoint::embedded(&files).unwrap().load().unwrap().params, written.params);
}

/// Writes the tensors as two files and an index.
fn shard(dir: &Path, params: &Params) {
    fs::remove_file(dir.join(MODEL_SAFETENSORS)).unwrap();
    let mut map = Map::new();
    let tensors = params.layout.tensors();
    for (file, part) in ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
        .into_iter()
        .zip(tensors.chunks(tensors.len().div_ceil(2)))
    {
        write_flat(&dir.join(file), part, &params.flat);
        map.extend(part.iter().map(|it| (it.name.clone(), json!(file))));
    }
    write_json(&dir.join("model.safetensors.index.json"), &json!({ "weight_map": map })).unwrap();
}

/// A model stored in several types, by rows and whole, without a copy of the model in f32.
#[test]
fn tensors_are_read_by_rows() {
    let (written, dir) = saved(false, Dtype::Bf16);
    let open = OpenCheckpoint::folder(dir.path()).unwrap();
    let tensors = written.params.layout.tensors();
    assert_eq!(open.weights.tensors().count(), tensors.len());
    for tensor in &tensors {
        let stored = open.weights.get(&tensor.name).unwrap();
        assert_eq!((&stored.shape, stored.dtype), (&tensor.shape, safetensors::Dtype::BF16));
        let (rows, row_len) = (stored.rows(), stored.row_len());
        for part in [0..rows, rows / 3..rows, 1..rows - 1, 2..2] {
            let values = &written.params.flat[tensor.range.clone()][part.start * row_len..part.end * row_len];
            let expected: Vec<bf16> = values.iter().map(|&it| bf16::from_f32(it)).collect();
            let mut read = vec![9.0; values.len()];
            open.weights.read_into(&tensor.name, part.clone(), &mut read).unwrap();
            assert_eq!(read, expected.iter().map(|it| it.to_f32()).collect::<Vec<_>>());
            let mut exact = vec![bf16::ONE; values.len()];
            open.weights.read_bf16_into(&tensor.name, part, &mut exact).unwrap();
            assert_eq!(exact, expected);
        }
    }
    // A file that shrinks after it was opened is an error, not a signal.
    let file = fs::File::options().write(true).open(dir.path().join(MODEL_SAFETENSORS)).unwrap();
    file.set_len(3000).unwrap();
    let last = tensors.last().unwrap();
    let error = open.weights.read_into(&last.name, 0..1, &mut vec![0.0; last.shape[1]]).unwrap_err();
    assert!(error.to_string().contains("is cut off"), "{error}");
}

#[test]
fn shards_are_put_together() {
    let (written, dir) = saved(false, Dtype::F32);
    shard(dir.path(), &written.params);
    assert_eq!(Checkpoint::load(dir.path()).unwrap().params, written.params);
    fs::remove_file(dir.path().join("model-00002-of-00002.safetensors")).unwrap();
    assert!(message(dir.path()).contains("there is no model-00002-of-00002.safetensors"));
}

#[test]
fn an_index_cannot_lead_out_of_the_folder() {
    let (written, dir) = saved(false, Dtype::F32);
    shard(dir.path(), &written.params);
    let index = dir.path().join("model.safetensors.index.json");
    edit_json(&index, |value| value["weight_map"]["lm_head.weight"] = json!("../secret"));
    assert!(message(dir.path()).contains("not a plain file name"));
}

#[test]
fn a_folder_that_is_no_model_says_so() {
    assert!(message(Path::new("/nonexistent/model")).contains("does not exist"));
    let dir = tempfile::tempdir().unwrap();
    assert!(message(dir.path()).contains("there is no config.json"));
    let (_, dir) = saved(true, Dtype::F32);
    assert!(message(&dir.path().join(CONFIG_JSON)).contains("is not a folder"));
    for (file, named) in
        [("tokenizer.json", "there is no tokenizer.json"), (MODEL_SAFETENSORS, "there is neither")]
    {
        let (_, dir) = saved(true, Dtype::F32);
        fs::remove_file(dir.path().join(file)).unwrap();
        assert!(message(dir.path()).contains(named));
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let (_, dir) = saved(true, Dtype::Bf16);
    let path = dir.path().join(MODEL_SAFETENSORS);
    let whole = fs::read(&path).unwrap();
    for keep in (0..whole.len()).step_by(97).chain([7, 8, 9, whole.len() - 1]) {
        fs::write(&path, &whole[..keep]).unwrap();
        message(dir.path());
    }
    fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
    assert!(message(dir.path()).contains("is cut off"));
}

#[test]
fn a_header_that_lies_is_an_error() {
    let (_, dir) = saved(true, Dtype::F32);
    let path = dir.path().join(MODEL_SAFETENSORS);
    let whole = fs::read(&path).unwrap();
    for index in 0..whole.len().min(2000) {
        let mut hostile = whole.clone();
        hostile[index] ^= 0x15;
        fs::write(&path, hostile).unwrap();
        // Either the damage shows or the header still says the same; it never panics or allocates without
        // bound.
        if let Ok(read) = Checkpoint::load(dir.path()) {
            assert_eq!(read.config, tiny(true).config);
        }
    }
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let (written, dir) = saved(false, Dtype::F32);
    let path = dir.path().join(MODEL_SAFETENSORS);
    let whole = written.params.layout.tensors();
    let write = |tensors: &[Tensor]| {
        write_flat(&path, tensors, &written.params.flat);
        message(dir.path())
    };
    assert!(write(&whole[..whole.len() - 1]).contains("model.layers.1.mlp.down_proj.weight is missing"));
    let mut turned = whole.clone();
    turned[0].shape.reverse();
    assert!(write(&turned).contains("model.embed_tokens.weight has shape [20, 272], not [272, 20]"));
    let mut more = whole.clone();
    more.push(Tensor { name: "model.layers.0.self_attn.q_norm.weight".to_owned(), ..whole[1].clone() });
    assert!(write(&more).contains("q_norm.weight is unexpected"));
    assert!(write(&whole[3..6]).contains("and "), "a long list is cut");
}

#[test]
fn a_stored_tied_head_must_be_the_embedding() {
    let (written, dir) = saved(true, Dtype::F32);
    let path = dir.path().join(MODEL_SAFETENSORS);
    let mut flat = written.params.flat.clone();
    let mut tensors = written.params.layout.tensors();
    let head = flat.len()..flat.len() + tensors[0].range.len();
    flat.extend_from_within(tensors[0].range.clone());
    tensors.push(Tensor {
        name: "lm_head.weight".to_owned(),
        shape: tensors[0].shape.clone(),
        range: head.clone(),
    });
    write_flat(&path, &tensors, &flat);
    assert_eq!(Checkpoint::load(dir.path()).unwrap().params, written.params);
    flat[head.start] += 1.0;
    write_flat(&path, &tensors, &flat);
    assert!(message(dir.path()).contains("differs from"));
    // Of another type of the same size, as the file's header says it.
    let mut bytes = fs::read(&path).unwrap();
    let known = br#""lm_head.weight":{"dtype":"F"#;
    let at = bytes.windows(known.len()).position(|it| it == known).unwrap() + known.len();
    bytes[at - 1] = b'I';
    fs::write(&path, bytes).unwrap();
    assert!(message(dir.path()).contains("lm_head.weight is of type I32"), "{}", message(dir.path()));
}

#[test]
fn weights_that_are_not_finite_are_refused() {
    let (mut written, dir) = saved(true, Dtype::F32);
    written.params.flat[5000] = f32::NAN;
    written.save(dir.path(), Dtype::F32).unwrap();
    assert!(message(dir.path()).contains("holds infinities or NaN"));
}

#[test]
fn end_tokens_come_from_the_most_specific_file() {
    let (_, dir) = saved(true, Dtype::F32);
    let generation = dir.path().join(GENERATION_CONFIG_JSON);
    let end_tokens = || Checkpoint::load(dir.path()).unwrap().end_tokens;
    write_json(&generation, &json!({ "eos_token_id": [9, 4, 9] })).unwrap();
    assert_eq!(end_tokens(), [4, 9]);
    write_json(&generation, &json!({ "do_sample": true })).unwrap();
    edit_json(&dir.path().join(CONFIG_JSON), |config| config["eos_token_id"] = json!(7));
    assert_eq!(end_tokens(), [7]);
    edit_json(&dir.path().join(CONFIG_JSON), |config| config["eos_token_id"] = Value::Null);
    assert_eq!(end_tokens(), [0], "the tokenizer's");
    write_json(&generation, &json!({ "eos_token_id": 272 })).unwrap();
    assert!(message(dir.path()).contains("end token 272"));
    write_json(&generation, &json!({ "eos_token_id": "</s>" })).unwrap();
    assert!(message(dir.path()).contains("eos_token_id of generation_config.json"));
}
