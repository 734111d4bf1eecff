//! The lives of a run, one after another in one folder, and what is compared in the end.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use kelvin_core::{
    metrics::Metrics,
    policy::Policy,
    seed::{Draws, Seed},
    stop::Stopped,
    task::TaskType,
};
use kelvin_selfplay::{
    checkpoint::{COMPLETE, RunDir},
    disk::Disk,
    r_zero::phase::Place,
    run::{self, End, Grounds},
    settings::{
        AzrSettings, CheckpointSettings, EvalSettings, ObjectiveSettings, RZeroSettings, Recipe, RunSettings,
        SamplingSettings, SolveLag,
    },
    simulation::{Programs, Sums},
    state::RunState,
};

use crate::{
    answers::respond,
    faults::{Breaking, Failing, INJECTED, Rates},
    medium::Medium,
};

const TASK_TYPES: [TaskType; 2] = [TaskType::Deduction, TaskType::Abduction];

/// Lives in which something can happen; the last one is spared, or some runs would never end.
const LIVES_MAX: u64 = 40;

/// One simulation: gives how many lives it took.
pub(crate) fn play(number: u64) -> u64 {
    let seed = Seed::new(number).fork("simulation");
    let mut draws = seed.fork("settings").draws();
    let settings = settings(&mut draws);
    let mut rate = |chance: f64, most: f64| if draws.chance(chance) { most * draws.unit() } else { 0.0 };
    let rates = Rates {
        executor: rate(0.5, 0.004),
        sampler: rate(0.5, 0.1),
        stop: rate(0.5, 0.1),
        trainer: rate(0.5, 0.06),
        disk: rate(0.8, 0.02),
    };
    lives(seed, &settings, rates, draws)
}

/// Two thousand steps, with a fault in about fifty of them: gives how many lives they took.
pub(crate) fn play_long() -> u64 {
    let seed = Seed::new(0).fork("long simulation");
    let mut draws = seed.fork("settings").draws();
    let drawn = settings(&mut draws);
    let settings = RunSettings {
        recipe: Recipe::Azr,
        steps: 2000,
        azr: AzrSettings { batch_size: 2, seed_factor: 2, buffer_max: 40, ..AzrSettings::default() },
        eval: EvalSettings { every: 100, ..drawn.eval },
        checkpoint: CheckpointSettings { every: 20, keep: 2, keep_best: 1, transcripts_every: 50 },
        ..drawn
    };
    let rates = Rates { executor: 2e-5, sampler: 2e-3, stop: 2e-3, trainer: 2e-3, disk: 5e-4 };
    lives(seed, &settings, rates, draws)
}

/// A run to which nothing happens, and one that is struck: they end alike.
fn lives(seed: Seed, settings: &RunSettings, rates: Rates, mut draws: Draws) -> u64 {
    // Memory where there is any: a test of what is synced does not need to wait for a medium.
    let shared = Path::new("/dev/shm");
    let above = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    let root = tempfile::tempdir_in(above).unwrap();
    let (spared, struck) = (root.path().join("spared"), root.path().join("struck"));
    fs::create_dir(&spared).unwrap();
    fs::create_dir(&struck).unwrap();
    let unharmed = Medium::new(seed, 0.0, root.path());
    assert_eq!(life(&spared, settings, seed, Rates::default(), &unharmed, None).unwrap(), End::Finished);
    let mut damaged = None;
    for n in 1.. {
        let rates = if n < LIVES_MAX { rates } else { Rates::default() };
        if settings.recipe == Recipe::Azr && damaged.is_none() && draws.chance(0.1) {
            damaged = damage_newest(&struck, &mut draws);
        }
        let seed = seed.fork("life").nth(n);
        let medium = Medium::new(seed.fork("disk"), rates.disk, root.path());
        let ended = life(&struck, settings, seed, rates, &medium, damaged.as_deref());
        if draws.chance(0.5) {
            medium.lose_power();
        }
        match ended {
            Ok(End::Finished) => {
                let (expected, found) = (outcome(&spared, settings), outcome(&struck, settings));
                for (name, expected) in &expected {
                    assert_eq!(found.get(name), Some(expected), "{name} after {n} lives");
                }
                assert_eq!(found.len(), expected.len());
                return n;
            }
            Ok(End::Interrupted | End::CutOff) => {}
            Err(error) => {
                let told = format!("{error:#}");
                assert!(told.contains(INJECTED) || error.is::<Stopped>(), "life {n}: {told}");
            }
        }
    }
    unreachable!("the last life is spared")
}

/// From start or resume to an end, whatever it is.
fn life(
    dir: &Path,
    settings: &RunSettings,
    seed: Seed,
    rates: Rates,
    medium: &Medium,
    damaged: Option<&Path>,
) -> anyhow::Result<End> {
    let executor = Arc::new(Breaking { seed: seed.fork("executor"), rate: rates.executor });
    let one = Programs { validate: 1, grade: 1 };
    let env = Sums::new(executor, TASK_TYPES.map(|it| (it, one)).into());
    let names: &[&str] =
        if settings.recipe == Recipe::RZero { &["challenger", "solver"] } else { &["policy"] };
    let policy = |name: &&str| {
        let trainer = Box::new(Failing::new(respond, seed.fork(name), rates));
        Policy { name: (*name).into(), version: 0, trainer }
    };
    let mut state = RunState::new(names.iter().map(policy).collect());
    let dir = RunDir::on(Disk::with(Box::new(medium.clone())), dir, None)?;
    let mut warnings = Vec::new();
    if let Some((_, newest)) = dir.newest(&mut |it| warnings.push(it))? {
        dir.restore(&newest, &mut state, &env)?;
    }
    // What ends a process never damages a checkpoint.
    let is_known = |it: &String| damaged.is_some_and(|damaged| it.contains(damaged.to_str().unwrap()));
    assert!(warnings.iter().all(is_known), "{warnings:?}");
    run::run(&mut state, Grounds::of(&env), settings, &dir, &|| false, &mut |_| ())
}

