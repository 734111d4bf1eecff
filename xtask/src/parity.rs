//! Every number of the engine's gradients and steps against PyTorch's, for each instruction set of this machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde_json::Value;

use crate::shell;

/// What is installed where no Python is given.
const PACKAGES: [&str; 4] = ["torch", "transformers", "numpy", "safetensors"];
/// Where PyTorch's numbers lie, below the root.
const FOLDER: &str = "target/parity";
/// As `KELVIN_SIMD` spells them. One that the machine has not is compared as the best that it has.
const LEVELS: [&str; 3] = ["avx512", "avx2", "portable"];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// A Python that has PyTorch and transformers; one is made where not given, of several gigabytes
    #[arg(long)]
    python: Option<PathBuf>,
    /// Where the differences are written, as JSON
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Fields of what the test writes for each model, and what the table calls them;
/// `crates/kelvin-model/tests/families/parity.rs` explains them.
const COLUMNS: [(&str, &str); 9] = [
    ("model", "model"),
    ("level", "on"),
    ("n_weights", "weights"),
    ("logprob", "log-probability"),
    ("logprob_from_f64", "from f64, ours and PyTorch's"),
    ("gradient", "gradient, by norm"),
    ("gradient_element", "of one number"),
    ("step", "step"),
    ("greedy", "greedy"),
];

/// Has PyTorch compute, has the test compare, and prints a table.
///
/// # Errors
/// If a program fails, or something differs by more than the test allows.
pub(crate) fn run(root: &Path, options: &Options) -> anyhow::Result<()> {
    let python = match &options.python {
        Some(python) => python.clone(),
        None => shell::python_with(root, "target/parity/python", &PACKAGES)?,
    };
    let folder = root.join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let script = ["xtask/py/family_goldens.py", "--full", FOLDER];
    shell::run(root, &python.display().to_string(), &script, &[])?;

    let mut all: Vec<Value> = Vec::new();
    let (given, off) = (folder.display().to_string(), folder.join("off.json"));
    for level in LEVELS {
        let test = ["test", "--release", "-p", "kelvin-model", "--test", "families", "every_number"];
        shell::run(root, "cargo", &test, &[("KELVIN_PARITY", &given), ("KELVIN_SIMD", level)])?;
        let text = fs::read_to_string(&off).with_context(|| format!("cannot read {}", off.display()))?;
        all.extend(serde_json::from_str::<Vec<Value>>(&text).context("the test wrote something else")?);
    }
    println!("| {} |", COLUMNS.map(|it| it.1).join(" | "));
    println!("|{}", "---|".repeat(COLUMNS.len()));
    for off in &all {
        let cell = |key: &str| off.get(key).map(shown).with_context(|| format!("the test wrote no `{key}`"));
        let cells: Vec<String> = COLUMNS.iter().map(|it| cell(it.0)).collect::<anyhow::Result<_>>()?;
        println!("| {} |", cells.join(" | "));
    }
    if let Some(out) = &options.out {
        fs::write(root.join(out), serde_json::to_string_pretty(&all)? + "\n")
            .with_context(|| format!("cannot write {}", out.display()))?;
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (None, Some(number)) => format!("{number:.1e}"),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}
