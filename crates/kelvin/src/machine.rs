//! What the machine says of itself.

use std::{env, fs};

/// The processor's name, or its architecture where the system does not say.
pub(crate) fn cpu_name() -> String {
    let read = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = read.lines().find_map(|line| line.strip_prefix("model name")?.trim_start().strip_prefix(':'));
    name.map_or_else(|| env::consts::ARCH.to_owned(), |name| name.trim().to_owned())
}

/// Memory that programs can still get, in bytes, where the system says.
pub(crate) fn available_memory() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// The most memory that this process has held, in bytes, where the system says.
pub(crate) fn peak_memory() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The value of a line such as `MemAvailable:  2048 kB`, in bytes.
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
