//! The bytes between host, worker and child. Integers are little-endian and unsigned. What a child writes comes to the
//! host directly and is hostile: every length is capped, every count checked, every text must be UTF-8.

mod answers;
pub(crate) mod request;

pub(crate) use answers::{Answer, Answers};
pub(crate) use request::{Part, Request, encode_hello, encode_kill, encode_probe};

/// Changes with the layout of any frame; `driver/zygote.py` has the same number.
pub(crate) const VERSION: u32 = 7;

/// The largest frame a worker sends, with room for an error's text.
const MAX_FRAME_BYTES: usize = 1 << 12;

/// Kind (1 byte) and body length (4 bytes) before each frame between host and worker.
pub(crate) const FRAME_HEAD_BYTES: usize = 5;

/// Nonce (8), index (4), kind (1), CPU time (8) and payload length (4) before each answer of a child.
const ANSWER_HEAD_BYTES: usize = 25;

/// The longest payload that is not a result: two texts that `driver/answer.py` cuts at 200 characters of 4 bytes, or 10
/// where they are escaped.
const MAX_NOTE_BYTES: usize = 4200;

/// What a child says before its first job: the numbers of its two descriptors for the host, and where it notes its CPU
/// time. `None` while that is incomplete.
pub(crate) fn decode_ready(nonce: u64, said: &[u8]) -> Option<Result<([u32; 2], u64), BadFrame>> {
    let mut reader = Reader(said);
    let (said_nonce, tracker, listener, heard) = (reader.u64()?, reader.u32()?, reader.u32()?, reader.u64()?);
    Some(if said_nonce == nonce && reader.0.is_empty() {
        Ok(([tracker, listener], heard))
    } else {
        Err(BadFrame)
    })
}

/// What a worker says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WorkerFrame {
    Hello {
        version: u32,
        nonce: u64,
        privileges: u8,
    },
    /// The child is gone.
    Exit {
        wait_status: i32,
        cpu_us: u64,
        cause: Cause,
        /// The most memory that the worker itself has had, in KiB.
        worker_kib: u64,
    },
    CannotFork(String),
}

/// Why the worker ended its child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It did not.
    Own,
    /// The child used too much CPU time.
    CpuLimit,
}

/// A frame that breaks the protocol.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the worker sent a frame that is none")]
pub(crate) struct BadFrame;

/// The first frame in `bytes` and its length, or `None` while it is incomplete.
pub(crate) fn decode_frame(bytes: &[u8]) -> Result<Option<(WorkerFrame, usize)>, BadFrame> {
    let mut head = Reader(bytes);
    let (Some(kind), Some(body_bytes)) = (head.u8(), head.u32()) else { return Ok(None) };
    if body_bytes as usize > MAX_FRAME_BYTES {
        return Err(BadFrame);
    }
    let Some(body) = head.take(body_bytes as usize) else { return Ok(None) };
    let frame = match kind {
        b'E' => Some(WorkerFrame::CannotFork(printable(&String::from_utf8_lossy(body)))),
        b'H' => Reader(body).hello(),
        b'X' => Reader(body).exit(),
        _ => None,
    };
    Ok(Some((frame.ok_or(BadFrame)?, FRAME_HEAD_BYTES + body.len())))
}

/// Text of a program's making that a terminal may show.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Takes from the front; `None` once too little is left.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n_bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n_bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn hello(&mut self) -> Option<WorkerFrame> {
        Some(WorkerFrame::Hello { version: self.u32()?, nonce: self.u64()?, privileges: self.u8()? })
    }

    fn exit(&mut self) -> Option<WorkerFrame> {
        let wait_status = self.array().map(i32::from_le_bytes)?;
        let cpu_us = self.u64()?;
        let cause = match self.u8()? {
            0 => Cause::Own,
            1 => Cause::CpuLimit,
            _ => return None,
        };
        Some(WorkerFrame::Exit { wait_status, cpu_us, cause, worker_kib: self.u64()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frame_over_the_cap_is_refused_before_its_body_comes() {
        assert_eq!(decode_frame(&[b'E', 1, 0, 2, 0]), Err(BadFrame));
        assert_eq!(decode_frame(&[b'E', 1, 0]), Ok(None));
        assert_eq!(
            decode_frame(&[b'E', 1, 0, 0, 0, b'x']),
            Ok(Some((WorkerFrame::CannotFork("x".into()), 6)))
        );
        assert_eq!(decode_frame(&[b'X', 1, 0, 0, 0, 9]), Err(BadFrame));
        assert_eq!(decode_frame(&[b'Z', 0, 0, 0, 0]), Err(BadFrame));
    }

    #[test]
    fn a_child_that_is_ready_says_where_things_are() {
        let said =
            [&7u64.to_le_bytes()[..], &3u32.to_le_bytes(), &4u32.to_le_bytes(), &9u64.to_le_bytes()].concat();
        assert_eq!(decode_ready(7, &said), Some(Ok(([3, 4], 9))));
        assert_eq!(decode_ready(7, &said[..20]), None);
        assert_eq!(decode_ready(8, &said), Some(Err(BadFrame)));
        assert_eq!(decode_ready(7, &[&said[..], b"more"].concat()), Some(Err(BadFrame)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode_frame(&bytes);
            let _ = decode_ready(0, &bytes);
        }
    }
}
