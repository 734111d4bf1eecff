//! `kelvin export`: what a run has learnt, as a folder for transformers or PEFT.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use kelvin_model::{Tokenizer, adapter_base};

use crate::{
    config::{self, Raw},
    error::Usage,
    model,
    model_card::{self, Exported},
};

/// Save what a run has learnt as a Hugging Face folder
#[derive(Debug, clap::Args)]
#[command(after_help = "Weights are those of the newest complete checkpoint, in the type that \
                        the run computes with.")]
pub(crate) struct Args {
    /// The run folder
    #[arg(value_name = "RUN_DIR")]
    run_dir: PathBuf,
    /// Where to, a new or empty folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Which policy of the run; without it, the one that solves
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// The adapter alone, as PEFT reads it
    #[arg(long)]
    adapter: bool,
}

/// Writes the folder.
///
/// # Errors
/// If the run has no complete checkpoint, no such policy or no adapter, or the folder cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let settings = Raw::read(&args.run_dir.join("config.toml")).map_err(|_| {
        Usage::error(format!(
            "{} is not a run folder: its config.toml cannot be read\nhint: name a folder that `kelvin train` made",
            args.run_dir.display()
        ))
    })?;
    model::require_new(&args.out)?;
    let checkpoint = model::newest_checkpoint(&args.run_dir)?;
    let folder = match &args.policy {
        Some(name) => policy_folder(&checkpoint, name)?,
        None => model::solver_folder(&checkpoint),
    };
    let config = config::resolve_run(&[&settings])?.config;
    let write_card = |dir: &Path| {
        let card = model_card::card(&Exported {
            run: &args.run_dir,
            checkpoint: &checkpoint,
            config: &config,
            is_adapter: args.adapter,
            folder: dir,
        });
        fs::write(dir.join("README.md"), card).context("writing README.md")
    };
    if !args.adapter {
        let model = model::load(&folder.display().to_string())?;
        return model::write_new(&args.out, |dir| {
            model.save(dir, config.policy.dtype)?;
            write_card(dir)
        });
    }
    if adapter_base(&folder)?.is_none() {
        return Err(Usage::error(format!(
            "{} has learnt whole weights, not an adapter\nhint: leave out --adapter",
            args.run_dir.display()
        )));
    }
    model::write_new(&args.out, |dir| {
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            fs::copy(folder.join(file), dir.join(file)).with_context(|| format!("copying {file}"))?;
        }
        Tokenizer::in_folder(&folder)?.map_or(Ok(()), |tokenizer| tokenizer.save(dir))?;
        write_card(dir)
    })
}

/// The folder of a policy in a checkpoint.
fn policy_folder(checkpoint: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let mut there = Vec::new();
    for entry in fs::read_dir(checkpoint).with_context(|| format!("reading {}", checkpoint.display()))? {
        let entry = entry?;
        if entry.path().is_dir() {
            there.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    if there.iter().any(|it| it == name) {
        return Ok(checkpoint.join(name));
    }
    there.sort();
    Err(Usage::error(format!("the run has no policy `{name}`\nhint: its policies are {}", there.join(", "))))
}
