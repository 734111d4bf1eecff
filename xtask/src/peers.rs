//! kelvin's engine against PyTorch on the same cores: both measure one round in turn, and what counts is the median of the
//! rounds' ratios, since a machine's speed changes between minutes but less between a round and the next. And what kelvin
//! must hold by itself, such as memory.

mod checkpoint;
mod limits;

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use limits::{Held, Limit};

/// The cases, as `results/engine-peers.toml` lists them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    rounds: usize,
    cases: Vec<Case>,
    limits: Vec<Limit>,
}

/// One thing that both do.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// What is compared, in tokens per second.
    key: String,
    /// The least ratio that is aimed for.
    wanted: Option<f64>,
    /// The least share of the GEMM peak, of the memory bandwidth, and the most of PyTorch's memory.
    of_gemm_peak: Option<f64>,
    of_bandwidth: Option<f64>,
    of_memory: Option<f64>,
    /// Rounds, where they are short and so swing more than others.
    rounds: Option<usize>,
    /// Both are kept to AVX2.
    #[serde(default)]
    avx2: bool,
    /// Arguments after `kelvin bench`.
    kelvin: Vec<String>,
    /// Arguments of `xtask/py/engine_peer.py`.
    peer: Vec<String>,
}

/// All that came out, and of what.
#[derive(Default, Serialize)]
struct Report {
    processor: String,
    commit: String,
    cases: Vec<Measured>,
    limits: Vec<Held>,
}

/// What came out of a case.
#[derive(Default, Serialize)]
struct Measured {
    name: String,
    kelvin_tokens_per_s: f64,
    peer_tokens_per_s: f64,
    /// Median of the rounds' ratios.
    ratio: f64,
    wanted: Option<f64>,
    kelvin_rss_bytes: f64,
    peer_rss_bytes: f64,
    /// Median of the rounds: of the GEMM peak, and of the memory bandwidth where kelvin says so.
    fraction_of_gemm_peak: f64,
    fraction_of_bandwidth: Option<f64>,
    /// What is under, or in memory over, what is wanted.
    short: Vec<String>,
    /// Every round as both printed it, kelvin's first.
    rounds: Vec<(Value, Value)>,
}

/// How the comparison is run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The cases
    #[arg(long, default_value = "results/engine-peers.toml")]
    table: PathBuf,
    /// The binary that is measured
    #[arg(long, default_value = "target/release/kelvin")]
    kelvin: PathBuf,
    /// A Python that has PyTorch
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Only cases whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Threads of both
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Where every round is written, as JSON
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Measures the cases and prints a table.
///
/// # Errors
/// If either program cannot be started or fails.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(root.join(&options.table))
        .with_context(|| format!("cannot read {}", options.table.display()))?;
    let table: Table =
        toml::from_str(&text).with_context(|| format!("cannot parse {}", options.table.display()))?;
    let is_wanted = |name: &str| options.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let mut all = Report { processor: processor(), commit: commit(root)?, ..Report::default() };
    println!(
        "| what | kelvin | PyTorch | ratio | wanted | of GEMM peak | of bandwidth | memory, kelvin | PyTorch |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for case in table.cases.iter().filter(|it| is_wanted(&it.name)) {
        let measured = measure(root, options, case, case.rounds.unwrap_or(table.rounds))?;
        println!("{}", row(&measured));
        all.cases.push(measured);
    }
    println!("\n{}", limits::HEAD);
    for limit in table.limits.iter().filter(|it| is_wanted(&it.name)) {
        let held = limit.measure(root, options)?;
        println!("{}", held.row());
        all.limits.push(held);
    }
    ensure!(!(all.cases.is_empty() && all.limits.is_empty()), "no case has that name");
    if let Some(out) = &options.out {
        let text = serde_json::to_string_pretty(&all).context("numbers are plain data")?;
        std::fs::write(out, text + "\n").with_context(|| format!("cannot write {}", out.display()))?;
    }
    let short = all.cases.iter().flat_map(|case| case.short.iter().map(|it| format!("{}: {it}", case.name)));
    let missed = all.limits.iter().filter(|it| !it.is_held).map(|it| it.name.clone());
    let misses: Vec<String> = short.chain(missed).collect();
    ensure!(misses.is_empty(), "not all that is wanted was reached:\n{}", misses.join("\n"));
    Ok(())
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|it| it.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| "unknown".to_owned(), |it| it.1.to_owned())
}

