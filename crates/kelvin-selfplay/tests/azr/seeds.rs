//! The seed stage, and files of seeds.

use std::{collections::BTreeMap, path::Path};

use kelvin_core::task::{Reason, TaskType};
use kelvin_selfplay::{
    run::End,
    seeding::{self, Loaded},
    settings::RunSettings,
    state::{HeldOut, RunState},
};

use crate::sums::{Sums, play, settings, state};

/// A seed file: two sums that are new, one of them twice, one that is held out, one without a number, one of another
/// kind, and then as many as `n_more`.
fn seed_file(dir: &Path, settings: &RunSettings, n_more: u64) -> std::path::PathBuf {
    let held_out = HeldOut::new(&Sums, &settings.task_types, &settings.eval).unwrap();
    let (a, b): (u64, u64) = serde_json::from_value(held_out.tasks[0].payload.clone()).unwrap();
    let mut lines = vec![
        r#"{"a": 20, "b": 1}"#.to_owned(),
        r#"{"a": 20, "b": 2, "imports": []}"#.to_owned(),
        String::new(),
        r#"{"a": 20, "b": 1}"#.to_owned(),
        format!(r#"{{"a": {a}, "b": {b}}}"#),
        r#"{"a": 20}"#.to_owned(),
        r#"{"kind": "other"}"#.to_owned(),
    ];
    lines.extend((0..n_more).map(|it| format!(r#"{{"a": 30, "b": {it}}}"#)));
    let path = dir.join("seeds.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}

fn seeded(settings: &RunSettings) -> anyhow::Result<(RunState, Vec<Loaded>)> {
    let mut state = state();
    let held_out = HeldOut::new(&Sums, &settings.task_types, &settings.eval)?;
    let loaded = seeding::load(&mut state, &Sums, &held_out, settings)?;
    seeding::seed(&mut state, &Sums, &held_out, settings)?;
    Ok((state, loaded))
}

#[test]
fn seed_files_are_checked_counted_cut_and_filled_up() {
    let dir = tempfile::tempdir().unwrap();
    for n_more in [0, 30] {
        let mut settings = settings();
        let path = seed_file(dir.path(), &settings, n_more);
        settings.azr.seed_files = vec![path.clone()];
        let (mut state, loaded) = seeded(&settings).unwrap();
        let refused = BTreeMap::from([(Reason::Duplicate, 1), (Reason::HeldOut, 1), (Reason::NoInput, 1)]);
        let n = n_more as usize;
        assert_eq!(loaded, [Loaded { path, n_records: n + 5, n_valid: n + 2, refused }]);
        let line = loaded[0].line();
        assert!(line.ends_with("seeds; refused: 1 no_input, 1 duplicate, 1 held_out"), "{line}");
        let pool = |task_type| -> Vec<(u64, u64)> {
            state.buffer.tasks(task_type).map(|it| serde_json::from_value(it.payload).unwrap()).collect()
        };
        let (given, proposed) = (pool(TaskType::Deduction), pool(TaskType::Abduction));
        assert_eq!((given.len(), proposed.len()), (16, 16));
        assert_eq!(given[..2], [(20, 1), (20, 2)], "in the order of the file, without the first task");
        assert_eq!(given.iter().filter(|it| it.0 == 30).count(), n.min(14));
        assert_eq!(proposed[0], (1, 1), "a type without a file begins as ever");
        let settings = RunSettings { n_judges: 1, ..settings };
        assert_eq!(state.buffer.take_unlogged(), seeded(&settings).unwrap().0.buffer.take_unlogged());
    }
}

#[test]
fn a_seed_file_that_gives_nothing_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings();
    let path = dir.path().join("seeds.jsonl");
    settings.azr.seed_files = vec![path.clone()];
    let told = |text: Option<&str>| {
        text.inspect(|text| std::fs::write(&path, text).unwrap());
        let error = format!("{:#}", seeded(&settings).err().expect("no seeds"));
        assert!(error.contains("\nhint: "), "{error}");
        error
    };
    assert!(told(None).contains("cannot read the seed file"));
    assert!(told(Some("{}\n[1]\n")).contains("seeds.jsonl:2: not a JSON object"));
    assert!(told(Some("{}\n{\"a\": 1}\n")).contains("0 of 2 records"));
    assert!(told(Some("{\"kind\": \"other\"}\n")).contains("0 of 0 records"));
}

#[test]
fn a_run_of_seeds_alone_stops_after_them_and_starts_over_without_a_trace() {
    let files = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.azr.seed_files = vec![seed_file(files.path(), &settings, 4)];
    settings.azr.seed_only = true;
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for dir in &dirs {
        assert_eq!(play(dir.path(), &settings, None), End::Finished);
    }
    let records = |dir: &Path| {
        let tasks = std::fs::read_to_string(dir.join("tasks.jsonl")).unwrap();
        let metrics = std::fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
        assert_eq!((tasks.lines().count(), metrics.lines().count()), (32, 1));
        assert!(!metrics.contains("eval/"), "seeds are not evaluated");
        tasks
    };
    let whole = records(dirs[0].path());
    std::fs::remove_dir_all(dirs[1].path().join("checkpoints")).unwrap();
    assert_eq!(play(dirs[1].path(), &settings, None), End::Finished, "cut off before its checkpoint");
    assert_eq!(records(dirs[1].path()), whole);
    assert_eq!(play(dirs[1].path(), &settings, None), End::Finished, "there is nothing to go on with");
    assert_eq!(records(dirs[1].path()), whole);
}
