//! All weights of a model in one flat vector, and where each lies in it.

use std::ops::Range;

use half::bf16;
use kelvin_core::seed::Seed;
use rayon::prelude::*;

use crate::config::ModelConfig;

/// The weights of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Where each weight lies.
    pub layout: Layout,
    /// The weights, `layout.len` of them.
    pub flat: Vec<f32>,
}

/// Ranges of the flat vector. Matrices are row-major `[out, in]`, as in PyTorch.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// The shape that was laid out.
    pub config: ModelConfig,
    /// `[vocab, hidden]`.
    pub embed: Range<usize>,
    /// `[hidden]`.
    pub final_norm: Range<usize>,
    /// `[vocab, hidden]`; the same range as `embed` if tied.
    pub head: Range<usize>,
    /// One for each decoder layer.
    pub layers: Vec<LayerLayout>,
    /// Length of the flat vector.
    pub len: usize,
}

/// Ranges of one decoder layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerLayout {
    /// `[hidden]`, before attention.
    pub input_norm: Range<usize>,
    /// `[qkv_width, hidden]`: queries, keys, values.
    pub qkv_weight: Range<usize>,
    /// `[qkv_width]`; empty without bias.
    pub qkv_bias: Range<usize>,
    /// `[head_dim]`, on each query head; empty without norms of heads.
    pub q_norm: Range<usize>,
    /// `[head_dim]`, on each key head; empty without norms of heads.
    pub k_norm: Range<usize>,
    /// `[hidden, query_width]`.
    pub o_weight: Range<usize>,
    /// `[hidden]`; empty without bias.
    pub o_bias: Range<usize>,
    /// `[hidden]`, before the gated layer.
    pub post_norm: Range<usize>,
    /// `[2 * intermediate, hidden]`: gate, then up.
    pub gate_up_weight: Range<usize>,
    /// `[hidden, intermediate]`.
    pub down_weight: Range<usize>,
}

/// One tensor under its Hugging Face name.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// For example `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// One or two sizes, outermost first.
    pub shape: Vec<usize>,
    /// Where its values lie in the flat vector, row-major.
    pub range: Range<usize>,
}

impl Tensor {
    /// Numbers in a row: along the second axis, 1 without one.
    pub fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// Whether weight decay applies: to matrices, not to norms and biases.
    pub fn decays(&self) -> bool {
        self.shape.len() == 2
    }
}

impl Layout {
    /// Lays out a model. The configuration must be valid.
    pub fn new(config: &ModelConfig) -> Layout {
        let (hidden, ffn) = (config.hidden_size, config.intermediate_size);
        let head_norm = if config.qk_norm() { config.head_dim } else { 0 };
        let mut len = 0;
        let mut take = |size: usize| {
            len += size;
            len - size..len
        };
        let embed = take(config.vocab_size * hidden);
        let final_norm = take(hidden);
        let head = if config.tie_word_embeddings { embed.clone() } else { take(config.vocab_size * hidden) };
        let layers = (0..config.num_hidden_layers)
            .map(|_| LayerLayout {
                input_norm: take(hidden),
                qkv_weight: take(config.qkv_width() * hidden),
                qkv_bias: take(if config.qkv_bias() { config.qkv_width() } else { 0 }),
                q_norm: take(head_norm),
                k_norm: take(head_norm),
                o_weight: take(hidden * config.query_width()),
                o_bias: take(if config.o_bias() { hidden } else { 0 }),
                post_norm: take(hidden),
                gate_up_weight: take(2 * ffn * hidden),
                down_weight: take(hidden * ffn),
            })
            .collect();
        Layout { config: config.clone(), embed, final_norm, head, layers, len }
    }

