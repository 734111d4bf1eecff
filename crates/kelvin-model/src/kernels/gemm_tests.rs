//! Products against f64, and rows of products against the same row alone.

use std::ops::Range;

use half::bf16;
use proptest::prelude::*;

use super::{
    MatMut, MatRef, PackedMatrix, Storage, matmul, matmul_packed, matmul_packed_parallel,
    matmul_packed_prefix, matmul_parallel,
    numeric::uniform,
    simd::{Level, forced::each_level},
};

fn reference(a: MatRef, b: MatRef, c: &[f32]) -> Vec<f64> {
    let mut out = Vec::new();
    for row in 0..a.rows() {
        for col in 0..b.cols() {
            let products = (0..a.cols()).map(|q| f64::from(a.from(row, q)[0]) * f64::from(b.from(q, col)[0]));
            out.push(products.sum::<f64>() + f64::from(c[row * b.cols() + col]));
        }
    }
    out
}

/// A view of `rows x cols` with the given storage: dense, with gaps between rows, or transposed.
fn view(data: &[f32], rows: usize, cols: usize, storage: usize) -> MatRef<'_> {
    match storage {
        0 => MatRef::new(data, rows, cols),
        1 => MatRef::strided(data, rows, cols, cols + 3),
        2 => MatRef::new(data, cols, rows).t(),
        _ => MatRef::strided(data, cols, rows, rows + 5).t(),
    }
}

fn storage_len(rows: usize, cols: usize) -> usize {
    (rows + 5) * (cols + 5)
}

fn shapes() -> impl Strategy<Value = (usize, usize, usize)> {
    // Beyond the blocks of 96 rows, 512 columns and 256 deep, and around the tiles of 12 x 32.
    (1..130usize, prop_oneof![1..70usize, 500..560usize], prop_oneof![0..40usize, 250..300usize])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn products_are_right((m, n, k) in shapes(), stored_a in 0..4usize, stored_b in 0..4usize, accumulate: bool) {
        let (a, b) = (uniform(storage_len(m, k), 1), uniform(storage_len(k, n), 2));
        let (a, b) = (view(&a, m, k, stored_a), view(&b, k, n, stored_b));
        let before = uniform(m * n, 3);
        let expected = reference(a, b, &if accumulate { before.clone() } else { vec![0.0; m * n] });
        each_level(|level| {
            let mut c = before.clone();
            matmul(a, b, MatMut::new(&mut c, m, n), accumulate);
            let mut packed_c = before.clone();
            matmul_packed(a, &PackedMatrix::new(b), MatMut::new(&mut packed_c, m, n), accumulate);
            assert_eq!(c, packed_c, "packed beforehand or not");
            for (idx, &expected) in expected.iter().enumerate() {
                // A sum of k products below 1 in f32, in any order, errs by at most k^2 2^-24; by far less here.
                let tolerance = 1e-6 * (1.0 + k as f64);
                assert!((f64::from(c[idx]) - expected).abs() < tolerance, "{level:?} {} {expected}", c[idx]);
            }
        });
    }

    #[test]
    fn weights_in_bf16_are_rounded_and_nothing_else((m, n, k) in shapes(), accumulate: bool) {
        prop_assume!(0 < k);
        let (a, weight) = (uniform(m * k, 1), uniform(n * k, 2));
        let rounded: Vec<f32> = weight.iter().map(|&it| bf16::from_f32(it).to_f32()).collect();
        let read = |from: &[f32], rows: Range<usize>, out: &mut [f32]| {
            out.copy_from_slice(&from[rows.start * k..rows.end * k]);
            Ok::<(), ()>(())
        };
        let before = uniform(m * n, 3);
        each_level(|level| {
            let narrow = PackedMatrix::from_rows(n, k, Storage::Bf16, |rows, out| read(&weight, rows, out)).unwrap();
            let wide = PackedMatrix::from_rows(n, k, Storage::F32, |rows, out| read(&rounded, rows, out)).unwrap();
            let [narrow, wide] = [narrow, wide].map(|b| {
                let mut c = before.clone();
                matmul_packed(MatRef::new(&a, m, k), &b, MatMut::new(&mut c, m, n), accumulate);
                c
            });
            assert_eq!(narrow, wide, "{level:?} {m} x {n} x {k}");
        });
    }

    #[test]
    fn a_row_does_not_know_its_neighbours((m, n, k) in shapes(), stored_a in 0..4usize, stored_b in 0..4usize) {
        let (a_data, b_data) = (uniform(storage_len(m, k), 4), uniform(storage_len(k, n), 5));
        let (a, b) = (view(&a_data, m, k, stored_a), view(&b_data, k, n, stored_b));
        let packed = PackedMatrix::new(b);
        each_level(|level| {
            let mut together = vec![0f32; m * n];
            matmul(a, b, MatMut::new(&mut together, m, n), false);
            let mut packed_together = vec![0f32; m * n];
            matmul_packed(a, &packed, MatMut::new(&mut packed_together, m, n), false);
            for row in 0..m {
                let own: Vec<f32> = (0..k).map(|q| a.from(row, q)[0]).collect();
                let mut alone = vec![0f32; n];
                matmul(MatRef::new(&own, 1, k), b, MatMut::new(&mut alone, 1, n), false);
                assert_eq!(alone, together[row * n..][..n], "{level:?} row {row} of {m}, {n} columns, {k} deep");
                matmul_packed(MatRef::new(&own, 1, k), &packed, MatMut::new(&mut alone, 1, n), false);
                assert_eq!(alone, packed_together[row * n..][..n], "{level:?} packed row {row} of {m}");
            }
        });
    }

    #[test]
    fn columns_may_be_shared_among_threads((m, n, k) in shapes(), accumulate: bool) {
        let (a, b, before) = (uniform(m * k, 12), uniform(k * n, 13), uniform(m * n, 14));
        let (a, b) = (MatRef::new(&a, m, k), PackedMatrix::new(MatRef::new(&b, k, n)));
        let (mut serial, mut parallel) = (before.clone(), before);
        matmul_packed(a, &b, MatMut::new(&mut serial, m, n), accumulate);
        matmul_packed_parallel(a, &b, MatMut::new(&mut parallel, m, n), accumulate);
        prop_assert_eq!(serial, parallel);
    }

    #[test]
    fn products_may_be_shared_among_threads(
        (m, n, k) in shapes(), stored_a in 0..4usize, stored_b in 0..4usize, accumulate: bool, threads in 1..5usize,
    ) {
        let (a, b, before) = (uniform(storage_len(m, k), 15), uniform(storage_len(k, n), 16), uniform(m * (n + 3), 17));
        let (a, b) = (view(&a, m, k, stored_a), view(&b, k, n, stored_b));
        let (mut serial, mut parallel) = (before.clone(), before);
        matmul(a, b, MatMut::strided(&mut serial, m, n, n + 3), accumulate);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| matmul_parallel(a, b, MatMut::strided(&mut parallel, m, n, n + 3), accumulate));
        prop_assert_eq!(serial, parallel);
    }

    #[test]
    fn a_prefix_is_the_product_of_the_prefix((m, n, k) in shapes(), cut_n in 1..70usize, cut_k in 1..300usize) {
        let (cut_n, cut_k) = (cut_n.min(n), cut_k.min(k));
        let (a, b) = (uniform(m * cut_k, 6), uniform(k * n, 7));
        let whole = PackedMatrix::new(MatRef::new(&b, k, n));
        let cut = PackedMatrix::new(MatRef::strided(&b, cut_k, cut_n, n));
        let a = MatRef::new(&a, m, cut_k);
        let (mut by_prefix, mut by_cut) = (vec![0f32; m * cut_n], vec![0f32; m * cut_n]);
        matmul_packed_prefix(a, &whole, MatMut::new(&mut by_prefix, m, cut_n), false);
        matmul_packed(a, &cut, MatMut::new(&mut by_cut, m, cut_n), false);
        prop_assert_eq!(by_prefix, by_cut);
    }
}

