//! Arithmetic on slices of f32: the only module of the crate with `unsafe`, behind length-checked functions.
//!
//! On one instruction set a row of an output depends on that row of the input (and on the weights) alone, bit
//! for bit: neither the number of rows nor a row's position changes it. Nothing here starts threads except
//! the functions named `*_parallel`, which give the same bits as their serial forms.

mod adamw;
mod ahead;
mod aligned;
mod attend;
mod element;
mod gemm;
#[cfg(test)]
mod gemm_tests;
#[cfg(test)]
mod gradient_tests;
mod left;
mod loss;
mod math;
mod matrix;
mod micro;
mod norm;
#[cfg(test)]
pub(crate) mod numeric;
mod pack;
mod peak;
mod rope;
#[cfg(test)]
mod row_tests;
mod rows;
pub mod simd;
mod softmax;
mod swiglu;

pub use adamw::{AdamStep, adamw, sum_of_squares};
pub use attend::{ATTEND_BLOCK, attend};
pub use gemm::{matmul, matmul_packed, matmul_packed_parallel, matmul_packed_prefix, matmul_parallel};
pub use loss::{TokenStats, WEIGHED, logits_gradient, logprob_of, token_stats, weigh};
pub use math::{dot, row_max};
pub use matrix::{MatMut, MatRef};
pub use norm::{head_norm, head_norm_backward, rms_norm, rms_norm_backward, rms_norm_scaled};
pub use pack::{PackedMatrix, Storage};
pub use peak::{gemm_peak_gflops, memory_bandwidth};
pub use rope::{Llama3Scaling, Rope, RopeTable, rope_rows, rope_rows_backward};
pub use rows::{add_bias, add_into, column_sums};
pub use softmax::{causal_softmax, causal_softmax_again, causal_softmax_backward};
pub use swiglu::{swiglu, swiglu_backward};
