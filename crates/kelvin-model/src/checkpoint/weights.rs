//! Tensors of a model in safetensors files, in and out.

use std::{
    borrow::Cow,
    cell::OnceCell,
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    path::Path,
};

use anyhow::{Context, bail, ensure};
use half::bf16;
use safetensors::View;
use serde::{Deserialize, Serialize};

use super::{
    files::{StoredTensor, WeightFiles, is_readable},
    source::Source,
};
use crate::{
    config::ModelConfig,
    params::{Layout, Params, Tensor, WeightSource},
};

const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";
/// Numbers that are read at once to be written.
const PART: usize = 1 << 20;

/// The type of weights in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// IEEE single precision, exact.
    F32,
    /// The upper half of single precision, rounded to nearest, ties to even.
    Bf16,
}

impl Dtype {
    /// The spelling of PyTorch.
    pub fn as_str(self) -> &'static str {
        match self {
            Dtype::F32 => "float32",
            Dtype::Bf16 => "bfloat16",
        }
    }
}

/// Checks that the files hold the tensors of a model, all of them and no others.
pub(super) fn check_model(files: &WeightFiles<'_>, config: &ModelConfig) -> anyhow::Result<()> {
    check_tensors(&Layout::new(config).tensors(), files, config.tie_word_embeddings)?;
    if config.tie_word_embeddings && files.get(HEAD).is_some() {
        check_tied(files)?;
    }
    Ok(())
}

/// Some writers store the tied head as well; then it must be the embedding.
fn check_tied(files: &WeightFiles<'_>) -> anyhow::Result<()> {
    /// Numbers compared at once.
    const COMPARED: usize = 1 << 22;
    let embedding = files.get(EMBEDDING).expect("checked before");
    let (rows, row_len) = (embedding.rows(), embedding.row_len());
    let step = (COMPARED / row_len).max(1);
    let (mut ours, mut theirs) = (vec![0.0; step * row_len], vec![0.0; step * row_len]);
    for start in (0..rows).step_by(step) {
        let part = start..rows.min(start + step);
        let len = part.len() * row_len;
        files.read_into(EMBEDDING, part.clone(), &mut ours[..len])?;
        files.read_into(HEAD, part, &mut theirs[..len])?;
        ensure!(
            ours[..len] == theirs[..len],
            "config.json ties the head to the embedding, but {HEAD} differs from {EMBEDDING}\n\
             hint: set tie_word_embeddings to false in config.json"
        );
    }
    Ok(())
}

/// Reads all weights of a model, which [`check_model`] found there.
pub(super) fn read_model(files: &WeightFiles<'_>, config: &ModelConfig) -> anyhow::Result<Params> {
    let mut params = Params::zeros(config);
    for tensor in params.layout.tensors() {
        files.read_into(&tensor.name, 0..tensor.shape[0], &mut params.flat[tensor.range])?;
    }
    Ok(params)
}

/// Opens a file whose tensors are exactly `tensors`.
pub(crate) fn open_tensors<'dir>(
    dir: &'dir Path,
    file: &str,
    tensors: &[Tensor],
) -> anyhow::Result<WeightFiles<'dir>> {
    let files = WeightFiles::open(&Source::Folder(dir), &[file.to_owned()])?;
    check_tensors(tensors, &files, false)?;
    Ok(files)
}

/// Reads a file whose tensors are exactly `tensors`; returns the metadata of its header.
pub(crate) fn read_tensors(
    dir: &Path,
    file: &str,
    tensors: &[Tensor],
    flat: &mut [f32],
) -> anyhow::Result<HashMap<String, String>> {
    let files = open_tensors(dir, file, tensors)?;
    for tensor in tensors {
        files.read_into(&tensor.name, 0..tensor.shape[0], &mut flat[tensor.range.clone()])?;
    }
    Ok(files.into_metadata())
}