#[test]
fn both_fused_instruction_sets_give_the_same_bits() {
    let (m, n, k) = (29, 75, 300);
    let (a, b) = (uniform(m * k, 8), uniform(k * n, 9));
    let results = each_level(|level| {
        let mut c = vec![0f32; m * n];
        matmul(MatRef::new(&a, m, k), MatRef::new(&b, k, n), MatMut::new(&mut c, m, n), false);
        (level, c)
    });
    let fused: Vec<_> = results.into_iter().filter(|(level, _)| *level != Level::Portable).collect();
    for pair in fused.windows(2) {
        assert_eq!(pair[0].1, pair[1].1);
    }
}

#[test]
fn outputs_leave_the_gaps_between_rows_alone() {
    let (a, b) = (uniform(13 * 5, 10), uniform(5 * 33, 11));
    let mut c = vec![7f32; 13 * 40];
    matmul(MatRef::new(&a, 13, 5), MatRef::new(&b, 5, 33), MatMut::strided(&mut c, 13, 33, 40), false);
    assert!(c.chunks_exact(40).all(|row| row[33..].iter().all(|&x| x == 7.0)));
}

#[test]
#[should_panic(expected = "needs Some(13) floats, not 12")]
fn a_view_beyond_its_slice_is_refused() {
    let data = [0f32; 12];
    MatRef::strided(&data, 3, 3, 5);
}

#[test]
#[should_panic(expected = "floats, not 12")]
fn a_view_whose_length_overflows_is_refused() {
    let data = [0f32; 12];
    MatRef::strided(&data, usize::MAX, 1, usize::MAX);
}

#[test]
#[should_panic(expected = "overlap")]
fn rows_that_overlap_are_refused() {
    let mut data = [0f32; 12];
    MatMut::strided(&mut data, 2, 4, 3);
}
