//! Curves for TensorBoard: `tensorboard/` of a run folder, made anew from `metrics.jsonl` at every start and added to with
//! each row. Events are records of TFRecord, each a protocol buffer `Event` with one value a metric; the time of an event is
//! the seconds that the run has taken, counted from 0.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use kelvin_core::{metrics::Metrics, task::Step};
use prost::Message;

/// The file that curves are added to. What cannot be written there is left out: a run does not end for it.
pub(crate) struct Curves {
    file: Option<File>,
    message: Option<String>,
}

impl Curves {
    /// The curves of the run in folder `run`, which are none yet.
    pub(crate) fn begin(run: &Path) -> Curves {
        let folder = run.join("tensorboard");
        let open = || -> io::Result<File> {
            fs::create_dir_all(&folder)?;
            let mut file = File::create(folder.join("events.out.tfevents.0.kelvin"))?;
            file.write_all(&record(&Event::version().encode_to_vec()))?;
            Ok(file)
        };
        let mut curves = Curves { file: None, message: None };
        match open() {
            Ok(file) => curves.file = Some(file),
            Err(error) => curves.give_up(&error),
        }
        curves
    }

    /// Adds a row, after so many seconds of the run.
    pub(crate) fn add(&mut self, seconds: f64, step: Step, metrics: &Metrics) {
        let Some(file) = &mut self.file else { return };
        let event = record(&Event::of(seconds, step, metrics).encode_to_vec());
        if let Err(error) = file.write_all(&event) {
            self.give_up(&error);
        }
    }

    /// What there is to say, once.
    pub(crate) fn message(&mut self) -> Option<String> {
        self.message.take()
    }

    fn give_up(&mut self, error: &io::Error) {
        self.file = None;
        self.message =
            Some(format!("warning: tensorboard/ cannot be written ({error}); the run goes on without it"));
    }
}

/// `tensorboard.Event`, as far as it is written here.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    /// Of the first event of a file.
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    /// Optional, so that a zero is written.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

impl Event {
    /// The first of a file.
    fn version() -> Event {
        Event { file_version: Some("brain.Event:2".to_owned()), ..Event::default() }
    }

    /// A row of metrics.
    fn of(seconds: f64, step: Step, metrics: &Metrics) -> Event {
        let values = metrics.iter().filter(|(name, _)| *name != "step");
        let values = values
            .map(|(name, value)| Value { tag: name.clone(), simple_value: Some(*value as f32) })
            .collect();
        Event {
            wall_time: seconds,
            step: i64::from(step),
            file_version: None,
            summary: Some(Summary { values }),
        }
    }
}

/// TFRecord: length, its checksum, the bytes, theirs.
fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), bytes, &masked(bytes)].concat()
}

/// A checksum as TFRecord stores it, so that a checksum of bytes with checksums in them is a good one.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// Castagnoli's polynomial, reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc32c() {
        // RFC 3720, B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn an_event_is_a_protocol_buffer() {
        let metrics = Metrics::from([("a".to_owned(), 1.0), ("step".to_owned(), 300.0)]);
        let expected = [
            &[0x09][..],
            &2.5f64.to_le_bytes(),
            &[0x10, 0xac, 0x02],
            &[0x2a, 10, 0x0a, 8, 0x0a, 1, b'a', 0x15],
            &1.0f32.to_le_bytes(),
        ]
        .concat();
        assert_eq!(Event::of(2.5, 300, &metrics).encode_to_vec(), expected);
    }

    /// What TensorBoard does not find it does not draw.
    #[test]
    fn a_folder_that_cannot_be_made_ends_nothing() {
        let mut curves = Curves::begin(Path::new("/proc/nowhere"));
        curves.add(0.5, 1, &Metrics::new());
        assert!(curves.file.is_none());
        assert!(curves.message().is_some_and(|it| it.starts_with("warning: ")) && curves.message().is_none());
    }
}
