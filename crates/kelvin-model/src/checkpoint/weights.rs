//! Tensors in safetensors files.
//!
//! Files are streamed through a small buffer, not mapped: nothing is trusted before it is compared with the
//! header, and a file that shrinks meanwhile is an error instead of a signal.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, File},
    io::{ErrorKind, Read},
    path::Path,
};

use anyhow::{Context, anyhow, bail, ensure};
use half::{bf16, f16};
use safetensors::{
    View,
    tensor::{Metadata, TensorInfo},
};
use serde::{Deserialize, Serialize};

use super::{MODEL_SAFETENSORS, Source};
use crate::{
    config::ModelConfig,
    params::{Layout, Params, Tensor},
};

const INDEX_JSON: &str = "model.safetensors.index.json";
const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";
/// As the safetensors library bounds it.
const HEADER_BYTES_MAX: u64 = 100_000_000;
/// A multiple of every element's size.
const BUFFER_BYTES: usize = 1 << 20;
const HINT_AGAIN: &str =
    "hint: the file is damaged or was not fetched completely; fetch or save the model again";

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

/// Reads all weights of a model; a single file wins over shards, as in transformers.
pub(super) fn read_model(source: &Source<'_>, config: &ModelConfig) -> anyhow::Result<Params> {
    let files = weight_files(source)?;
    let headers = files.iter().map(|file| read_header(source, file)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut layout_tensors = Layout::new(config).tensors();
    check_tensors(&layout_tensors, &headers, config.tie_word_embeddings)?;
    let stored_head = config.tie_word_embeddings && headers.iter().any(|header| header.has(HEAD));
    let mut params = Params::zeros(config);
    let mut flat = std::mem::take(&mut params.flat);
    if stored_head {
        // Some writers store the tied head as well. It is read behind the weights, compared, and dropped.
        let embedding =
            layout_tensors.iter().find(|it| it.name == EMBEDDING).expect("every model has one").clone();
        let head = flat.len()..flat.len() + embedding.range.len();
        flat.resize(head.end, 0.0);
        layout_tensors.push(Tensor { name: HEAD.to_owned(), range: head, shape: embedding.shape });
    }
    for (file, header) in files.iter().zip(&headers) {
        read_file(source, file, header, &layout_tensors, &mut flat)?;
    }
    if stored_head {
        let head = flat.split_off(params.layout.len);
        ensure!(
            flat[params.layout.embed.clone()] == head[..],
            "config.json ties the head to the embedding, but {HEAD} differs from {EMBEDDING}\n\
             hint: set tie_word_embeddings to false in config.json"
        );
    }
    params.flat = flat;
    Ok(params)
}

/// Reads a file whose tensors are exactly `tensors`; returns the metadata of its header.
pub(crate) fn read_tensors(
    dir: &Path,
    file: &str,
    tensors: &[Tensor],
    flat: &mut [f32],
) -> anyhow::Result<HashMap<String, String>> {
    let source = Source::Folder(dir);
    let headers = [read_header(&source, file)?];
    check_tensors(tensors, &headers, false)?;
    read_file(&source, file, &headers[0], tensors, flat)?;
    let [header] = headers;
    Ok(header.metadata)
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

/// What a file says it holds, checked against its length.
struct Header {
    bytes: u64,
    infos: HashMap<String, TensorInfo>,
    metadata: HashMap<String, String>,
}

impl Header {
    fn has(&self, name: &str) -> bool {
        self.infos.contains_key(name)
    }
}

fn read_header(source: &Source<'_>, file: &str) -> anyhow::Result<Header> {
    let (mut reader, len) = source.open(file)?.ok_or_else(|| anyhow!("there is no {file}\n{HINT_AGAIN}"))?;
    let mut prefix = [0; 8];
    read_exact(&mut *reader, &mut prefix, file)?;
    let header_bytes = u64::from_le_bytes(prefix);
    ensure!(
        header_bytes <= HEADER_BYTES_MAX.min(len.saturating_sub(8)),
        "{file} has {len} bytes, but its header claims {header_bytes}\n{HINT_AGAIN}"
    );
    let mut header = vec![0; header_bytes as usize];
    read_exact(&mut *reader, &mut header, file)?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .with_context(|| format!("the header of {file} cannot be read\n{HINT_AGAIN}"))?;
    let infos: HashMap<String, TensorInfo> =
        metadata.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
    let data_bytes = len - 8 - header_bytes;
    let mut infos_in_order: Vec<(&String, &TensorInfo)> = infos.iter().collect();
    infos_in_order.sort_by_key(|(_, info)| info.data_offsets);
    let mut end = 0;
    for (name, info) in infos_in_order {
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
        "{file} is cut off: its tensors take {end} bytes, but {data_bytes} are there\n{HINT_AGAIN}"
    );
    Ok(Header { bytes: 8 + header_bytes, infos, metadata: metadata.metadata().clone().unwrap_or_default() })
}

/// Compares what a model needs with what files hold, and names every difference.
fn check_tensors(needed: &[Tensor], headers: &[Header], tied: bool) -> anyhow::Result<()> {
    let mut stored: BTreeMap<&str, &TensorInfo> = BTreeMap::new();
    let mut complaints = Vec::new();
    for (name, info) in headers.iter().flat_map(|header| &header.infos) {
        if stored.insert(name, info).is_some() {
            complaints.push(format!("{name} is in two files"));
        }
    }
    for tensor in needed {
        let name = tensor.name.as_str();
        match stored.remove(name) {
            None => complaints.push(format!("{name} is missing")),
            Some(info) if info.shape != tensor.shape => {
                complaints.push(format!("{name} has shape {:?}, not {:?}", info.shape, tensor.shape))
            }
            Some(info) if element(info.dtype).is_none() => {
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

/// Reads from bytes to f32, with the bytes of one element.
type Element = (usize, fn(&[u8]) -> f32);

fn element(dtype: safetensors::Dtype) -> Option<Element> {
    match dtype {
        safetensors::Dtype::F32 => Some((4, |it| f32::from_le_bytes([it[0], it[1], it[2], it[3]]))),
        safetensors::Dtype::BF16 => Some((2, |it| bf16::from_le_bytes([it[0], it[1]]).to_f32())),
        safetensors::Dtype::F16 => Some((2, |it| f16::from_le_bytes([it[0], it[1]]).to_f32())),
        _ => None,
    }
}

fn read_file(
    source: &Source<'_>,
    file: &str,
    header: &Header,
    tensors: &[Tensor],
    flat: &mut [f32],
) -> anyhow::Result<()> {
    let targets: HashMap<&str, &Tensor> = tensors.iter().map(|it| (it.name.as_str(), it)).collect();
    let mut infos: Vec<(&String, &TensorInfo)> = header.infos.iter().collect();
    infos.sort_by_key(|(_, info)| info.data_offsets);
    let (mut reader, _) = source.open(file)?.with_context(|| format!("{file} has gone"))?;
    let mut buffer = vec![0; BUFFER_BYTES];
    skip(&mut *reader, header.bytes, &mut buffer, file)?;
    for (name, info) in infos {
        let bytes = info.data_offsets.1 - info.data_offsets.0;
        let Some(tensor) = targets.get(name.as_str()) else {
            skip(&mut *reader, bytes as u64, &mut buffer, file)?;
            continue;
        };
        let (size, convert) = element(info.dtype).expect("types are checked before");
        for values in flat[tensor.range.clone()].chunks_mut(BUFFER_BYTES / size) {
            let bytes = &mut buffer[..values.len() * size];
            read_exact(&mut *reader, bytes, file)?;
            for (value, bytes) in values.iter_mut().zip(bytes.chunks_exact(size)) {
                *value = convert(bytes);
            }
            ensure!(
                values.iter().all(|it| it.is_finite()),
                "{file}: {name} holds infinities or NaN\n\
                 hint: the run that wrote it diverged; take an earlier checkpoint"
            );
        }
    }
    Ok(())
}

fn skip(reader: &mut dyn Read, mut bytes: u64, buffer: &mut [u8], file: &str) -> anyhow::Result<()> {
    while 0 < bytes {
        let part = buffer.len().min(bytes as usize);
        read_exact(reader, &mut buffer[..part], file)?;
        bytes -= part as u64;
    }
    Ok(())
}

fn read_exact(reader: &mut dyn Read, bytes: &mut [u8], file: &str) -> anyhow::Result<()> {
    reader.read_exact(bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => anyhow!("{file} is cut off\n{HINT_AGAIN}"),
        _ => anyhow::Error::new(error).context(format!("reading {file}")),
    })
}

/// Writes all weights of a model into one file.
pub(super) fn write_model(path: &Path, params: &Params, dtype: Dtype) -> anyhow::Result<()> {
    let tensors = params.layout.tensors();
    let values = tensors.iter().map(|tensor| (tensor, &params.flat[tensor.range.clone()]));
    write_tensors(path, values, dtype, &[("format", "pt")])
}

/// Writes tensors with their values, and `metadata` in the header: one entry at most, for the library keeps no order
/// of several, and equal models are equal files.
pub(crate) fn write_tensors<'values>(
    path: &Path,
    tensors: impl Iterator<Item = (&'values Tensor, &'values [f32])>,
    dtype: Dtype,
    metadata: &[(&str, &str)],
) -> anyhow::Result<()> {
    assert!(metadata.len() <= 1, "several entries have no order");
    let views = tensors
        .map(|(tensor, values)| (tensor.name.as_str(), Written { values, shape: &tensor.shape, dtype }));
    let metadata = metadata.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    let writing = || format!("writing {}", path.display());
    // The library writes a file that only its owner may read; a model is to be as readable as any file made here.
    let permissions =
        File::create(path).and_then(|file| file.metadata()).with_context(writing)?.permissions();
    safetensors::serialize_to_file(views, Some(metadata), path).with_context(writing)?;
    fs::set_permissions(path, permissions).with_context(writing)
}

/// One tensor, converted when it is its turn to be written.
struct Written<'values> {
    values: &'values [f32],
    shape: &'values [usize],
    dtype: Dtype,
}

impl View for Written<'_> {
    fn dtype(&self) -> safetensors::Dtype {
        match self.dtype {
            Dtype::F32 => safetensors::Dtype::F32,
            Dtype::Bf16 => safetensors::Dtype::BF16,
        }
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = Vec::with_capacity(self.data_len());
        match self.dtype {
            Dtype::F32 => self.values.iter().for_each(|it| bytes.extend(it.to_le_bytes())),
            Dtype::Bf16 => self.values.iter().for_each(|&it| bytes.extend(bf16::from_f32(it).to_le_bytes())),
        }
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        let size = match self.dtype {
            Dtype::F32 => 4,
            Dtype::Bf16 => 2,
        };
        self.values.len() * size
    }
}
