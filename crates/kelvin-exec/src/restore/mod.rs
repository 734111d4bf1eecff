//! Children that are set back instead of forked anew: a child answers a job while nothing holds it, is stopped, and has
//! its memory and registers put back as they were before, in the way of Groundhog (Alzayat et al., EuroSys 2023).
//! Between two jobs of such a child nothing differs but the kernel's count of its time: what a program writes is
//! undone (`image.rs`), and a child that asked the kernel for anything that lasts (`calls.rs`) is not used again.
//!
//! Forking and ending a process, and the pages that it touches for the first time, cost five times what a small program
//! does (docs/log.md). Needs Linux 6.7 on x86_64, and leave to stop processes of one's own; elsewhere every job is
//! forked.

mod allowance;
mod calls;
mod image;
mod standing;
mod tracee;

use std::io::{self, PipeWriter};
use std::os::fd::{AsRawFd, RawFd};

use kelvin_core::executor::HashSeed;

pub(crate) use calls::Calls;
use standing::{Standing, TOTAL_CPU_S};

use crate::channel::Heard;
use crate::clock::Deadline;
use crate::fate::{Fate, Ran, Refused};
use crate::interpreter::Python;
use crate::preload::Preload;
use crate::protocol::{Request, WorkerFrame};
use crate::sandbox::Layers;
use crate::worker::{GRACE, Lost, Worker};

/// What the pipe of jobs holds at once; `driver/child.py` has the same number.
const JOB_BYTES_MAX: usize = 1 << 16;

/// What such a child takes for its programs' heap before their limit holds; `driver/child.py` has the same number in pieces.
const HEAP_BYTES: u64 = 1 << 22;

/// A worker whose child is set back after each job.
pub(crate) struct Restorer {
    // Before the worker, so that the child ends first.
    child: Option<Standing>,
    jobs: PipeWriter,
    /// What the worker calls the other end of that pipe.
    descriptor: RawFd,
    /// How many generations below the worker's process its child is.
    depth: usize,
    telling_filter: Vec<u8>,
    worker: Worker,
}

impl From<io::Error> for Refused {
    fn from(_: io::Error) -> Refused {
        Refused
    }
}

impl From<Lost> for Refused {
    fn from(_: Lost) -> Refused {
        Refused
    }
}

impl Restorer {
    /// Whether a request can go to such a child at all: one input, in one piece, within the time that a child has, and
    /// allowed the memory that was taken beforehand.
    pub(crate) fn takes(request: &Request<'_>) -> bool {
        request.n_inputs() == 1
            && request.texts().map(str::len).sum::<usize>() < JOB_BYTES_MAX / 2
            && request.total_cpu_s() < TOTAL_CPU_S / 2
            && HEAP_BYTES <= request.limits.memory_bytes
    }

    /// Starts a worker; its child comes with the first job.
    pub(crate) fn start(
        python: &Python,
        hash_seed: HashSeed,
        preload: Preload,
        layers: &Layers,
    ) -> Result<Restorer, Refused> {
        let telling_filter = layers.telling_filter();
        if telling_filter.is_empty() {
            return Err(Refused);
        }
        let (theirs, jobs) = io::pipe()?;
        // A user of many pipes gets smaller ones, where a job could wait for ever for somebody to read it.
        // SAFETY: integer arguments only.
        if unsafe { libc::fcntl(jobs.as_raw_fd(), libc::F_GETPIPE_SZ) } < JOB_BYTES_MAX as libc::c_int {
            return Err(Refused);
        }
        let descriptor = theirs.as_raw_fd();
        let worker = Worker::start(python, hash_seed, preload, layers, descriptor).map_err(|_| Refused)?;
        let depth = if layers.own_processes() { 2 } else { 1 };
        Ok(Restorer { child: None, jobs, descriptor, depth, telling_filter, worker })
    }

    /// Has a child stand ready whose programs have so much memory.
    pub(crate) fn prepare(&mut self, memory_bytes: u64) -> Result<(), Refused> {
        if self.child.as_ref().is_some_and(|it| it.memory_bytes != memory_bytes) {
            self.dismiss()?;
        }
        if self.child.is_none() {
            let Restorer { jobs, descriptor, depth, telling_filter, worker, .. } = self;
            let place = (*descriptor, *depth);
            self.child = Some(Standing::start(worker, jobs, place, telling_filter, memory_bytes)?);
        }
        Ok(())
    }

    /// Runs a request in the child that stands ready. After an error, or if the child is gone, this is of no further
    /// use.
    pub(crate) fn run(&mut self, request: &Request<'_>) -> Result<Ran, Lost> {
        let child = self.child.as_mut().expect("one was prepared");
        let ran = child.run(&mut self.worker, &self.jobs, request)?;
        if ran.fate == Fate::Spent {
            self.dismiss()?;
        }
        Ok(ran)
    }

    /// Ends the child, which is stopped, and waits for the worker to say so.
    fn dismiss(&mut self) -> Result<(), Lost> {
        self.child = None;
        self.worker.channel.calls = None;
        let deadline = Deadline::after(GRACE);
        loop {
            match self.worker.channel.next(deadline, &mut Vec::new())? {
                Heard::Frame(WorkerFrame::Exit { .. }) => return Ok(()),
                Heard::Child => {}
                Heard::Silence | Heard::Frame(_) => return Err(Lost::silent()),
            }
        }
    }
}
