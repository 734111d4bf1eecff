//! Rows of metrics at scripted servers of Trackio and MLflow: the protocols, servers that are away, faults, a run that goes on.

#[path = "../tinker/scripted/mod.rs"]
mod scripted;
mod world;

use std::{path::Path, time::Duration};

use kelvin_core::{metrics::Metrics, seed::Seed, stop::Stop};
use kelvin_remote::trackers::{Ended, Subject, Trackers, TrackingSettings};

use crate::{
    scripted::{Faults, Rates, Server},
    world::World,
};

const AGAIN: &str = "kelvin resume RUN";

fn settings(server: &Server<World>, close_s: f64) -> TrackingSettings {
    TrackingSettings {
        trackio: server.url(),
        mlflow: server.url(),
        project: "a b/é".into(),
        timeout_s: 1.0,
        pause_s: 0.002,
        pause_max_s: 0.01,
        close_s,
        rows_max: 3,
        ..TrackingSettings::default()
    }
}

fn begin(settings: &TrackingSettings, run: &Path) -> Trackers {
    let parameters = vec![("steps".to_owned(), "9".to_owned()), ("long".to_owned(), "é".repeat(7000))];
    let subject = Subject { project: settings.project.clone(), run: "first".into(), parameters };
    Trackers::begin(settings, &subject, run).unwrap().unwrap()
}

fn add(trackers: &mut Trackers, steps: std::ops::Range<u32>) {
    for step in steps {
        // The evaluation of a step may be a row of its own.
        for name in ["loss", "eval/mean/accuracy"] {
            let row =
                [("step", f64::from(step)), (name, 0.5 + f64::from(step)), ("timing/none", f64::INFINITY)];
            let row: Metrics = row.iter().map(|it| (it.0.to_owned(), it.1)).collect();
            trackers.add(step, 1.5 * f64::from(step), &row);
        }
    }
}

/// Each row once, at both, under one run.
fn assert_whole(server: &Server<World>, n_steps: u64) {
    server.with(|it| {
        let World { logs, runs, parameters, .. } = &it.world;
        let steps: Vec<u64> = (0..n_steps).collect();
        let of_logs = |name: &str| {
            let mut steps: Vec<u64> = logs
                .values()
                .filter(|it| it["metrics"].get(name).is_some())
                .map(|it| it["step"].as_u64().unwrap())
                .collect();
            steps.sort_unstable();
            steps
        };
        for name in ["loss", "eval/mean/accuracy"] {
            assert_eq!((it.world.steps(name), of_logs(name)), (steps.clone(), steps.clone()), "{name}");
        }
        assert_eq!(logs.len() as u64, 2 * n_steps);
        for log in logs.values() {
            let metrics = log["metrics"].as_object().unwrap();
            assert_eq!((log["project"].as_str(), log["run"].as_str()), (Some("a b/é"), Some("first")));
            assert!(metrics.len() == 1 && log["run_id"] == logs.values().next().unwrap()["run_id"], "{log}");
        }
        let configured: Vec<_> = logs.values().filter(|it| !it["config"].is_null()).collect();
        assert!(configured.len() == 1 && configured[0]["config"]["steps"] == "9");
        assert_eq!((parameters["steps"].as_str(), parameters["long"].chars().count()), ("9", 6000));
        assert!(runs.values().any(|(made, _)| made["run_name"] == "first" && made["experiment_id"] == "e0"));
        let used: std::collections::BTreeSet<&String> = it.world.points.iter().map(|it| &it.0).collect();
        assert_eq!(used.len(), 1);
    });
}

fn state(server: &Server<World>) -> Vec<String> {
    server.with(|it| it.world.runs.values().map(|it| it.1.clone()).collect())
}

#[test]
fn all_rows_arrive_once() {
    let (server, run) = (Server::start(World::default()), tempfile::tempdir().unwrap());
    let mut trackers = begin(&settings(&server, 60.0), run.path());
    add(&mut trackers, 0..8);
    assert_eq!(trackers.close(Ended::Finished, AGAIN, &Stop::default()), Vec::<String>::new());
    assert_whole(&server, 8);
    assert_eq!(state(&server), ["FINISHED"]);
}

#[test]
fn no_server_named_is_no_tracker() {
    let (run, settings) = (tempfile::tempdir().unwrap(), TrackingSettings::default());
    let subject = Subject { project: "p".into(), run: "r".into(), parameters: Vec::new() };
    assert!(Trackers::begin(&settings, &subject, run.path()).unwrap().is_none());
    let far = TrackingSettings { mlflow: "http://example.org".into(), ..settings };
    let error = Trackers::begin(&far, &subject, run.path()).err().unwrap();
    assert!(error.to_string().contains("is not https\nhint: "), "{error}");
}

