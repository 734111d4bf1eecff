//! Where a checkpoint's files come from: a folder, or memory for the model inside the binary.

use std::{
    fs::File,
    io::{Cursor, ErrorKind, Read},
    path::Path,
};

use anyhow::Context;

/// Named files.
pub(crate) enum Source<'files> {
    /// In a folder.
    Folder(&'files Path),
    /// Pairs of name and content.
    Memory(&'files [(&'files str, &'files [u8])]),
}

impl Source<'_> {
    /// A file's content; `None` if there is no such file.
    pub(crate) fn read(&self, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let Some((mut file, len)) = self.open(name)? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(len as usize);
        file.read_to_end(&mut bytes).with_context(|| format!("reading {name}"))?;
        Ok(Some(bytes))
    }

    /// A file to read from its start, and its length in bytes; `None` if there is no such file.
    pub(crate) fn open(&self, name: &str) -> anyhow::Result<Option<(Box<dyn Read + '_>, u64)>> {
        match self {
            Source::Folder(dir) => {
                let path = dir.join(name);
                let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
                match opened {
                    Ok((len, file)) => Ok(Some((Box::new(file), len))),
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(error).with_context(|| {
                        format!("reading {}\nhint: check the permissions of the file", path.display())
                    }),
                }
            }
            Source::Memory(files) => Ok(files
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, bytes)| (Box::new(Cursor::new(*bytes)) as Box<dyn Read>, bytes.len() as u64))),
        }
    }
}
