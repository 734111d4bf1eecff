//! How much of a run a tracker has: `trackers/NAME.json` of the run folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::unix_ms;

/// See the module. One that cannot be read, or is of another server or project, is begun again: the tracker then has the
/// whole run, as a new one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Mark {
    #[serde(skip)]
    path: PathBuf,
    /// Where the run is sent.
    server: String,
    project: String,
    /// What the run is called by none other, in hex.
    pub(super) id: String,
    /// When the first row was to be sent, in milliseconds since 1970.
    pub(super) begun_ms: u64,
    /// Rows that the tracker has.
    pub(super) n_sent: usize,
    /// What the tracker itself calls the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) there: Option<String>,
}

impl Mark {
    /// The mark of a tracker in a run folder.
    pub(super) fn open(run: &Path, name: &str, server: String, project: &str) -> Mark {
        let path = run.join("trackers").join(format!("{name}.json"));
        let kept: Option<Mark> = fs::read(&path).ok().and_then(|it| serde_json::from_slice(&it).ok());
        match kept.filter(|it| it.server == server && it.project == project) {
            Some(mark) => Mark { path, ..mark },
            None => {
                let begun_ms = unix_ms();
                let unique = format!("{} {begun_ms} {}", run.display(), std::process::id());
                let id = Sha256::digest(unique).iter().take(16).map(|it| format!("{it:02x}")).collect();
                Mark { path, server, project: project.to_owned(), id, begun_ms, n_sent: 0, there: None }
            }
        }
    }

    /// Writes it, whole or not at all.
    pub(super) fn keep(&self) -> io::Result<()> {
        fs::create_dir_all(self.path.parent().expect("a mark lies in a folder"))?;
        let new = self.path.with_extension("new");
        fs::write(&new, format!("{:#}\n", serde_json::to_value(self).expect("a mark is JSON")))?;
        fs::rename(new, &self.path)
    }
}
