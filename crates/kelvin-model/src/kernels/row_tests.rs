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
        rows_agree("softmax", width, |x, _| {
            x.chunks_exact_mut(width).for_each(|row| causal_softmax(row, width, width, 1.3, &mut [0.0]))
        });
    }
}

#[test]
fn reductions_agree_on_all_instruction_sets() {
    for len in [1, 7, 16, 33, 100, 515] {
        let (a, b) = (uniform(len, 36), uniform(len, 37));
        let results = each_level(|_| {
            let mut row = a.clone();
            let stats = token_stats(&a, len / 2, 0.7);
            (
                dot(&a, &b),
                row_max(&a),
                causal_softmax(&mut row, len, len, 0.5, &mut [0.0]),
                sum_of_squares(&a),
                stats,
                row,
            )
        });
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "length {len}");
        assert!((f64::from(results[0].0) - inner(&a, &b)).abs() < 1e-5);
        assert!((results[0].3 - inner(&a, &a)).abs() < 1e-9 * len as f64);
        assert_eq!(results[0].1, a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    }
}
