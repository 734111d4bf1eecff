//! Neither the threads within a pass nor what is kept for the backward pass changes a bit.

use kelvin_core::seed::Seed;

use super::{Backbone, Head, Keep, PredictedRows, Threads, Workspace};
use crate::{
    config::{ModelConfig, tests::small},
    kernels::{RopeTable, numeric::uniform},
    lora::{Lora, LoraConfig},
    params::Params,
};

/// Wide enough for several shares of columns, with more than one block of rows and some rows of a shared prompt.
fn model() -> (Params, RopeTable, Lora) {
    let config = ModelConfig { intermediate_size: 300, vocab_size: 700, ..small(false, true) };
    let mut params = Params::zeros(&config);
    params.flat = uniform(params.layout.len, 21);
    let rope = RopeTable::new(config.head_dim, &config.rope, 128);
    let mut lora = Lora::new(&config, &LoraConfig { rank: 3, ..LoraConfig::default() }, Seed::new(22));
    lora.flat = uniform(lora.flat.len(), 23);
    (params, rope, lora)
}

/// The residual stream, its gradient and that by what learns, as bits.
fn pass(backbone: Backbone, keep: Keep, n_learnt: usize) -> [Vec<u32>; 3] {
    let mut workspace = Workspace::default();
    workspace.ragged.push(100);
    workspace.ragged.push(37);
    workspace.ragged.push_after(0..40, 45);
    let rows = workspace.ragged.rows();
    let tokens: Vec<u32> = (0..rows as u32).map(|idx| idx * 37 % 700).collect();
    backbone.forward(&tokens, keep, &mut workspace);
    let stream = workspace.x.clone();
    let predicted = PredictedRows { rows: (20..rows).collect(), tokens: tokens[20..].to_vec() };
    let mut gradient = vec![0.0; n_learnt];
    workspace.dx = vec![0.0; stream.len()];
    let each = |idx: usize, _| (0.01 * idx as f32 - 0.5, 0.1);
    let dx = &mut workspace.dx;
    Head::default().forward_backward(backbone, &workspace.x, &predicted, 0.9, each, &mut gradient, dx);
    backbone.backward(&tokens, &mut gradient, &mut workspace);
    [&stream, &workspace.dx, &gradient].map(|values| values.iter().map(|it| it.to_bits()).collect())
}

#[test]
fn threads_and_recomputation_change_no_bit() {
    let (params, rope, lora) = model();
    for (lora, n_learnt) in [(None, params.layout.len), (Some(&lora), lora.flat.len())] {
        let backbone = |threads| Backbone { params: &params, lora, rope: &rope, threads, stop: None };
        let expected = pass(backbone(Threads::One), Keep::All, n_learnt);
        assert!(expected[2].iter().any(|&bits| f32::from_bits(bits).abs() > 1e-3));
        for n_threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            for (threads, keep) in
                [(Threads::One, Keep::Inputs), (Threads::All, Keep::All), (Threads::All, Keep::Inputs)]
            {
                let got = pool.install(|| pass(backbone(threads), keep, n_learnt));
                assert!(got == expected, "{threads:?} of {n_threads}, {keep:?}, adapters {}", lora.is_some());
            }
        }
    }
}
