//! Resource limits that every child shares. CPU time, address space and processes are set per child.

use std::io;

/// Open files: a child has its two standard streams' null device and one pipe; imports open a few more.
const N_FILES: libc::rlim_t = 64;

pub(super) fn apply() -> io::Result<()> {
    for (resource, most) in [(libc::RLIMIT_CORE, 0), (libc::RLIMIT_FSIZE, 0), (libc::RLIMIT_NOFILE, N_FILES)]
    {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: `limit` is initialised and outlives the call, which only reads it.
        super::checked(unsafe { libc::setrlimit(resource, &limit) })?;
    }
    Ok(())
}
