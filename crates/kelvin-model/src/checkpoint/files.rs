//! The safetensors files of a model, opened and checked, read tensor by tensor.
//!
//! Files are read at positions, not mapped: nothing is trusted before it is compared with the header, and a file
//! that shrinks meanwhile is an error instead of a signal.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    path::Path,
};

use anyhow::{Context, anyhow, bail, ensure};
use half::bf16;
use rayon::prelude::*;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;

use super::{MODEL_SAFETENSORS, convert, source::Source};
use crate::params::{Tensor, WeightSource};

const INDEX_JSON: &str = "model.safetensors.index.json";
/// As the safetensors library bounds it.
const HEADER_BYTES_MAX: u64 = 100_000_000;
/// Numbers that a thread reads and converts at once: what it reads stays in its cache.
const CHUNK: usize = 1 << 16;
pub(super) const HINT_AGAIN: &str =
    "hint: the file is damaged or was not fetched completely; fetch or save the model again";

/// Tensors of one file or several, whose headers agree with the files' lengths. Opening reads no weights; each
/// tensor is read when it is asked for, in whole or by rows, with all threads of the current pool.
pub struct WeightFiles<'bytes> {
    files: Vec<OpenFile<'bytes>>,
    tensors: BTreeMap<String, StoredTensor>,
    metadata: HashMap<String, String>,
}

struct OpenFile<'bytes> {
    name: String,
    bytes: super::source::Bytes<'bytes>,
}

/// What a header says of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTensor {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// The type of its numbers; F32, F16 and BF16 can be read.
    pub dtype: safetensors::Dtype,
    /// Index of the file.
    file: usize,
    /// Where its first byte lies in the file.
    start: u64,
}

impl StoredTensor {
    /// Rows along the first axis; 1 if it has none.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Numbers in a row.
    pub fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }
}

/// Converts bytes to numbers and says whether all are finite.
type Convert<T> = fn(&[u8], &mut [T]) -> bool;

/// How numbers of a type are read, with the bytes of each; `None` if they cannot be.
fn to_f32(dtype: safetensors::Dtype) -> Option<(usize, Convert<f32>)> {
    match dtype {
        safetensors::Dtype::F32 => Some((4, convert::from_f32)),
        safetensors::Dtype::BF16 => Some((2, convert::from_bf16)),
        safetensors::Dtype::F16 => Some((2, convert::from_f16)),
        _ => None,
    }
}

pub(super) fn is_readable(dtype: safetensors::Dtype) -> bool {
    to_f32(dtype).is_some()
}

impl<'bytes> WeightFiles<'bytes> {
    /// Opens the weights of a model; a single file wins over shards, as in transformers.
    pub(super) fn of_model(source: &Source<'bytes>) -> anyhow::Result<WeightFiles<'bytes>> {
        WeightFiles::open(source, &weight_files(source)?)
    }

    /// Opens files by name.
    pub(super) fn open(source: &Source<'bytes>, names: &[String]) -> anyhow::Result<WeightFiles<'bytes>> {
        let mut opened =
            WeightFiles { files: Vec::new(), tensors: BTreeMap::new(), metadata: HashMap::new() };
        for (file, name) in names.iter().enumerate() {
            let bytes = source.open(name)?.ok_or_else(|| anyhow!("there is no {name}\n{HINT_AGAIN}"))?;
            let new = OpenFile { name: name.clone(), bytes };
            let (data_start, header) = new.header()?;
            opened.files.push(new);
            opened.metadata.extend(header.metadata().clone().unwrap_or_default());
            for (name, info) in header.tensors() {
                let TensorInfo { dtype, shape, data_offsets } = info.clone();
                let start = data_start + data_offsets.0 as u64;
                let twice = opened.tensors.insert(name.clone(), StoredTensor { shape, dtype, file, start });
                ensure!(twice.is_none(), "{name} is in two files\n{HINT_AGAIN}");
            }
        }
        Ok(opened)
    }

    /// Every tensor with its name, in alphabetical order.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &StoredTensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&StoredTensor> {
        self.tensors.get(name)
    }

    /// What the headers say beside tensors.
    pub(super) fn into_metadata(self) -> HashMap<String, String> {
        self.metadata
    }

    /// Reads `rows` of a tensor, which are exactly as many numbers as `into` holds, row-major.
    ///
    /// # Errors
    /// If a file cannot be read or has shrunk, or a number is infinite or NaN.
    ///
    /// # Panics
    /// If there is no such tensor, its type cannot be read, or the sizes do not fit.
    pub fn read_into(&self, name: &str, rows: Range<usize>, into: &mut [f32]) -> anyhow::Result<()> {
        let tensor = self.get(name).unwrap_or_else(|| panic!("{name} is not among the tensors"));
        let (size, convert) =
            to_f32(tensor.dtype).unwrap_or_else(|| panic!("{name} is of type {:?}", tensor.dtype));
        self.read(name, tensor, rows, size, convert, into)
    }

    /// Reads `rows` of a tensor that is stored in bf16, bit for bit.
    ///
    /// # Errors
    /// As [`WeightFiles::read_into`].
    ///
    /// # Panics
    /// If there is no such tensor, it is of another type, or the sizes do not fit.
    pub fn read_bf16_into(&self, name: &str, rows: Range<usize>, into: &mut [bf16]) -> anyhow::Result<()> {
        let tensor = self.get(name).unwrap_or_else(|| panic!("{name} is not among the tensors"));
        assert_eq!(tensor.dtype, safetensors::Dtype::BF16, "the type of {name}");
        self.read(name, tensor, rows, 2, convert::to_bf16, into)
    }

    fn read<T: Send>(
        &self,
        name: &str,
        tensor: &StoredTensor,
        rows: Range<usize>,
        size: usize,
        convert: Convert<T>,
        into: &mut [T],
    ) -> anyhow::Result<()> {
        assert!(rows.start <= rows.end && rows.end <= tensor.rows(), "{name} has {} rows", tensor.rows());
        assert_eq!(into.len(), rows.len() * tensor.row_len(), "{name}: rows {rows:?}");
        let file = &self.files[tensor.file];
        let start = tensor.start + (rows.start * tensor.row_len() * size) as u64;
        into.par_chunks_mut(CHUNK).enumerate().try_for_each_init(Vec::new, |buffer, (idx, values)| {
            buffer.resize(values.len() * size, 0);
            file.read_at(start + (idx * CHUNK * size) as u64, buffer)?;
            ensure!(
                convert(buffer, values),
                "{}: {name} holds infinities or NaN\n\
                 hint: the run that wrote it diverged; take an earlier checkpoint",
                file.name
            );
            Ok(())
        })
    }
}

impl WeightSource for WeightFiles<'_> {
    fn read_rows(&self, tensor: &Tensor, rows: Range<usize>, out: &mut [f32]) -> anyhow::Result<()> {
        self.read_into(&tensor.name, rows, out)
    }
}

