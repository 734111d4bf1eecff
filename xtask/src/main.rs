//! Project tasks, run as `cargo xtask NAME`: the checks that the compiler does not make, the suites that are too
//! long for every change, and the runs behind the published numbers.

mod clients;
mod curve;
mod evidence;
mod parity;
mod peers;
mod readers;
mod readme;
mod run_folder;
mod series;
mod shell;
mod step_split;
mod tidy;
mod tinker_peer;
mod tracker_peers;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Project tasks of kelvin")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Checks the house: the star of crates, budgets, dead files, links, the changelog
    Tidy,
    /// Runs the long suites (`KELVIN_SLOW=1`, release build), then `readers` and `serve-clients`
    Slow {
        /// Only tests whose name contains this, and no readers
        filter: Option<String>,
        /// A Python that has the libraries of `readers`
        #[arg(long)]
        python: Option<PathBuf>,
    },
    /// Runs or resumes the arms of tables of evidence, one after the other, and writes summary, table and curve of each
    Evidence {
        /// The table of arms; may be given several times
        #[arg(long, default_value = "results/evidence.toml")]
        table: Vec<PathBuf>,
        /// Only this arm; may be given several times
        #[arg(long)]
        arm: Vec<String>,
        /// Starts no run: only collects what the runs have written
        #[arg(long)]
        collect: bool,
    },
    /// Draws the solve rates of a table of evidence over steps, as SVG
    Curve {
        /// The table of arms
        #[arg(long, default_value = "results/evidence.toml")]
        table: PathBuf,
        /// Where to write; `curve.svg` in the table's folder where not given
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Measures the engine against PyTorch on the same cores, in turns
    EnginePeers(peers::Options),
    /// Compares every number of gradients and steps with PyTorch's, for each instruction set
    EngineParity(parity::Options),
    /// Drives `kelvin serve` with other projects' clients, which are fetched from the Python package index
    ServeClients(clients::Options),
    /// Says what the steps of a run were spent on, and fails if what draws and learns waited too long
    StepSplit(step_split::Options),
    /// Measures the client of the Tinker protocol against SkyRL's server, and that against the native engine
    TinkerPeer(tinker_peer::Options),
    /// Trains beside the real servers of Trackio and MLflow, which are fetched from the Python package index, and reads back what
    /// they have
    TrackerPeers(tracker_peers::Options),
    /// Has transformers, PEFT, `datasets` and TensorBoard read what kelvin writes, and compares
    Readers(readers::Options),
    /// Runs the code blocks of README.md that are marked `sh ci`, in order
    Readme,
    /// Checks a run folder against what docs/formats.md promises
    RunFolder {
        /// The run folder
        folder: PathBuf,
        /// The step at which it must stand
        #[arg(long)]
        steps: Option<u64>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let root = root();
    match task {
        Task::Tidy => tidy::run(root),
        Task::Slow { filter, python } => slow(root, filter.as_deref(), python),
        Task::Evidence { table, arm, collect } => evidence::run(root, &table, &arm, !collect),
        Task::Curve { table, out } => curve::run(root, &table, out.as_deref()),
        Task::EnginePeers(options) => peers::run(root, &options),
        Task::EngineParity(options) => parity::run(root, &options),
        Task::ServeClients(options) => clients::run(root, &options),
        Task::TinkerPeer(options) => tinker_peer::run(root, &options),
        Task::TrackerPeers(options) => tracker_peers::run(root, &options),
        Task::StepSplit(options) => step_split::run(&options),
        Task::Readers(options) => readers::run(root, &options),
        Task::Readme => readme::run(root),
        Task::RunFolder { folder, steps } => run_folder::run(&folder, steps),
    }
}

/// The workspace's root: the folder above this crate.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// Tests that take minutes look for `KELVIN_SLOW` and print that they are skipped where it is not set.
fn slow(root: &Path, filter: Option<&str>, python: Option<PathBuf>) -> anyhow::Result<()> {
    // They would fail for it after ten minutes.
    anyhow::ensure!(
        filter.is_some() || std::env::var_os("KELVIN_DATA").is_some(),
        "the long suites read public data sets\nhint: set KELVIN_DATA to their folder (docs/log.md says which), or name a \
         filter"
    );
    let test = ["test", "--release", "--workspace", "--no-fail-fast"];
    let slow = [("KELVIN_SLOW", "1")];
    if let Some(filter) = filter {
        return shell::run(root, "cargo", &[&test[..], &["--", filter]].concat(), &slow);
    }
    let tested = shell::run(root, "cargo", &test, &slow);
    let binary = PathBuf::from("target/release/kelvin");
    shell::run(root, "cargo", &["build", "--release", "-p", "kelvin"], &[])?;
    let read = readers::run(root, &readers::Options { binary: binary.clone(), python });
    let out = PathBuf::from("target/serve-clients");
    let served = clients::run(root, &clients::Options { binary, only: None, out });
    tested.and(read).and(served)
}
