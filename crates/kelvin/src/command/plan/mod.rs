//! `kelvin plan`: memory, tokens, time and cost of a run on an engine, before anything is rented.

mod text;

use std::path::PathBuf;

use kelvin_model::Layout;

use crate::{
    config::{self, Raw, threads_or_cores},
    error::Usage,
    jsonl::Sink,
    plan::{
        self,
        cluster::{Asked, Plan},
        footprint,
        hosted::Hosted,
        rates::{Engine, Gpu},
        workload::{Expected, VALID},
    },
};

/// Estimate memory, tokens, time and cost of a run, and where its queue builds
#[derive(Debug, clap::Args)]
#[command(after_help = "Ranges are from published measurements; docs/plan.md has their sources and limits.")]
pub(crate) struct Args {
    /// The configuration of a run
    #[arg(value_name = "CONFIG.toml")]
    config: PathBuf,
    /// Override a setting, such as `--set azr.batch_size=8`
    #[arg(long = "set", value_name = "key=value")]
    sets: Vec<String>,
    /// GPUs that draw and learn in turns
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    gpus: u32,
    /// Which GPU
    #[arg(
        long,
        value_enum,
        value_name = "a100|h100|h200",
        default_value = "h100",
        hide_possible_values = true
    )]
    gpu: Gpu,
    /// What draws and learns; `tinker` is a hosted server, which is paid by the token
    #[arg(
        long,
        value_enum,
        value_name = "native|vllm|sglang|tinker",
        default_value = "native",
        hide_possible_values = true
    )]
    engine: Place,
    /// Cores that run programs; 0 is those of this machine
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    cores: u32,
    /// Tokens of a response on average; without it, a quarter of the limit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    response_tokens: Option<u32>,
    /// Tokens of a prompt on average; without it, half of the limit
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    prompt_tokens: Option<u32>,
    /// Tokens of a proposal on average; without it, as of any response
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    proposal_tokens: Option<u32>,
    /// Tokens of a proposal's prompt on average; without it, as of any prompt
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    proposal_prompt_tokens: Option<u32>,
    /// Share of proposals that become tasks
    #[arg(long, value_name = "SHARE", default_value_t = VALID, value_parser = share)]
    valid: f64,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Place {
    /// kelvin's own engine, on two cores of this kind of machine
    Native,
    /// vLLM draws, the same GPUs learn
    Vllm,
    /// SGLang draws, the same GPUs learn
    Sglang,
    /// A hosted server of the Tinker protocol does both
    Tinker,
}

/// Prints the plan.
///
/// # Errors
/// If the configuration does not resolve, or the shape of its model is not known.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let config = config::resolve(&[&Raw::read(&args.config)?, &Raw::from_sets(&args.sets)?])?.config;
    let (model, missing) = plan::find(&config.policy);
    let Some(model) = model else {
        return Err(missing.unwrap_or_else(|| Usage::error("the shape of the model is not known")));
    };
    let n_weights = Layout::new(&model.config).len as u64;
    let expected = Expected {
        response_tokens: args.response_tokens.map(f64::from),
        prompt_tokens: args.prompt_tokens.map(f64::from),
        proposal_tokens: args.proposal_tokens.map(f64::from),
        proposal_prompt_tokens: args.proposal_prompt_tokens.map(f64::from),
        valid: args.valid,
    };
    let engine = match args.engine {
        Place::Native => Engine::Native,
        Place::Vllm => Engine::Vllm,
        Place::Sglang => Engine::Sglang,
        Place::Tinker => {
            let hosted = Hosted::of(&config, n_weights, expected)?;
            return print(args, &hosted, || Ok(text::hosted(&hosted, config.steps)));
        }
    };
    let footprint = footprint(&config, &model.config)?;
    let asked = Asked {
        engine,
        gpu: args.gpu,
        gpus: args.gpus as usize,
        cores: threads_or_cores(args.cores as usize),
        expected,
    };
    let planned = Plan::of(&config, &model.config, (footprint.n_learnt, n_weights), asked)?;
    print(args, &planned, || {
        let mut text = text::planned(&planned, &config);
        if engine == Engine::Native {
            text = plan::describe(&config, Some(&model))? + "\n" + &text;
        }
        Ok(text)
    })
}

fn print(
    args: &Args,
    planned: &impl serde::Serialize,
    text: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let mut out = Sink::stdout();
    match args.json {
        true => out.row(planned)?,
        false => out.text(&text()?)?,
    }
    out.flush()
}

/// A share of something, of which there is some.
fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if 0.0 < share && share <= 1.0 { Ok(share) } else { Err("it is over 0 and at most 1".to_owned()) }
}
