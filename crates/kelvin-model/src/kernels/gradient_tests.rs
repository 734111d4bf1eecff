//! Every backward kernel against finite differences of its forward kernel.

use super::{
    numeric::{check, inner, uniform},
    *,
};

/// Values of the kernels are weighed by random numbers and summed, so that `dy` is those numbers.
#[test]
fn rms_norm_by_input_and_gain() {
    let (rows, width) = (3, 37);
    let (x, gain, dy) = (uniform(rows * width, 1), uniform(width, 2), uniform(rows * width, 3));
    let forward = |x: &[f32], gain: &[f32]| {
        let (mut y, mut factors) = (vec![0.0; x.len()], vec![0.0; rows]);
        rms_norm(x, gain, 1e-5, &mut y, &mut factors);
        let mut again = vec![0.0; x.len()];
        rms_norm_scaled(x, gain, &factors, &mut again);
        assert_eq!(y, again);
        (inner(&y, &dy), factors)
    };
    let factors = forward(&x, &gain).1;
    let (mut dx, mut dgain) = (vec![0.5; x.len()], vec![0.25; width]);
    rms_norm_backward(&x, &gain, &factors, &mut dy.clone(), &mut dx, &mut dgain);
    // Both are added to what was there.
    dx.iter_mut().for_each(|d| *d -= 0.5);
    dgain.iter_mut().for_each(|d| *d -= 0.25);
    check("rms_norm by x", |x| forward(x, &gain).0, &x, &dx);
    check("rms_norm by gain", |gain| forward(&x, gain).0, &gain, &dgain);
}

#[test]
fn rms_norm_matches_its_formula() {
    let (x, gain) = (uniform(40, 4), uniform(40, 5));
    let (mut y, mut factors) = ([0.0; 40], [0.0]);
    rms_norm(&x, &gain, 1e-2, &mut y, &mut factors);
    let root = (inner(&x, &x) / 40.0 + 1e-2).sqrt();
    for ((y, x), gain) in y.iter().zip(&x).zip(&gain) {
        assert!((f64::from(*y) - f64::from(*x) / root * f64::from(*gain)).abs() < 1e-6);
    }
}

/// Heads in the middle of wider rows, kept in rows of another width for the backward pass.
#[test]
fn head_norm_by_input_and_gain() {
    let (rows, row_width, columns, width) = (3, 29, 6..24, 6);
    let (x, gain, dy) = (uniform(rows * row_width, 18), uniform(width, 19), uniform(rows * row_width, 20));
    let forward = |x: &[f32], gain: &[f32]| {
        let (mut y, mut factors) = (x.to_vec(), vec![0.0; rows * 3]);
        head_norm(&mut y, row_width, columns.clone(), gain, 1e-5, &mut factors);
        (y, factors)
    };
    let (y, factors) = forward(&x, &gain);
    for (row, y) in x.chunks_exact(row_width).zip(y.chunks_exact(row_width)) {
        assert_eq!((&row[..6], &row[24..]), (&y[..6], &y[24..]), "what is no head stays");
        for (head, y) in row[columns.clone()].chunks_exact(width).zip(y[columns.clone()].chunks_exact(width))
        {
            let (mut alone, mut factor) = ([0.0; 6], [0.0]);
            rms_norm(head, &gain, 1e-5, &mut alone, &mut factor);
            assert_eq!(y, alone);
        }
    }
    let cut: Vec<f32> = x.chunks_exact(row_width).flat_map(|row| row[..24].to_vec()).collect();
    let (mut dx, mut dgain) = (dy.clone(), vec![0.25; width]);
    head_norm_backward(&cut, 24, columns.clone(), &gain, &factors, &mut dx, row_width, &mut dgain);
    dgain.iter_mut().for_each(|d| *d -= 0.25);
    check("head_norm by x", |x| inner(&forward(x, &gain).0, &dy), &x, &dx);
    check("head_norm by gain", |gain| inner(&forward(&x, gain).0, &dy), &gain, &dgain);
}

