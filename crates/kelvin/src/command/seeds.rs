//! `kelvin train --seeds`: one configuration with several seeds, one run after the other in folders beside each other, and
//! what they say together. Asked for again, it goes on where it stopped.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use toml::Table;

use super::{
    report::write,
    train::{ResumeArgs, TrainArgs, begin, resolve, resume},
};
use crate::{
    config::Resolved,
    error::{Stopped, Usage},
    interrupt::Interrupt,
    report,
    terminal::{say, show},
};

/// Trains what is not complete, then compares all.
///
/// # Errors
/// If the configuration does not resolve, a folder holds another run, or a run fails.
pub(super) fn train(args: &TrainArgs, interrupt: &Interrupt) -> anyhow::Result<()> {
    let mut seeds = args.seeds.clone();
    seeds.sort_unstable();
    if seeds.windows(2).any(|it| it[0] == it[1]) {
        return Err(Usage::error(
            "--seeds names a seed twice\nhint: give each seed once, such as --seeds 1,2,3",
        ));
    }
    let resolved: Vec<(Resolved, String)> =
        args.seeds.iter().map(|it| resolve(args, Some(*it))).collect::<anyhow::Result<_>>()?;
    let parent =
        args.run_dir.clone().unwrap_or_else(|| PathBuf::from(format!("runs/{}-seeds", resolved[0].1)));
    let dirs: Vec<PathBuf> = args.seeds.iter().map(|it| parent.join(format!("seed-{it}"))).collect();
    // All folders are looked at before the first run begins.
    let places =
        dirs.iter().zip(&resolved).map(|(dir, it)| place(dir, &it.0)).collect::<anyhow::Result<Vec<_>>>()?;
    for ((dir, (resolved, stem)), place) in dirs.iter().zip(&resolved).zip(places) {
        let went = match place {
            Place::Complete => {
                say(&format!("{} is complete", dir.display()));
                Ok(())
            }
            Place::Begun => {
                let isolation = args.isolation.clone();
                resume(
                    &ResumeArgs { run_dir: dir.clone(), steps: None, isolation, plain: args.plain },
                    interrupt,
                )
            }
            Place::Free => begin(resolved, Some(dir), stem, args.watching(), interrupt),
        };
        went.inspect_err(|error| {
            if error.is::<Stopped>() {
                say("the same command goes on with all seeds");
            }
        })?;
    }
    if resolved[0].0.config.azr.seed_only {
        return Ok(());
    }
    show(&report::over_seeds(&dirs)?);
    match dirs.as_slice() {
        [only] => say(&format!("one seed has no comparison; `kelvin report {}` draws it", only.display())),
        dirs => write(&parent.join("comparison.html"), &report::comparison(dirs)?)?,
    }
    Ok(())
}

/// Whether two configurations are those of one run; where it is shown may differ.
fn is_same_run(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(|text| {
        let mut table: Option<Table> = toml::from_str(text).ok();
        table.iter_mut().for_each(|it| drop(it.remove("tracking")));
        table
    });
    one.is_some() && one == other
}

/// What lies where a seed's run goes.
enum Place {
    Free,
    Begun,
    Complete,
}

/// # Errors
/// If it is a run with other settings.
fn place(dir: &Path, resolved: &Resolved) -> anyhow::Result<Place> {
    let path = dir.join("config.toml");
    let describe = || format!("cannot read {}\nhint: give another --run-dir", path.display());
    if !fs::exists(&path).with_context(describe)? {
        return Ok(Place::Free);
    }
    if !is_same_run(&fs::read_to_string(&path).with_context(describe)?, &resolved.text) {
        return Err(Usage::error(format!(
            "{} holds a run with other settings\nhint: give another --run-dir, or remove that folder",
            dir.display()
        )));
    }
    let steps = resolved.config.steps;
    let last = report::rows(dir).ok().and_then(|it| it.last()?.get("step").copied());
    let is_saved = dir.join(format!("checkpoints/{steps:06}/COMPLETE")).is_file();
    Ok(if is_saved && last == Some(f64::from(steps)) { Place::Complete } else { Place::Begun })
}