/// Compares what a model needs with what files hold, and names every difference.
fn check_tensors(needed: &[Tensor], files: &WeightFiles<'_>, tied: bool) -> anyhow::Result<()> {
    let mut stored: BTreeMap<&str, &StoredTensor> = files.tensors().collect();
    let mut complaints = Vec::new();
    for tensor in needed {
        let name = tensor.name.as_str();
        match stored.remove(name) {
            None => complaints.push(format!("{name} is missing")),
            Some(info) if info.shape != tensor.shape => {
                complaints.push(format!("{name} has shape {:?}, not {:?}", info.shape, tensor.shape))
            }
            Some(info) if !is_readable(info.dtype) => {
                complaints.push(format!("{name} is of type {:?}", info.dtype))
            }
            Some(_) => {}
        }
    }
    let embedding = needed.iter().find(|it| it.name == EMBEDDING);
    for (name, info) in stored {
        // Older writers store the rotary frequencies, which follow from the configuration.
        let derived = name.ends_with(".rotary_emb.inv_freq");
        let tied_head = tied && name == HEAD && embedding.is_some_and(|it| it.shape == info.shape);
        if !derived && !tied_head {
            complaints.push(format!("{name} is unexpected"));
        } else if tied_head && !is_readable(info.dtype) {
            complaints.push(format!("{name} is of type {:?}", info.dtype));
        }
    }
    if complaints.is_empty() {
        return Ok(());
    }
    const SHOWN: usize = 6;
    let more = complaints.len().saturating_sub(SHOWN);
    complaints.truncate(SHOWN);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    bail!(
        "the weights are not those of the model that is described: {}{more}\n\
         hint: config.json and the safetensors files must come from one model, in f32, f16 or bf16",
        complaints.join("; ")
    )
}

/// Writes all weights of a model into one file.
pub(super) fn write_model(
    path: &Path,
    config: &ModelConfig,
    weights: &dyn WeightSource,
    dtype: Dtype,
) -> anyhow::Result<()> {
    write_tensors(path, &Layout::new(config).tensors(), weights, dtype, &[("format", "pt")])
}

/// Writes tensors as `source` has them, and `metadata` in the header: one entry at most, for the library keeps no order
/// of several, and equal models are equal files. Beside `source` it takes the memory of the largest one.
pub(crate) fn write_tensors(
    path: &Path,
    tensors: &[Tensor],
    source: &dyn WeightSource,
    dtype: Dtype,
    metadata: &[(&str, &str)],
) -> anyhow::Result<()> {
    assert!(metadata.len() <= 1, "several entries have no order");
    let failed = OnceCell::new();
    let views = tensors
        .iter()
        .map(|tensor| (tensor.name.as_str(), Written { tensor, source, dtype, failed: &failed }));
    let metadata = metadata.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    let writing = || format!("writing {}", path.display());
    // The library writes a file that only its owner may read; a model is to be as readable as any file made here.
    let permissions =
        File::create(path).and_then(|file| file.metadata()).with_context(writing)?.permissions();
    safetensors::serialize_to_file(views, Some(metadata), path).with_context(writing)?;
    if let Some(error) = failed.into_inner() {
        return Err(error).with_context(writing);
    }
    fs::set_permissions(path, permissions).with_context(writing)
}

/// One tensor, read and converted when it is its turn to be written.
struct Written<'it> {
    tensor: &'it Tensor,
    source: &'it dyn WeightSource,
    dtype: Dtype,
    /// The first error of the source, which the library has no way to tell.
    failed: &'it OnceCell<anyhow::Error>,
}

impl Written<'_> {
    /// Calls `take` with the values, a part after another.
    fn each_part(&self, mut take: impl FnMut(&[f32])) {
        let (n_rows, row_len) = (self.tensor.shape[0], self.tensor.row_len());
        let step = (PART / row_len).max(1);
        let mut values = vec![0.0; step.min(n_rows) * row_len];
        for start in (0..n_rows).step_by(step) {
            let rows = start..n_rows.min(start + step);
            let part = &mut values[..rows.len() * row_len];
            if let Err(error) = self.source.read_rows(self.tensor, rows, part) {
                self.failed.get_or_init(|| error);
            }
            take(part);
        }
    }
}

impl View for Written<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        match self.dtype {
            Dtype::F32 => safetensors::Dtype::F32,
            Dtype::Bf16 => safetensors::Dtype::BF16,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.tensor.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = Vec::with_capacity(self.data_len());
        self.each_part(|values| match self.dtype {
            Dtype::F32 => values.iter().for_each(|it| bytes.extend(it.to_le_bytes())),
            Dtype::Bf16 => values.iter().for_each(|&it| bytes.extend(bf16::from_f32(it).to_le_bytes())),
        });
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        let size = match self.dtype {
            Dtype::F32 => 4,
            Dtype::Bf16 => 2,
        };
        self.tensor.range.len() * size
    }
}
