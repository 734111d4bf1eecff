//! A run that its server has lost goes on by itself.

use std::path::Path;

use kelvin_core::stop::Stopped;
use kelvin_remote::tinker::Lost;

use crate::{config::Config, interrupt::Interrupt, remote, report, terminal::say, wire};

/// Has a run go on from its last checkpoint by `again` for as long as it ends because the server of its policies was away, does not
/// know them any more or has no place for them, at most `policy.remote.restarts_max` times without a step in between. A server that
/// is away or full is waited for.
///
/// # Errors
/// What else ends it, what ended it last, or a signal.
pub(super) fn outlive(
    config: &Config,
    folder: &Path,
    first: anyhow::Result<()>,
    interrupt: &Interrupt,
    mut again: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let most = config.policy.remote.restarts_max;
    let (mut ended, mut n_restarts, mut n_rows) = (first, 0, n_rows(folder));
    loop {
        let error = match ended {
            Err(error) if error.is::<Lost>() => error,
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
        let lost = error.downcast_ref::<Lost>().expect("it was looked at above");
        // What helps is done here.
        say(&format!("warning: {}", lost.to_string().lines().next().unwrap_or_default()));
        await_back(config, folder, lost, interrupt)?;
        say(&format!("going on from the last checkpoint ({n_restarts} of {most} without a step in between)"));
        ended = again();
    }
}

fn await_back(config: &Config, folder: &Path, lost: &Lost, interrupt: &Interrupt) -> anyhow::Result<()> {
    let until = match lost {
        Lost::Forgotten(_) => None,
        Lost::Away(_) => Some("until it answers"),
        Lost::Full(_) => {
            Some("until it has a place: adapters of a run that was killed go when it ends their session")
        }
    };
    if let Some(until) = until {
        say(&format!("waiting up to {} s {until}", config.policy.remote.wait_s));
    }
    let n_policies = wire::policies(config).len();
    remote::await_back(config, lost, n_policies, interrupt.stop()).map_err(|error| {
        if error.is::<Stopped>() {
            let folder = folder.display();
            say(&format!("stopped while waiting; `kelvin resume {folder}` goes on from the last checkpoint"));
        }
        interrupt.told(error)
    })
}

/// Rows of metrics so far: how far a run has come.
fn n_rows(folder: &Path) -> usize {
    report::rows(folder).map_or(0, |it| it.len())
}
