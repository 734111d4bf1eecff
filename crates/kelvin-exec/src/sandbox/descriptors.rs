//! File descriptors: only the three standard ones reach the worker, the first of them its socket to the host, the
//! ruleset that it takes on later, and the pipe on which a child that is set back gets its jobs.

use std::io;
use std::os::fd::RawFd;

const FIRST: libc::c_uint = 3;

/// Marks descriptors instead of closing them: the standard library still needs one until exec. Those `kept` are -1 for
/// none.
pub(super) fn apply(kept: [RawFd; 2]) -> io::Result<()> {
    mark_all();
    for fd in kept.into_iter().filter(|&it| 0 <= it) {
        // SAFETY: fcntl with integer arguments.
        super::checked(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) })?;
    }
    Ok(())
}

fn mark_all() {
    #[cfg(target_os = "linux")]
    {
        let flags = libc::CLOSE_RANGE_CLOEXEC as libc::c_ulong;
        // SAFETY: integer arguments only; marking changes nothing before exec.
        let marked = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, flags) };
        if marked == 0 {
            return;
        }
    }
    // Kernels before 5.11, and macOS. The limit on open files is lowered already, but descriptors opened before
    // it may lie above.
    for fd in FIRST..65_536 {
        // SAFETY: fcntl on a descriptor that is not open fails with EBADF and changes nothing.
        unsafe { libc::fcntl(fd as libc::c_int, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}
