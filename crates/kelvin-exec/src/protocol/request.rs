//! What the host says: frames to a worker, with the jobs of its children.

use kelvin_core::executor::{Calls, Limits, Names};

use super::{ANSWER_HEAD_BYTES, FRAME_HEAD_BYTES, MAX_NOTE_BYTES};
use crate::probe::Bait;

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
        body.push(match self.names {
            Names::Literals => 0,
            Names::Program => 1,
            Names::Library => 2,
        });
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
/// [`WorkerFrame::Hello`](super::WorkerFrame::Hello).
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

/// The frame that forks a child which answers one job after the other, with the filter that tells of what it cannot be
/// set back after. The host has the watch over its CPU time.
pub(crate) fn encode_stand(nonce: u64, memory: u64, total_cpu_s: u32, telling_filter: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(nonce.to_le_bytes());
    body.extend(0u64.to_le_bytes());
    body.extend((u64::from(total_cpu_s) * 1_000_000).to_le_bytes());
    body.extend(memory.to_le_bytes());
    body.extend(total_cpu_s.to_le_bytes());
    body.extend(telling_filter);
    frame(b'S', &body)
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
