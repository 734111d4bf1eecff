//! Stopping a process from outside, and its registers. Whoever stops it must be the thread that lets it go on.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use libc::{c_int, c_uint, c_void, pid_t};

/// Sets of registers (`linux/elf.h`): floating point and vectors.
const NT_X86_XSTATE: usize = 0x202;

/// More than any processor's vectors take.
const STATE_BYTES_MAX: usize = 1 << 14;

/// Length of the instruction that enters the kernel.
const SYSCALL_BYTES: u64 = 2;

pub(super) struct Tracee {
    pid: pid_t,
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
    pub(super) fn new(pid: pid_t) -> Tracee {
        Tracee { pid, stopped: false }
    }

    /// Stops it wherever it is. `false` if it is ending or gone.
    ///
    /// # Errors
    /// If this process may not stop it.
    pub(super) fn stop(&mut self) -> io::Result<bool> {
        match trace(libc::PTRACE_SEIZE, self.pid, 0, ptr::null_mut()) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Ok(false),
            seized => seized?,
        }
        // Refused only where it ends, which the wait tells.
        let _ = trace(libc::PTRACE_INTERRUPT, self.pid, 0, ptr::null_mut());
        let status = self.wait()?;
        if !libc::WIFSTOPPED(status) {
            return Ok(false);
        }
        if status >> 16 != libc::PTRACE_EVENT_STOP {
            let signal = libc::WSTOPSIG(status) as usize as *mut c_void;
            trace(libc::PTRACE_DETACH, self.pid, 0, signal)?;
            return Ok(false);
        }
        self.stopped = true;
        Ok(true)
    }

    /// Lets it go on where its registers say.
    pub(super) fn go(&mut self) -> io::Result<()> {
        self.stopped = false;
        trace(libc::PTRACE_DETACH, self.pid, 0, ptr::null_mut())
    }

    pub(super) fn registers(&self) -> io::Result<Registers> {
        let mut general = MaybeUninit::<libc::user_regs_struct>::uninit();
        trace(libc::PTRACE_GETREGS, self.pid, 0, general.as_mut_ptr().cast())?;
        let mut vectors = vec![0; STATE_BYTES_MAX];
        let mut place = libc::iovec { iov_base: vectors.as_mut_ptr().cast(), iov_len: vectors.len() };
        trace(libc::PTRACE_GETREGSET, self.pid, NT_X86_XSTATE, (&raw mut place).cast())?;
        vectors.truncate(place.iov_len);
        // SAFETY: the call succeeded, which fills it.
        Ok(Registers { general: unsafe { general.assume_init() }, vectors })
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
            // SAFETY: integer arguments only; a stopped process's number is still its own.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            while matches!(self.wait(), Ok(status) if libc::WIFSTOPPED(status)) {}
        }
    }
}

fn trace(request: c_uint, pid: pid_t, address: usize, data: *mut c_void) -> io::Result<()> {
    // SAFETY: `data` is null, an integer, or points to what the request reads or fills, as each caller sees to.
    let returned = unsafe { libc::ptrace(request, pid, address as *mut c_void, data) };
    if returned == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
