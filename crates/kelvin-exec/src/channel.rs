//! What lies between the host and one worker: a socket on which both speak frames, and a pipe on which the worker's
//! children answer. The pipe is never trusted; the socket is closed in every child.

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;

use crate::clock::Deadline;
use crate::protocol::{self, WorkerFrame};
use crate::restore::Calls;
use crate::worker::Lost;

pub(crate) struct Channel {
    socket: UnixStream,
    answers: PipeReader,
    /// What the worker sent that is not read yet.
    unread: Vec<u8>,
    /// Where a child's system calls are told of.
    pub(crate) calls: Option<Calls>,
}

/// What there was to hear.
pub(crate) enum Heard {
    /// The worker.
    Frame(WorkerFrame),
    /// A child, whose bytes are in the buffer now.
    Child,
    /// Nothing, until the deadline.
    Silence,
}

impl Channel {
    /// A channel to the worker that `command` is about to start, on its standard input and output.
    ///
    /// # Errors
    /// If there are no descriptors left. A worker that does not take a frame for `patience` counts as lost.
    pub(crate) fn open(command: &mut Command, patience: Duration) -> io::Result<Channel> {
        let (socket, theirs) = UnixStream::pair()?;
        let (answers, writer) = io::pipe()?;
        socket.set_write_timeout(Some(patience))?;
        // The flag belongs to this end; children write as to any pipe.
        rustix::fs::fcntl_setfl(&answers, rustix::fs::fcntl_getfl(&answers)? | OFlags::NONBLOCK)?;
        command.stdin(OwnedFd::from(theirs)).stdout(OwnedFd::from(writer));
        Ok(Channel { socket, answers, unread: Vec::new(), calls: None })
    }

    pub(crate) fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.socket.write_all(frame)
    }

    /// Waits for the worker or its child; what a child says is put behind what `child` holds.
    pub(crate) fn next(&mut self, deadline: Deadline, child: &mut Vec<u8>) -> Result<Heard, Lost> {
        loop {
            if let Some(frame) = self.decoded()? {
                if matches!(frame, WorkerFrame::Exit { .. }) {
                    // Nothing writes any more: what the pipe still holds is all there is.
                    while self.read_answers(child)? {}
                }
                return Ok(Heard::Frame(frame));
            }
            let Some((said, answered)) = self.wait(deadline)? else { return Ok(Heard::Silence) };
            if answered && self.read_answers(child)? {
                return Ok(Heard::Child);
            }
            if said {
                let mut chunk = [0; 1 << 12];
                match self.socket.read(&mut chunk) {
                    Ok(0) => return Err(Lost::Worker { detail: "the worker died".into() }),
                    Ok(n_bytes) => self.unread.extend_from_slice(&chunk[..n_bytes]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    fn decoded(&mut self) -> Result<Option<WorkerFrame>, Lost> {
        let decoded = protocol::decode_frame(&self.unread)
            .map_err(|error| Lost::Worker { detail: error.to_string() })?;
        Ok(decoded.map(|(frame, used)| {
            self.unread.drain(..used);
            frame
        }))
    }

    /// Whether the worker has something to say, and whether a child has; `None` once it is too late.
    fn wait(&mut self, deadline: Deadline) -> Result<Option<(bool, bool)>, Lost> {
        let Some(left) = deadline.left() else { return Ok(None) };
        let timeout = Timespec::try_from(left).expect("deadlines are not that far away");
        let mut ends: Vec<PollFd<'_>> = [self.socket.as_fd(), self.answers.as_fd()]
            .into_iter()
            .chain(self.calls.as_ref().map(AsFd::as_fd))
            .map(|it| PollFd::from_borrowed_fd(it, PollFlags::IN))
            .collect();
        match rustix::event::poll(&mut ends, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let ready: Vec<PollFlags> = ends.iter().map(PollFd::revents).collect();
        if let (Some(calls), Some(told)) = (&mut self.calls, ready.get(2)) {
            if told.contains(PollFlags::IN) {
                calls.let_through()?;
            } else if !told.is_empty() {
                // Whoever could make any is gone.
                self.calls = None;
            }
        }
        Ok(Some((!ready[0].is_empty(), !ready[1].is_empty())))
    }

    /// Takes whatever a stopped child has written since it was last heard. Whether there was anything.
    pub(crate) fn drain(&mut self) -> Result<bool, Lost> {
        let mut said = Vec::new();
        while self.read_answers(&mut said)? {}
        Ok(!said.is_empty())
    }

    /// Whether there was anything to read.
    fn read_answers(&mut self, child: &mut Vec<u8>) -> Result<bool, Lost> {
        let mut chunk = [0; 1 << 14];
        match self.answers.read(&mut chunk) {
            Ok(n_bytes) => {
                child.extend_from_slice(&chunk[..n_bytes]);
                Ok(0 < n_bytes)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(false),
                _ => Err(error.into()),
            },
        }
    }
}
