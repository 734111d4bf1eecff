//! The project's text files, read once.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// Every text file of the checkout that is not a build output or a run.
pub(super) struct Tree {
    /// The checkout on this machine.
    pub(super) root: PathBuf,
    /// Text by path from the root, with `/` between folders.
    pub(super) files: BTreeMap<String, String>,
}

/// Folders that hold what was made, not what was written.
const MADE: [&str; 3] = ["target", "runs", "__pycache__"];

impl Tree {
    pub(super) fn read(root: &Path) -> anyhow::Result<Tree> {
        let mut tree = Tree { root: root.to_owned(), files: BTreeMap::new() };
        tree.enter("")?;
        Ok(tree)
    }

    fn enter(&mut self, folder: &str) -> anyhow::Result<()> {
        let at = self.root.join(folder);
        for entry in fs::read_dir(&at).with_context(|| format!("cannot list {}", at.display()))? {
            let entry = entry?;
            let name = entry.file_name().into_string().ok().context("a file name is not UTF-8")?;
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            if entry.file_type()?.is_dir() {
                let hidden = name.starts_with('.') && ![".ci", ".cargo"].contains(&name.as_str());
                if !hidden && !MADE.contains(&name.as_str()) {
                    self.enter(&path)?;
                }
            } else if let Ok(text) = String::from_utf8(fs::read(entry.path())?) {
                self.files.insert(path, text);
            }
        }
        Ok(())
    }

    /// Files with this extension, with their text.
    pub(super) fn with_extension<'tree>(
        &'tree self,
        extension: &'tree str,
    ) -> impl Iterator<Item = (&'tree str, &'tree str)> {
        self.files
            .iter()
            .filter(move |(path, _)| path.rsplit_once('.').is_some_and(|(_, it)| it == extension))
            .map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// A tree of the given files, for tests.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        Tree { root: PathBuf::from("/nowhere/at/all"), files }
    }
}
