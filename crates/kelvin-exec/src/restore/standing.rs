//! A child that stands ready: how it comes to be, what is kept of it, and running a job in it.

use std::fs;
use std::io::{self, PipeWriter, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use kelvin_core::executor::{Calls as Repeats, Limits, Names, Outcome};

use super::Calls;
use super::allowance::Allowance;
use super::image::Image;
use super::tracee::{Registers, Tracee};
use crate::channel::Heard;
use crate::clock::Deadline;
use crate::conversation::{Conversation, Killed};
use crate::fate::{Fate, Ran, Refused};
use crate::protocol::{self, Part, Request};
use crate::settle::End;
use crate::worker::{GRACE, Lost, START_WAIT, Worker, fresh_nonce};

/// A child's CPU time over all its jobs, in seconds; one that has used half of it is not used again.
pub(super) const TOTAL_CPU_S: u32 = 600;

/// How often a child runs a program of ours before it is kept as it is then: its caches fill.
const N_REHEARSALS: usize = 3;

/// Looks for the moment at which a child waits for a job, and the pause between two of them.
const N_LOOKS: usize = 2000;
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Of so many times that a child is set back, the first is looked at byte by byte, which takes as long as ten jobs.
const LOOK_AT_EVERY: u64 = 1024;

/// The least that is waited for a child that has little of its CPU time left.
const PATIENCE_MIN: Duration = Duration::from_millis(1);

/// A child that is stopped where it waits for a job.
pub(super) struct Standing {
    tracee: Tracee,
    registers: Registers,
    image: Image,
    pid: libc::pid_t,
    /// Where the child notes its CPU time before each call.
    noted_at: u64,
    /// The memory that its programs have.
    pub(super) memory_bytes: u64,
    n_restored: u64,
}

impl Standing {
    /// Has a worker fork one, so many generations below it. Its jobs come through the pipe whose other end is called
    /// `descriptor` there.
    pub(super) fn start(
        worker: &mut Worker,
        jobs: &PipeWriter,
        (descriptor, depth): (RawFd, usize),
        telling_filter: &[u8],
        memory_bytes: u64,
    ) -> Result<Standing, Refused> {
        let nonce = fresh_nonce();
        worker.channel.send(&protocol::request::encode_stand(
            nonce,
            memory_bytes,
            TOTAL_CPU_S,
            telling_filter,
        ))?;
        let (numbers, noted_at) = ready(worker, nonce)?;
        let pid = descendant(worker.pid() as libc::pid_t, depth)?;
        let (process, [tracker, listener]) = fetch(pid, numbers)?;
        worker.channel.calls = Some(Calls::new(listener));
        (&*jobs).write_all(b"!")?;
        let mut tracee = Tracee::new(pid, process);
        rehearse(worker, jobs, memory_bytes)?;
        let registers = await_job(worker, &mut tracee, descriptor)?;
        let image = Image::take(pid, tracker)?;
        let mut standing = Standing { tracee, registers, image, pid, noted_at, memory_bytes, n_restored: 0 };
        // The first time proves that it works here.
        match standing.run(worker, jobs, &rehearsal(memory_bytes))?.fate {
            Fate::Restored => Ok(standing),
            Fate::Spent | Fate::Gone | Fate::Unsound => Err(Refused),
        }
    }

    pub(super) fn run(
        &mut self,
        worker: &mut Worker,
        mut jobs: &PipeWriter,
        request: &Request<'_>,
    ) -> Result<Ran, Lost> {
        let (n_calls, before) = (n_calls(worker), self.cpu());
        jobs.write_all(&request.encode(true))?;
        self.tracee.go()?;
        let mut talk = Conversation::new(request);
        let mut allowance = Allowance::new(request, before);
        let mut is_overdue = false;
        while !talk.is_complete() {
            let patience = allowance.left(self.cpu()).max(PATIENCE_MIN);
            if let Some(exit) = talk.hear(&mut worker.channel, patience)? {
                let cpu = Duration::from_micros(exit.cpu_us).saturating_sub(before);
                let attempt = talk.end(&exit, cpu);
                let is_told = n_calls != self::n_calls(worker);
                let is_final = match attempt.end {
                    End::CpuLimit => is_overdue && !is_told,
                    End::OutOfMemory => false,
                    End::Done | End::WallLimit | End::Died { .. } => true,
                };
                return Ok(Ran { attempt, cpu, fate: Fate::Gone, is_final });
            }
            let cpu = self.cpu();
            if talk.is_malformed() {
                talk.kill(Killed::Malformed, &mut worker.channel)?;
            } else if allowance.left(cpu).is_zero() && !allowance.refill(cpu, self.noted()) {
                is_overdue = true;
                talk.kill(Killed::CpuLimit, &mut worker.channel)?;
            }
        }
        let cpu = self.cpu().saturating_sub(before);
        // Nothing counts before it can say no more.
        let is_stopped = self.tracee.stop()?;
        let is_as_expected = !worker.channel.drain()? && n_calls == self::n_calls(worker);
        let is_worn = u64::from(TOTAL_CPU_S / 2) <= self.cpu().as_secs();
        let fate = match is_stopped {
            false => Fate::Gone,
            true if is_as_expected && !is_worn => self.set_back()?,
            true => Fate::Spent,
        };
        let attempt = talk.done();
        let is_final = attempt.answers.iter().all(|it| it.outcome != Outcome::OutOfMemory);
        Ok(Ran { attempt, cpu, fate, is_final })
    }

    fn set_back(&mut self) -> io::Result<Fate> {
        if !self.tracee.can_be_given(&self.registers)? || !self.image.put_back()? {
            return Ok(Fate::Spent);
        }
        self.tracee.set_registers(&mut self.registers)?;
        let is_looked_at = self.n_restored.is_multiple_of(LOOK_AT_EVERY);
        self.n_restored += 1;
        Ok(if is_looked_at && !self.image.is_whole()? { Fate::Unsound } else { Fate::Restored })
    }

    /// The child's CPU time.
    fn cpu(&self) -> Duration {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // The clock of a process, as the kernel numbers them.
        let clock = (!self.pid << 3) | 2;
        // SAFETY: `time` lives through the call.
        match unsafe { libc::clock_gettime(clock, &mut time) } {
            0 => Duration::new(time.tv_sec as u64, time.tv_nsec as u32),
            _ => Duration::ZERO, // it has ended
        }
    }

    /// What the child says its CPU time was before its last call.
    fn noted(&self) -> Duration {
        let mut noted = 0u64;
        let here = libc::iovec { iov_base: (&raw mut noted).cast(), iov_len: size_of::<u64>() };
        let there = libc::iovec { iov_base: self.noted_at as *mut libc::c_void, iov_len: size_of::<u64>() };
        // SAFETY: `here` is `noted`; `there` is the child's, and what is not there stays 0.
        unsafe { libc::process_vm_readv(self.pid, &here, 1, &there, 1, 0) };
        Duration::from_micros(noted)
    }
}

/// System calls of the worker's child so far that it cannot be set back after.
fn n_calls(worker: &Worker) -> u64 {
    worker.channel.calls.as_ref().map_or(0, |it| it.n)
}

/// Waits until the child has said where things are.
fn ready(worker: &mut Worker, nonce: u64) -> Result<([u32; 2], u64), Refused> {
    let deadline = Deadline::after(GRACE);
    let mut said = Vec::new();
    loop {
        match worker.channel.next(deadline, &mut said)? {
            Heard::Child => {
                if let Some(places) = protocol::decode_ready(nonce, &said) {
                    return places.map_err(|_| Refused);
                }
            }
            Heard::Silence | Heard::Frame(_) => return Err(Refused),
        }
    }
}

/// The number that a process's only descendant of a generation has here.
fn descendant(process: libc::pid_t, depth: usize) -> io::Result<libc::pid_t> {
    (0..depth).try_fold(process, |pid, _| {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        let mut children = children.split_whitespace();
        let only = children.next().filter(|_| children.next().is_none());
        only.and_then(|it| it.parse().ok()).ok_or_else(|| io::Error::other("a worker has no child"))
    })
}

/// What the two descriptors that a child gives must be.
const DESCRIPTORS: [&str; 2] = ["anon_inode:[userfaultfd]", "anon_inode:seccomp notify"];

/// A process's own descriptor, and those of it that it has given the numbers of.
fn fetch(pid: libc::pid_t, numbers: [u32; 2]) -> io::Result<(OwnedFd, [OwnedFd; 2])> {
    let owned = |fd: libc::c_long| match fd {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: the kernel made it for this process, and nothing else knows it.
        _ => Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }),
    };
    // SAFETY: integer arguments only.
    let process = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    let of_process = |number: u32, what: &str| {
        // SAFETY: as before.
        let fd = owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) })?;
        let is_it = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))?.as_os_str() == what;
        if is_it { Ok(fd) } else { Err(io::Error::other("a child gave another descriptor")) }
    };
    let given = [of_process(numbers[0], DESCRIPTORS[0])?, of_process(numbers[1], DESCRIPTORS[1])?];
    Ok((process, given))
}

