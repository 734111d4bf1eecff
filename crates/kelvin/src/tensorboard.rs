//! Curves for TensorBoard: `tensorboard/` of a run folder, made anew from `metrics.jsonl` at every start and added to with
//! each row. Events are records of TFRecord, each a protocol buffer `Event` with one value a metric; the time of an event is
//! the seconds that the run has taken, counted from 0.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use kelvin_core::{metrics::Metrics, task::Step};

use crate::{progress, terminal::say, varint::varint};

/// The file that curves are added to. What cannot be written there is left out: a run does not end for it.
pub(crate) struct Curves {
    file: Option<File>,
    seconds: f64,
}

impl Curves {
    /// The curves of the run in folder `run`, whose rows so far are `rows`.
    pub(crate) fn begin(run: &Path, rows: &[Metrics]) -> Curves {
        let folder = run.join("tensorboard");
        let open = || -> io::Result<File> {
            fs::create_dir_all(&folder)?;
            let mut file = File::create(folder.join("events.out.tfevents.0.kelvin"))?;
            file.write_all(&record(&version()))?;
            Ok(file)
        };
        let mut curves = Curves { file: None, seconds: 0.0 };
        match open() {
            Ok(file) => curves.file = Some(file),
            Err(error) => curves.give_up(&error),
        }
        for row in rows {
            curves.add(row.get("step").map_or(0, |it| *it as Step), row);
        }
        curves
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, step: Step, metrics: &Metrics) {
        self.seconds += progress::seconds(metrics);
        let Some(file) = &mut self.file else { return };
        let event = record(&event(self.seconds, step, metrics));
        if let Err(error) = file.write_all(&event) {
            self.give_up(&error);
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        self.file = None;
        say(&format!("warning: tensorboard/ cannot be written ({error}); the run goes on without it"));
    }
}

/// The first event of a file.
fn version() -> Vec<u8> {
    let mut event = double(1, 0.0);
    event.extend(bytes(3, b"brain.Event:2"));
    event
}

/// `Event { wall_time, step, summary { value { tag, simple_value } ... } }`.
fn event(seconds: f64, step: Step, metrics: &Metrics) -> Vec<u8> {
    let mut summary = Vec::new();
    for (name, value) in metrics.iter().filter(|(name, _)| *name != "step") {
        let mut of_metric = bytes(1, name.as_bytes());
        of_metric.push(2 << 3 | 5);
        of_metric.extend((*value as f32).to_le_bytes());
        summary.extend(bytes(1, &of_metric));
    }
    let mut event = double(1, seconds);
    event.push(2 << 3);
    event.extend(varint(u64::from(step)));
    event.extend(bytes(5, &summary));
    event
}

fn double(field: u8, value: f64) -> Vec<u8> {
    [&[field << 3 | 1][..], &value.to_le_bytes()].concat()
}

fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    [&[field << 3 | 2][..], &varint(value.len() as u64), value].concat()
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
        assert_eq!(event(2.5, 300, &metrics), expected);
    }

    /// What TensorBoard does not find it does not draw.
    #[test]
    fn a_folder_that_cannot_be_made_ends_nothing() {
        let mut curves = Curves::begin(Path::new("/proc/nowhere"), &[]);
        curves.add(1, &Metrics::new());
        assert!(curves.file.is_none());
    }
}
