//! The bytes between host, worker and child. Integers are little-endian and unsigned. What a child writes comes to the
//! host directly and is hostile: every length is capped, every count checked, every text must be UTF-8.

use kelvin_core::executor::{Calls, Limits, Names, Outcome};

use crate::probe::Bait;

/// Changes with the layout of any frame; `driver/zygote.py` has the same number.
pub(crate) const VERSION: u32 = 5;

/// The largest frame a worker sends, with room for an error's text.
const MAX_FRAME_BYTES: usize = 1 << 12;

/// Kind (1 byte) and body length (4 bytes) before each frame between host and worker.
pub(crate) const FRAME_HEAD_BYTES: usize = 5;

/// Nonce (8), index (4), kind (1), CPU time (8) and payload length (4) before each answer of a child.
const ANSWER_HEAD_BYTES: usize = 25;

/// The longest payload that is not a result: two texts that `driver/answer.py` cuts at 200 characters of 4 bytes, or 10
/// where they are escaped.
const MAX_NOTE_BYTES: usize = 4200;

/// What a worker is asked to run in one child.
pub(crate) struct Request<'a> {
    /// Tells this job's answers from whatever else a child writes.
    pub(crate) nonce: u64,
    pub(crate) parts: Vec<Part<'a>>,
    pub(crate) calls: Calls,
    pub(crate) names: Names,
    pub(crate) limits: Limits,
}

/// A program and some of its inputs.
pub(crate) struct Part<'a> {
    pub(crate) program: &'a str,
    pub(crate) inputs: Vec<&'a str>,
}

impl Request<'_> {
    pub(crate) fn n_inputs(&self) -> usize {
        self.parts.iter().map(|part| part.inputs.len()).sum()
    }

    /// Every text of it.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flat_map(|part| part.inputs.iter().copied().chain([part.program]))
    }

    pub(crate) fn n_calls(&self) -> u32 {
        match self.calls {
            Calls::Once => 1,
            Calls::Twice => 2,
        }
    }

    /// The child's whole CPU time in seconds, for the kernel's limit behind the timer of each call. The kernel
    /// counts it in ticks, which under load are far off, so it is twice what the calls may use, and two seconds
    /// for forking and compiling.
    pub(crate) fn total_cpu_s(&self) -> u32 {
        let calls = f64::from(self.n_calls()) * self.n_inputs() as f64;
        (calls * self.limits.cpu_s * 2.0).ceil().min(1e9) as u32 + 2
    }

    /// How often a child may ask for another call's worth of CPU time: before each call.
    fn n_refills(&self) -> u64 {
        self.n_inputs() as u64 * u64::from(self.n_calls())
    }

    /// The most a child may write: an answer for each input.
    pub(crate) fn max_answer_bytes(&self) -> u64 {
        let answer = ANSWER_HEAD_BYTES as u64 + self.limits.output_bytes.max(MAX_NOTE_BYTES as u64);
        (self.n_inputs() as u64).saturating_mul(answer)
    }

    /// The frame that starts the job; the child loads the system call filter if it is to be `filtered`.
    pub(crate) fn encode(&self, filtered: bool) -> Vec<u8> {
        let mut body = Vec::with_capacity(64 + self.texts().map(str::len).sum::<usize>());
        body.extend(self.nonce.to_le_bytes());
        body.extend(self.n_refills().to_le_bytes());
        body.extend(((self.limits.cpu_s * 1e6) as u64).to_le_bytes());
        body.extend(self.limits.memory_bytes.to_le_bytes());
        body.extend(self.total_cpu_s().to_le_bytes());
        body.push(u8::from(filtered));
        body.push(self.n_calls() as u8);
        body.push(u8::from(self.names == Names::Program));
        body.extend(self.limits.output_bytes.to_le_bytes());
        body.extend(length(self.parts.len()).to_le_bytes());
        for part in &self.parts {
            put_text(&mut body, part.program);
            body.extend(length(part.inputs.len()).to_le_bytes());
            part.inputs.iter().for_each(|input| put_text(&mut body, input));
        }
        frame(b'J', &body)
    }
}

