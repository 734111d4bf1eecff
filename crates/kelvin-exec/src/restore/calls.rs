//! System calls of a child that change something outside of its memory's contents: the kernel tells of each before it
//! is made. They are let through, since the sandbox's filter has the word on what is allowed; a child that made one is
//! not set back.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// `linux/seccomp.h`.
const FLAG_CONTINUE: u32 = 1;

pub(crate) struct Calls {
    listener: OwnedFd,
    /// Made so far.
    pub(crate) n: u64,
}

impl Calls {
    pub(super) fn new(listener: OwnedFd) -> Calls {
        Calls { listener, n: 0 }
    }

    /// Lets the call through that waits; whoever made it may be gone.
    pub(crate) fn let_through(&mut self) -> io::Result<()> {
        self.n += 1;
        // SAFETY: all fields are integers, and the kernel asks for zeros.
        let mut call: libc::seccomp_notif = unsafe { mem::zeroed() };
        if !self.control(libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call)? {
            return Ok(());
        }
        let mut answer = libc::seccomp_notif_resp { id: call.id, val: 0, error: 0, flags: FLAG_CONTINUE };
        self.control(libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer)?;
        Ok(())
    }

    fn control<T>(&self, request: libc::Ioctl, argument: *mut T) -> io::Result<bool> {
        // SAFETY: each request comes with the structure that it reads or fills.
        if unsafe { libc::ioctl(self.listener.as_raw_fd(), request, argument) } == 0 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR | libc::EINPROGRESS)) => {
                Ok(false)
            }
            error => Err(error),
        }
    }
}

impl AsFd for Calls {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}