/// Runs what most programs do, so that it is done in what is kept.
fn rehearse(worker: &mut Worker, mut jobs: &PipeWriter, memory_bytes: u64) -> Result<(), Refused> {
    for _ in 0..N_REHEARSALS {
        let request = rehearsal(memory_bytes);
        jobs.write_all(&request.encode(true))?;
        let mut talk = Conversation::new(&request);
        while !talk.is_complete() {
            if talk.hear(&mut worker.channel, START_WAIT)?.is_some() {
                return Err(Refused);
            }
        }
    }
    Ok(())
}

fn rehearsal(memory_bytes: u64) -> Request<'static> {
    Request {
        nonce: fresh_nonce(),
        parts: vec![Part { program: REHEARSAL, inputs: vec!["[3, 1, 2], 'ab'"] }],
        calls: Repeats::Twice,
        names: Names::Literals,
        limits: Limits { memory_bytes, cpu_s: 5.0, wall_s: START_WAIT.as_secs_f64(), output_bytes: 4096 },
    }
}

/// A program of what programs are made of.
const REHEARSAL: &str = "import math
def g(n):
    return n * n % 7
def f(x, s):
    out, seen = [], {}
    for i, v in enumerate(sorted(x)):
        if v > 1 and v not in seen:
            out.append(g(v) + i / 2)
        elif s:
            seen[v] = s.upper()[::-1] + str(i)
    while len(out) < 3:
        out.append(math.sqrt(len(out)))
    return [out, seen, (min(x), sum(v for v in x)), ' '.join(map(str, x)), {len(s)}, lambda: 0][:5]";

/// Stops the child where it waits for its next job.
fn await_job(worker: &mut Worker, tracee: &mut Tracee, descriptor: RawFd) -> Result<Registers, Refused> {
    for _ in 0..N_LOOKS {
        if !tracee.stop()? {
            return Err(Refused);
        }
        let registers = tracee.registers()?;
        if registers.reads_from(descriptor) {
            let mut registers = registers.before_call();
            tracee.set_registers(&mut registers)?;
            return Ok(registers);
        }
        tracee.go()?;
        // Also lets through what it may ask of the kernel on its way there.
        worker.channel.next(Deadline::after(LOOK_EVERY), &mut Vec::new())?;
    }
    Err(Refused)
}
