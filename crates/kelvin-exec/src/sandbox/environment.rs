//! Environment variables: none of the host's.

use std::process::Command;

use kelvin_core::executor::HashSeed;

/// The hash seed, UTF-8 whatever the host's locale, and one malloc arena, which keeps a child's address space
/// near what it uses.
pub(super) fn apply(command: &mut Command, hash_seed: HashSeed) {
    let hash_seed = match hash_seed {
        HashSeed::A => "0",
        HashSeed::B => "1",
    };
    command
        .env_clear()
        .env("PYTHONHASHSEED", hash_seed)
        .env("LC_ALL", "C.UTF-8")
        .env("MALLOC_ARENA_MAX", "1")
        .current_dir("/");
}
