//! `kelvin serve` under the clients of other projects, as they come from the Python package index.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::ensure;

use crate::shell;

/// An environment of Python, since not all clients stand each other.
struct Group {
    name: &'static str,
    python: &'static str,
    /// Installed with what they need.
    whole: &'static [&'static str],
    /// Installed alone: single files of them are used, which need less.
    alone: &'static [&'static str],
}

const PYTHON: &str = "python3";

const GROUPS: [Group; 4] = [
    Group { name: "openenv", python: PYTHON, whole: &["openenv"], alone: &[] },
    Group {
        name: "trainers",
        python: PYTHON,
        whole: &["requests", "aiohttp", "verifiers"],
        alone: &["verl", "openrlhf"],
    },
    // With PyTorch, six gigabytes.
    Group { name: "trl", python: PYTHON, whole: &["trl"], alone: &[] },
    // Its newer versions want a newer Python than kelvin does.
    Group { name: "nemo-gym", python: "python3.13", whole: &["nemo-gym"], alone: &[] },
];

/// Where.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The kelvin that serves
    #[arg(long, default_value = "target/release/kelvin")]
    pub(crate) binary: PathBuf,
    /// Only this environment: openenv, trainers, nemo-gym or trl, which takes six gigabytes
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// The folder for a report of each environment
    #[arg(long, default_value = "target/serve-clients")]
    pub(crate) out: PathBuf,
}

pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    ensure!(
        root.join(&options.binary).is_file(),
        "{} is not there\nhint: cargo build --release",
        options.binary.display()
    );
    let of = |path: &Path| root.join(path).display().to_string();
    fs::create_dir_all(root.join(&options.out))?;
    let is_asked = |it: &&Group| options.only.as_deref().is_none_or(|only| only == it.name);
    let groups: Vec<&Group> = GROUPS.iter().filter(is_asked).collect();
    ensure!(!groups.is_empty(), "no environment has that name\nhint: openenv, trainers, nemo-gym or trl");
    for group in groups {
        // Kelvin's own set-up has no other Python: who did not ask for the group by name goes without.
        let is_there = shell::run(root, group.python, &["-c", "import ensurepip, venv"], &[]).is_ok();
        if !is_there && group.python != PYTHON && options.only.is_none() {
            eprintln!("skipped: {} asks for {}, which is not there", group.name, group.python);
            continue;
        }
        let python = filled(root, group)?;
        let out = options.out.join(format!("{}.json", group.name));
        let mut arguments = vec![
            "xtask/py/serve_clients.py".to_owned(),
            "--binary".to_owned(),
            of(&options.binary),
            "--package".to_owned(),
            "python/kelvin_rl".to_owned(),
            "--out".to_owned(),
            of(&out),
            "--needs".to_owned(),
        ];
        arguments.extend(group.whole.iter().chain(group.alone).map(|it| (*it).to_owned()));
        shell::run(root, &of(&python), &arguments, &[])?;
    }
    Ok(())
}

/// An environment with the clients. What cannot be installed here is told and left out: the script tries the others and fails.
fn filled(root: &Path, group: &Group) -> anyhow::Result<PathBuf> {
    let folder = format!("target/serve-clients/{}", group.name);
    shell::run(root, group.python, &["-m", "venv", &folder], &[])?;
    let python = root.join(folder).join("bin/python");
    let told = python.display().to_string();
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    for (packages, more) in [(group.whole, &[][..]), (group.alone, &["--no-deps"][..])] {
        for package in packages {
            if let Err(error) = shell::run(root, &told, &[&pip[..], more, &[*package]].concat(), &[]) {
                eprintln!("warning: {package} is left out: {error:#}");
            }
        }
    }
    Ok(python)
}
