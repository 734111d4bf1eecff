//! Which instruction set the kernels use, found once per process.

use std::sync::LazyLock;

/// Instruction sets, weakest first. Within one, results are reproducible bit for bit; between them, matrix
/// products may differ in the last bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Plain Rust, on any machine.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, DQ, VL and BW.
    Avx512,
}

impl Level {
    /// All, weakest first.
    pub const ALL: [Level; 3] = [Level::Portable, Level::Avx2, Level::Avx512];

    /// The spelling in `KELVIN_SIMD` and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }
}

static LEVEL: LazyLock<Level> = LazyLock::new(|| match wanted() {
    Ok(wanted) => wanted.map_or_else(detected, |it| it.min(detected())),
    // A typo must not silently change the arithmetic.
    Err(why) => panic!("{why}"),
});

/// The level that the environment variable `KELVIN_SIMD` names, if it is set.
///
/// # Errors
/// If it names none, in words for people.
pub fn wanted() -> Result<Option<Level>, String> {
    let Some(name) = std::env::var_os("KELVIN_SIMD") else { return Ok(None) };
    let known = Level::ALL.into_iter().find(|level| name == level.as_str());
    known.map(Some).ok_or_else(|| format!("KELVIN_SIMD is {name:?}\nhint: portable, avx2 or avx512"))
}

/// The instruction set in use: the machine's best, or the one that the environment variable `KELVIN_SIMD`
/// names (`portable`, `avx2`, `avx512`) if the machine has it and its best below that if not.
///
/// # Panics
/// If `KELVIN_SIMD` has another value, which [`wanted`] finds out before.
pub fn level() -> Level {
    #[cfg(test)]
    if let Some(forced) = forced::LEVEL.get() {
        return forced;
    }
    *LEVEL
}

/// The best instruction set of this machine.
#[cfg(target_arch = "x86_64")]
pub fn detected() -> Level {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw");
    match (avx2, avx512) {
        (true, true) => Level::Avx512,
        (true, false) => Level::Avx2,
        (false, _) => Level::Portable,
    }
}

/// The best instruction set of this machine.
#[cfg(not(target_arch = "x86_64"))]
pub fn detected() -> Level {
    Level::Portable
}

/// Compiles each function once per instruction set and calls the one for [`level`]. Bodies use no fused
/// multiply-add and fix the order of their sums, so that all versions give the same bits.
macro_rules! multiversion {
    ($($(#[$meta:meta])* pub fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        pub fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                match $crate::kernels::simd::level() {
                    // SAFETY: `level` is at most what this machine was found to have.
                    $crate::kernels::simd::Level::Avx512 => unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::kernels::simd::Level::Avx2 => unsafe { avx2($($arg),*) },
                    $crate::kernels::simd::Level::Portable => body($($arg),*),
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            body($($arg),*)
        }
    )*};
}
pub(super) use multiversion;

#[cfg(test)]
pub(crate) mod forced {
    use std::cell::Cell;

    use super::Level;

    thread_local! {
        pub(crate) static LEVEL: Cell<Option<Level>> = const { Cell::new(None) };
    }

    /// Runs `work` on this thread with every instruction set that the machine has.
    pub(crate) fn each_level<T>(mut work: impl FnMut(Level) -> T) -> Vec<T> {
        let levels = Level::ALL.into_iter().filter(|&level| level <= super::detected());
        levels
            .map(|level| {
                LEVEL.set(Some(level));
                let result = work(level);
                LEVEL.set(None);
                result
            })
            .collect()
    }
}