#[test]
fn rope_turns_pairs_by_position_and_its_gradient_turns_back() {
    let (head_dim, n_heads, width) = (6, 3, 23);
    let positions = [0, 5, 2, 40];
    let table = RopeTable::new(head_dim, &Rope::plain(10_000.0), 41);
    let x = uniform(positions.len() * width, 6);
    let mut turned = x.clone();
    rope_rows(&mut turned, width, n_heads, &positions, &table);
    for (row, &position) in positions.iter().enumerate() {
        for idx in 0..width {
            let (head, at) = (idx / head_dim, idx % head_dim);
            let value = |at: usize| f64::from(x[row * width + head * head_dim + at]);
            let expected = if n_heads <= head {
                f64::from(x[row * width + idx])
            } else {
                let angle = position as f64 * 10_000f64.powf(-((at % 3) as f64) / 3.0);
                let other = if at < 3 { -value(at + 3) } else { value(at - 3) };
                value(at) * angle.cos() + other * angle.sin()
            };
            // An angle near 40 is off by up to 40 * 2^-24 in f32.
            assert!((f64::from(turned[row * width + idx]) - expected).abs() < 1e-5);
        }
    }
    let dy = uniform(x.len(), 7);
    let mut dx = dy.clone();
    rope_rows_backward(&mut dx, width, n_heads, &positions, &table);
    let forward = |x: &[f32]| {
        let mut y = x.to_vec();
        rope_rows(&mut y, width, n_heads, &positions, &table);
        inner(&y, &dy)
    };
    check("rope", forward, &x, &dx);
}

#[test]
fn a_rope_table_that_grew_is_one_made_at_once() {
    let mut grown = RopeTable::new(8, &Rope::plain(1e6), 3);
    grown.extend(19);
    grown.extend(5);
    assert_eq!(grown.len(), 19);
    assert_eq!(format!("{grown:?}"), format!("{:?}", RopeTable::new(8, &Rope::plain(1e6), 19)));
}

#[test]
fn swiglu_by_gate_and_up() {
    let (rows, width) = (3, 21);
    let x: Vec<f32> = uniform(rows * 2 * width, 8).iter().map(|x| 4.0 * x).collect();
    let dy = uniform(rows * width, 9);
    let forward = |x: &[f32]| {
        let mut y = vec![0.0; rows * width];
        swiglu(x, width, &mut y);
        y
    };
    let (mut dx, mut dout) = (x.clone(), dy.clone());
    swiglu_backward(&mut dx, width, &mut dout);
    assert_eq!(dout, forward(&x));
    check("swiglu", |x| inner(&forward(x), &dy), &x, &dx);
    let exact = |gate: f64, up: f64| gate / (1.0 + (-gate).exp()) * up;
    let y = forward(&x);
    for row in 0..rows {
        for idx in 0..width {
            let (gate, up) = (x[row * 2 * width + idx], x[row * 2 * width + width + idx]);
            assert!((f64::from(y[row * width + idx]) - exact(gate.into(), up.into())).abs() < 5e-6);
        }
    }
}

#[test]
fn bias_by_column() {
    let (x, bias, dy) = (uniform(4 * 9, 10), uniform(9, 11), uniform(4 * 9, 12));
    let mut dbias = vec![0.0; 9];
    column_sums(&dy, &mut dbias);
    let forward = |bias: &[f32]| {
        let mut y = x.clone();
        add_bias(&mut y, bias);
        inner(&y, &dy)
    };
    check("bias", forward, &bias, &dbias);
}

