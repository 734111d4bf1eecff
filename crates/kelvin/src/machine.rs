//! What the machine says of itself.

use std::{env, fs};

use kelvin_selfplay::memory;

/// The processor's name, or its architecture where the system does not say.
pub(crate) fn cpu_name() -> String {
    let read = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = read.lines().find_map(|line| line.strip_prefix("model name")?.trim_start().strip_prefix(':'));
    name.map_or_else(|| env::consts::ARCH.to_owned(), |name| name.trim().to_owned())
}

/// Memory that programs can still get, in bytes, where the system says.
pub(crate) fn available_memory() -> Option<u64> {
    memory::counted("/proc/meminfo", "MemAvailable:")
}
