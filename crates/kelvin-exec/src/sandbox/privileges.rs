//! Privileges: no program started from here gains any. Leaving root is the child's part, since Python itself may
//! be readable by root alone.

use std::io;

pub(super) fn apply() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // SAFETY: integer arguments only.
    super::checked(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    Ok(())
}
