//! Every backward op of the decoder against finite differences of its forward op.

use super::{
    Backbone, Head, Keep, PredictedRows, Threads, Workspace, attention, embedding,
    linear::{Learnt, Linear},
    mlp::Mlp,
    ragged::Ragged,
};
use crate::{
    config::{
        Family, ModelConfig,
        tests::{FAMILIES, small},
    },
    kernels::{
        RopeTable,
        numeric::{check, inner, uniform},
    },
    params::Params,
};

/// A matrix that learns, its gradient at `start`.
fn linear(weight: &[f32], start: usize) -> Linear<'_> {
    Linear { weight, learnt: Learnt::Weight(start..start + weight.len()), threads: Threads::One }
}

#[test]
fn linear_by_input_and_weight() {
    let (rows, inner_width, outer_width) = (5, 19, 33);
    let (x, w) = (uniform(rows * inner_width, 1), uniform(outer_width * inner_width, 2));
    let dy = uniform(rows * outer_width, 3);
    let forward = |x: &[f32], w: &[f32]| {
        let mut y = vec![0.0; rows * outer_width];
        linear(w, 0).forward(x, rows, &mut y, false);
        inner(&y, &dy)
    };
    let (mut dx, mut dw) = (vec![9.0; x.len()], vec![0.0; w.len()]);
    linear(&w, 0).backward_input(&dy, rows, &mut dx);
    linear(&w, 0).backward_weight(&dy, &x, rows, &mut dw);
    check("linear by x", |x| forward(x, &w), &x, &dx);
    check("linear by w", |w| forward(&x, w), &w, &dw);
}

#[test]
fn embedding_by_row() {
    let tokens = [3, 0, 3, 6];
    let (embed, dx) = (uniform(7 * 5, 4), uniform(4 * 5, 5));
    let mut dembed = vec![0.0; 7 * 5];
    embedding::backward(&tokens, &dx, 5, &mut dembed);
    let forward = |embed: &[f32]| {
        let mut x = vec![0.0; 4 * 5];
        embedding::forward(&tokens, embed, 5, &mut x);
        inner(&x, &dx)
    };
    check("embedding", forward, &embed, &dembed);
}

#[test]
fn mlp_by_input_and_weights() {
    let (rows, hidden, width) = (4, 11, 17);
    let (x, w1, w2) = (uniform(rows * hidden, 6), uniform(2 * width * hidden, 7), uniform(hidden * width, 8));
    let (residual, dy) = (uniform(rows * hidden, 9), uniform(rows * hidden, 10));
    let forward = |x: &[f32], w1: &[f32], w2: &[f32]| {
        let (mut y, mut gate_up) = (residual.clone(), vec![0.0; rows * 2 * width]);
        let mlp = Mlp { gate_up: linear(w1, 0), down: linear(w2, w1.len()) };
        mlp.forward_gate_up(x, rows, &mut gate_up);
        mlp.forward_down(&gate_up, rows, &mut Vec::new(), &mut y);
        (inner(&y, &dy), gate_up)
    };
    let mut gate_up = forward(&x, &w1, &w2).1;
    let (mut dx, mut gradient) = (vec![9.0; x.len()], vec![0.0; w1.len() + w2.len()]);
    let mlp = Mlp { gate_up: linear(&w1, 0), down: linear(&w2, w1.len()) };
    mlp.backward(&x, rows, &mut gate_up, &mut Vec::new(), &dy, &mut dx, &mut gradient);
    let (dw1, dw2) = gradient.split_at(w1.len());
    check("mlp by x", |x| forward(x, &w1, &w2).0, &x, &dx);
    check("mlp by gate and up", |w1| forward(&x, w1, &w2).0, &w1, dw1);
    check("mlp by down", |w2| forward(&x, &w1, w2).0, &w2, dw2);
}

/// Sequences below, at and beyond the block of 32 rows, some with a prefix.
#[test]
fn attention_by_queries_keys_and_values() {
    for (heads, kv_heads, head_dim) in [(4, 2, 6), (3, 3, 2), (2, 1, 34)] {
        let config = ModelConfig {
            num_attention_heads: heads,
            num_key_value_heads: kv_heads,
            head_dim,
            ..small(true, true)
        };
        let mut ragged = Ragged::default();
        for len in [1, 32, 0, 70, 7] {
            ragged.push(len);
        }
        for (prefix, len) in [(33..84, 40), (33..84, 3), (33..34, 2)] {
            ragged.push_after(prefix, len);
        }
        let rows = ragged.rows();
        let qkv: Vec<f32> = uniform(rows * config.qkv_width(), 11).iter().map(|x| 2.0 * x).collect();
        let dout = uniform(rows * config.query_width(), 12);
        let forward = |qkv: &[f32]| {
            let (mut out, mut log_sums) = (vec![9.0; dout.len()], vec![9.0; rows * heads]);
            let mut scratch = attention::Scratch::default();
            attention::forward(&config, &ragged, Threads::One, qkv, &mut out, &mut log_sums, &mut scratch);
            (out, log_sums)
        };
        let (out, log_sums) = forward(&qkv);
        let mut dqkv = vec![9.0; qkv.len()];
        let mut scratch = attention::Scratch::default();
        attention::backward(&config, &ragged, Threads::One, &qkv, &log_sums, &dout, &mut dqkv, &mut scratch);
        check("attention", |qkv| inner(&forward(qkv).0, &dout), &qkv, &dqkv);
        assert_attends(&config, &ragged, &qkv, &out);
    }
}

