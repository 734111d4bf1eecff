//! Where a checkpoint's files come from: a folder, or memory for the model inside the binary.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::Path,
};

use anyhow::Context;

/// Named files.
#[derive(Clone, Copy)]
pub(crate) enum Source<'files> {
    /// In a folder.
    Folder(&'files Path),
    /// Pairs of name and content.
    Memory(&'files [(&'files str, &'files [u8])]),
}

/// One file, to be read at any position by any thread.
pub(super) enum Bytes<'files> {
    File { file: File, len: u64 },
    Memory(&'files [u8]),
}

impl<'files> Source<'files> {
    /// A file's content; `None` if there is no such file.
    pub(crate) fn read(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(bytes) = self.open(name)? else { return Ok(None) };
        let mut content = vec![0; bytes.len() as usize];
        bytes.read_at(0, &mut content).with_context(|| format!("reading {name}"))?;
        Ok(Some(content))
    }

    /// A file that can be read; `None` if there is no such file.
    pub(super) fn open(&self, name: &str) -> anyhow::Result<Option<Bytes<'files>>> {
        match self {
            Source::Folder(dir) => {
                let path = dir.join(name);
                let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
                match opened {
                    Ok((len, file)) => Ok(Some(Bytes::File { file, len })),
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(error).with_context(|| {
                        format!("reading {}\nhint: check the permissions of the file", path.display())
                    }),
                }
            }
            Source::Memory(files) => {
                Ok(files.iter().find(|(known, _)| *known == name).map(|(_, bytes)| Bytes::Memory(bytes)))
            }
        }
    }
}

impl Bytes<'_> {
    /// The length in bytes when the file was opened.
    pub(super) fn len(&self) -> u64 {
        match self {
            Bytes::File { len, .. } => *len,
            Bytes::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Fills `into` with the bytes from `start` on.
    pub(super) fn read_at(&self, start: u64, into: &mut [u8]) -> io::Result<()> {
        match self {
            Bytes::File { file, .. } => file.read_exact_at(into, start),
            Bytes::Memory(bytes) => {
                let from = usize::try_from(start).ok().and_then(|start| bytes.get(start..));
                let wanted = from.and_then(|from| from.get(..into.len()));
                into.copy_from_slice(wanted.ok_or(ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}
