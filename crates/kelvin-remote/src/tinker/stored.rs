//! `tinker.json`, which a checkpoint has in the place of weights: where its state is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::model::Shape;

/// The file.
const TINKER_JSON: &str = "tinker.json";
/// Its version.
const FORMAT: u32 = 1;

/// What it says.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    format: u32,
    pub(super) server: String,
    base_model: String,
    rank: usize,
    /// Where the server keeps weights and optimizer.
    pub(super) state: String,
    /// The run that saved it. A copy of its folder goes on from the state, but does not remove it.
    #[serde(default)]
    owner: PathBuf,
}

/// The run of a policy's folder in a checkpoint, `RUN/checkpoints/STEP/POLICY`.
fn run_of(dir: &Path) -> Option<PathBuf> {
    dir.canonicalize().ok()?.ancestors().nth(3).map(Path::to_owned)
}

impl Stored {
    /// A state of adapters of this shape, at a server, for the checkpoint with this folder.
    pub(super) fn new(server: String, shape: &Shape, state: String, dir: &Path) -> Stored {
        let owner = run_of(dir).unwrap_or_default();
        Stored {
            format: FORMAT,
            server,
            base_model: shape.base_model.clone(),
            rank: shape.rank,
            state,
            owner,
        }
    }

    /// Whether the run that this folder is of saved it.
    pub(super) fn is_own(&self, dir: &Path) -> bool {
        run_of(dir).is_some_and(|it| it == self.owner)
    }

    /// Of the checkpoint in a folder.
    ///
    /// # Errors
    /// If it cannot be read, or has another format.
    pub(super) fn read(dir: &Path) -> anyhow::Result<Stored> {
        let path = dir.join(TINKER_JSON);
        let read = || -> anyhow::Result<Stored> { Ok(serde_json::from_slice(&fs::read(&path)?)?) };
        let stored = read().with_context(|| {
            format!("{} cannot be read\nhint: a run goes on with the backend it began with", path.display())
        })?;
        ensure!(
            stored.format == FORMAT,
            "{TINKER_JSON} in {} has format {}, this program reads {FORMAT}\nhint: use the version of kelvin that wrote it",
            dir.display(),
            stored.format
        );
        Ok(stored)
    }

    /// Writes it into a folder.
    ///
    /// # Errors
    /// If that fails.
    pub(super) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self).expect("plain data") + "\n";
        let path = dir.join(TINKER_JSON);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Checks that it is of adapters of this shape.
    ///
    /// # Errors
    /// If it is not; `dir` is where it was read.
    pub(super) fn require(&self, shape: &Shape, dir: &Path) -> anyhow::Result<()> {
        ensure!(
            (&self.base_model, self.rank) == (&shape.base_model, shape.rank),
            "the checkpoint {} is of adapters of rank {} for {:?}, not of rank {} for {:?}\nhint: resume the run with the \
             model it was started with",
            dir.display(),
            self.rank,
            self.base_model,
            shape.rank,
            shape.base_model
        );
        Ok(())
    }
}