/// Nothing waits for it, and what it missed comes with the resume, which begins at an earlier row than the run had.
#[test]
fn a_server_that_is_away_gets_the_rows_later() {
    let (server, run) = (Server::start(World::default()), tempfile::tempdir().unwrap());
    let mut trackers = begin(&settings(&server, 60.0), run.path());
    add(&mut trackers, 0..4);
    assert_eq!(trackers.close(Ended::Stopped, AGAIN, &Stop::default()), Vec::<String>::new());
    assert_eq!(state(&server), ["KILLED"]);

    server.with(|it| it.is_down = true);
    let mut trackers = begin(&settings(&server, 0.1), run.path());
    add(&mut trackers, 0..6);
    let mut messages = Vec::new();
    while messages.len() < 2 {
        messages.extend(trackers.messages());
        std::thread::sleep(Duration::from_millis(1));
    }
    messages.extend(trackers.close(Ended::Failed, AGAIN, &Stop::default()));
    assert_eq!(messages.iter().filter(|it| it.contains("rows wait until it is back")).count(), 2);
    let unsent = messages.iter().filter(|it| it.contains("4 of 12 rows") && it.contains(AGAIN));
    assert_eq!(unsent.count(), 2, "{messages:?}");

    server.with(|it| it.is_down = false);
    let mut trackers = begin(&settings(&server, 60.0), run.path());
    add(&mut trackers, 0..9);
    assert_eq!(trackers.close(Ended::Finished, AGAIN, &Stop::default()), Vec::<String>::new());
    assert_whole(&server, 9);
    assert_eq!(state(&server), ["FINISHED"]);
}

#[test]
fn faults_of_the_network_lose_and_double_nothing() {
    for seed in 0..8 {
        let (server, run) = (Server::start(World::default()), tempfile::tempdir().unwrap());
        let rates =
            Rates { refused: 0.1, unheard: 0.1, unsaid: 0.1, cut: 0.1, doubled: 0.1, ..Rates::default() };
        let faults = Faults { seed: Seed::new(seed), rates };
        server.with(|it| it.faults = Some(faults));
        let mut trackers = begin(&settings(&server, 60.0), run.path());
        add(&mut trackers, 0..20);
        let messages = trackers.close(Ended::Finished, AGAIN, &Stop::default());
        assert!(!messages.iter().any(|it| it.contains("has not taken")), "{messages:?}");
        assert!(server.with(|it| 0 < it.n_struck()), "no fault was played");
        assert_whole(&server, 20);
    }
}

/// An answer was lost with the process: the next one sends the same rows by the same names.
#[test]
fn a_process_that_ends_before_the_first_answer_doubles_nothing() {
    let (server, run) = (Server::start(World::default()), tempfile::tempdir().unwrap());
    let rates = Rates { unsaid: 1.0, ..Rates::default() };
    server.with(|it| it.faults = Some(Faults { seed: Seed::new(1), rates }));
    let trackio = TrackingSettings { mlflow: String::new(), ..settings(&server, 0.0) };
    let mut trackers = begin(&trackio, run.path());
    add(&mut trackers, 0..2);
    while server.with(|it| it.world.logs.is_empty()) {
        std::thread::sleep(Duration::from_millis(1));
    }
    trackers.close(Ended::Failed, AGAIN, &Stop::default());
    server.with(|it| it.faults = None);
    let mut trackers = begin(&TrackingSettings { close_s: 60.0, ..trackio }, run.path());
    add(&mut trackers, 0..4);
    assert_eq!(trackers.close(Ended::Finished, AGAIN, &Stop::default()), Vec::<String>::new());
    assert_eq!(server.with(|it| it.world.logs.len()), 8);
}

/// Another server has none of the rows; another project is another run.
#[test]
fn another_server_gets_the_whole_run() {
    let run = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let server = Server::start(World::default());
        let mut trackers = begin(&settings(&server, 60.0), run.path());
        add(&mut trackers, 0..3);
        assert_eq!(trackers.close(Ended::Finished, AGAIN, &Stop::default()), Vec::<String>::new());
        assert_whole(&server, 3);
    }
}

/// What waits is bounded, and the rest comes with the resume.
#[test]
fn rows_beyond_what_may_wait_come_later() {
    let (server, run) = (Server::start(World::default()), tempfile::tempdir().unwrap());
    server.with(|it| it.is_down = true);
    let mut trackers = begin(&TrackingSettings { waiting_max: 4, ..settings(&server, 60.0) }, run.path());
    add(&mut trackers, 0..5);
    server.with(|it| it.is_down = false);
    let messages = trackers.close(Ended::Finished, AGAIN, &Stop::default());
    assert_eq!(
        messages.iter().filter(|it| it.contains("has not taken 6 of 10 rows")).count(),
        2,
        "{messages:?}"
    );
    let mut trackers = begin(&settings(&server, 60.0), run.path());
    add(&mut trackers, 0..5);
    assert_eq!(trackers.close(Ended::Finished, AGAIN, &Stop::default()), Vec::<String>::new());
    assert_whole(&server, 5);
}

#[test]
fn a_refusal_is_told_once_and_ends_nothing() {
    let world = World { key: Some("secret".into()), ..World::default() };
    let (server, run) = (Server::start(world), tempfile::tempdir().unwrap());
    let mut trackers = begin(&settings(&server, 60.0), run.path());
    add(&mut trackers, 0..5);
    let messages = trackers.close(Ended::Finished, AGAIN, &Stop::default());
    let refused = messages.iter().filter(|it| it.contains("401: who are you?; nothing more is sent there"));
    assert_eq!((refused.count(), messages.len()), (2, 4), "{messages:?}");
}
