//! `kelvin doctor`: what this machine offers, one line each, with what to do about it.

use std::{
    env,
    path::{Path, PathBuf},
    thread,
};

use kelvin_core::executor::{Calls, Executor, HashSeed, Job, Limits, Names};
use kelvin_exec::{ExecutorOptions, Layer, Level, Python, PythonExecutor};
use kelvin_remote::tinker::{Examined, TinkerSettings};

use crate::{jsonl::Sink, machine, model, remote, sandbox::as_user};

/// Below this much free memory, in bytes, the quick start may not fit.
const MEMORY_ENOUGH: u64 = 2 << 30;

/// Below this much free disk, in bytes, checkpoints of the quick start may not fit.
const DISK_ENOUGH: u64 = 1 << 30;

/// Check Python, the isolation of programs, and the machine
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each line is ok, warn or fail, with a hint unless ok. The exit code is 1 if one is a fail."
)]
pub(crate) struct Args {
    /// The Python interpreter to check instead of searching for one
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// A server of the Tinker protocol to ask what it is; the key comes from TINKER_API_KEY
    #[arg(long, value_name = "URL")]
    engine: Option<String>,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// A line of the report.
#[derive(Debug)]
struct Finding {
    verdict: Verdict,
    subject: &'static str,
    found: String,
    hint: Option<String>,
}

impl Finding {
    fn ok(subject: &'static str, found: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Ok, subject, found: found.into(), hint: None }
    }

    fn or(
        verdict: Verdict,
        subject: &'static str,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) -> Finding {
        Finding { verdict, subject, found: found.into(), hint: Some(hint.into()) }
    }

    fn text(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        let mut text = format!("{verdict:<5} {:<10} {}\n", self.subject, self.found);
        if let Some(hint) = &self.hint {
            text.push_str(&format!("      hint: {hint}\n"));
        }
        text
    }
}

/// Prints the report.
///
/// # Errors
/// If something that a run needs is not there.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut findings = python(args.python.clone());
    findings.extend([cpu(), threads(), memory(), disk(Path::new(".")), hub()]);
    findings.extend(args.engine.as_deref().map(engine));
    let mut out = Sink::stdout();
    for finding in &findings {
        out.text(&finding.text())?;
    }
    out.flush()?;
    match findings.iter().filter(|finding| finding.verdict == Verdict::Fail).count() {
        0 => Ok(()),
        n => anyhow::bail!("{n} of {} checks failed\nhint: follow the hints above", findings.len()),
    }
}

/// The interpreter and what confines its programs, found by starting a worker.
fn python(path: Option<PathBuf>) -> Vec<Finding> {
    let options = ExecutorOptions {
        python: path,
        workers: 1,
        least: Level::None,
        restore_after: 0,
        ..ExecutorOptions::default()
    };
    let executor = match PythonExecutor::start(options) {
        Ok(executor) => executor,
        Err(error) => {
            let text = error.to_string();
            let (found, hint) = text.split_once("\nhint: ").unwrap_or((&text, "install CPython"));
            return vec![Finding::or(Verdict::Fail, "python", found, hint)];
        }
    };
    let Python { path, version: (major, minor, micro) } = executor.python();
    let python = Finding::ok("python", format!("{major}.{minor}.{micro} at {}", path.display()));
    vec![python, isolation(&executor), children(&executor)]
}

/// Whether a program that runs alone needs a process forked for it, found by running one.
fn children(executor: &PythonExecutor) -> Finding {
    let job = Job {
        program: "def f(x):\n    return x".into(),
        inputs: vec!["1".into()],
        names: Names::Literals,
        company: None,
        hash_seed: HashSeed::A,
        calls: Calls::Once,
        limits: Limits::default(),
    };
    match executor.run(&job) {
        Err(error) => Finding::or(Verdict::Fail, "children", format!("{error:#}"), "see the lines above"),
        Ok(_) if executor.metrics().n_restored == 1 => {
            Finding::ok("children", "set back after a program that runs alone")
        }
        Ok(_) => Finding::or(
            Verdict::Ok,
            "children",
            "forked for every program that runs alone",
            "Linux 6.7 on x86_64, where kelvin may stop its own processes, runs such programs three times as fast",
        ),
    }
}

/// What attempts to get out have shown.
fn isolation(executor: &PythonExecutor) -> Finding {
    let isolation = executor.isolation();
    let layers: Vec<&str> = isolation.layers.iter().map(|it| it.name()).collect();
    let found = format!(
        "{}: {}{}",
        isolation.level,
        if layers.is_empty() { "processes with limits".to_owned() } else { layers.join(", ") },
        as_user(executor.privileges())
    );
    if isolation.level == Level::Strict {
        return Finding::ok("isolation", found);
    }
    let verdict = if isolation.level < Level::Standard { Verdict::Warn } else { Verdict::Ok };
    let missing = [Layer::Namespaces, Layer::Landlock, Layer::Seccomp];
    let missing = missing.into_iter().filter(|it| !isolation.layers.contains(it));
    let missing: Vec<&str> = missing.map(Layer::name).collect();
    Finding::or(
        verdict,
        "isolation",
        format!("{found}{}", isolation.reach()),
        format!(
            "{} would make it stricter; `train` and `exec` run programs at standard or over, and under that only \
             when told so with --isolation",
            if missing.is_empty() { "another kernel".to_owned() } else { missing.join(", ") }
        ),
    )
}

