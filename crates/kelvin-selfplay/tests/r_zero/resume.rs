//! A run that stops after any step, and within any phase, goes on as if it had not.

use std::{collections::BTreeMap, path::Path};

use kelvin_core::metrics::Metrics;
use kelvin_selfplay::{run::End, settings::ObjectiveSettings};

use crate::riddles::{play, settings};

/// All that two identical runs have in common.
fn outcome(dir: &Path) -> BTreeMap<String, String> {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let mut files = BTreeMap::from([("tasks".to_owned(), read(&dir.join("tasks.jsonl")))]);
    let rows = read(&dir.join("metrics.jsonl"));
    let same = |row: &str| -> String {
        let row: Metrics = serde_json::from_str(row).unwrap();
        let same: Metrics = row
            .into_iter()
            .filter(|(key, _)| !key.starts_with("timing/") && !key.starts_with("system/"))
            .collect();
        format!("{same:?}\n")
    };
    files.insert("metrics".to_owned(), rows.lines().map(same).collect());
    for entry in std::fs::read_dir(dir.join("transcripts")).unwrap() {
        let path = entry.unwrap().path();
        files.insert(path.file_name().unwrap().to_string_lossy().into_owned(), read(&path));
    }
    files
}

#[test]
fn a_run_that_stopped_anywhere_ends_the_same() {
    let pulled = ObjectiveSettings { kl_coefficient: 0.01, ..ObjectiveSettings::default() };
    for objective in [ObjectiveSettings::default(), pulled] {
        let mut settings = settings();
        settings.objective = objective;
        let whole = tempfile::tempdir().unwrap();
        play(whole.path(), &settings, None);
        for stop_after in 1..settings.steps {
            let parts = tempfile::tempdir().unwrap();
            let (state, end) = play(parts.path(), &settings, Some(stop_after));
            assert_eq!((state.step, end), (stop_after, End::Interrupted));
            play(parts.path(), &settings, None);
            assert_eq!(outcome(parts.path()), outcome(whole.path()), "stopped after step {stop_after}");
        }
    }
}

#[test]
fn the_ends_of_phases_stay() {
    let dir = tempfile::tempdir().unwrap();
    play(dir.path(), &settings(), None);
    let mut steps: Vec<u32> = std::fs::read_dir(dir.path().join("checkpoints"))
        .unwrap()
        .map(|it| it.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    steps.sort_unstable();
    assert_eq!(steps, [0, 2, 4, 7, 9, 11, 12, 13, 14]);
}
