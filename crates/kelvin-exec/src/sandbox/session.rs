//! Session and parentage: a terminal's signals do not reach the worker, and orphans below it come back to it.

use std::io;

pub(super) fn apply() -> io::Result<()> {
    // SAFETY: no arguments, no memory.
    super::checked(unsafe { libc::setsid() })?;
    #[cfg(target_os = "linux")]
    // SAFETY: integer arguments only.
    super::checked(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })?;
    Ok(())
}