/// What the tree is at, with a mark where it differs from that.
fn commit(root: &Path) -> anyhow::Result<String> {
    let said = command(root, Path::new("git")).args(["describe", "--always", "--dirty"]).output();
    Ok(String::from_utf8_lossy(&said.context("cannot start git")?.stdout).trim().to_owned())
}

fn row(it: &Measured) -> String {
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let optional = |value: Option<String>| value.unwrap_or_default();
    format!(
        "| {} | {} tok/s | {} tok/s | {:.2} | {} | {} | {} | {:.0} MB | {:.0} MB |",
        it.name,
        Short(it.kelvin_tokens_per_s),
        Short(it.peer_tokens_per_s),
        it.ratio,
        optional(it.wanted.map(|wanted| wanted.to_string())),
        percent(it.fraction_of_gemm_peak),
        optional(it.fraction_of_bandwidth.map(percent)),
        it.kelvin_rss_bytes / 1e6,
        it.peer_rss_bytes / 1e6,
    )
}

/// Three digits that count, and no more places after the point than that takes.
struct Short(f64);

impl std::fmt::Display for Short {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let places = if self.0 < 10.0 {
            2
        } else if self.0 < 100.0 {
            1
        } else {
            0
        };
        write!(to, "{:.places$}", self.0)
    }
}

fn measure(root: &Path, options: &Options, case: &Case, n_rounds: usize) -> anyhow::Result<Measured> {
    let mut peer = Peer::start(root, options, case)?;
    let mut rounds = Vec::new();
    for _ in 0..n_rounds {
        let own = kelvin(root, options, &case.kelvin, case.avx2, &case.name)?;
        rounds.push((own, peer.round()?));
    }
    let column = |of: &dyn Fn(&(Value, Value)) -> Option<f64>| -> Option<f64> {
        rounds.iter().map(of).collect::<Option<Vec<f64>>>().map(median)
    };
    let number = |value: &Value, key: &str| value.get(key).and_then(Value::as_f64);
    let missing = || format!("a round of `{}` lacks `{}`", case.name, case.key);
    let kelvin_speed = column(&|it| number(&it.0, &case.key)).with_context(missing)?;
    let peer_speed = column(&|it| number(&it.1, &case.key)).with_context(missing)?;
    let ratio = column(&|it| Some(number(&it.0, &case.key)? / number(&it.1, &case.key)?));
    let mut measured = Measured {
        name: case.name.clone(),
        kelvin_tokens_per_s: kelvin_speed,
        peer_tokens_per_s: peer_speed,
        ratio: ratio.with_context(missing)?,
        wanted: case.wanted,
        kelvin_rss_bytes: column(&|it| number(&it.0, "rss_bytes")).unwrap_or(f64::NAN),
        peer_rss_bytes: column(&|it| number(&it.1, "rss_bytes")).unwrap_or(f64::NAN),
        fraction_of_gemm_peak: column(&|it| number(&it.0, "fraction_of_gemm_peak")).unwrap_or(f64::NAN),
        fraction_of_bandwidth: column(&|it| number(&it.0, "fraction_of_bandwidth")),
        short: Vec::new(),
        rounds,
    };
    measured.short = case.short(&measured);
    Ok(measured)
}

impl Case {
    /// What of `measured` is not as wanted, in words.
    fn short(&self, measured: &Measured) -> Vec<String> {
        let bandwidth = measured.fraction_of_bandwidth.unwrap_or(f64::NAN);
        let memory = measured.kelvin_rss_bytes / measured.peer_rss_bytes;
        let mut short = Vec::new();
        for (what, value, least) in [
            ("times PyTorch", measured.ratio, self.wanted),
            ("of the GEMM peak", measured.fraction_of_gemm_peak, self.of_gemm_peak),
            ("of the bandwidth", bandwidth, self.of_bandwidth),
        ] {
            // A number that is none is not as wanted.
            if least.is_some_and(|least| value.is_nan() || value < least) {
                short.push(format!("{value:.3} {what}"));
            }
        }
        if self.of_memory.is_some_and(|most| memory.is_nan() || most < memory) {
            short.push(format!("{memory:.3} of PyTorch's memory"));
        }
        short
    }
}

