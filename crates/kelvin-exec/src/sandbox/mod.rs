//! The layers between a program and the machine, one file each. They are applied to the worker before it becomes
//! Python, and every child inherits them; what only a child can have is at the end of the list, in `driver.py`.
//!
//! **Covered.** The environment is empty but for three variables. No descriptor of the host is open. No core
//! dumps, and no byte can be written to a file: both sizes are zero. `no_new_privs`. A session of its own, so that
//! a terminal's Ctrl-C reaches the host alone. Descendants that escape their group come back to the worker and are
//! killed. Each child has address space, CPU time and result bytes within limits, cannot start processes or
//! threads (Linux, except as root), and leaves root where the worker has it and the container maps another user.
//! What a child says is decoded with every length checked and counts only once the child is gone.
//!
//! **Not covered yet.** There is no system call filter, no file system or network confinement and no namespace.
//! Code that gets past the import guard, which is policy and no boundary, can read what the user running it can
//! read (`nobody`, where the host is root), open sockets and, where the host is not root, signal that user's
//! processes. On macOS address space and process counts are not limited. So: not for code of people who attack.

mod descriptors;
mod environment;
mod privileges;
mod rlimits;
mod session;

use std::os::unix::process::CommandExt;
use std::process::Command;

use kelvin_core::executor::HashSeed;

/// Puts every layer on a worker that is about to start.
pub(crate) fn apply(command: &mut Command, hash_seed: HashSeed) {
    environment::apply(command, hash_seed);
    // SAFETY: the closure runs between fork and exec in a process of one thread. It and what it calls make system
    // calls only: no allocation, no lock, and no memory that another thread of the host could have left half
    // written.
    unsafe {
        command.pre_exec(|| {
            session::apply()?;
            privileges::apply()?;
            rlimits::apply()?;
            descriptors::apply()
        });
    }
}

/// The result of a system call that returns -1 on failure.
fn checked(returned: libc::c_int) -> std::io::Result<()> {
    if returned == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}