fn cpu() -> Finding {
    let (features, wide) = cpu_features();
    let found = format!("{} {}", env::consts::ARCH, features);
    if wide {
        Finding::ok("cpu", found)
    } else {
        Finding::or(
            Verdict::Warn,
            "cpu",
            found,
            "the engine is several times slower without AVX2 and FMA, or NEON",
        )
    }
}

/// The vector instructions found, and whether the engine has a fast path for them.
#[cfg(target_arch = "x86_64")]
fn cpu_features() -> (String, bool) {
    let found: Vec<&str> = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ]
    .into_iter()
    .filter_map(|(name, present)| present.then_some(name))
    .collect();
    (found.join(" "), found.contains(&"avx2") && found.contains(&"fma"))
}

/// The vector instructions found, and whether the engine has a fast path for them.
#[cfg(target_arch = "aarch64")]
fn cpu_features() -> (String, bool) {
    ("neon".to_owned(), true)
}

/// The vector instructions found, and whether the engine has a fast path for them.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn cpu_features() -> (String, bool) {
    (String::new(), false)
}

fn threads() -> Finding {
    match thread::available_parallelism() {
        Ok(n) => Finding::ok("threads", n.to_string()),
        Err(error) => {
            Finding::or(Verdict::Warn, "threads", error.to_string(), "name them with policy.threads")
        }
    }
}

fn memory() -> Finding {
    match machine::available_memory() {
        Some(bytes) if bytes < MEMORY_ENOUGH => Finding::or(
            Verdict::Warn,
            "memory",
            format!("{} available", gib(bytes)),
            "the quick start wants 2 GiB; close something or lower python.workers",
        ),
        Some(bytes) => Finding::ok("memory", format!("{} available", gib(bytes))),
        None => Finding::or(
            Verdict::Warn,
            "memory",
            "unknown: this system has no /proc/meminfo",
            "the quick start wants 2 GiB",
        ),
    }
}

fn disk(dir: &Path) -> Finding {
    match fs4::available_space(dir) {
        Ok(bytes) if bytes < DISK_ENOUGH => Finding::or(
            Verdict::Warn,
            "disk",
            format!("{} free here", gib(bytes)),
            "choose another disk with --run-dir, or lower checkpoint.keep",
        ),
        Ok(bytes) => Finding::ok("disk", format!("{} free here", gib(bytes))),
        Err(error) => {
            Finding::or(Verdict::Fail, "disk", error.to_string(), "run it in a folder that can be read")
        }
    }
}

fn hub() -> Finding {
    let offline = env::var_os("HF_HUB_OFFLINE").is_some_and(|value| !value.is_empty() && value != "0");
    let note = if offline { " (HF_HUB_OFFLINE is set)" } else { "" };
    match model::hub_cache() {
        Some(cache) if cache.is_dir() => Finding::ok("hub cache", format!("{}{note}", cache.display())),
        Some(cache) => Finding::or(
            Verdict::Warn,
            "hub cache",
            format!("{} is not there{note}", cache.display()),
            "only hub names such as Qwen/Qwen2.5-3B need it; HF_HOME moves it",
        ),
        None => Finding::or(Verdict::Warn, "hub cache", "there is no home folder", "set HF_HOME"),
    }
}

/// What a server says of itself. Nothing is changed there.
fn engine(url: &str) -> Finding {
    let settings = TinkerSettings { url: url.to_owned(), retries: 2, ..TinkerSettings::default() };
    let examined = match remote::engine(&settings).and_then(|it| it.examine()) {
        Ok(examined) => examined,
        Err(error) => {
            let text = format!("{error:#}");
            let (found, hint) = text.split_once("\nhint: ").unwrap_or((&text, "start the server"));
            return Finding::or(Verdict::Fail, "engine", found, hint);
        }
    };
    let Examined { server, spoken, models, clips } = examined;
    let served = if models.is_empty() { "models it does not name".to_owned() } else { models.join(", ") };
    let found = format!("Tinker protocol in {} at {server}, serving {served}", spoken.as_str());
    match clips {
        Some(false) => {
            Finding::or(Verdict::Warn, "engine", found, "it clips no gradients: set optimizer.grad_clip = 0")
        }
        Some(true) | None => Finding::ok("engine", found),
    }
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_not_ok_has_a_hint() {
        let text = Finding::or(Verdict::Warn, "disk", "0.1 GiB free here", "choose another").text();
        assert_eq!(text, "warn  disk       0.1 GiB free here\n      hint: choose another\n");
    }
}
