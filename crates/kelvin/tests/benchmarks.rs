//! Benchmarks against their publishers: every solution of theirs passes, no broken one passes that their tests fail, and
//! verdicts that they published come out the same. Over data that is not in this repository: see `KELVIN_DATA`.

use std::{
    env,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use kelvin_core::{
    benchmark::{Benchmark, Profile, PromptMode, Verdict},
    executor::Executor,
};
use kelvin_env::benchmarks::{DataFolder, named};
use kelvin_exec::{ExecutorOptions, Level, PythonExecutor};

/// The folder of public data, or nothing where nobody asks for the long suites.
fn data() -> Option<DataFolder> {
    if env::var_os("KELVIN_SLOW").is_none() && env::var_os("KELVIN_DATA").is_none() {
        eprintln!("skipped: asks for KELVIN_DATA, a folder of public data sets");
        return None;
    }
    let folder = PathBuf::from(env::var_os("KELVIN_DATA").expect("the long suites need KELVIN_DATA"));
    Some(DataFolder::at(&folder).expect("KELVIN_DATA is a folder"))
}

fn open(data: &DataFolder, name: &str, profile: Profile) -> Box<dyn Benchmark> {
    let entry = named(name).expect("the name is known");
    entry.open(data, profile, || Ok(executor())).expect("the files are the publisher's")
}

fn executor() -> Arc<dyn Executor> {
    let options = ExecutorOptions { least: Level::None, ..ExecutorOptions::default() };
    Arc::new(PythonExecutor::start(options).expect("Python is installed"))
}

/// The verdict on each of some responses to items of a benchmark, in their order.
fn verdicts(benchmark: &dyn Benchmark, responses: &[(usize, String)]) -> Vec<Verdict> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let Some((item_idx, response)) = responses.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let place = responses.as_ptr_range().start;
                    let _ = place;
                    let verdict =
                        benchmark.grade(*item_idx, PromptMode::Plain, response).expect("the sandbox holds");
                    done.lock().unwrap().push((*item_idx, response.clone(), verdict));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    done.into_iter().map(|it| it.2).collect()
}

/// Every gold response of a benchmark is right.
fn golds_pass(name: &str, n: usize) {
    let Some(data) = data() else { return };
    let benchmark = open(&data, name, Profile::Clean);
    assert_eq!(benchmark.items().len(), n, "{name}");
    let golds: Vec<(usize, String)> =
        (0..n).map(|it| (it, benchmark.gold(it).expect("the publisher gives answers"))).collect();
    let failed: Vec<String> = verdicts(&*benchmark, &golds)
        .iter()
        .zip(benchmark.items())
        .filter(|(verdict, _)| !verdict.is_correct())
        .map(|(verdict, item)| format!("{}: {:?}", item.id, verdict.miss))
        .collect();
    assert!(failed.is_empty(), "{name}: {} of {n} fail: {failed:?}", failed.len());
}

#[test]
fn solutions_of_humaneval_pass() {
    golds_pass("humaneval", 164);
}

#[test]
fn solutions_of_humaneval_plus_pass() {
    golds_pass("humaneval-plus", 164);
}

#[test]
fn solutions_of_mbpp_pass() {
    golds_pass("mbpp", 427);
}

#[test]
fn answers_of_cruxeval_pass() {
    golds_pass("cruxeval-i", 800);
    golds_pass("cruxeval-o", 800);
}