/// Compares with attention written from its definition.
fn assert_attends(config: &ModelConfig, ragged: &Ragged, qkv: &[f32], out: &[f32]) {
    let (dim, width) = (config.head_dim, config.qkv_width());
    let at = |row: usize, head: usize| &qkv[row * width + head * dim..][..dim];
    for sequence in ragged.sequences() {
        for row in sequence.rows.clone() {
            let seen = || sequence.seen().take_while(|&key| key <= row);
            for head in 0..config.num_attention_heads {
                let key_head = config.num_attention_heads + head / config.heads_per_kv();
                let weights: Vec<f64> = seen()
                    .map(|key| (inner(at(row, head), at(key, key_head)) / (dim as f64).sqrt()).exp())
                    .collect();
                for idx in 0..dim {
                    let values =
                        seen().map(|key| f64::from(at(key, key_head + config.num_key_value_heads)[idx]));
                    let mixed: f64 = weights.iter().zip(values).map(|(weight, value)| weight * value).sum();
                    let expected = mixed / weights.iter().sum::<f64>();
                    let got = f64::from(out[row * config.query_width() + head * dim + idx]);
                    assert!((got - expected).abs() < 1e-5, "row {row} head {head}: {got}, not {expected}");
                }
            }
        }
    }
}

/// A model whose weights learn, on one thread.
fn whole<'model>(params: &'model Params, rope: &'model RopeTable) -> Backbone<'model> {
    Backbone { params, lora: None, rope, threads: Threads::One, stop: None }
}

#[test]
fn head_by_residual_stream_norm_and_weight() {
    let rope = RopeTable::default();
    for tied in [true, false] {
        let mut params = Params::zeros(&small(tied, true));
        params.flat = uniform(params.layout.len, 13);
        let x = uniform(6 * 20, 14);
        let predicted = PredictedRows { rows: vec![0, 2, 3, 5, 2], tokens: vec![7, 0, 36, 7, 9] };
        let by_row = [(1.0, 0.3), (-0.5, 0.0), (0.25, -0.2), (0.8, 0.1), (0.4, 0.2)];
        let forward = |params: &Params, x: &[f32]| {
            let mut loss = 0.0;
            Head::default().forward(whole(params, &rope), x, &predicted, 0.9, |idx, stats| {
                let (by_logprob, by_entropy) = by_row[idx];
                loss += f64::from(by_logprob) * f64::from(stats.logprob);
                loss += f64::from(by_entropy) * f64::from(stats.entropy);
            });
            loss
        };
        let (mut gradient, mut dx) = (vec![0.0; params.layout.len], vec![9.0; x.len()]);
        let each = |idx: usize, _| by_row[idx];
        let backbone = whole(&params, &rope);
        Head::default().forward_backward(backbone, &x, &predicted, 0.9, each, &mut gradient, &mut dx);
        assert!(dx[20..40].iter().chain(&dx[80..100]).all(|&d| d == 0.0), "rows that predict nothing");
        check("head by x", |x| forward(&params, x), &x, &dx);
        let moved = |flat: &[f32]| Params { flat: flat.to_vec(), layout: params.layout.clone() };
        check("head by weights", |flat| forward(&moved(flat), &x), &params.flat, &gradient);
    }
}

/// A sequence that goes on from another's rows comes out with the bits of one that has them for itself.
#[test]
fn a_shared_prompt_changes_no_bit() {
    FAMILIES.into_iter().for_each(shared_prompt_changes_no_bit);
}

fn shared_prompt_changes_no_bit(family: Family) {
    let config = ModelConfig { family, ..small(true, true) };
    let mut params = Params::zeros(&config);
    params.flat = uniform(params.layout.len, 15);
    let rope = RopeTable::new(config.head_dim, &config.rope, 64);
    let backbone = whole(&params, &rope);
    let tokens: Vec<u32> = (0..56).map(|idx| idx * 7 % 37).collect();
    let (prompt, first, second) = (&tokens[..37], &tokens[37..47], &tokens[47..]);
    let mut shared = Workspace::default();
    shared.ragged.push(prompt.len() + first.len());
    let branch = shared.ragged.push_after(0..prompt.len(), second.len());
    backbone.forward(&tokens, Keep::Nothing, &mut shared);
    let mut alone = Workspace::default();
    alone.ragged.push(prompt.len() + second.len());
    backbone.forward(&[prompt, second].concat(), Keep::Nothing, &mut alone);
    let bits = |x: &[f32]| x.iter().map(|it| it.to_bits()).collect::<Vec<_>>();
    let hidden = config.hidden_size;
    assert_eq!(bits(&shared.x[branch.start * hidden..]), bits(&alone.x[prompt.len() * hidden..]));
}