/// The first frame to a worker, with the system call filter for its children; it answers with
/// [`WorkerFrame::Hello`].
pub(crate) fn encode_hello(nonce: u64, filter: &[u8]) -> Vec<u8> {
    frame(b'H', &[&nonce.to_le_bytes()[..], filter].concat())
}

/// CPU time of a probe's child, in microseconds and in seconds of the kernel's limit.
const PROBE_CPU: (u64, u32) = (2_000_000, 5);

/// The frame that has a child try to get out, or to kill the worker.
pub(crate) fn encode_probe(nonce: u64, memory: u64, filtered: bool, kills: bool, bait: &Bait) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(nonce.to_le_bytes());
    body.extend(0u64.to_le_bytes());
    body.extend(PROBE_CPU.0.to_le_bytes());
    body.extend(memory.to_le_bytes());
    body.extend(PROBE_CPU.1.to_le_bytes());
    body.push(u8::from(filtered));
    body.push(u8::from(kills));
    body.extend(u32::from(bait.port).to_le_bytes());
    body.extend(std::process::id().to_le_bytes());
    put_text(&mut body, &bait.folder.to_string_lossy());
    frame(b'P', &body)
}

/// Asks the worker to kill the child it runs; without one it does nothing.
pub(crate) fn encode_kill() -> Vec<u8> {
    frame(b'K', &[])
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FRAME_HEAD_BYTES + body.len());
    bytes.push(kind);
    bytes.extend(length(body.len()).to_le_bytes());
    bytes.extend(body);
    bytes
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    body.extend(length(text.len()).to_le_bytes());
    body.extend(text.as_bytes());
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("what shares a child has no more than 16 MiB")
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

/// What came of one input, as its child says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    /// CPU time of the longer call, in microseconds.
    pub(crate) cpu_us: u64,
}

/// Reads a child's answers as they come. They are in order; after the first malformed byte nothing counts.
pub(crate) struct Answers {
    pub(crate) answers: Vec<Answer>,
    pub(crate) malformed: bool,
    nonce: u64,
    n_inputs: usize,
    max_result_bytes: usize,
    unread: Vec<u8>,
}

impl Answers {
    pub(crate) fn new(request: &Request<'_>) -> Answers {
        Answers {
            answers: Vec::with_capacity(request.n_inputs()),
            malformed: false,
            nonce: request.nonce,
            n_inputs: request.n_inputs(),
            max_result_bytes: request.limits.output_bytes as usize,
            unread: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.malformed {
            return;
        }
        self.unread.extend_from_slice(bytes);
        let mut read_bytes = 0;
        while let Some(used) = self.decode_one(read_bytes) {
            read_bytes += used;
        }
        self.unread.drain(..read_bytes);
        if self.malformed {
            self.unread.clear();
        }
    }

    /// The length of the answer at `from`, or `None` if it is incomplete or malformed.
    fn decode_one(&mut self, from: usize) -> Option<usize> {
        let mut reader = Reader(&self.unread[from..]);
        let nonce = reader.u64()?;
        let index = reader.u32()? as usize;
        let kind = reader.u8()?;
        let cpu_us = reader.u64()?;
        let payload_bytes = reader.u32()? as usize;
        let most = if kind == b'V' { self.max_result_bytes } else { MAX_NOTE_BYTES };
        let in_order = index == self.answers.len() && index < self.n_inputs;
        if nonce != self.nonce || !in_order || payload_bytes > most {
            self.malformed = true;
            return None;
        }
        let payload = reader.take(payload_bytes)?;
        if let Some(outcome) = decode_outcome(kind, payload) {
            self.answers.push(Answer { outcome, cpu_us });
        } else {
            self.malformed = true;
            return None;
        }
        Some(ANSWER_HEAD_BYTES + payload_bytes)
    }
}

fn decode_outcome(kind: u8, payload: &[u8]) -> Option<Outcome> {
    let text = || std::str::from_utf8(payload).ok();
    Some(match kind {
        b'V' => Outcome::Value { repr: text()?.to_owned() },
        b'L' => Outcome::NotLiteral { type_name: printable(text()?) },
        b'R' => {
            let (exception, message) = text()?.split_once('\0')?;
            Outcome::Raised { exception: printable(exception), message: printable(message) }
        }
        b'C' => Outcome::CompileError { message: printable(text()?) },
        b'N' => Outcome::Nondeterministic,
        b'M' => Outcome::OutOfMemory,
        b'B' => Outcome::TooLarge { bytes: Reader(payload).u64()? },
        _ => return None,
    })
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
    use super::*;
    use proptest::prelude::*;

    const NONCE: u64 = 0x0102_0304_0506_0708;

    fn request(n_inputs: usize) -> Request<'static> {
        Request {
            nonce: NONCE,
            parts: vec![Part { program: "def f(): pass", inputs: vec![""; n_inputs] }],
            calls: Calls::Once,
            names: Names::Literals,
            limits: Limits { output_bytes: 8, ..Limits::default() },
        }
    }

