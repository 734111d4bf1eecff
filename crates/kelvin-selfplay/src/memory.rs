//! Memory as the system counts it, which only Linux does in a file. What it says lands under `system/` and nowhere else.

use std::fs;

use kelvin_core::metrics::Metrics;

/// The value of a line such as `MemAvailable:  2048 kB` of a file of `/proc`, in bytes.
pub fn counted(path: &str, key: &str) -> Option<u64> {
    kilobytes(&fs::read_to_string(path).ok()?, key)
}

/// The most memory that this process has held, in bytes, where the system says.
pub fn peak_bytes() -> Option<u64> {
    counted("/proc/self/status", "VmHWM:")
}

/// What this process holds and held at most; nothing where the system does not say.
pub(crate) fn metrics() -> Metrics {
    let held = [
        ("system/memory_bytes", counted("/proc/self/status", "VmRSS:")),
        ("system/memory_peak_bytes", peak_bytes()),
    ];
    held.into_iter().filter_map(|(name, it)| Some((name.to_owned(), it? as f64))).collect()
}

fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_bytes() {
        let meminfo = "MemTotal:       24000 kB\nMemAvailable:    2048 kB\nSwapTotal: 0 kB\n";
        assert_eq!(kilobytes(meminfo, "MemAvailable:"), Some(2 << 20));
        assert_eq!(kilobytes("MemTotal: 1 kB\n", "MemAvailable:"), None);
    }
}
