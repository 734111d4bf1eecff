//! Adapters as a server packs them: PEFT's two files in a tar, gzipped or not. Nothing else of it is looked at.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Cursor, Read},
    path::Path,
};

use anyhow::{Context, ensure};
use flate2::read::GzDecoder;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// How a file begins that gzip wrote.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What stands between the name of a matrix and that of its adapter.
const DOWN: &str = ".lora_A.";
const UP: &str = ".lora_B.";

/// What servers multiply a branch of adapters by, times its rank: the protocol has no field for another.
const ALPHA: f64 = 32.0;

/// Adapters of an archive, checked.
#[derive(Debug)]
pub(super) struct Adapter {
    config: Map<String, Value>,
    weights: Vec<u8>,
}

impl Adapter {
    /// Of both files, to be of this rank.
    ///
    /// # Errors
    /// If they are of other adapters, or of none.
    pub(super) fn new([config, weights]: [Vec<u8>; 2], rank: usize) -> anyhow::Result<Adapter> {
        let config: Map<String, Value> =
            serde_json::from_slice(&config).with_context(|| format!("reading {CONFIG}"))?;
        ensure!(
            config.get("r").and_then(Value::as_u64) == Some(rank as u64),
            "{CONFIG} is of adapters of rank {}, not of {rank}",
            config.get("r").unwrap_or(&Value::Null)
        );
        ensure!(
            config.get("lora_alpha").and_then(Value::as_f64) == Some(ALPHA),
            "{CONFIG} is of adapters with the alpha {}, not with {ALPHA}",
            config.get("lora_alpha").unwrap_or(&Value::Null)
        );
        let mut adapter = Adapter { config, weights };
        let targets = adapter.targets(rank)?;
        // Engines want the list, and some trainers leave it to a library's table of architectures.
        let named = adapter.config.entry("target_modules").or_insert(Value::Null);
        if named.is_null() {
            *named = targets.into_iter().collect();
        }
        Ok(adapter)
    }

    /// The last names of what has adapters. No weight is infinite or none at all.
    fn targets(&self, rank: usize) -> anyhow::Result<BTreeSet<String>> {
        let tensors =
            SafeTensors::deserialize(&self.weights).with_context(|| format!("reading {WEIGHTS}"))?;
        let names: BTreeSet<&str> = tensors.names().into_iter().collect();
        let mut targets = BTreeSet::new();
        for (name, tensor) in tensors.iter() {
            ensure!(is_finite(tensor.dtype(), tensor.data()), "{name} has a weight that is not finite");
            let Some((module, _)) = name.split_once(DOWN) else { continue };
            ensure!(
                tensor.shape().first() == Some(&rank) && names.contains(name.replace(DOWN, UP).as_str()),
                "{name} is not half of an adapter of rank {rank}"
            );
            targets.insert(module.rsplit('.').next().unwrap_or(module).to_owned());
        }
        ensure!(!targets.is_empty(), "there are no adapters in {WEIGHTS}");
        Ok(targets)
    }

    /// Writes both files into a folder.
    ///
    /// # Errors
    /// If one cannot be written.
    pub(super) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let config = serde_json::to_vec_pretty(&self.config).expect("it was read as JSON");
        for (name, bytes) in [(CONFIG, &config), (WEIGHTS, &self.weights)] {
            let path = dir.join(name);
            fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(())
    }
}

/// Whether numbers are; of types that no server writes nothing is known.
fn is_finite(dtype: Dtype, bytes: &[u8]) -> bool {
    // Of 16 bits, whose exponent is of ones where they are no number.
    let is_half =
        |exponent: u16| bytes.as_chunks().0.iter().all(|it| u16::from_le_bytes(*it) & exponent != exponent);
    match dtype {
        Dtype::BF16 => is_half(0x7f80),
        Dtype::F16 => is_half(0x7c00),
        Dtype::F32 => bytes.as_chunks().0.iter().all(|it| f32::from_le_bytes(*it).is_finite()),
        Dtype::F64 => bytes.as_chunks().0.iter().all(|it| f64::from_le_bytes(*it).is_finite()),
        _ => true,
    }
}