#[test]
fn causal_softmax_by_score() {
    let (rows, width, first_visible, scale) = (5, 41, 37, 0.7);
    let x: Vec<f32> = uniform(rows * width, 13).iter().map(|x| 3.0 * x).collect();
    let dy = uniform(rows * width, 14);
    let forward = |x: &[f32]| {
        let (mut y, mut log_sums) = (x.to_vec(), vec![0.0; rows]);
        causal_softmax(&mut y, width, first_visible, scale, &mut log_sums);
        (y, log_sums)
    };
    let (weights, log_sums) = forward(&x);
    for (row, weights) in weights.chunks_exact(width).enumerate() {
        let (seen, unseen) = weights.split_at(first_visible + row);
        assert!((seen.iter().map(|&w| f64::from(w)).sum::<f64>() - 1.0).abs() < 1e-6);
        assert!(unseen.iter().all(|&w| w == 0.0));
    }
    let mut again = x.clone();
    causal_softmax_again(&mut again, width, first_visible, scale, &log_sums);
    assert!(weights.iter().zip(&again).all(|(a, b)| (a - b).abs() <= 2e-6 * a));
    let mut dx = dy.clone();
    causal_softmax_backward(&weights, width, first_visible, scale, &mut dx);
    check("causal_softmax", |x| inner(&forward(x).0, &dy), &x, &dx);
}

#[test]
fn logprob_and_entropy_by_logit() {
    let (vocab, token) = (53, 17);
    let x: Vec<f32> = uniform(vocab, 15).iter().map(|x| 3.0 * x).collect();
    for temperature in [1.0f64, 0.6, 1.7] {
        let scale = (1.0 / temperature) as f32;
        let stats = token_stats(&x, token, scale);
        let sum: f64 = x.iter().map(|&x| (f64::from(x) / temperature).exp()).sum();
        let logprob = |x: f32| f64::from(x) / temperature - sum.ln();
        let entropy: f64 = -x.iter().map(|&x| logprob(x).exp() * logprob(x)).sum::<f64>();
        assert!((f64::from(stats.logprob) - logprob(x[token])).abs() < 3e-6);
        assert!((f64::from(stats.entropy) - entropy).abs() < 3e-6);
        for (by_logprob, by_entropy) in [(1.3, 0.0), (0.0, -0.8), (0.7, 0.9)] {
            let mut dx = x.clone();
            logits_gradient(&mut dx, token, scale, stats, by_logprob, by_entropy);
            let loss = |x: &[f32]| {
                let stats = token_stats(x, token, scale);
                f64::from(by_logprob * stats.logprob) + f64::from(by_entropy * stats.entropy)
            };
            check("logits", loss, &x, &dx);
        }
    }
}

#[test]
fn token_stats_survive_extreme_logits() {
    let mut logits = vec![-3e4f32; 40];
    logits[7] = 3e4;
    let stats = token_stats(&logits, 7, 1.0);
    assert!(stats.logprob == 0.0 && (0.0..1e-30).contains(&stats.entropy), "{stats:?}");
    let stats = token_stats(&logits, 8, 1.0);
    assert_eq!(stats.logprob, -6e4);
    logits_gradient(&mut logits, 8, 1.0, stats, 1.0, 1.0);
    assert!(logits.iter().all(|x| x.is_finite()));
}

#[test]
fn adamw_is_algorithm_2() {
    let step = AdamStep {
        learning_rate: 0.01,
        beta1: (0.9, 0.1),
        beta2: (0.99, 0.01),
        eps: 1e-8,
        keep: 1.0 - 0.01 * 0.1,
        correction1: 1.0 / 0.1,
        correction2: 1.0 / 0.01,
        grad_scale: 0.5,
    };
    let (mut w, g, mut m, mut v) = (uniform(19, 16), uniform(19, 17), vec![0.0; 19], vec![0.0; 19]);
    let before = w.clone();
    adamw(&mut w, &g, &mut m, &mut v, step);
    for idx in 0..19 {
        // On the first step the corrected moments are g and g^2, so the step is the sign.
        let expected = before[idx] * 0.999 - 0.01 * g[idx].signum();
        assert!((w[idx] - expected).abs() < 1e-6);
        assert!((m[idx] - 0.05 * g[idx]).abs() < 1e-7 && (v[idx] - 0.0025 * g[idx] * g[idx]).abs() < 1e-8);
    }
}
