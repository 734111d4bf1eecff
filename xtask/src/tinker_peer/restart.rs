//! A run whose server is killed in the middle and started again, beside one that is spared: both are to end with the same tasks
//! and numbers.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::{LOOK_AGAIN, Server, text};

/// Rows of metrics after which the server is killed: that of the evaluation before the first step, and of two steps.
const ROWS_BEFORE: usize = 3;
const BINARY: &str = "target/release/kelvin";
/// A short run of Absolute Zero on prime inversion, with a checkpoint of every step.
const SETS: [&str; 11] = [
    "policy.backend=tinker",
    "optimizer.grad_clip=0",
    "optimizer.learning_rate=4e-3",
    "eval.every=5",
    "eval.n_samples=1",
    "inversion.eval_p_max=19",
    "inversion.n_seeds=16",
    "azr.batch_size=16",
    "azr.n_estimate=4",
    "checkpoint.every=1",
    "checkpoint.keep=2",
];
const STEPS: &str = "5";

/// What the runs are over, and where they go.
pub(super) struct Runs<'path> {
    pub(super) root: &'path Path,
    pub(super) url: &'path str,
    pub(super) model: &'path str,
    pub(super) folder: PathBuf,
}

/// Trains twice; `begin` starts a server in the place of one that was killed. Gives the server that is there at the end.
///
/// # Errors
/// If a run fails, or does not end as the other.
pub(super) fn run(
    runs: &Runs<'_>,
    server: Server,
    begin: impl FnOnce() -> anyhow::Result<Server>,
) -> anyhow::Result<Server> {
    ensure!(runs.root.join(BINARY).is_file(), "{BINARY} is not there\nhint: cargo build --release");
    fs::create_dir_all(&runs.folder).with_context(|| format!("cannot make {}", runs.folder.display()))?;
    let mut spared = runs.train("spared")?;
    ensure!(spared.wait()?.success(), "the run over a server that is there fails\nhint: see its log");
    let mut struck = runs.train("struck")?;
    while runs.rows("struck").map_or(0, |it| it.len()) < ROWS_BEFORE {
        if let Some(status) = struck.try_wait()? {
            bail!("the run ended with {status} before its server was killed\nhint: see its log");
        }
        thread::sleep(LOOK_AGAIN);
    }
    drop(server);
    let server = begin()?;
    ensure!(struck.wait()?.success(), "the run over a server that was killed fails\nhint: see its log");
    let said = fs::read_to_string(runs.folder.join("struck.log"))?;
    ensure!(said.contains("going on from the last checkpoint"), "the run did not see that its server went");
    let found = runs.compare()?;
    println!("{found:#}");
    fs::write(runs.folder.join("restart.json"), format!("{found:#}\n"))?;
    ensure!(found["tasks_equal"] == true && found["furthest"] == 0.0, "the runs do not end the same");
    Ok(server)
}

impl Runs<'_> {
    /// Starts a run, with what it says in a file.
    fn train(&self, name: &str) -> anyhow::Result<Child> {
        let dir = self.folder.join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
        let log = File::create(self.folder.join(format!("{name}.log")))?;
        let places = [
            format!("policy.model={}", self.model),
            format!("policy.remote.base_model={}", self.model),
            format!("policy.remote.url={}", self.url),
        ];
        let sets = SETS.iter().copied().chain(places.iter().map(String::as_str));
        #[expect(clippy::disallowed_methods, reason = "tasks exist to start other programs")]
        let child = Command::new(self.root.join(BINARY))
            .args(["train", "configs/prime-inversion.toml", "--steps", STEPS, "--plain"])
            .args(["--run-dir", text(&dir)?])
            .args(sets.flat_map(|it| ["--set", it]))
            .current_dir(self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        child.with_context(|| format!("cannot start {BINARY}"))
    }

    /// Metrics so far, without what may differ between two runs.
    fn rows(&self, name: &str) -> anyhow::Result<Vec<BTreeMap<String, Value>>> {
        let lasts = |name: &str| !name.starts_with("timing/") && !name.starts_with("system/");
        let read = fs::read_to_string(self.folder.join(name).join("metrics.jsonl"))?;
        let rows = read.lines().map(serde_json::from_str::<BTreeMap<String, Value>>);
        rows.map(|it| Ok(it?.into_iter().filter(|(name, _)| lasts(name)).collect())).collect()
    }

    /// How far apart the two runs end.
    fn compare(&self) -> anyhow::Result<Value> {
        let [spared, struck] = ["spared", "struck"].map(|it| self.rows(it));
        let (spared, struck) = (spared?, struck?);
        ensure!(spared.len() == struck.len(), "{} rows of metrics and {}", spared.len(), struck.len());
        let (mut furthest, mut n_numbers) = (0.0f64, 0);
        for (a, b) in spared.iter().zip(&struck) {
            ensure!(a.keys().eq(b.keys()), "rows of metrics with other names");
            for (a, b) in a.values().zip(b.values()) {
                let (Some(a), Some(b)) = (a.as_f64(), b.as_f64()) else {
                    ensure!(a == b, "{a} and {b}");
                    continue;
                };
                n_numbers += 1;
                furthest = furthest.max((a - b).abs());
            }
        }
        let tasks = |name: &str| fs::read(self.folder.join(name).join("tasks.jsonl"));
        Ok(json!({
            "rows": spared.len(),
            "numbers": n_numbers,
            "furthest": furthest,
            "tasks_equal": tasks("spared")? == tasks("struck")?,
        }))
    }
}
