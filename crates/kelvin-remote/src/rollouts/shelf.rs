//! Weights on disk, a folder for each publication. Its name has a number and a digest of what is in it: one name is one set of
//! weights, whoever starts again, so a server that says the name has those weights.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use kelvin_core::policy::Exported;
use sha2::{Digest, Sha256};

use super::settings::RolloutSettings;

/// Digits of the digest in a name.
const DIGITS: usize = 16;

/// A publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    /// Counted from 0 within the process.
    pub(super) number: u64,
    /// What servers call it.
    pub(super) name: String,
    /// Where it is, as servers see it.
    pub(super) path: String,
    /// What it is.
    pub(super) exported: Exported,
}

/// Where publications lie.
pub(super) struct Shelf {
    folder: PathBuf,
    folder_there: PathBuf,
    /// Before every name.
    policy: String,
}

impl Shelf {
    /// Makes the folder if it is not there, and removes what runs left in it that ended while they wrote: it is one run's own.
    ///
    /// # Errors
    /// If it cannot be made, or its path is nothing that goes into JSON.
    pub(super) fn new(settings: &RolloutSettings, policy: &str) -> anyhow::Result<Shelf> {
        let make = || -> io::Result<PathBuf> {
            fs::create_dir_all(&settings.folder)?;
            let folder = settings.folder.canonicalize()?;
            for left in fs::read_dir(&folder)? {
                let left = left?;
                if left.file_name().to_str().is_some_and(|it| is_left(it, policy)) {
                    remove(&left.path())?;
                }
            }
            Ok(folder)
        };
        let folder = make().with_context(|| {
            let shown = settings.folder.display();
            format!("{shown} cannot be written\nhint: policy.rollouts.folder is where servers read weights")
        })?;
        let there = &settings.folder_there;
        let folder_there = if there.as_os_str().is_empty() { folder.clone() } else { there.clone() };
        ensure!(
            folder_there.to_str().is_some(),
            "{} is no text\nhint: give the folder a name in UTF-8",
            folder_there.display()
        );
        Ok(Shelf { folder, folder_there, policy: policy.to_owned() })
    }

    /// Puts down what `write` writes into an empty folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn put(
        &self,
        number: u64,
        write: impl FnOnce(&Path) -> anyhow::Result<Exported>,
    ) -> anyhow::Result<Version> {
        let growing = self.folder.join(growing(&self.policy, number));
        let put = || -> anyhow::Result<Version> {
            remove(&growing)?;
            fs::create_dir(&growing)?;
            let exported = write(&growing)?;
            let name = format!("{}_v{number}_{}", self.policy, digest(&growing)?);
            let whole = self.folder.join(&name);
            match whole.is_dir() {
                // An earlier process put down the same.
                true => remove(&growing)?,
                false => fs::rename(&growing, &whole)?,
            }
            let path = self.folder_there.join(&name);
            let path = path.to_str().expect("the folder's name was checked").to_owned();
            Ok(Version { number, name, path, exported })
        };
        let put = put().inspect_err(|_| {
            // A full disk has no room for the next one beside it.
            drop(remove(&growing));
        });
        put.with_context(|| format!("writing weights for servers into {}", self.folder.display()))
    }

    /// Takes a publication away that no server needs any more.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub(super) fn drop(&self, version: &Version) -> anyhow::Result<()> {
        remove(&self.folder.join(&version.name)).with_context(|| format!("removing {}", version.name))
    }
}

/// What a publication is called while it is written. Runs that are started again do not write into what is left of others.
fn growing(policy: &str, number: u64) -> String {
    format!(".{policy}_v{number}.{}", std::process::id())
}

/// Whether a process called a publication of this policy so that is no more.
fn is_left(name: &str, policy: &str) -> bool {
    let numbers =
        name.strip_prefix('.').and_then(|it| it.strip_prefix(policy)?.strip_prefix("_v")?.split_once('.'));
    let is_number = |it: &str| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit());
    numbers.is_some_and(|(number, process)| {
        is_number(number) && is_number(process) && !Path::new("/proc").join(process).exists()
    })
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Of names and contents of the files of a folder.
fn digest(dir: &Path) -> anyhow::Result<String> {
    let mut names = fs::read_dir(dir)?.map(|it| Ok(it?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    let mut whole = Sha256::new();
    for name in names {
        let mut file = Sha256::new();
        io::copy(&mut File::open(dir.join(&name))?, &mut file)?;
        whole.update(name.as_encoded_bytes());
        whole.update([0]);
        whole.update(file.finalize());
    }
    let mut text: String = whole.finalize().iter().map(|it| format!("{it:02x}")).collect();
    text.truncate(DIGITS);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// The same weights have the same name, others another one, and nothing unfinished has any.
    #[test]
    fn a_name_is_one_set_of_weights() {
        let dir = tempfile::tempdir().unwrap();
        let settings = RolloutSettings {
            folder: dir.path().join("a/b"),
            folder_there: "/weights".into(),
            ..RolloutSettings::default()
        };
        let shelf = Shelf::new(&settings, "policy").unwrap();
        let put = |number: u64, text: &str| {
            shelf.put(number, |dir| {
                fs::write(dir.join("w"), text)?;
                Ok(Exported::Adapter)
            })
        };
        let [first, again, other] = [put(3, "x").unwrap(), put(3, "x").unwrap(), put(3, "y").unwrap()];
        assert_eq!(first, again);
        assert_ne!(first.name, other.name);
        assert!(first.name.starts_with("policy_v3_") && first.path == format!("/weights/{}", first.name));
        let no_room = |dir: &Path| {
            fs::write(dir.join("w"), "x")?;
            anyhow::bail!("no room")
        };
        shelf.put(4, no_room).unwrap_err();
        let seen = names(&dir.path().join("a/b"));
        let mut expected = vec![first.name.clone(), other.name];
        expected.sort();
        assert_eq!(seen, expected);
        shelf.drop(&first).unwrap();
        shelf.drop(&first).unwrap();
        assert!(!dir.path().join("a/b").join(&first.name).exists());
    }

    /// What a run left behind that was killed while it wrote is swept away, and nothing else.
    #[test]
    fn what_was_not_finished_is_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        let kept =
            [".policy_v1", ".policy_v1.x", ".policy_vx.1", ".solver_v1.2", "policy_v1.2", "policy_v1_abc"];
        let living = growing("policy", 7);
        for name in kept.into_iter().chain([living.as_str(), ".policy_v1.4000001", ".policy_v30.4000000"]) {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("w"), "x").unwrap();
        }
        let settings = RolloutSettings { folder: dir.path().to_owned(), ..RolloutSettings::default() };
        Shelf::new(&settings, "policy").unwrap();
        let mut expected: Vec<&str> = kept.into_iter().chain([living.as_str()]).collect();
        expected.sort_unstable();
        assert_eq!(names(dir.path()), expected);
    }
}