/// The middle of the values, the mean of the two middle ones where their number is even.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[half - 1] + values[half]) / 2.0 } else { values[half] }
}

/// One measurement by `kelvin bench`, which warms up by itself.
fn kelvin(
    root: &Path,
    options: &Options,
    arguments: &[String],
    avx2: bool,
    name: &str,
) -> anyhow::Result<Value> {
    let mut command = command(root, &options.kelvin);
    command.arg("bench").args(arguments).args(["--repeats", "1", "--threads", &options.threads.to_string()]);
    if avx2 {
        command.env("KELVIN_SIMD", "avx2");
    }
    let shown = options.kelvin.display();
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start {shown}"))?;
    if !output.status.success() {
        bail!("{shown} ended with {} on `{name}`", output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{shown} did not print one object"))
}

/// PyTorch in a process of its own, warm, that measures when it is asked to.
struct Peer {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Peer {
    fn start(root: &Path, options: &Options, case: &Case) -> anyhow::Result<Peer> {
        let mut command = command(root, &options.python);
        command.args(["-P", "xtask/py/engine_peer.py"]).args(&case.peer);
        command.args(["--threads", &options.threads.to_string()]);
        if case.avx2 {
            // ATen's own kernels, oneDNN's and MKL's.
            command.env("ATEN_CPU_CAPABILITY", "avx2").env("ONEDNN_MAX_CPU_ISA", "AVX2");
            command.env("MKL_ENABLE_INSTRUCTIONS", "AVX2");
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", options.python.display()))?;
        let answers = BufReader::new(child.stdout.take().context("its output is piped")?);
        Ok(Peer { child, answers })
    }

    fn round(&mut self) -> anyhow::Result<Value> {
        let ask = self.child.stdin.as_mut().context("its input is piped")?;
        let mut line = String::new();
        let asked = ask.write_all(b"\n").and_then(|()| ask.flush());
        asked.and_then(|()| self.answers.read_line(&mut line)).context("asking PyTorch for a round")?;
        serde_json::from_str(&line).context(
            "PyTorch measured nothing; its own message stands above\nhint: `pip install torch` and pass --python",
        )
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It ends with its input; what it says then is of no interest.
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "tasks exist to start other programs")]
fn command(root: &Path, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_repository_is_readable() {
        let text = include_str!("../../results/engine-peers.toml");
        let table: Table = toml::from_str(text).unwrap();
        assert!(table.cases.iter().all(|it| it.kelvin[0] == it.peer[0]), "both do the same");
    }

    #[test]
    fn what_is_short_is_said() {
        let case = Case {
            wanted: Some(1.6),
            of_gemm_peak: Some(0.65),
            of_bandwidth: Some(0.85),
            of_memory: Some(0.1),
            ..case()
        };
        let measured = |ratio: f64, bandwidth: Option<f64>, rss: f64| Measured {
            ratio,
            fraction_of_gemm_peak: 0.7,
            fraction_of_bandwidth: bandwidth,
            kelvin_rss_bytes: rss,
            peer_rss_bytes: 1e9,
            ..Measured::default()
        };
        assert!(case.short(&measured(1.6, Some(0.85), 1e8)).is_empty());
        let short = case.short(&measured(1.59, None, 1.1e8));
        assert_eq!(short, ["1.590 times PyTorch", "NaN of the bandwidth", "0.110 of PyTorch's memory"]);
    }

    fn case() -> Case {
        let table: Table = toml::from_str(include_str!("../../results/engine-peers.toml")).unwrap();
        table.cases.into_iter().next().unwrap()
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn numbers_have_three_digits() {
        let shown: Vec<String> = [4.567, 45.67, 456.7].map(|it| Short(it).to_string()).into();
        assert_eq!(shown, ["4.57", "45.7", "457"]);
    }
}
