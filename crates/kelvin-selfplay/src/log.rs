//! A file that grows by lines, and a digest of it that grows with it: what was hashed once is not read again before a
//! resume.
//!
//! The digest is a chain over blocks of 64 KiB: the link before the first is 32 zeros, that after a block is the SHA-256
//! of the link before it and the block, and the digest is the SHA-256 of the last link and the bytes after the last
//! whole block.

use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::disk::Disk;

/// Bytes of a link.
const BLOCK: usize = 1 << 16;

/// How much of a log belongs to a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogCut {
    bytes: u64,
    /// The digest of the module, in hexadecimal digits.
    chain: String,
}

/// A log as this process has written it.
pub(crate) struct Log {
    path: PathBuf,
    chain: Chain,
}

impl Log {
    /// A log that is empty or not there.
    pub(crate) fn empty(path: PathBuf) -> Log {
        Log { path, chain: Chain::default() }
    }

    /// The log of which `cut` tells a part, up to there; what comes after it stays in the file until it is cut back.
    ///
    /// # Errors
    /// If the file is shorter than that or differs from it.
    pub(crate) fn read(path: PathBuf, cut: &LogCut) -> anyhow::Result<Log> {
        let describe = || format!("reading {}", path.display());
        let mut chain = Chain::default();
        match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => chain.read(opened.map(|it| it.take(cut.bytes)).with_context(describe)?)?,
        }
        anyhow::ensure!(
            chain.bytes == cut.bytes,
            "{} has {} bytes, the checkpoint needs {}\nhint: logs of a run are append-only; restore the file from a copy",
            path.display(),
            chain.bytes,
            cut.bytes
        );
        anyhow::ensure!(
            chain.digest() == cut.chain,
            "{} was changed since the checkpoint\nhint: logs of a run are append-only; restore the file from a copy",
            path.display()
        );
        Ok(Log { path, chain })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds rows, one a line.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn append(&mut self, disk: &Disk, rows: &[impl Serialize]) -> anyhow::Result<()> {
        let mut text = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut text, row)?;
            text.push(b'\n');
        }
        disk.append(&self.path, &text)?;
        self.chain.extend(&text);
        Ok(())
    }

    /// Cuts the file back to what is known of it.
    ///
    /// # Errors
    /// If that fails.
    pub(crate) fn cut_back(&self, disk: &Disk) -> anyhow::Result<()> {
        match self.path.exists() {
            true => disk.truncate(&self.path, self.chain.bytes),
            false => disk.append(&self.path, b""),
        }
    }

    /// Brings the file to the medium and says how much of it there is.
    ///
    /// # Errors
    /// If that fails, or the file is not as long as what was written to it.
    pub(crate) fn cut(&self, disk: &Disk) -> anyhow::Result<LogCut> {
        // Made if nothing was ever written to it.
        disk.append(&self.path, b"")?;
        disk.sync(&self.path)?;
        let there = self.path.metadata().with_context(|| format!("reading {}", self.path.display()))?.len();
        anyhow::ensure!(
            there == self.chain.bytes,
            "{} has {there} bytes, of which this run wrote {}\nhint: nothing else may write to a run folder; \
             `kelvin resume` cuts the log back to the last checkpoint",
            self.path.display(),
            self.chain.bytes
        );
        Ok(LogCut { bytes: there, chain: self.chain.digest() })
    }
}

/// The digest while it grows.
#[derive(Clone, Default)]
struct Chain {
    bytes: u64,
    link: [u8; 32],
    /// What came after the last whole block.
    rest: Vec<u8>,
}

impl Chain {
    fn extend(&mut self, mut bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        while BLOCK <= self.rest.len() + bytes.len() {
            let (of_block, after) = bytes.split_at(BLOCK - self.rest.len());
            self.rest.extend(of_block);
            self.link = Sha256::new().chain_update(self.link).chain_update(&self.rest).finalize().into();
            self.rest.clear();
            bytes = after;
        }
        self.rest.extend(bytes);
    }

    fn read(&mut self, mut from: impl Read) -> io::Result<()> {
        let mut buffer = vec![0; BLOCK];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => self.extend(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn digest(&self) -> String {
        hex(&Sha256::new().chain_update(self.link).chain_update(&self.rest).finalize())
    }
}

/// Hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use kelvin_core::seed::Seed;

    use super::*;

    fn bytes(n: usize) -> Vec<u8> {
        let mut draws = Seed::new(5).draws();
        (0..n).map(|_| draws.below(256) as u8).collect()
    }

    #[test]
    fn the_chain_does_not_depend_on_how_bytes_came() {
        let mut draws = Seed::new(1).draws();
        for n in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 77] {
            let all = bytes(n);
            let mut at_once = Chain::default();
            at_once.read(&all[..]).unwrap();
            let (mut in_parts, mut left) = (Chain::default(), &all[..]);
            while !left.is_empty() {
                let (part, after) = left.split_at((1 + draws.below(2 * BLOCK)).min(left.len()));
                in_parts.extend(part);
                left = after;
            }
            assert_eq!((at_once.bytes, at_once.digest()), (n as u64, in_parts.digest()));
        }
    }

    /// As the module describes it, by hand; one changed byte anywhere is another digest.
    #[test]
    fn the_chain_is_the_one_that_is_described() {
        let mut all = bytes(2 * BLOCK + 10);
        let digest = |all: &[u8]| {
            let mut chain = Chain::default();
            chain.extend(all);
            chain.digest()
        };
        let mut link = [0u8; 32];
        for block in [&all[..BLOCK], &all[BLOCK..2 * BLOCK]] {
            link = Sha256::digest([&link[..], block].concat()).into();
        }
        let last = Sha256::digest([&link[..], &all[2 * BLOCK..]].concat());
        let before = digest(&all);
        assert_eq!(before, hex(&last));
        for at in [0, BLOCK, 2 * BLOCK + 9] {
            all[at] ^= 1;
            assert_ne!(digest(&all), before, "byte {at}");
            all[at] ^= 1;
        }
    }
}
