//! What is heard of one child while it runs a request, until it has answered or is gone.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use crate::channel::{Channel, Heard};
use crate::clock::Deadline;
use crate::protocol::{self, Answers, Cause, Request, WorkerFrame};
use crate::settle::{Attempt, End};
use crate::worker::{EXIT_OUT_OF_MEMORY, GRACE, Lost, out_of_turn};

pub(crate) struct Conversation<'a> {
    request: &'a Request<'a>,
    answers: Answers,
    /// Read and not yet understood, and how much more the child may write.
    said: Vec<u8>,
    left: u64,
    killed: Option<Killed>,
    wall: Duration,
    deadline: Deadline,
}

/// Why the host had a child killed.
#[derive(Clone, Copy)]
pub(crate) enum Killed {
    Late,
    Flood,
    Malformed,
    CpuLimit,
}

/// How a child ended, as its worker says.
pub(crate) struct Exit {
    wait_status: i32,
    /// Over all its life.
    pub(crate) cpu_us: u64,
    cause: Cause,
    pub(crate) worker_kib: u64,
}

impl Conversation<'_> {
    pub(crate) fn new<'a>(request: &'a Request<'a>) -> Conversation<'a> {
        let wall = Duration::from_secs_f64(request.limits.wall_s * f64::from(request.n_calls()));
        Conversation {
            request,
            answers: Answers::new(request),
            said: Vec::new(),
            left: request.max_answer_bytes(),
            killed: None,
            wall,
            deadline: Deadline::after(wall),
        }
    }

    /// Whether every input has its answer and nothing else was said.
    pub(crate) fn is_complete(&self) -> bool {
        self.killed.is_none() && self.answers.are_complete()
    }

    /// Whether the child has said something that is no answer: nothing counts any more.
    pub(crate) fn is_malformed(&self) -> bool {
        self.answers.malformed
    }

    /// Waits for the child to speak or to end, at most for `patience`; has it killed where it says too much or nothing
    /// for too long.
    pub(crate) fn hear(&mut self, channel: &mut Channel, patience: Duration) -> Result<Option<Exit>, Lost> {
        let heard = channel.next(self.deadline.or_after(patience), &mut self.said)?;
        let n_before = self.answers.answers.len();
        let n_said = self.said.len() as u64;
        let flooded = self.left < n_said;
        if self.killed.is_none() {
            // What comes first counts, however much comes with it.
            self.answers.push(&self.said[..self.left.min(n_said) as usize]);
        }
        self.left = self.left.saturating_sub(n_said);
        self.said.clear();
        let late = self.deadline.left().is_none();
        match heard {
            Heard::Frame(WorkerFrame::Exit { wait_status, cpu_us, cause, worker_kib }) => {
                if flooded {
                    self.killed.get_or_insert(Killed::Flood);
                }
                return Ok(Some(Exit { wait_status, cpu_us, cause, worker_kib }));
            }
            Heard::Frame(WorkerFrame::CannotFork(reason)) => return Err(Lost::CannotFork { reason }),
            Heard::Frame(WorkerFrame::Hello { .. }) => return Err(out_of_turn("a greeting")),
            Heard::Silence if late && self.killed.is_some() => return Err(Lost::silent()),
            Heard::Child if flooded => self.kill(Killed::Flood, channel)?,
            Heard::Child if n_before < self.answers.answers.len() && self.killed.is_none() => {
                self.deadline = Deadline::after(self.wall);
            }
            Heard::Silence if late => self.kill(Killed::Late, channel)?,
            Heard::Child | Heard::Silence => {}
        }
        Ok(None)
    }

    /// Has the worker kill the child. The first reason stands.
    pub(crate) fn kill(&mut self, why: Killed, channel: &mut Channel) -> io::Result<()> {
        if self.killed.is_none() {
            self.killed = Some(why);
            channel.send(&protocol::encode_kill())?;
            self.deadline = Deadline::after(GRACE);
        }
        Ok(())
    }

    /// What came of the request, of a child that has answered it all.
    pub(crate) fn done(self) -> Attempt {
        Attempt { answers: self.answers.answers, end: End::Done }
    }

    /// What came of the request, of a child that is gone and spent so much CPU time on it.
    pub(crate) fn end(self, exit: &Exit, cpu: Duration) -> Attempt {
        let end = match (self.killed, exit.cause) {
            (Some(Killed::Late), _) => End::WallLimit,
            (Some(Killed::Flood), _) => {
                End::Died { detail: format!("wrote over {} bytes", self.request.max_answer_bytes()) }
            }
            (Some(Killed::Malformed), _) => malformed(),
            (Some(Killed::CpuLimit), _) | (None, Cause::CpuLimit) => End::CpuLimit,
            (None, Cause::Own) => self.how_it_ended(exit.wait_status, cpu),
        };
        Attempt { answers: self.answers.answers, end }
    }

    fn how_it_ended(&self, wait_status: i32, cpu: Duration) -> End {
        let status = ExitStatus::from_raw(wait_status);
        let used_up = cpu.as_secs() >= u64::from(self.request.total_cpu_s());
        match (status.code(), status.signal()) {
            (_, Some(libc::SIGPROF | libc::SIGXCPU)) => End::CpuLimit,
            (_, Some(libc::SIGKILL)) if used_up => End::CpuLimit,
            _ if self.answers.malformed => malformed(),
            (Some(EXIT_OUT_OF_MEMORY), _) => End::OutOfMemory,
            (Some(0), _) => End::Done,
            _ => End::Died { detail: status.to_string() },
        }
    }
}

fn malformed() -> End {
    End::Died { detail: "malformed answer".into() }
}
