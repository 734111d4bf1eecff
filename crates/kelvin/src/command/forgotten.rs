//! A run whose server has forgotten it goes on by itself.

use std::path::Path;

use kelvin_remote::tinker::Forgotten;

use crate::{config::Config, report, terminal::say};

/// Has a run go on from its last checkpoint by `again` for as long as it ends because the server of its policies does not know
/// them any more, at most `policy.remote.restarts_max` times without a step in between.
///
/// # Errors
/// What else ends it, or what ended it last.
pub(super) fn outlive(
    config: &Config,
    folder: &Path,
    first: anyhow::Result<()>,
    mut again: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let most = config.policy.remote.restarts_max;
    let (mut ended, mut n_restarts, mut n_rows) = (first, 0, n_rows(folder));
    loop {
        let error = match ended {
            Err(error) if error.is::<Forgotten>() => error,
            ended => return ended,
        };
        let n_now = self::n_rows(folder);
        if n_rows < n_now {
            (n_restarts, n_rows) = (0, n_now);
        }
        if most <= n_restarts {
            return Err(error);
        }
        n_restarts += 1;
        let said = error.downcast_ref::<Forgotten>().expect("it was looked at above").to_string();
        // What helps is done here.
        say(&format!("warning: {}", said.lines().next().unwrap_or_default()));
        say(&format!("going on from the last checkpoint ({n_restarts} of {most} without a step in between)"));
        ended = again();
    }
}

/// Rows of metrics so far: how far a run has come.
fn n_rows(folder: &Path) -> usize {
    report::rows(folder).map_or(0, |it| it.len())
}
