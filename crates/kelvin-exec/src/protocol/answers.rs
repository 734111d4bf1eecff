//! What a child says: an answer for each input, none of it trusted.

use kelvin_core::executor::Outcome;

use super::{ANSWER_HEAD_BYTES, MAX_NOTE_BYTES, Reader, Request, printable};

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

    /// Whether there is one for every input and nothing after them.
    pub(crate) fn are_complete(&self) -> bool {
        self.answers.len() == self.n_inputs && !self.malformed && self.unread.is_empty()
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

#[cfg(test)]
mod tests {
    use kelvin_core::executor::{Calls, Limits, Names};
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::Part;

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

    proptest! {
        #[test]
        fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
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
