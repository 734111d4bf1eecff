//! A disk that fills up, whose process ends within a write, or that loses power: then what was not synced is on the medium
//! in part, and of the names that a folder got or lost since it was synced itself only the first few.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use kelvin_core::seed::{Draws, Seed};
use kelvin_selfplay::disk::{Faults, Operation};

use crate::faults::INJECTED;

#[derive(Clone)]
pub(crate) struct Medium(Arc<Mutex<Platter>>);

struct Platter {
    draws: Draws,
    rate: f64,
    /// Nothing is written after the end.
    ended: bool,
    /// Files of which only so many bytes are on the medium.
    unsynced: BTreeMap<PathBuf, u64>,
    /// What happened to names, in order, where their folder was not synced since.
    unnamed: Vec<Change>,
    /// What was removed, by number.
    graves: tempfile::TempDir,
    n_graves: usize,
}

/// What happened to a name.
enum Change {
    /// A file or folder was made.
    Made(PathBuf),
    /// It was another one's, or there is another one's now.
    Renamed { from: PathBuf, to: PathBuf, grave: Option<PathBuf> },
    /// It is gone; what it named lies in a grave.
    Removed { path: PathBuf, grave: PathBuf },
}

impl Change {
    fn name(&self) -> &Path {
        match self {
            Change::Made(path) | Change::Renamed { to: path, .. } | Change::Removed { path, .. } => path,
        }
    }

    fn folder(&self) -> &Path {
        self.name().parent().expect("names stand in folders")
    }

    /// As if it had not been.
    fn undo(self) {
        match self {
            // Its folder may have gone with it.
            Change::Made(path) => remove(&path),
            Change::Renamed { from, to, grave } => {
                if to.exists() {
                    fs::rename(&to, from).unwrap();
                }
                grave.into_iter().for_each(|it| copy(&it, &to));
            }
            Change::Removed { path, grave } => {
                remove(&path);
                if path.parent().is_some_and(Path::exists) {
                    copy(&grave, &path);
                }
            }
        }
    }
}

fn remove(path: &Path) {
    match path.is_dir() {
        true => fs::remove_dir_all(path).unwrap(),
        // It may not have come to be.
        false => drop(fs::remove_file(path)),
    }
}

/// A file, or a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        copy(&path, &to.join(path.file_name().unwrap()));
    }
}

impl Medium {
    pub(crate) fn new(seed: Seed, rate: f64, graves: &Path) -> Medium {
        let graves = tempfile::tempdir_in(graves).unwrap();
        Medium(Arc::new(Mutex::new(Platter {
            draws: seed.draws(),
            rate,
            ended: false,
            unsynced: BTreeMap::new(),
            unnamed: Vec::new(),
            graves,
            n_graves: 0,
        })))
    }

    /// What was not synced is on the medium in part.
    pub(crate) fn lose_power(&self) {
        let Platter { draws, unsynced, unnamed, .. } = &mut *self.0.lock().unwrap();
        for (path, synced) in &*unsynced {
            let Ok(there) = fs::metadata(path).map(|it| it.len()) else { continue };
            let kept = synced + draws.below((there.saturating_sub(*synced) + 1) as usize) as u64;
            OpenOptions::new().write(true).open(path).unwrap().set_len(kept.min(there)).unwrap();
        }
        let folders: BTreeSet<PathBuf> = unnamed.iter().map(|it| it.folder().to_owned()).collect();
        let mut lost = vec![false; unnamed.len()];
        for folder in folders {
            let of_it: Vec<usize> = (0..unnamed.len()).filter(|&at| unnamed[at].folder() == folder).collect();
            let n_kept = draws.below(of_it.len() + 1);
            of_it[n_kept..].iter().for_each(|&at| lost[at] = true);
        }
        let changes = unnamed.drain(..).zip(lost).rev();
        changes.filter(|(_, is_lost)| *is_lost).for_each(|(change, _)| change.undo());
    }
}

impl Platter {
    /// Notes what an operation that is about to happen, whole or in part, leaves for a loss of power.
    fn note(&mut self, operation: Operation<'_>, path: &Path) {
        let len = fs::metadata(path).map_or(0, |it| it.len());
        match operation {
            Operation::Append(_) => {
                self.unsynced.entry(path.to_owned()).or_insert(len);
            }
            Operation::Write(_) => {
                self.unsynced.insert(path.to_owned(), 0);
            }
            // The operation does it itself.
            Operation::Truncate(_) => {
                self.unsynced.remove(path);
            }
            Operation::Rename(from) => {
                let is_inside = |it: &Change| it.name() != from && it.name().starts_with(from);
                assert!(!self.unnamed.iter().any(is_inside), "{} is not synced", from.display());
                let grave = self.buried(path);
                self.unnamed.push(Change::Renamed { from: from.to_owned(), to: path.to_owned(), grave });
            }
            Operation::Remove => {
                if let Some(grave) = self.buried(path) {
                    self.unnamed.push(Change::Removed { path: path.to_owned(), grave });
                }
            }
            Operation::Make | Operation::Fill | Operation::Sync => {}
        }
        let makes = matches!(operation, Operation::Append(_) | Operation::Write(_) | Operation::Make);
        if makes && !path.exists() {
            self.unnamed.push(Change::Made(path.to_owned()));
        }
    }

    /// A copy of what there is.
    fn buried(&mut self, path: &Path) -> Option<PathBuf> {
        let grave = self.graves.path().join(self.n_graves.to_string());
        self.n_graves += 1;
        path.exists().then(|| copy(path, &grave)).map(|()| grave)
    }
}

impl Faults for Medium {
    fn cut(&self, operation: Operation<'_>, path: &Path) -> Option<usize> {
        let platter = &mut *self.0.lock().unwrap();
        if platter.ended {
            return Some(0);
        }
        platter.ended = platter.draws.chance(platter.rate);
        let cut = platter.ended.then(|| match operation {
            Operation::Write(n) | Operation::Append(n) => platter.draws.below(n + 1),
            _ => platter.draws.below(65),
        });
        let happens = cut.is_none() || matches!(operation, Operation::Write(_) | Operation::Append(_));
        if happens {
            platter.note(operation, path);
        }
        if cut.is_none() && operation == Operation::Sync {
            platter.unsynced.remove(path);
            platter.unnamed.retain(|it| it.folder() != path);
        }
        cut
    }

    fn error(&self) -> io::Error {
        io::Error::new(ErrorKind::StorageFull, INJECTED)
    }
}
