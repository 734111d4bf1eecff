//! File descriptors: only the three standard ones reach the worker, the first of them its socket to the host.

use std::io;

const FIRST: libc::c_uint = 3;

/// Marks descriptors instead of closing them: the standard library still needs one until exec.
pub(super) fn apply() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let flags = libc::CLOSE_RANGE_CLOEXEC as libc::c_ulong;
        // SAFETY: integer arguments only; marking changes nothing before exec.
        let marked = unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, flags) };
        if marked == 0 {
            return Ok(());
        }
    }
    // Kernels before 5.11, and macOS. The limit on open files is lowered already, but descriptors opened before
    // it may lie above.
    for fd in FIRST..65_536 {
        // SAFETY: fcntl on a descriptor that is not open fails with EBADF and changes nothing.
        unsafe { libc::fcntl(fd as libc::c_int, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}
