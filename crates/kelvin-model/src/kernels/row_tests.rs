//! Elementwise kernels give a row the same bits wherever it lies, and all instruction sets agree on them.

use super::{
    numeric::{inner, uniform},
    simd::forced::each_level,
    *,
};

/// Runs `kernel` on three rows at once and on each alone, with every instruction set.
fn rows_agree(what: &str, width: usize, kernel: impl Fn(&mut [f32], usize)) {
    let data = uniform(3 * width, 31);
    let by_level = each_level(|level| {
        let mut together = data.clone();
        kernel(&mut together, 0);
        for row in 0..3 {
            let mut alone = data[row * width..][..width].to_vec();
            kernel(&mut alone, row);
            assert_eq!(
                alone,
                together[row * width..][..width],
                "{what}, width {width}, row {row}, {level:?}"
            );
        }
        together
    });
    for pair in by_level.windows(2) {
        assert_eq!(pair[0], pair[1], "{what}, width {width}: instruction sets differ");
    }
}

#[test]
fn a_row_is_the_same_anywhere() {
    for width in [2, 6, 30, 32, 34, 62, 100, 192] {
        let gain = uniform(width, 32);
        rows_agree("rms_norm", width, |x, _| {
            let (mut y, mut factors) = (vec![0.0; x.len()], vec![0.0; x.len() / width]);
            rms_norm(x, &gain, 1e-6, &mut y, &mut factors);
            x.copy_from_slice(&y);
        });
        rows_agree("head_norm", width, |x, _| {
            let mut factors = vec![0.0; x.len() / width * 2];
            head_norm(x, width, 0..width, &gain[..width / 2], 1e-6, &mut factors);
        });
        rows_agree("swiglu", width, |x, _| {
            let mut y = vec![0.0; x.len() / 2];
            swiglu(x, width / 2, &mut y);
            for (x, y) in x.chunks_exact_mut(width).zip(y.chunks_exact(width / 2)) {
                x[..width / 2].copy_from_slice(y);
            }
        });
        let table = RopeTable::new(width, &Rope::plain(10_000.0), 9);
        rows_agree("rope", width, |x, first| {
            let positions: Vec<usize> = (0..x.len() / width).map(|row| first + row).collect();
            rope_rows(x, width, 1, &positions, &table);
        });
        rows_agree("softmax", width, |x, _| x.chunks_exact_mut(width).for_each(|row| softmax_row(row, 1.3)));
    }
}

#[test]
fn decode_attention_is_softmax_of_scores_times_values() {
    for head_dim in [6, 32, 64, 128] {
        for n in [1, 2, 33, 100] {
            let (group, scale) = (3, 0.4f32);
            let queries = uniform(group * head_dim, 33);
            let (keys, values) = (uniform(n * head_dim, 34), uniform(n * head_dim, 35));
            let results = each_level(|_| {
                let (mut scores, mut out) = (vec![0.0; n + 2], vec![9.0; group * head_dim]);
                decode_attention(&queries, &keys, &values, head_dim, scale, &mut scores, &mut out);
                out
            });
            assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "instruction sets differ");
            for (query, out) in queries.chunks_exact(head_dim).zip(results[0].chunks_exact(head_dim)) {
                let weights: Vec<f64> = keys
                    .chunks_exact(head_dim)
                    .map(|key| (inner(query, key) * f64::from(scale)).exp())
                    .collect();
                for (idx, &got) in out.iter().enumerate() {
                    let mixed: f64 = weights
                        .iter()
                        .zip(values.chunks_exact(head_dim))
                        .map(|(weight, value)| weight * f64::from(value[idx]))
                        .sum();
                    let expected = mixed / weights.iter().sum::<f64>();
                    assert!((f64::from(got) - expected).abs() < 5e-6, "{head_dim} {n}: {got} {expected}");
                }
            }
        }
    }
}

#[test]
fn reductions_agree_on_all_instruction_sets() {
    for len in [1, 7, 16, 33, 100, 515] {
        let (a, b) = (uniform(len, 36), uniform(len, 37));
        let results = each_level(|_| {
            let mut row = a.clone();
            let stats = token_stats(&a, len / 2, 0.7);
            (dot(&a, &b), row_max(&a), exp_sum(&mut row, 0.5), sum_of_squares(&a), stats, row)
        });
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "length {len}");
        assert!((f64::from(results[0].0) - inner(&a, &b)).abs() < 1e-5);
        assert!((results[0].3 - inner(&a, &a)).abs() < 1e-9 * len as f64);
        assert_eq!(results[0].1, a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    }
}
