//! `kelvin tasks`: the task buffer of a run, as it lies on disk or in the original's seed-file fields.

mod table;

use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
};

use anyhow::Context;
use kelvin_core::task::Task;
use kelvin_env::python_triplet::Problem;
use kelvin_python::program::{Policy, prepare};
use serde_json::{Value, json};

use crate::jsonl::Sink;

/// Print the task buffer of a run
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run folder
    #[arg(value_name = "RUN_DIR")]
    run_dir: PathBuf,
    /// `jsonl`: as the run keeps them; `azr`: the fields of the original's seed files, no line twice; `parquet`: a table
    /// with the payload as JSON
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// Where to; `-` is standard output
    #[arg(long, value_name = "F", default_value = "-")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    Jsonl,
    Azr,
    Parquet,
}

/// Writes one object a task, oldest first.
///
/// # Errors
/// If the run folder has no readable task log, or the output cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let path = args.run_dir.join("tasks.jsonl");
    let file = File::open(&path).with_context(|| {
        format!("cannot read {}\nhint: name a run folder, such as `kelvin train` prints", path.display())
    })?;
    let mut out = Sink::create(&args.out, &path)?;
    let mut written = HashSet::new();
    let mut all = Vec::new();
    let mut lines = BufReader::new(file);
    let mut line = String::new();
    for index in 1.. {
        line.clear();
        lines.read_line(&mut line).with_context(|| format!("reading {}", path.display()))?;
        // A line without its end is still being written.
        if !line.ends_with('\n') {
            break;
        }
        let task: Task = serde_json::from_str(&line).with_context(|| {
            format!(
                "{}:{index} is damaged\nhint: `kelvin resume` cuts the log back to its last checkpoint",
                path.display()
            )
        })?;
        match args.format {
            Format::Jsonl => out.row(&task)?,
            // Deduction and abduction on one triplet are one seed.
            Format::Azr => {
                let seed = seed_line(&task)?;
                if written.insert(seed.to_string()) {
                    out.row(&seed)?;
                }
            }
            Format::Parquet => all.push(task),
        }
    }
    if matches!(args.format, Format::Parquet) {
        out.bytes(&table::file(&all).context("writing the table")?)?;
    }
    out.flush()
}

/// The fields of azr.md section 2.1.
fn seed_line(task: &Task) -> anyhow::Result<Value> {
    let imports = |program: &str| prepare(program, &Policy::Kelvin).map(|it| it.imports).unwrap_or_default();
    let typed = task.typed::<Problem>().context(
        "a seed file of the original holds Python programs, and this run has other tasks\nhint: leave out --format azr",
    )?;
    Ok(match typed.payload {
        Problem::Triplet { program, input, output, composition } => {
            let (original, functions) = match composition {
                Some(it) => (it.original_snippet, it.composite_functions),
                None => (program.clone(), Vec::new()),
            };
            json!({
                "snippet": program, "original_snippet": original, "input": input, "output": output,
                "imports": imports(&program), "composite_functions": functions,
            })
        }
        Problem::Induction { program, inputs, outputs, message } => json!({
            "snippet": program, "inputs": inputs, "outputs": outputs, "message": message,
            "imports": imports(&program),
        }),
    })
}