impl OpenFile<'_> {
    fn read_at(&self, start: u64, into: &mut [u8]) -> anyhow::Result<()> {
        self.bytes.read_at(start, into).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => anyhow!("{} is cut off\n{HINT_AGAIN}", self.name),
            _ => anyhow::Error::new(error).context(format!("reading {}", self.name)),
        })
    }

    /// What the file says it holds, checked against its length, and where its data begins.
    fn header(&self) -> anyhow::Result<(u64, Metadata)> {
        let (file, len) = (&self.name, self.bytes.len());
        let mut prefix = [0; 8];
        self.read_at(0, &mut prefix)?;
        let header_bytes = u64::from_le_bytes(prefix);
        ensure!(
            header_bytes <= HEADER_BYTES_MAX.min(len.saturating_sub(8)),
            "{file} has {len} bytes, but its header claims {header_bytes}\n{HINT_AGAIN}"
        );
        let mut header = vec![0; header_bytes as usize];
        self.read_at(8, &mut header)?;
        let metadata: Metadata = serde_json::from_slice(&header)
            .with_context(|| format!("the header of {file} cannot be read\n{HINT_AGAIN}"))?;
        let data_bytes = len - 8 - header_bytes;
        let mut infos: Vec<(String, &TensorInfo)> = metadata.tensors().into_iter().collect();
        infos.sort_by_key(|(_, info)| info.data_offsets);
        let mut end = 0;
        for (name, info) in infos {
            let (from, to) = info.data_offsets;
            let bits = info.shape.iter().try_fold(info.dtype.bitsize(), |bits, &size| bits.checked_mul(size));
            ensure!(
                from == end && from <= to && bits == (to - from).checked_mul(8),
                "{file}: the bytes of {name} do not match its shape\n{HINT_AGAIN}"
            );
            end = to;
        }
        ensure!(
            end as u64 == data_bytes,
            "{file} is cut off or has something behind its tensors, which take {end} bytes where {data_bytes} are there\n{HINT_AGAIN}"
        );
        Ok((8 + header_bytes, metadata))
    }
}

fn weight_files(source: &Source<'_>) -> anyhow::Result<Vec<String>> {
    if source.open(MODEL_SAFETENSORS)?.is_some() {
        return Ok(vec![MODEL_SAFETENSORS.to_owned()]);
    }
    let Some(index) = source.read(INDEX_JSON)? else {
        bail!(
            "there is neither {MODEL_SAFETENSORS} nor {INDEX_JSON}\n\
             hint: weights must be safetensors; save the model again with transformers' save_pretrained"
        );
    };
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let index: Index = serde_json::from_slice(&index)
        .with_context(|| format!("{INDEX_JSON} is not an index\n{HINT_AGAIN}"))?;
    let files: BTreeSet<String> = index.weight_map.into_values().collect();
    for file in &files {
        // A name that is a path would read outside of the folder.
        let plain = Path::new(file).file_name().is_some_and(|name| name == file.as_str());
        ensure!(plain, "{INDEX_JSON} names the file {file:?}, which is not a plain file name\n{HINT_AGAIN}");
    }
    ensure!(!files.is_empty(), "{INDEX_JSON} names no file\n{HINT_AGAIN}");
    Ok(files.into_iter().collect())
}
