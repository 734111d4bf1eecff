//! Weights as decoding reads them: packed once for every publication, then shared by all workers.

use std::ops::Range;

use anyhow::Result;

use crate::{
    config::ModelConfig,
    kernels::{PackedMatrix, Storage},
    lora::Merged,
    params::{Layout, Tensor, WeightSource},
    transformer::Threads,
};

/// Matrices of more bytes than this do not stay in a core's cache while rows are fed: all threads then read them
/// together for the same rows, instead of each for its own.
const OWN_BYTES_MAX: usize = 48 << 20;

/// A packed copy of a model's weights.
pub(super) struct Weights {
    pub(super) config: ModelConfig,
    pub(super) layers: Vec<LayerWeights>,
    pub(super) final_norm: Vec<f32>,
    /// `[hidden, vocab]`.
    head: PackedMatrix,
    /// As the head; absent if tied.
    embed: Option<PackedMatrix>,
    /// Of matrices.
    pub(super) storage: Storage,
    /// Who computes an operation.
    pub(super) threads: Threads,
}

/// One decoder layer; matrices are packed for rows times matrix.
pub(super) struct LayerWeights {
    pub(super) input_norm: Vec<f32>,
    pub(super) qkv: PackedMatrix,
    /// Empty without bias.
    pub(super) qkv_bias: Vec<f32>,
    /// Empty without norms of heads.
    pub(super) q_norm: Vec<f32>,
    pub(super) k_norm: Vec<f32>,
    pub(super) o: PackedMatrix,
    /// Empty without bias.
    pub(super) o_bias: Vec<f32>,
    pub(super) post_norm: Vec<f32>,
    pub(super) gate_up: PackedMatrix,
    pub(super) down: PackedMatrix,
}

impl Weights {
    /// Reads and packs all weights, with the threads of rayon's pool. Beside them it takes the memory of a few rows.
    ///
    /// # Errors
    /// If the source fails.
    pub(super) fn read(config: &ModelConfig, source: &dyn WeightSource, storage: Storage) -> Result<Weights> {
        let layout = Layout::new(config);
        let tensors = layout.tensors();
        let reader = Reader { source, tensors: &tensors, storage };
        let layers = layout
            .layers
            .iter()
            .map(|at| {
                Ok(LayerWeights {
                    input_norm: reader.vector(&at.input_norm)?,
                    qkv: reader.matrix(&at.qkv_weight, config.hidden_size)?,
                    qkv_bias: reader.vector(&at.qkv_bias)?,
                    q_norm: reader.vector(&at.q_norm)?,
                    k_norm: reader.vector(&at.k_norm)?,
                    o: reader.matrix(&at.o_weight, config.query_width())?,
                    o_bias: reader.vector(&at.o_bias)?,
                    post_norm: reader.vector(&at.post_norm)?,
                    gate_up: reader.matrix(&at.gate_up_weight, config.hidden_size)?,
                    down: reader.matrix(&at.down_weight, config.intermediate_size)?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let head = reader.matrix(&layout.head, config.hidden_size)?;
        let embed = (!config.tie_word_embeddings)
            .then(|| reader.matrix(&layout.embed, config.hidden_size))
            .transpose()?;
        let bytes = layout.len * storage.bytes();
        let threads = threads_for(bytes);
        let final_norm = reader.vector(&layout.final_norm)?;
        Ok(Weights { config: config.clone(), layers, final_norm, head, embed, storage, threads })
    }

    /// [`Weights::read`] of weights that a policy publishes.
    pub(super) fn published(config: &ModelConfig, published: Merged<'_>, storage: Storage) -> Weights {
        Weights::read(config, &published, storage).expect("what a policy publishes lies in memory")
    }

    /// Bytes of the matrices that rows are multiplied by.
    pub(super) fn bytes_read(&self) -> usize {
        let layer = |it: &LayerWeights| it.qkv.bytes() + it.o.bytes() + it.gate_up.bytes() + it.down.bytes();
        self.head.bytes() + self.layers.iter().map(layer).sum::<usize>()
    }

    /// For the product of rows with the head.
    pub(super) fn head(&self) -> &PackedMatrix {
        &self.head
    }

    /// Writes the embedding of a token. A column of a packed matrix costs a cache line for each number; that is
    /// nothing beside the products of a row, and a second copy of the embedding would be a quarter of a small model.
    pub(super) fn embed(&self, token: u32, out: &mut [f32]) {
        self.embed.as_ref().unwrap_or(&self.head).column(token as usize, out);
    }
}

/// Who computes the operations of a model of so many bytes.
pub(crate) fn threads_for(bytes: usize) -> Threads {
    if bytes <= OWN_BYTES_MAX { Threads::One } else { Threads::All }
}

/// Reads what lies at a range of the flat vector.
struct Reader<'model> {
    source: &'model dyn WeightSource,
    /// In the order of the flat vector, which they cover.
    tensors: &'model [Tensor],
    storage: Storage,
}

impl Reader<'_> {
    fn vector(&self, at: &Range<usize>) -> Result<Vec<f32>> {
        let mut values = vec![0.0; at.len()];
        self.fill(at.clone(), &mut values)?;
        Ok(values)
    }

    /// A weight `[out, inputs]`, which may be several tensors one below the other.
    fn matrix(&self, at: &Range<usize>, inputs: usize) -> Result<PackedMatrix> {
        PackedMatrix::from_rows(at.len() / inputs, inputs, self.storage, |rows, out| {
            self.fill(at.start + rows.start * inputs..at.start + rows.end * inputs, out)
        })
    }

    /// The numbers in `at`, whole rows of one or more tensors.
    fn fill(&self, at: Range<usize>, out: &mut [f32]) -> Result<()> {
        let first = self.tensors.partition_point(|it| it.range.end <= at.start);
        for tensor in self.tensors[first..].iter().take_while(|it| it.range.start < at.end) {
            let from = at.start.max(tensor.range.start);
            let to = at.end.min(tensor.range.end);
            let row_len = tensor.row_len();
            let rows = (from - tensor.range.start) / row_len..(to - tensor.range.start) / row_len;
            self.source.read_rows(tensor, rows, &mut out[from - at.start..to - at.start])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use kelvin_core::seed::Seed;

    use super::*;
    use crate::{
        lora::{Lora, LoraConfig},
        params::Params,
        sampler::tests::options,
    };

    /// Says how much of a matrix was asked for at once.
    struct Counting<'it> {
        inner: &'it Params,
        most_rows: AtomicUsize,
    }

    impl WeightSource for Counting<'_> {
        fn read_rows(&self, tensor: &Tensor, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
            if tensor.decays() {
                self.most_rows.fetch_max(rows.len(), Ordering::Relaxed);
            }
            self.inner.read_rows(tensor, rows, out)
        }
    }

    /// So adapters are merged without a second copy of the weights.
    #[test]
    fn a_model_is_packed_a_few_rows_at_a_time() {
        let params = crate::checkpoint::tests::tiny(false).params;
        let config = &params.layout.config;
        let loras = [Lora::new(config, &LoraConfig { rank: 2, ..LoraConfig::default() }, Seed::new(1))];
        let counting = Counting { inner: &params, most_rows: AtomicUsize::new(0) };
        let pool = options().pool().unwrap();
        let read = || Weights::read(config, &Merged::new(&counting, &loras), Storage::F32);
        let n_bytes = pool.install(read).unwrap().bytes_read();
        assert!(config.vocab_size * config.hidden_size < n_bytes);
        assert_eq!(counting.most_rows.into_inner(), 32);
    }
}
