//! Stopping a process from outside, and its registers. Whoever stops it must be the thread that lets it go on.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;

use libc::{c_int, c_uint, c_void, pid_t};
use rustix::event::{PollFd, PollFlags, Timespec};

/// Sets of registers (`linux/elf.h`): floating point and vectors.
const NT_X86_XSTATE: usize = 0x202;

/// More than any processor's vectors take.
const STATE_BYTES_MAX: usize = 1 << 14;

/// Length of the instruction that enters the kernel.
const SYSCALL_BYTES: u64 = 2;

/// The one flag that a program can set and its tracer cannot: EFLAGS.ID.
const FLAG_ID: u64 = 1 << 21;

pub(super) struct Tracee {
    pid: pid_t,
    /// Tells whether that number is still its own.
    descriptor: OwnedFd,
    stopped: bool,
}

/// All that a thread of a process holds outside of memory.
pub(super) struct Registers {
    general: libc::user_regs_struct,
    vectors: Vec<u8>,
}

impl Registers {
    /// Whether they are those of a thread that waits for bytes from `descriptor`.
    pub(super) fn reads_from(&self, descriptor: c_int) -> bool {
        self.general.orig_rax == libc::SYS_read as u64 && self.general.rdi == descriptor as u64
    }

    /// As they were before the system call that the thread is in, which it will make again.
    pub(super) fn before_call(mut self) -> Registers {
        self.general.rax = self.general.orig_rax;
        self.general.orig_rax = u64::MAX;
        self.general.rip -= SYSCALL_BYTES;
        self
    }
}

impl Tracee {
    pub(super) fn new(pid: pid_t, descriptor: OwnedFd) -> Tracee {
        Tracee { pid, descriptor, stopped: false }
    }

    /// Whether it has ended: then its number may be another's.
    fn is_gone(&self) -> bool {
        let mut process = [PollFd::from_borrowed_fd(self.descriptor.as_fd(), PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(rustix::event::poll(&mut process, Some(&now)), Ok(n_ready) if 0 < n_ready)
    }

    /// Stops it wherever it is. `false` if it is ending or gone.
    ///
    /// # Errors
    /// If this process may not stop it.
    pub(super) fn stop(&mut self) -> io::Result<bool> {
        match trace(libc::PTRACE_SEIZE, self.pid, 0, ptr::null_mut()) {
            // What has ended and was not waited for yet is refused like what is another user's.
            Err(_) if self.is_gone() => return Ok(false),
            seized => seized?,
        }
        // Refused only where it ends, which the wait tells.
        let _ = trace(libc::PTRACE_INTERRUPT, self.pid, 0, ptr::null_mut());
        let status = self.wait()?;
        if !libc::WIFSTOPPED(status) {
            return Ok(false);
        }
        self.stopped = true;
        let is_signal = status >> 16 != libc::PTRACE_EVENT_STOP;
        if is_signal || self.is_gone() {
            // It goes on to what the signal does; or it is another process, which is none of ours.
            let signal = if is_signal { libc::WSTOPSIG(status) } else { 0 };
            trace(libc::PTRACE_DETACH, self.pid, 0, signal as usize as *mut c_void)?;
            self.stopped = false;
            return Ok(false);
        }
        Ok(true)
    }

    /// Lets it go on where its registers say.
    pub(super) fn go(&mut self) -> io::Result<()> {
        trace(libc::PTRACE_DETACH, self.pid, 0, ptr::null_mut())?;
        self.stopped = false;
        Ok(())
    }

    /// Whether it left what no tracer can set as it was.
    pub(super) fn can_be_given(&self, registers: &Registers) -> io::Result<bool> {
        Ok((self.general()?.eflags ^ registers.general.eflags) & FLAG_ID == 0)
    }

    fn general(&self) -> io::Result<libc::user_regs_struct> {
        let mut general = MaybeUninit::<libc::user_regs_struct>::uninit();
        trace(libc::PTRACE_GETREGS, self.pid, 0, general.as_mut_ptr().cast())?;
        // SAFETY: the call succeeded, which fills it.
        Ok(unsafe { general.assume_init() })
    }

    pub(super) fn registers(&self) -> io::Result<Registers> {
        let mut vectors = vec![0; STATE_BYTES_MAX];
        let mut place = libc::iovec { iov_base: vectors.as_mut_ptr().cast(), iov_len: vectors.len() };
        trace(libc::PTRACE_GETREGSET, self.pid, NT_X86_XSTATE, (&raw mut place).cast())?;
        vectors.truncate(place.iov_len);
        Ok(Registers { general: self.general()?, vectors })
    }

    pub(super) fn set_registers(&self, registers: &mut Registers) -> io::Result<()> {
        let vectors = &mut registers.vectors;
        let mut place = libc::iovec { iov_base: vectors.as_mut_ptr().cast(), iov_len: vectors.len() };
        trace(libc::PTRACE_SETREGSET, self.pid, NT_X86_XSTATE, (&raw mut place).cast())?;
        trace(libc::PTRACE_SETREGS, self.pid, 0, (&raw mut registers.general).cast())
    }

    fn wait(&self) -> io::Result<c_int> {
        let mut status = 0;
        loop {
            // SAFETY: `status` lives through the call.
            if unsafe { libc::waitpid(self.pid, &mut status, libc::__WALL) } == self.pid {
                return Ok(status);
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

impl Drop for Tracee {
    /// A process that ends while it is stopped stays until who stopped it has seen that, and its parent waits.
    fn drop(&mut self) {
        if self.stopped {
            let (process, nothing) = (self.descriptor.as_raw_fd(), ptr::null::<c_void>());
            // SAFETY: a null pointer asks for the signal as `kill` sends it.
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process, libc::SIGKILL, nothing, 0) };
            while matches!(self.wait(), Ok(status) if libc::WIFSTOPPED(status)) {}
        }
    }
}

fn trace(request: c_uint, pid: pid_t, address: usize, data: *mut c_void) -> io::Result<()> {
    // SAFETY: `data` is null, an integer, or points to what the request reads or fills, as each caller sees to.
    let returned = unsafe { libc::ptrace(request, pid, address as *mut c_void, data) };
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
