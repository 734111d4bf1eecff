//! Publishers' files: JSON, JSON lines, either of them packed by gzip, and Parquet. What stands in the data folder is what a user put
//! there; a file that is not what the benchmark says is an error that names it.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use flate2::read::MultiGzDecoder;
use kelvin_core::benchmark::SourceFile;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::table;

/// The largest unpacked file that is read, in bytes: several times LiveCodeBench with its tests.
const FILE_BYTES_MAX: u64 = 16 << 30;

/// The data folder.
#[derive(Clone, Debug)]
pub struct DataFolder(PathBuf);

/// A file as it was found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Found {
    /// Its place below the data folder.
    pub path: String,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Whether it is the file that this project was checked against; `None` where it had none.
    pub is_known: Option<bool>,
}

impl DataFolder {
    /// The folder at a place.
    ///
    /// # Errors
    /// If there is none.
    pub fn at(path: &Path) -> anyhow::Result<DataFolder> {
        if !path.is_dir() {
            bail!(
                "there is no folder {}\nhint: name the folder of benchmark files; `kelvin eval --list` says what belongs into it",
                path.display()
            );
        }
        Ok(DataFolder(path.to_owned()))
    }

    /// What is known of a file by its bytes.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn found(&self, file: &SourceFile) -> anyhow::Result<Found> {
        let bytes = self.bytes(file)?;
        let sha256: String = Sha256::digest(&bytes).iter().map(|it| format!("{it:02x}")).collect();
        let is_known = file.sha256.map(|it| it == sha256);
        Ok(Found { path: self.place(file).to_owned(), sha256, is_known })
    }

    /// Where a file's rows stand: the first of its names that is there, and its own where none is.
    fn place(&self, file: &SourceFile) -> &'static str {
        let names = [file.path].into_iter().chain(file.also.iter().copied());
        names.into_iter().find(|it| self.0.join(it).is_file()).unwrap_or(file.path)
    }

    /// The text of a file, unpacked where its name ends in `.gz`.
    ///
    /// # Errors
    /// If it is not there, not packed as its name says, or not UTF-8.
    pub(crate) fn text(&self, file: &SourceFile) -> anyhow::Result<String> {
        let bytes = self.bytes(file)?;
        let place = self.place(file);
        let name = self.0.join(place);
        let hint = "hint: fetch the file again; `kelvin eval --list` says from where";
        let bytes = if place.ends_with(".gz") {
            let mut unpacked = Vec::new();
            let read = MultiGzDecoder::new(bytes.as_slice()).take(FILE_BYTES_MAX).read_to_end(&mut unpacked);
            read.with_context(|| format!("{} is not packed by gzip\n{hint}", name.display()))?;
            unpacked
        } else {
            bytes
        };
        String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8\n{hint}", name.display()))
    }

    /// The rows of a file of JSON lines, of one JSON list, or of a table.
    ///
    /// # Errors
    /// If a row is not what the benchmark's publisher writes.
    pub(crate) fn rows<T: DeserializeOwned>(&self, file: &SourceFile) -> anyhow::Result<Vec<T>> {
        let name = self.0.join(self.place(file));
        let hint = "hint: the file must be the publisher's own; `kelvin eval --list` says which";
        if name.extension().is_some_and(|it| it == "parquet") {
            return table::rows(self.bytes(file)?).with_context(|| format!("{}\n{hint}", name.display()));
        }
        let text = self.text(file)?;
        if text.trim_start().starts_with('[') {
            return serde_json::from_str(&text).with_context(|| {
                format!("{} is not the list of rows that was expected\n{hint}", name.display())
            });
        }
        let rows = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        rows.map(|(index, line)| {
            serde_json::from_str(line).with_context(|| {
                format!("{}:{}: not a row that was expected\n{hint}", name.display(), index + 1)
            })
        })
        .collect()
    }

    /// Worked examples that precede a question, without the line of dashes and what stands above it.
    ///
    /// # Errors
    /// If the file is not there.
    pub(crate) fn worked_examples(&self, path: &str) -> anyhow::Result<String> {
        let name = self.0.join(path);
        let text = fs::read_to_string(&name).with_context(|| {
            format!("cannot read {}\nhint: `kelvin eval --list` says where to get it", name.display())
        })?;
        Ok(text.split_once("-----\n").map_or(text.as_str(), |(_, after)| after).trim().to_owned())
    }

    fn bytes(&self, file: &SourceFile) -> anyhow::Result<Vec<u8>> {
        let name = self.0.join(self.place(file));
        fs::read(&name).with_context(|| {
            format!("cannot read {}\nhint: `kelvin eval --list` says where to get it", name.display())
        })
    }
}
