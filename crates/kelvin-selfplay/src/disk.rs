//! The one way to the disk for what a run keeps. Every write, sync, rename and removal of a run folder is an operation
//! here, so that a test can end a run inside any of them; what a run does without a test is the same code.
//!
//! Errors name the file and say how to make room or get leave.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

/// What is about to happen to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'run> {
    /// A folder is made.
    Make,
    /// A new file is written, so many bytes.
    Write(usize),
    /// So many bytes are added at the end of a file.
    Append(usize),
    /// A policy writes its files into a folder.
    Fill,
    /// A file or folder is brought to the medium.
    Sync,
    /// A file or folder that lies here gets its final name.
    Rename(&'run Path),
    /// A file is cut back to so many bytes.
    Truncate(u64),
    /// A file or folder is removed.
    Remove,
}

/// What can go wrong, for tests.
pub trait Faults: Send + Sync {
    /// Whether this operation is cut short, and after how many bytes; what has no bytes does not happen at all.
    fn cut(&self, operation: Operation<'_>, path: &Path) -> Option<usize>;

    /// The error of an operation that was cut short; or the end of the process.
    fn error(&self) -> io::Error;
}

/// See the module.
#[derive(Default)]
pub struct Disk {
    faults: Option<Box<dyn Faults>>,
}

impl Disk {
    /// A disk on which things go wrong.
    pub fn with(faults: Box<dyn Faults>) -> Disk {
        Disk { faults: Some(faults) }
    }

    /// Makes a folder and those above it.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make(&self, folder: &Path) -> anyhow::Result<()> {
        self.run(Operation::Make, folder, |_| fs::create_dir_all(folder))
    }

    /// Writes a file and syncs it. Until that is done it may be there in part.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
        self.run(Operation::Write(bytes.len()), path, |n| File::create(path)?.write_all(&bytes[..n]))?;
        self.sync(path)
    }

    /// Writes a file that is there whole or as it was before.
    ///
    /// # Errors
    /// If it cannot be written.
    ///
    /// # Panics
    /// If the path has no name or no folder.
    pub fn replace(&self, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
        let name = path.file_name().expect("a file has a name").to_string_lossy();
        let temporary = path.with_file_name(format!(".{name}.writing"));
        self.write(&temporary, bytes)?;
        self.rename(&temporary, path)
    }

    /// Adds bytes to a file, which is made if missing.
    ///
    /// # Errors
    /// If they cannot be written; a part of them may be.
    pub fn append(&self, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
        let open = || OpenOptions::new().create(true).append(true).open(path);
        self.run(Operation::Append(bytes.len()), path, |n| open()?.write_all(&bytes[..n]))
    }

    /// Lets `save` write the files of a folder, which is made.
    ///
    /// # Errors
    /// If `save` fails, or the folder cannot be made.
    pub fn fill(&self, folder: &Path, save: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.make(folder)?;
        let cut = self.cut(Operation::Fill, folder);
        let filled = save(folder).and_then(|()| match cut {
            None => Ok(()),
            Some(n) => tear(folder, n).and_then(|()| Err(self.fault())).map_err(Into::into),
        });
        filled.map_err(|error| {
            let cause = error.chain().find_map(|it| it.downcast_ref::<io::Error>());
            let hint = cause.map_or("", |it| hint_of(it.kind()));
            let told = format!("writing {}{hint}", folder.display());
            error.context(told)
        })
    }

    /// Brings a file or folder to the medium.
    ///
    /// # Errors
    /// If it is not there, or the medium fails.
    pub fn sync(&self, path: &Path) -> anyhow::Result<()> {
        self.run(Operation::Sync, path, |_| File::open(path)?.sync_all())
    }

    /// Renames a file or folder and syncs the folder that it is in.
    ///
    /// # Errors
    /// If it cannot be renamed.
    ///
    /// # Panics
    /// If the new path has no folder.
    pub fn rename(&self, from: &Path, to: &Path) -> anyhow::Result<()> {
        self.run(Operation::Rename(from), to, |_| fs::rename(from, to))?;
        let above = to.parent().expect("it lies in a folder");
        self.sync(if above.as_os_str().is_empty() { Path::new(".") } else { above })
    }

    /// Cuts a file back.
    ///
    /// # Errors
    /// If it is not there or cannot be written.
    pub fn truncate(&self, path: &Path, bytes: u64) -> anyhow::Result<()> {
        let cut = |_| {
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(bytes)?;
            file.sync_all()
        };
        self.run(Operation::Truncate(bytes), path, cut)
    }

    /// Removes a file, or a folder with all that is in it; what is not there is removed.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self, path: &Path) -> anyhow::Result<()> {
        let remove = |_| match fs::symlink_metadata(path) {
            Ok(it) if it.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        self.run(Operation::Remove, path, remove)
    }

    /// Does an operation, or as much of it as the faults let through: `act` is given how many bytes that is.
    fn run(
        &self,
        operation: Operation<'_>,
        path: &Path,
        act: impl FnOnce(usize) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let whole = match operation {
            Operation::Write(n) | Operation::Append(n) => n,
            Operation::Make
            | Operation::Fill
            | Operation::Sync
            | Operation::Rename(_)
            | Operation::Truncate(_)
            | Operation::Remove => 0,
        };
        let is_written = matches!(operation, Operation::Write(_) | Operation::Append(_));
        let done = match self.cut(operation, path) {
            None => act(whole),
            Some(n) if is_written => act(n.min(whole)).and_then(|()| Err(self.fault())),
            Some(_) => Err(self.fault()),
        };
        let verb = match operation {
            Operation::Make => "making",
            Operation::Remove => "removing",
            Operation::Truncate(_) => "cutting back",
            Operation::Write(_) | Operation::Append(_) | Operation::Fill | Operation::Rename(_) => "writing",
            Operation::Sync => "syncing",
        };
        done.map_err(|error| {
            let told = format!("{verb} {}{}", path.display(), hint_of(error.kind()));
            anyhow::Error::new(error).context(told)
        })
    }

    fn cut(&self, operation: Operation<'_>, path: &Path) -> Option<usize> {
        self.faults.as_ref()?.cut(operation, path)
    }

    fn fault(&self) -> io::Error {
        self.faults.as_ref().expect("only faults cut short").error()
    }
}

/// What mends an error of the disk, as a line of its own; nothing where the message says all.
fn hint_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "\nhint: make room on the disk, or raise the quota or limit on the size of files"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "\nhint: the run folder and all in it must be writable"
        }
        _ => "",
    }
}

/// Leaves the first `n` bytes of what is in a folder, in the order of names: as if writing had ended there.
fn tear(folder: &Path, mut n: usize) -> io::Result<()> {
    for path in files_below(folder)? {
        let there = usize::try_from(fs::metadata(&path)?.len()).unwrap_or(usize::MAX);
        match n {
            0 => fs::remove_file(&path)?,
            _ if n < there => OpenOptions::new().write(true).open(&path)?.set_len(n as u64)?,
            _ => {}
        }
        n = n.saturating_sub(there);
    }
    Ok(())
}

/// The files in a folder and in those below it, by name.
pub(crate) fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        match path.is_dir() {
            true => files.extend(files_below(&path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}

/// What is in a folder, by name.
pub(crate) fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|it| Ok(it?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