    /// Every tensor once, in the order of the flat vector; together they cover it without overlap. A tied
    /// model has no `lm_head.weight`, one without biases or norms of heads none of these.
    pub fn tensors(&self) -> Vec<Tensor> {
        let config = &self.config;
        let (hidden, vocab) = (config.hidden_size, config.vocab_size);
        let mut tensors = vec![
            tensor("model.embed_tokens.weight", &[vocab, hidden], &self.embed),
            tensor("model.norm.weight", &[hidden], &self.final_norm),
        ];
        if !config.tie_word_embeddings {
            tensors.push(tensor("lm_head.weight", &[vocab, hidden], &self.head));
        }
        for (idx, layer) in self.layers.iter().enumerate() {
            layer.tensors(config, &format!("model.layers.{idx}"), &mut tensors);
        }
        tensors
    }
}

impl LayerLayout {
    fn tensors(&self, config: &ModelConfig, layer: &str, into: &mut Vec<Tensor>) {
        let (hidden, ffn) = (config.hidden_size, config.intermediate_size);
        let qkv = [("q", config.query_width()), ("k", config.kv_width()), ("v", config.kv_width())];
        into.push(tensor(&format!("{layer}.input_layernorm.weight"), &[hidden], &self.input_norm));
        let mut start = self.qkv_weight.start;
        for (letter, width) in qkv {
            let range = start..start + width * hidden;
            start = range.end;
            into.push(tensor(&format!("{layer}.self_attn.{letter}_proj.weight"), &[width, hidden], &range));
        }
        if config.qkv_bias() {
            let mut start = self.qkv_bias.start;
            for (letter, width) in qkv {
                let range = start..start + width;
                start = range.end;
                into.push(tensor(&format!("{layer}.self_attn.{letter}_proj.bias"), &[width], &range));
            }
        }
        if config.qk_norm() {
            let head_dim = config.head_dim;
            into.push(tensor(&format!("{layer}.self_attn.q_norm.weight"), &[head_dim], &self.q_norm));
            into.push(tensor(&format!("{layer}.self_attn.k_norm.weight"), &[head_dim], &self.k_norm));
        }
        let query = config.query_width();
        into.push(tensor(&format!("{layer}.self_attn.o_proj.weight"), &[hidden, query], &self.o_weight));
        if config.o_bias() {
            into.push(tensor(&format!("{layer}.self_attn.o_proj.bias"), &[hidden], &self.o_bias));
        }
        into.push(tensor(&format!("{layer}.post_attention_layernorm.weight"), &[hidden], &self.post_norm));
        let middle = self.gate_up_weight.start + ffn * hidden;
        let (gate, up) = (self.gate_up_weight.start..middle, middle..self.gate_up_weight.end);
        into.push(tensor(&format!("{layer}.mlp.gate_proj.weight"), &[ffn, hidden], &gate));
        into.push(tensor(&format!("{layer}.mlp.up_proj.weight"), &[ffn, hidden], &up));
        into.push(tensor(&format!("{layer}.mlp.down_proj.weight"), &[hidden, ffn], &self.down_weight));
    }
}

fn tensor(name: &str, shape: &[usize], range: &Range<usize>) -> Tensor {
    debug_assert_eq!(shape.iter().product::<usize>(), range.len(), "{name}");
    Tensor { name: name.to_owned(), shape: shape.to_vec(), range: range.clone() }
}

/// Where weights can be had from, row by row.
pub trait WeightSource: Sync {
    /// Writes `rows` of a tensor of the model, row-major, to `out`, which holds exactly these. Several threads may ask
    /// at once.
    ///
    /// # Errors
    /// If they cannot be read.
    fn read_rows(&self, tensor: &Tensor, rows: Range<usize>, out: &mut [f32]) -> anyhow::Result<()>;
}

impl WeightSource for Params {
    fn read_rows(&self, tensor: &Tensor, rows: Range<usize>, out: &mut [f32]) -> anyhow::Result<()> {
        self.flat.read_rows(tensor, rows, out)
    }
}

/// Tensors lie in it where they say.
impl WeightSource for Vec<f32> {
    fn read_rows(&self, tensor: &Tensor, rows: Range<usize>, out: &mut [f32]) -> anyhow::Result<()> {
        let (start, len) = (tensor.range.start, tensor.row_len());
        out.copy_from_slice(&self[start + rows.start * len..start + rows.end * len]);
        Ok(())
    }
}

