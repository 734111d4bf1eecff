//! Runs that stop anywhere go on as if they had not.

use kelvin_selfplay::{
    checkpoint::{Retention, RunDir},
    run::End,
};

use crate::sums::{Sums, outcome, play, settings, state};

#[test]
fn stopping_anywhere_and_resuming_changes_nothing() {
    let whole = tempfile::tempdir().unwrap();
    assert_eq!(play(whole.path(), &settings(), None), End::Finished);
    let expected = outcome(whole.path());
    assert_eq!(expected.len(), 3 + 6, "six transcripts");
    assert!(expected["metrics"].contains("learnability_correlation"), "what is compared across a step");
    assert!(expected["metrics"].contains("types/output/int/instances"));
    let alarms: Vec<_> = expected["alarms"].lines().collect();
    assert!(
        !alarms.is_empty() && alarms.iter().all(|it| it.contains("\"pattern\":\"secretly\"")),
        "{alarms:?}"
    );
    for stop in 0..6 {
        let cut = tempfile::tempdir().unwrap();
        assert_eq!(play(cut.path(), &settings(), Some(stop)), End::Interrupted);
        assert_eq!(play(cut.path(), &settings(), None), End::Finished);
        assert_eq!(outcome(cut.path()), expected, "stopped after step {stop}");
    }
}

#[test]
fn records_after_the_checkpoint_are_cut_back() {
    let dir = tempfile::tempdir().unwrap();
    play(dir.path(), &settings(), Some(3));
    let append = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + text).unwrap();
    };
    append("metrics.jsonl", "{\"step\":4,\"half a li");
    append("tasks.jsonl", "{}\n");
    append("alarms.jsonl", "{\"step\":4,\"half a li");
    std::fs::write(dir.path().join("transcripts/000004.jsonl"), "torn").unwrap();
    play(dir.path(), &settings(), None);
    let whole = tempfile::tempdir().unwrap();
    play(whole.path(), &settings(), None);
    assert_eq!(outcome(dir.path()), outcome(whole.path()));
}

#[test]
fn a_damaged_newest_checkpoint_is_named_and_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    play(dir.path(), &settings(), Some(4));
    std::fs::write(dir.path().join("checkpoints/000004/policy/updates"), "40").unwrap();
    let mut state = state();
    let mut warnings = Vec::new();
    let run_dir = RunDir::open(dir.path()).unwrap();
    let (step, newest) = run_dir.newest(&mut |it| warnings.push(it)).unwrap().unwrap();
    run_dir.restore(&newest, &mut state, &Sums).unwrap();
    assert_eq!((step, state.step), (3, 3));
    assert!(warnings[0].contains("000004") && warnings[0].contains("policy/updates"), "{warnings:?}");
}

#[test]
fn with_every_checkpoint_damaged_nothing_starts_over() {
    let dir = tempfile::tempdir().unwrap();
    play(dir.path(), &settings(), Some(2));
    let metrics = std::fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
    for entry in std::fs::read_dir(dir.path().join("checkpoints")).unwrap() {
        std::fs::write(entry.unwrap().path().join("policy/updates"), "40").unwrap();
    }
    let mut warnings = Vec::new();
    let run_dir = RunDir::open(dir.path()).unwrap();
    let error = run_dir.newest(&mut |it| warnings.push(it)).unwrap_err();
    assert!(format!("{error:#}").contains("hint:"), "{error:#}");
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert_eq!(std::fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap(), metrics);
}

#[test]
fn a_run_that_lost_its_checkpoints_is_not_started_over() {
    let dir = tempfile::tempdir().unwrap();
    play(dir.path(), &settings(), Some(2));
    for entry in std::fs::read_dir(dir.path().join("checkpoints")).unwrap() {
        std::fs::remove_file(entry.unwrap().path().join("COMPLETE")).unwrap();
    }
    let error = RunDir::open(dir.path()).unwrap().newest(&mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("no checkpoint any more"), "{error:#}");
    assert!(dir.path().join("tasks.jsonl").exists());
}

/// Cut off between the seeding's first records and its checkpoint.
#[test]
fn a_run_without_a_checkpoint_starts_over_without_a_trace() {
    let whole = tempfile::tempdir().unwrap();
    play(whole.path(), &settings(), None);
    let cut = tempfile::tempdir().unwrap();
    play(cut.path(), &settings(), Some(0));
    std::fs::remove_dir_all(cut.path().join("checkpoints")).unwrap();
    std::fs::write(cut.path().join("transcripts/000009.jsonl"), "torn").unwrap();
    play(cut.path(), &settings(), None);
    assert_eq!(outcome(cut.path()), outcome(whole.path()));
}

#[test]
fn an_edited_task_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    play(dir.path(), &settings(), Some(2));
    let path = dir.path().join("tasks.jsonl");
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replacen('1', "2", 1)).unwrap();
    let run_dir = RunDir::open(dir.path()).unwrap();
    let newest = run_dir.newest(&mut |_| ()).unwrap().unwrap().1;
    let error = run_dir.restore(&newest, &mut state(), &Sums).unwrap_err();
    assert!(format!("{error:#}").contains("changed since the checkpoint"), "{error:#}");
}

#[test]
fn the_newest_and_the_best_checkpoints_stay() {
    let dir = tempfile::tempdir().unwrap();
    let run_dir = RunDir::open(dir.path()).unwrap();
    let mut state = state();
    let stays = |step| step == 1;
    let mut left = Vec::new();
    for accuracy in [Some(0.9), Some(0.1), Some(0.5), None, Some(0.5), Some(0.7), Some(0.2)] {
        run_dir.save(&state, accuracy, Retention { newest: 1, best: 2, stays: &stays }).unwrap();
        state.step += 1;
        let checkpoints = std::fs::read_dir(dir.path().join("checkpoints")).unwrap();
        let mut steps: Vec<u32> =
            checkpoints.map(|it| it.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
        steps.sort_unstable();
        left.push(steps);
    }
    // 1 stays in any case and is not counted; of 2 and 4, which are equal, the earlier one.
    let expected: [&[u32]; 7] =
        [&[0], &[0, 1], &[0, 1, 2], &[0, 1, 2, 3], &[0, 1, 2, 4], &[0, 1, 5], &[0, 1, 5, 6]];
    assert_eq!(left, expected);
}

#[test]
fn what_a_checkpoint_left_that_was_cut_off_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    play(dir.path(), &settings(), Some(2));
    let begun = dir.path().join("checkpoints/.writing-000003");
    std::fs::create_dir_all(begun.join("policy")).unwrap();
    std::fs::write(begun.join("policy/updates"), "4").unwrap();
    play(dir.path(), &settings(), Some(2));
    assert!(!begun.exists());
}
