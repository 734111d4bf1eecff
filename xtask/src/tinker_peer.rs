//! A real server of the Tinker protocol beside the native engine: SkyRL's, with its JAX backend on the CPU. Installs it below
//! `target/`, starts it, has the client's test measure, and trains over it if asked to.

mod restart;

use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, bail, ensure};

use crate::shell;

/// How often it is looked whether the server listens, and how many times.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
const LOOKS_MAX: usize = 600;

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// A model of a family that the server has (Qwen3, Llama 3), with its weights
    #[arg(long, default_value = "results/2026-11-22-tinker/model")]
    model: PathBuf,
    /// CPython 3.12, for which the server's libraries are pinned
    #[arg(long, default_value = "python3.12")]
    python: PathBuf,
    /// Where the server listens
    #[arg(long, default_value_t = 8123)]
    port: u16,
    /// Where the numbers are written, as JSON
    #[arg(long, default_value = "target/tinker-peer/agreement.json")]
    out: PathBuf,
    /// Also trains twice with the release build, once with the server killed and started again: the folder for both runs
    #[arg(long, value_name = "FOLDER")]
    restart: Option<PathBuf>,
    /// A command that is run after the test, with {url} and {model} in it replaced
    #[arg(last = true)]
    then: Vec<String>,
}

/// The server, ended with what holds it. Its engine ends with it.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill().and_then(|()| self.0.wait()));
    }
}

/// Installs, starts, measures.
///
/// # Errors
/// If a program is missing or fails.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let folder = root.join("target/tinker-peer");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let python = install(root, &folder, &options.python)?;
    let model = std::fs::canonicalize(root.join(&options.model)).with_context(|| {
        format!("there is no model {}\nhint: name one with --model", options.model.display())
    })?;
    let state = folder.join("state");
    ensure!(
        TcpStream::connect(("127.0.0.1", options.port)).is_err(),
        "somebody listens at port {} already\nhint: name another with --port",
        options.port
    );
    let begin = || {
        let server = start(root, &python, &model, &state, options.port)?;
        wait(options.port)?;
        Ok(server)
    };
    let mut server = begin()?;
    let url = format!("http://127.0.0.1:{}", options.port);
    let (model, out) = (text(&model)?, root.join(&options.out));
    let environment = [
        ("KELVIN_TINKER_URL", url.as_str()),
        ("KELVIN_TINKER_MODEL", model),
        ("KELVIN_TINKER_OUT", text(&out)?),
    ];
    let test = ["test", "-p", "kelvin", "--test", "tinker_peer", "--", "--nocapture"];
    shell::run(root, "cargo", &test, &environment)?;
    if let Some(folder) = &options.restart {
        let runs = restart::Runs { root, url: &url, model, folder: root.join(folder) };
        server = restart::run(&runs, server, begin)?;
    }
    if let Some((program, arguments)) = options.then.split_first() {
        let filled = |it: &String| it.replace("{url}", &url).replace("{model}", model);
        let arguments: Vec<String> = arguments.iter().map(filled).collect();
        shell::run(root, program, &arguments, &[])?;
    }
    drop(server);
    Ok(())
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is no text", path.display()))
}

/// Makes the environment of the server, once. Gives its interpreter.
fn install(root: &Path, folder: &Path, python: &Path) -> anyhow::Result<PathBuf> {
    let (environment, pins) = (folder.join("venv"), root.join("xtask/py/tinker_pins.txt"));
    let (installed, interpreter) = (environment.join("installed"), environment.join("bin/python"));
    if !installed.is_file() {
        shell::run(root, text(python)?, &["-m", "venv", text(&environment)?], &[])?;
        let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "-r", text(&pins)?];
        shell::run(root, text(&interpreter)?, &pip, &[])?;
        std::fs::write(&installed, "").with_context(|| format!("cannot write {}", installed.display()))?;
    }
    Ok(interpreter)
}

fn start(root: &Path, python: &Path, model: &Path, state: &Path, port: u16) -> anyhow::Result<Server> {
    #[expect(clippy::disallowed_methods, reason = "tasks exist to start other programs")]
    let child = Command::new(python)
        .arg(root.join("xtask/py/tinker_serve.py"))
        .args(["--model", text(model)?, "--state", text(state)?, "--port", &port.to_string()])
        .stdin(Stdio::null())
        .spawn();
    child.map(Server).with_context(|| format!("cannot start {}", python.display()))
}

fn wait(port: u16) -> anyhow::Result<()> {
    for _ in 0..LOOKS_MAX {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        thread::sleep(LOOK_AGAIN);
    }
    bail!("the server does not listen at port {port}\nhint: its messages are above")
}