    fn answer(nonce: u64, index: u32, kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = nonce.to_le_bytes().to_vec();
        bytes.extend(index.to_le_bytes());
        bytes.push(kind);
        bytes.extend(7u64.to_le_bytes());
        bytes.extend((payload.len() as u32).to_le_bytes());
        bytes.extend(payload);
        bytes
    }

    fn outcomes(bytes: &[u8], n_inputs: usize) -> (Vec<Outcome>, bool) {
        let mut answers = Answers::new(&request(n_inputs));
        answers.push(bytes);
        (answers.answers.into_iter().map(|answer| answer.outcome).collect(), answers.malformed)
    }

    #[test]
    fn every_kind_of_answer_is_read() {
        let cases = [
            (b'V', &b"[1]"[..], Outcome::Value { repr: "[1]".into() }),
            (b'L', b"object", Outcome::NotLiteral { type_name: "object".into() }),
            (b'R', b"E\0bad\x1b", Outcome::Raised { exception: "E".into(), message: "bad ".into() }),
            (b'C', b"no", Outcome::CompileError { message: "no".into() }),
            (b'N', b"", Outcome::Nondeterministic),
            (b'M', b"", Outcome::OutOfMemory),
            (b'B', &[1, 1, 0, 0, 0, 0, 0, 0], Outcome::TooLarge { bytes: 257 }),
        ];
        for (kind, payload, expected) in cases {
            assert_eq!(outcomes(&answer(NONCE, 0, kind, payload), 1), (vec![expected], false));
        }
    }

    #[test]
    fn nothing_counts_after_a_malformed_answer() {
        let good = answer(NONCE, 0, b'V', b"1");
        let one = vec![Outcome::Value { repr: "1".into() }];
        for bad in [
            answer(NONCE + 1, 1, b'V', b"2"),
            answer(NONCE, 0, b'V', b"2"),
            answer(NONCE, 2, b'V', b"2"),
            answer(NONCE, 1, b'?', b"2"),
            answer(NONCE, 1, b'V', b"over eight bytes"),
            answer(NONCE, 1, b'V', b"\xff"),
            answer(NONCE, 1, b'R', b"no separator"),
            answer(NONCE, 1, b'B', b"short"),
        ] {
            let bytes = [&good[..], &bad, &answer(NONCE, 1, b'V', b"3")].concat();
            assert_eq!(outcomes(&bytes, 2), (one.clone(), true), "{bad:?}");
        }
        let extra = [&good[..], &answer(NONCE, 1, b'V', b"2")].concat();
        assert_eq!(outcomes(&extra, 1), (one, true));
    }

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

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode_frame(&bytes);
            let (outcomes, _) = outcomes(&bytes, 3);
            prop_assert!(outcomes.len() <= 3);
        }

        /// Random bytes rarely get past the nonce; these do.
        #[test]
        fn answers_do_not_depend_on_how_they_are_cut(
            parts in proptest::collection::vec((0u32..4, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..12)), 0..5),
            cut in 1usize..40,
        ) {
            let bytes: Vec<u8> = parts.iter().flat_map(|(index, kind, payload)| {
                answer(NONCE, *index, b"VLRCNMB?"[*kind as usize % 8], payload)
            }).collect();
            let mut pieces = Answers::new(&request(3));
            bytes.chunks(cut).for_each(|piece| pieces.push(piece));
            let pieces: Vec<Outcome> = pieces.answers.into_iter().map(|answer| answer.outcome).collect();
            prop_assert_eq!(pieces, outcomes(&bytes, 3).0);
        }
    }
}