/// Standard deviation of a fresh matrix; `initializer_range` of Qwen2's configuration.
const INIT_STD: f64 = 0.02;

impl Params {
    /// All weights zero, to be filled from a checkpoint.
    pub fn zeros(config: &ModelConfig) -> Params {
        let layout = Layout::new(config);
        Params { flat: vec![0.0; layout.len], layout }
    }

    /// Fresh weights: matrices normal with standard deviation 0.02, those that write to the residual stream
    /// divided by `sqrt(2 * layers)` (GPT-2, Radford et al. 2019, section 2.3), norms 1, biases 0.
    pub fn random(config: &ModelConfig, seed: Seed) -> Params {
        let mut params = Params::zeros(config);
        let residual_std = INIT_STD / (2.0 * config.num_hidden_layers as f64).sqrt();
        for tensor in params.layout.tensors() {
            let values = &mut params.flat[tensor.range.clone()];
            if tensor.name.ends_with("norm.weight") {
                values.fill(1.0);
            } else if tensor.decays() {
                let writes_residual =
                    tensor.name.ends_with("o_proj.weight") || tensor.name.ends_with("down_proj.weight");
                let std = if writes_residual { residual_std } else { INIT_STD };
                fill_normal(values, std, seed.fork(&tensor.name));
            }
        }
        params
    }

    /// Rounds every weight to bf16, to nearest, ties to even: what passes of a trainer that rounds begin with.
    pub fn round_to_bf16(&mut self) {
        self.flat.par_iter_mut().with_min_len(4096).for_each(|it| *it = bf16::from_f32(*it).to_f32());
    }
}

/// Box and Muller (1958): pair `i` comes from children `2i` and `2i + 1` of `seed`.
fn fill_normal(values: &mut [f32], std: f64, seed: Seed) {
    values.par_chunks_mut(2).with_min_len(4096).enumerate().for_each(|(idx, pair)| {
        let radius = (-2.0 * (1.0 - seed.nth(2 * idx as u64).unit()).ln()).sqrt() * std;
        let (sin, cos) = (std::f64::consts::TAU * seed.nth(2 * idx as u64 + 1).unit()).sin_cos();
        pair[0] = (radius * cos) as f32;
        if let Some(second) = pair.get_mut(1) {
            *second = (radius * sin) as f32;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{FAMILIES, small};

    #[test]
    fn tensors_cover_the_flat_vector_once() {
        for (idx, family) in FAMILIES.into_iter().enumerate() {
            let tied = idx.is_multiple_of(2);
            let layout = Layout::new(&ModelConfig { family, ..small(tied, true) });
            let mut end = 0;
            for tensor in layout.tensors() {
                assert_eq!(tensor.range.start, end, "{}", tensor.name);
                assert_eq!(tensor.shape.iter().product::<usize>(), tensor.range.len(), "{}", tensor.name);
                end = tensor.range.end;
            }
            assert_eq!(end, layout.len);
            assert_eq!(layout.head == layout.embed, tied);
        }
    }

    #[test]
    fn fresh_weights_have_the_stated_spread() {
        let params = Params::random(&small(false, true), Seed::new(4));
        assert_eq!(params, Params::random(&small(false, true), Seed::new(4)));
        let std = |range: &Range<usize>| {
            let values = &params.flat[range.clone()];
            (values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
        };
        // The smallest of these has 480 values: a standard deviation is known to 1 / sqrt(960) = 3.2 %.
        let layer = &params.layout.layers[1];
        assert!((std(&params.layout.head) / 0.02 - 1.0).abs() < 0.15);
        assert!((std(&layer.gate_up_weight) / 0.02 - 1.0).abs() < 0.15);
        assert!((std(&layer.o_weight) / 0.01 - 1.0).abs() < 0.15);
        assert!((std(&layer.down_weight) / 0.01 - 1.0).abs() < 0.15);
        assert!(params.flat[layer.post_norm.clone()].iter().all(|&x| x == 1.0));
        assert!(params.flat[layer.qkv_bias.clone()].iter().all(|&x| x == 0.0));
    }
}
