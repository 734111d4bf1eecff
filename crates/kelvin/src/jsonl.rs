//! JSON lines in and out: one object a line, `-` for the standard streams, errors that name file and line.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, ErrorKind, IsTerminal, Read, Write},
    marker::PhantomData,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::{ClosedPipe, Usage},
    terminal::tame,
};

/// The longest line that is read, in bytes; a longer one is an error, not an allocation.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Rows of a file, in order. Blank lines are skipped; the first bad line is the last item.
pub(crate) struct Rows<T> {
    name: String,
    reader: Box<dyn BufRead + Send>,
    line_number: usize,
    /// What a good line looks like, for the hint.
    example: &'static str,
    ended: bool,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Rows<T> {
    /// Opens `path`, where `-` is standard input; `example` is a good line, for error messages.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub(crate) fn open(path: &Path, example: &'static str) -> anyhow::Result<Rows<T>> {
        let (name, reader): (_, Box<dyn BufRead + Send>) = if is_dash(path) {
            ("<stdin>".to_owned(), Box::new(BufReader::new(io::stdin())))
        } else {
            let file = File::open(path).map_err(|error| {
                Usage::error(format!(
                    "cannot read {}: {error}\nhint: give a file of JSON lines, or `-` for standard input",
                    path.display()
                ))
            })?;
            (path.display().to_string(), Box::new(BufReader::new(file)))
        };
        Ok(Rows { name, reader, line_number: 0, example, ended: false, of: PhantomData })
    }

    fn next_row(&mut self) -> anyhow::Result<Option<T>> {
        let mut line = Vec::new();
        loop {
            line.clear();
            let n_read =
                self.reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).with_context(
                    || {
                        format!(
                            "cannot read {}\nhint: give a file of JSON lines, or `-` for standard input",
                            self.name
                        )
                    },
                )?;
            if n_read == 0 {
                return Ok(None);
            }
            self.line_number += 1;
            if n_read as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
                return Err(self.bad_line(&format!("the line is over {LINE_BYTES_MAX} bytes")));
            }
            if !line.trim_ascii().is_empty() {
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(|error| self.bad_line(&describe(&error)));
            }
        }
    }

    fn bad_line(&self, what: &str) -> anyhow::Error {
        anyhow::anyhow!(
            "{}:{}: {what}\nhint: every line is one JSON object such as {}",
            self.name,
            self.line_number,
            self.example
        )
    }
}

impl<T: DeserializeOwned> Iterator for Rows<T> {
    type Item = anyhow::Result<T>;

    fn next(&mut self) -> Option<anyhow::Result<T>> {
        if self.ended {
            return None;
        }
        let row = self.next_row().transpose();
        self.ended = !matches!(row, Some(Ok(_)));
        row
    }
}

/// `serde_json` counts lines inside the one line it sees; only its column says something here.
fn describe(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    if error.is_data() { text.to_owned() } else { format!("{text} (column {})", error.column()) }
}

/// Where rows go. Call [`Sink::flush`] before dropping it: only that reports a failed write.
pub(crate) struct Sink {
    name: String,
    writer: BufWriter<Box<dyn Write + Send>>,
    is_terminal: bool,
}

impl Sink {
    /// Opens `out`, where `-` is standard output. `input` is what is being read, which must be another file.
    ///
    /// # Errors
    /// If the file cannot be written, or is the input.
    pub(crate) fn create(out: &Path, input: &Path) -> anyhow::Result<Sink> {
        if is_dash(out) {
            return Ok(Sink::stdout());
        }
        if out.exists() && identity(out).is_some_and(|it| Some(it) == identity(input)) {
            return Err(Usage::error(format!(
                "{} is both input and output\nhint: name another file for --out",
                out.display()
            )));
        }
        let file = File::create(out).map_err(|error| {
            Usage::error(format!(
                "cannot write {}: {error}\nhint: the folder must exist; `-` is standard output",
                out.display()
            ))
        })?;
        let writer: BufWriter<Box<dyn Write + Send>> = BufWriter::new(Box::new(file));
        Ok(Sink { name: out.display().to_string(), writer, is_terminal: false })
    }

    /// Standard output.
    pub(crate) fn stdout() -> Sink {
        let (stdout, name) = (io::stdout(), "<stdout>".to_owned());
        let is_terminal = stdout.is_terminal();
        Sink { name, writer: BufWriter::new(Box::new(stdout)), is_terminal }
    }

    /// One row.
    ///
    /// # Errors
    /// If writing fails; [`ClosedPipe`] if the reader is gone.
    pub(crate) fn row(&mut self, row: &impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_string(row).context("a result cannot be written as JSON")?;
        line.push('\n');
        self.text(&line)
    }

    /// Text as it is; on a terminal without what that would obey.
    ///
    /// # Errors
    /// See [`Sink::row`].
    pub(crate) fn text(&mut self, text: &str) -> anyhow::Result<()> {
        if self.is_terminal { self.bytes(tame(text).as_bytes()) } else { self.bytes(text.as_bytes()) }
    }

    /// Bytes as they are.
    ///
    /// # Errors
    /// See [`Sink::row`].
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = self.writer.write_all(bytes);
        self.checked(written)
    }

    /// Hands everything to the operating system.
    ///
    /// # Errors
    /// See [`Sink::row`].
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        let flushed = self.writer.flush();
        self.checked(flushed)
    }

    fn checked(&self, result: io::Result<()>) -> anyhow::Result<()> {
        result.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => ClosedPipe.into(),
            _ => anyhow::Error::new(error).context(format!(
                "cannot write {}\nhint: what was written before stands; make room, or name another file for --out",
                self.name
            )),
        })
    }
}

/// The two streams of a row-wise command.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Streams {
    /// Rows to read; `-` is standard input
    #[arg(long = "in", value_name = "F", default_value = "-")]
    pub(crate) input: PathBuf,
    /// Where results go; `-` is standard output
    #[arg(long = "out", value_name = "F", default_value = "-")]
    pub(crate) output: PathBuf,
}

/// Device and number of the regular file behind `path`, or behind standard input for `-`: the same for all its names.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = match is_dash(path) {
        true => File::from(io::stdin().as_fd().try_clone_to_owned().ok()?).metadata(),
        false => fs::metadata(path),
    };
    metadata.ok().filter(fs::Metadata::is_file).map(|it| (it.dev(), it.ino()))
}

fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}
