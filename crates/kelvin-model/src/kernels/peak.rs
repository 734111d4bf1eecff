//! The yardsticks of every fraction of a limit: the product of the pinned `gemm-f32` crate, not our own, and reading memory.

use gemm_common::Parallelism;
use gemm_f32::gemm::f32::get_gemm_fn;
use rayon::prelude::*;

use super::{math::fold, simd::multiversion};

/// Side of the square matrices.
const SIDE: usize = 1024;
/// Products timed; the fastest counts.
const REPEATS: usize = 10;

/// The `gemm-f32` crate's rate on 1024 x 1024 x 1024 products of f32 on `threads` of rayon's threads, in 10^9
/// floating-point operations per second. `seconds` reads a monotonic clock.
///
/// # Panics
/// If `threads` is 0.
pub fn gemm_peak_gflops(threads: usize, seconds: impl Fn() -> f64) -> f64 {
    assert!(0 < threads, "nothing runs on no threads");
    let lhs = vec![0.5f32; SIDE * SIDE];
    let rhs = vec![0.25f32; SIDE * SIDE];
    let mut out = vec![0f32; SIDE * SIDE];
    let parallelism = match threads {
        1 => Parallelism::None,
        _ => Parallelism::Rayon(threads),
    };
    let mut fastest = f64::INFINITY;
    for _ in 0..REPEATS {
        let start = seconds();
        let (out, lhs, rhs) = (out.as_mut_ptr(), lhs.as_ptr(), rhs.as_ptr());
        let side = SIDE as isize;
        let product = get_gemm_fn();
        // SAFETY: each matrix has SIDE * SIDE elements, column after column; `out` is not one of the others.
        unsafe {
            product(
                SIDE,
                SIDE,
                SIDE,
                out,
                side,
                1,
                false,
                lhs,
                side,
                1,
                rhs,
                side,
                1,
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
        fastest = fastest.min(seconds() - start);
    }
    // Every element is the sum of SIDE products; reading one keeps the work from being dropped.
    assert_eq!(out[SIDE * SIDE - 1], SIDE as f32 * 0.125);
    2.0 * (SIDE as f64).powi(3) / fastest / 1e9
}

/// Floats that are read for the bandwidth: 1 GiB, far more than caches hold.
const READ_FLOATS: usize = 1 << 28;
/// Passes timed; the fastest counts.
const PASSES: usize = 5;
/// Floats that a thread reads before it takes more.
const READ_BLOCK: usize = 1 << 20;

multiversion! {
    /// A sum that costs nothing beside the reading.
    pub fn read_all(floats: &[f32]) -> f32 {
        let mut sums = [0f32; 64];
        for chunk in floats.chunks_exact(64) {
            for lane in 0..64 {
                sums[lane] += chunk[lane];
            }
        }
        fold(&sums)
    }
}

/// Bytes per second that all threads of rayon's pool read from memory together. `seconds` reads a monotonic clock.
pub fn memory_bandwidth(seconds: impl Fn() -> f64) -> f64 {
    let floats = vec![1f32; READ_FLOATS];
    let mut fastest = f64::INFINITY;
    for _ in 0..PASSES {
        let start = seconds();
        let sum: f64 = floats.par_chunks(READ_BLOCK).map(|it| f64::from(read_all(it))).sum();
        fastest = fastest.min(seconds() - start);
        // Reading the sum keeps the work from being dropped; a block's own is exact in f32.
        assert_eq!(sum, READ_FLOATS as f64);
    }
    size_of_val(floats.as_slice()) as f64 / fastest
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_rate_divides_the_work_by_the_clock() {
        let ticks = std::cell::Cell::new(0.0);
        let clock = || {
            ticks.set(ticks.get() + 0.5);
            ticks.get()
        };
        assert_eq!(super::gemm_peak_gflops(2, clock), 2.0 * 1024f64.powi(3) / 0.5 / 1e9);
    }
}