/// Unpacks the contents of both files from an archive, of at most `bytes_max` then. All is read, to the checksum at the end.
///
/// # Errors
/// If it is none, is larger, or lacks one.
pub(super) fn files(packed: &[u8], bytes_max: usize) -> anyhow::Result<[Vec<u8>; 2]> {
    let unpacked: Box<dyn Read + '_> = match packed.starts_with(&GZIP) {
        true => Box::new(GzDecoder::new(packed)),
        false => Box::new(Cursor::new(packed)),
    };
    let mut archive = tar::Archive::new(unpacked.take(bytes_max as u64 + 1));
    let mut found = [const { None }; 2];
    let cut = || format!("it is no whole archive of at most {bytes_max} bytes");
    for entry in archive.entries().context("it is no archive")? {
        let mut entry = entry.with_context(cut)?;
        let path = entry.path_bytes().into_owned();
        let name = path.rsplit(|it| *it == b'/').next().unwrap_or_default();
        let Some(at) = [CONFIG, WEIGHTS].iter().position(|it| it.as_bytes() == name) else { continue };
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).with_context(cut)?;
        ensure!(bytes.len() as u64 == entry.size(), "{}", cut());
        ensure!(found[at].replace(bytes).is_none(), "it has two of {}", [CONFIG, WEIGHTS][at]);
    }
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).with_context(cut)?;
    ensure!(0 < rest.limit(), "{}", cut());
    let [config, weights] = found;
    Ok([
        config.context("it has no adapter_config.json")?,
        weights.context("it has no adapter_model.safetensors")?,
    ])
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use safetensors::tensor::TensorView;
    use serde_json::json;

    use super::*;

    fn read(packed: &[u8], bytes_max: usize, rank: usize) -> anyhow::Result<Adapter> {
        Adapter::new(files(packed, bytes_max)?, rank)
    }

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            // Servers write names that begin at the root, which this library would not.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_entry_type(tar::EntryType::Regular);
            header.set_cksum();
            archive.append(&header, *bytes).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    fn weights(names: &[&str]) -> Vec<u8> {
        weights_of(names, 0.5)
    }

    fn weights_of(names: &[&str], weight: f32) -> Vec<u8> {
        let bytes = [weight; 2 * 3].map(f32::to_le_bytes).concat();
        let view = |name: &&str| {
            let shape = if name.contains(DOWN) { vec![2, 3] } else { vec![3, 2] };
            (name.to_string(), TensorView::new(Dtype::F32, shape, &bytes).unwrap())
        };
        safetensors::serialize(names.iter().map(view), None).unwrap()
    }

    const NAMES: [&str; 4] = [
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight",
        "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight",
        "base_model.model.model.layers.0.mlp.up_proj.lora_B.weight",
    ];

    #[test]
    fn both_files_come_out_and_targets_are_named() {
        let weights = weights(&NAMES);
        for (targets, expected) in [(json!(null), json!(["q_proj", "up_proj"])), (json!("all"), json!("all"))]
        {
            let config = json!({"r": 2, "lora_alpha": 32, "target_modules": targets}).to_string();
            let files: [(&str, &[u8]); 3] = [
                ("/adapter_config.json", config.as_bytes()),
                ("x/other", b"?"),
                ("/adapter_model.safetensors", &weights),
            ];
            let plain = tar(&files);
            for packed in [gzip(&plain), plain] {
                let dir = tempfile::tempdir().unwrap();
                read(&packed, 1 << 20, 2).unwrap().write(dir.path()).unwrap();
                let written: Value =
                    serde_json::from_slice(&fs::read(dir.path().join(CONFIG)).unwrap()).unwrap();
                assert_eq!(written["target_modules"], expected);
                assert_eq!(fs::read(dir.path().join(WEIGHTS)).unwrap(), weights);
                assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
            }
        }
    }

    /// What is not what was asked for is an error, never a folder.
    #[test]
    fn anything_else_is_refused() {
        let (whole, config) = (weights(&NAMES), br#"{"r": 2, "lora_alpha": 32}"#.as_slice());
        let of = |config: &[u8], weights: &[u8]| gzip(&tar(&[(CONFIG, config), (WEIGHTS, weights)]));
        let good = of(config, &whole);
        read(&good, 1 << 20, 2).unwrap();
        let halves = weights(&NAMES[..1]);
        let no_adapters = weights(&["model.weight"]);
        let (infinite, nothing) = (weights_of(&NAMES, f32::INFINITY), weights_of(&NAMES, f32::NAN));
        // After the last byte that the tar needs: what was read before it is not what was packed.
        let mut torn = good.clone();
        *torn.iter_mut().nth_back(7).unwrap() ^= 1;
        let zeros = gzip(&tar(&[("padding", &vec![0; 1 << 20]), (CONFIG, config), (WEIGHTS, &whole)]));
        for (packed, rank, told) in [
            (good[..good.len() / 2].to_vec(), 2, "archive"),
            (b"<html>".to_vec(), 2, "archive"),
            (Vec::new(), 2, "adapter_config.json"),
            (good.clone(), 4, "rank 2, not of 4"),
            (torn, 2, "no whole archive"),
            (of(br#"{"r": 2}"#, &whole), 2, "the alpha null, not with 32"),
            (of(br#"{"r": 2, "lora_alpha": 16}"#, &whole), 2, "the alpha 16, not with 32"),
            (of(config, &infinite), 2, "not finite"),
            (of(config, &nothing), 2, "not finite"),
            (of(b"[]", &whole), 2, "reading adapter_config.json"),
            (of(config, &whole[..20]), 2, "reading adapter_model.safetensors"),
            (of(config, &halves), 2, "half of an adapter"),
            (of(config, &no_adapters), 2, "no adapters"),
            (gzip(&tar(&[(CONFIG, config)])), 2, "no adapter_model"),
            (gzip(&tar(&[(CONFIG, config), ("b/adapter_config.json", config)])), 2, "two of"),
            // A few hundred bytes that unpack to more than is taken.
            (zeros, 2, "at most 65536 bytes"),
        ] {
            let error = format!("{:#}", read(&packed, 1 << 16, rank).unwrap_err());
            assert!(error.contains(told), "{told}: {error}");
        }
    }

    #[test]
    fn numbers_are_told_from_what_is_none() {
        let half = |bits: u16| bits.to_le_bytes();
        for (dtype, largest, infinite) in [(Dtype::BF16, 0x7f7f, 0x7f80), (Dtype::F16, 0x7bff, 0x7c00)] {
            assert!(is_finite(dtype, &[half(0), half(largest), half(largest | 0x8000)].concat()));
            for none in [infinite, infinite | 0x8000, infinite | 1] {
                assert!(!is_finite(dtype, &[half(0), half(none)].concat()), "{dtype:?} {none:x}");
            }
        }
        assert!(is_finite(Dtype::F64, &f64::MAX.to_le_bytes()));
        assert!(!is_finite(Dtype::F64, &f64::NAN.to_le_bytes()));
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_a_server_says_breaks_it(mut bytes in proptest::collection::vec(0u8.., 0..600), at in 0usize..4096, to in 0u8..) {
            drop(read(&bytes, 1 << 16, 2));
            let mut good = tar(&[(CONFIG, br#"{"r": 2, "lora_alpha": 32}"#), (WEIGHTS, &weights(&NAMES))]);
            let n = good.len();
            good[at % n] = to;
            drop(read(&good, 1 << 16, 2));
            bytes.splice(0..0, GZIP);
            drop(read(&bytes, 1 << 16, 2));
        }
    }
}
