//! Namespaces: the worker sees no network, no process of the host, and none of its System V objects or mounts
//! changes anything outside. An ordinary user makes them inside a user namespace that maps that user alone.

use std::{ffi::CStr, io};

/// What is entered, with the texts that a user namespace needs, made before the fork since nothing can be allocated
/// after it.
#[derive(Clone)]
pub(super) struct Namespaces {
    maps: Option<Maps>,
}

#[derive(Clone)]
struct Maps {
    users: Vec<u8>,
    groups: Vec<u8>,
}

impl Namespaces {
    /// Those of this process's user. Root needs no user namespace, and in one could not become `nobody`.
    pub(super) fn of_this_user() -> Namespaces {
        // SAFETY: no arguments, no memory.
        let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
        let map = |id: u32| format!("{id} {id} 1").into_bytes();
        Namespaces { maps: (user != 0).then(|| Maps { users: map(user), groups: map(group) }) }
    }

    /// Enters them; the process namespace begins with the next fork, also after exec. Only makes system calls.
    pub(super) fn enter(&self) -> io::Result<()> {
        let shared = libc::CLONE_NEWNET
            | libc::CLONE_NEWIPC
            | libc::CLONE_NEWUTS
            | libc::CLONE_NEWNS
            | libc::CLONE_NEWPID;
        let flags = if self.maps.is_some() { shared | libc::CLONE_NEWUSER } else { shared };
        // SAFETY: integer arguments only.
        super::checked(unsafe { libc::unshare(flags) })?;
        if let Some(maps) = &self.maps {
            write(c"/proc/self/setgroups", b"deny")?;
            write(c"/proc/self/uid_map", &maps.users)?;
            write(c"/proc/self/gid_map", &maps.groups)?;
        }
        let (nothing, flags) = (std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
        // SAFETY: the only pointer that is read is a C string; the others may be null where propagation changes.
        super::checked(unsafe { libc::mount(nothing, c"/".as_ptr(), nothing, flags, nothing.cast()) })
    }
}

fn write(path: &CStr, text: &[u8]) -> io::Result<()> {
    // SAFETY: `path` ends with a zero byte, and `text` is as long as the call is told.
    let written = unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        super::checked(file)?;
        let written = libc::write(file, text.as_ptr().cast(), text.len());
        libc::close(file);
        written
    };
    super::checked(written as libc::c_int)
}
