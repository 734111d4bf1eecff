//! RMSNorm (Zhang and Sennrich 2019): `y = x / sqrt(mean(x^2) + eps) * gain`.

use std::ops::Range;

use super::{math::dot_body, simd::multiversion};

multiversion! {
    /// Normalises each row of `x` into `y` and stores the factor `1 / sqrt(mean(x^2) + eps)` of each.
    ///
    /// # Panics
    /// If `x` and `y` are not rows of `gain`'s length, one for each of `factors`.
    pub fn rms_norm(x: &[f32], gain: &[f32], eps: f32, y: &mut [f32], factors: &mut [f32]) {
        let width = gain.len();
        assert_eq!((x.len(), y.len()), (factors.len() * width, factors.len() * width));
        for ((x, y), factor) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(factors) {
            *factor = 1.0 / (dot_body(x, x) / width as f32 + eps).sqrt();
            for ((y, x), gain) in y.iter_mut().zip(x).zip(gain) {
                *y = x * *factor * gain;
            }
        }
    }

    /// [`rms_norm`] with the factors it stored: the same bits, for use in a backward pass.
    ///
    /// # Panics
    /// As [`rms_norm`].
    pub fn rms_norm_scaled(x: &[f32], gain: &[f32], factors: &[f32], y: &mut [f32]) {
        let width = gain.len();
        assert_eq!((x.len(), y.len()), (factors.len() * width, factors.len() * width));
        for ((x, y), factor) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(factors) {
            for ((y, x), gain) in y.iter_mut().zip(x).zip(gain) {
                *y = x * *factor * gain;
            }
        }
    }

    /// Adds to `dx` and `dgain` the gradients by `x` and `gain`, given `dy`. `dy` is overwritten.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn rms_norm_backward(
        x: &[f32],
        gain: &[f32],
        factors: &[f32],
        dy: &mut [f32],
        dx: &mut [f32],
        dgain: &mut [f32],
    ) {
        let width = gain.len();
        assert_eq!((x.len(), dy.len(), dx.len()), (factors.len() * width, x.len(), x.len()));
        assert_eq!(dgain.len(), width);
        let rows = x.chunks_exact(width).zip(dy.chunks_exact_mut(width)).zip(dx.chunks_exact_mut(width));
        for (((x, dy), dx), &factor) in rows.zip(factors) {
            for (((dy, x), gain), dgain) in dy.iter_mut().zip(x).zip(gain).zip(dgain.iter_mut()) {
                *dgain += *dy * x * factor;
                *dy *= gain;
            }
            let along = dot_body(dy, x) * factor * factor * factor / width as f32;
            for ((dx, dy), x) in dx.iter_mut().zip(dy.iter()).zip(x) {
                *dx += dy * factor - x * along;
            }
        }
    }

    /// [`rms_norm`] in place of each head in `columns` of each row of `x`. A row is `row_width` floats, a head
    /// as many as `gain`; `factors` is `[rows, heads]`.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn head_norm(
        x: &mut [f32],
        row_width: usize,
        columns: Range<usize>,
        gain: &[f32],
        eps: f32,
        factors: &mut [f32],
    ) {
        let width = gain.len();
        assert_eq!(x.len() / row_width * (columns.len() / width), factors.len());
        let rows = x.chunks_exact_mut(row_width);
        let heads = rows.flat_map(|row| row[columns.clone()].chunks_exact_mut(width));
        for (head, factor) in heads.zip(factors) {
            *factor = 1.0 / (dot_body(head, head) / width as f32 + eps).sqrt();
            for (x, gain) in head.iter_mut().zip(gain) {
                *x = *x * *factor * gain;
            }
        }
    }

    /// Turns `dx`, which holds the gradient by what [`head_norm`] gave, into that by what it was given, and adds
    /// to `dgain`. `x` is what it was given, of which a row may be cut after `columns`, `factors` what it stored.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn head_norm_backward(
        x: &[f32],
        x_row_width: usize,
        columns: Range<usize>,
        gain: &[f32],
        factors: &[f32],
        dx: &mut [f32],
        dx_row_width: usize,
        dgain: &mut [f32],
    ) {
        let width = gain.len();
        assert_eq!(x.len() / x_row_width * (columns.len() / width), factors.len());
        assert_eq!((dx.len() / dx_row_width, dgain.len()), (x.len() / x_row_width, width));
        let dx = dx.chunks_exact_mut(dx_row_width);
        let dheads = dx.flat_map(|row| row[columns.clone()].chunks_exact_mut(width));
        let heads = x.chunks_exact(x_row_width).flat_map(|row| row[columns.clone()].chunks_exact(width));
        for ((dhead, head), &factor) in dheads.zip(heads).zip(factors) {
            for (((dy, x), gain), dgain) in dhead.iter_mut().zip(head).zip(gain).zip(dgain.iter_mut()) {
                *dgain += *dy * x * factor;
                *dy *= gain;
            }
            let along = dot_body(dhead, head) * factor * factor * factor / width as f32;
            for (dx, x) in dhead.iter_mut().zip(head) {
                *dx = *dx * factor - x * along;
            }
        }
    }
}
