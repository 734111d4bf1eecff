//! Finite differences for tests of gradients.

use kelvin_core::seed::Seed;

/// Uniform numbers in `[-1, 1)`.
pub(crate) fn uniform(len: usize, seed: u64) -> Vec<f32> {
    (0..len).map(|idx| (2.0 * Seed::new(seed).nth(idx as u64).unit() - 1.0) as f32).collect()
}

/// Inner product in f64.
pub(crate) fn inner(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// The derivative of `f` at `x` along `direction`, by central differences of fourth order:
/// `(8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12h`, with an error of order `h^4 f'''''`.
pub(crate) fn along(f: impl Fn(&[f32]) -> f64, x: &[f32], direction: &[f32], h: f32) -> f64 {
    let at = |scale: f32| {
        let moved: Vec<f32> = x.iter().zip(direction).map(|(x, d)| x + scale * h * d).collect();
        f(&moved)
    };
    (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * f64::from(h))
}

/// Checks `gradient` of `f` at `x` along three random directions and along itself.
///
/// Values of `f` are sums in f64 of numbers near 1 computed in f32, so they carry an error near 1e-7 times
/// the root of their number; divided by `h` = 1e-2 that is about 1e-4 in the derivative, to which truncation
/// adds 1e-8. The tolerance is 2e-3 of the gradient's norm: a wrong factor, sign or missing term is far above.
pub(crate) fn check(what: &str, f: impl Fn(&[f32]) -> f64, x: &[f32], gradient: &[f32]) {
    let norm = inner(gradient, gradient).sqrt();
    assert!(1e-3 < norm, "{what}: a gradient of norm {norm} tests nothing");
    let own: Vec<f32> = gradient.iter().map(|&g| (f64::from(g) / norm) as f32).collect();
    for direction in [own, uniform(x.len(), 71), uniform(x.len(), 72), uniform(x.len(), 73)] {
        let length = inner(&direction, &direction).sqrt();
        let unit: Vec<f32> = direction.iter().map(|&d| (f64::from(d) / length) as f32).collect();
        let (numeric, analytic) = (along(&f, x, &unit, 1e-2), inner(gradient, &unit));
        assert!((numeric - analytic).abs() < 2e-3 * norm, "{what}: {numeric} numeric, {analytic} analytic");
    }
}