/// Changes a byte of the newest checkpoint, where there is one before it, and gives where it is.
fn damage_newest(dir: &Path, draws: &mut Draws) -> Option<PathBuf> {
    let complete: Vec<PathBuf> =
        checkpoints(dir).into_iter().filter(|it| it.join(COMPLETE).exists()).collect();
    let [.., _, newest] = &complete[..] else { return None };
    let path = newest.join(*draws.pick(&["state.json", "policy/updates"]));
    let mut bytes = fs::read(&path).unwrap();
    let at = draws.below(bytes.len());
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    Some(newest.clone())
}

fn checkpoints(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir.join("checkpoints")) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|it| it.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Settings of either recipe.
pub(crate) fn settings(draws: &mut Draws) -> RunSettings {
    let recipe = if draws.chance(0.5) { Recipe::Azr } else { Recipe::RZero };
    let r_zero = RZeroSettings {
        challenger_steps: 1 + draws.below(2) as u32,
        curriculum_steps: 1 + draws.below(2) as u32,
        solver_steps: 1 + draws.below(2) as u32,
        questions: 12,
        pool: 16,
        curriculum_min: 2,
        solver_batch: 3,
        replay: if draws.chance(0.3) { 0.5 } else { 0.0 },
        challenger_updates: 1 + draws.below(2),
        solver_updates: 1 + draws.below(2),
        rollback_below: if draws.chance(0.3) { 0.05 } else { 1.0 },
        ..RZeroSettings::default()
    };
    let azr = AzrSettings {
        batch_size: 2 + draws.below(5),
        n_estimate: 1 + draws.below(3),
        seed_factor: 1 + draws.below(3),
        n_references: 2,
        buffer_max: 6 + draws.below(30),
        solve_lag: if draws.chance(0.5) { SolveLag::Zero } else { SolveLag::One },
        band: if draws.chance(0.3) { [0.2, 0.8] } else { AzrSettings::default().band },
        train_estimates: draws.chance(0.5),
        ..AzrSettings::default()
    };
    let iterations = 1 + draws.below(2) as u32;
    RunSettings {
        seed: draws.below(1 << 20) as u64,
        steps: match recipe {
            Recipe::Azr => 2 + draws.below(5) as u32,
            Recipe::RZero => iterations * r_zero.iteration_steps(),
        },
        task_types: TASK_TYPES.to_vec(),
        n_judges: 1 + draws.below(3),
        recipe,
        azr: if recipe == Recipe::RZero { r_zero.shared(azr) } else { azr },
        r_zero,
        intrinsic: Default::default(),
        objective: ObjectiveSettings {
            kl_coefficient: if recipe == Recipe::RZero && draws.chance(0.5) { 0.01 } else { 0.0 },
            ..ObjectiveSettings::default()
        },
        optimizer: Default::default(),
        sampling: SamplingSettings::default(),
        eval: EvalSettings {
            every: draws.below(3) as u32,
            n_tasks: 3,
            n_samples: 2,
            ..EvalSettings::default()
        },
        checkpoint: CheckpointSettings {
            every: 1 + draws.below(3) as u32,
            keep: 1 + draws.below(3),
            keep_best: draws.below(2),
            transcripts_every: draws.below(3) as u32,
        },
        diagnostics: Default::default(),
    }
}

/// What must not differ: records, and the last checkpoint.
fn outcome(dir: &Path, settings: &RunSettings) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut take = |path: &Path| {
        let name = path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(path).unwrap_or_else(|error| panic!("{name}: {error}"));
        files.insert(name, bytes);
    };
    take(&dir.join("tasks.jsonl"));
    take(&dir.join("alarms.jsonl"));
    let transcripts = fs::read_dir(dir.join("transcripts")).unwrap();
    transcripts.for_each(|it| take(&it.unwrap().path()));
    let last = checkpoints(dir).pop().expect("the last step has one");
    for policy in fs::read_dir(&last).unwrap().map(|it| it.unwrap().path()).filter(|it| it.is_dir()) {
        take(&policy.join("updates"));
    }
    let rows = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let same = |row: &str| -> String {
        let row: Metrics = serde_json::from_str(row).unwrap();
        let same: Vec<_> = row
            .into_iter()
            .filter(|(key, _)| !key.starts_with("timing/") && !key.starts_with("system/"))
            .collect();
        format!("{same:?}\n")
    };
    files.insert("metrics.jsonl".into(), rows.lines().map(same).collect::<String>().into_bytes());
    let steps = rows.lines().count() as u32 - 1;
    assert!(steps == settings.steps || Place::of(steps, &settings.r_zero).ends_iteration());
    files
}
