//! `kelvin plan`: memory, tokens, time and cost of a run on an engine, before anything is rented.

use std::path::PathBuf;

use kelvin_model::Layout;
use kelvin_selfplay::settings::Recipe;

use crate::{
    config::{self, Config, Raw, threads_or_cores},
    error::Usage,
    jsonl::Sink,
    plan::{
        self,
        cluster::{Asked, Engine, Gpu, Plan, Range, native_cores},
        flow::Flow,
        footprint,
        hosted::Hosted,
        workload::{Expected, Tokens, VALID},
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
/// If the configuration does not resolve, its recipe is not AZR, or the shape of its model is not known.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let config = config::resolve(&[&Raw::read(&args.config)?, &Raw::from_sets(&args.sets)?])?.config;
    if config.recipe != Recipe::Azr {
        return Err(Usage::error(
            "only AZR is planned on engines\nhint: `kelvin train --dry-run` has memory and tokens of R-Zero",
        ));
    }
    let (model, missing) = plan::find(&config.policy);
    let Some(model) = model else {
        return Err(missing.unwrap_or_else(|| Usage::error("the shape of the model is not known")));
    };
    let n_weights = Layout::new(&model.config).len as u64;
    let expected = Expected {
        response_tokens: args.response_tokens.map(f64::from),
        prompt_tokens: args.prompt_tokens.map(f64::from),
        valid: args.valid,
    };
    let engine = match args.engine {
        Place::Native => Engine::Native,
        Place::Vllm => Engine::Vllm,
        Place::Sglang => Engine::Sglang,
        Place::Tinker => {
            let hosted = Hosted::of(&config, n_weights, expected)?;
            return print(args, &hosted, || Ok(hosted_text(&hosted, config.steps)));
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
    let planned = Plan::of(&config, &model.config, footprint.n_learnt, n_weights, asked)?;
    print(args, &planned, || {
        let mut text = text(&planned, &config);
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

fn rows(tokens: &Tokens) -> String {
    format!(
        "{} rows of {} tokens behind prompts of {}, on average: {} tokens drawn, {} programs\n\
         {} rows learnt from: {} tokens with their prompts\n",
        number(tokens.rows),
        number(tokens.response_mean),
        number(tokens.prompt_mean),
        number(tokens.drawn),
        number(tokens.programs),
        number(tokens.trained),
        number(tokens.learnt),
    )
}

fn span(name: &str, it: Range, unit: &str, more: &str) -> String {
    let values = format!("{} to {} {unit}", number(it[0]), number(it[1]));
    format!("{}\n", format!("{name:<14} {values:<26} {more}").trim_end())
}

fn hosted_text(plan: &Hosted, n_steps: u32) -> String {
    let tokens = |name: &str, it: f64| format!("{name:<14} {} tokens\n", number(it));
    let mut text = "--- a step at a hosted server of the Tinker protocol\n".to_owned();
    text += &rows(&plan.tokens);
    text += &tokens("prompts", plan.prefilled);
    text += &tokens("drawn", plan.tokens.drawn);
    text += &tokens("scored", plan.scored);
    text += &tokens("learnt", plan.tokens.learnt);
    text += &span("step", plan.step_usd, "USD", "");
    text += &span("run", plan.run_usd, "USD", &format!("of {n_steps} steps"));
    text + HOSTED_ASSUMED
}

const HOSTED_ASSUMED: &str = "
--- assumed
- Rows, and those that train, are recorded: the loop itself, played on a pretend domain, where --valid of the proposals are tasks.
- Prices of Qwen3-8B by the lists of January and October 2026; other models cost by their weights, whether they are offered or not.
- Every row pays for its prompt, in drawing and in learning; what is kept of equal prompts may be cheaper.
- A pass for log-probabilities alone costs as a prompt at the least, as learning at the most.
- Nothing for checkpoints, and evaluation is left out.
How long it takes is not known: nobody publishes it. A server of your own is planned as the engine that draws in it.
";

fn text(plan: &Plan, config: &Config) -> String {
    let asked = &plan.asked;
    let on = match asked.engine {
        Engine::Native => match native_cores(config) {
            1 => "kelvin's engine on one core".to_owned(),
            _ => "kelvin's engine on two cores".to_owned(),
        },
        Engine::Vllm | Engine::Sglang => {
            format!("{} x {:?} with {}", asked.gpus, asked.gpu, format!("{:?}", asked.engine).to_lowercase())
        }
    };
    let mut text = format!("--- a step on {on}\n");
    text += &rows(&plan.tokens);
    if let (Some(bytes), Some(fits), Some(rows)) = (plan.memory_bytes, plan.fits, plan.kv_rows_max) {
        let more = match fits {
            true => format!("room for {rows} rows at once"),
            false => "does not fit: more GPUs. What follows is as if it did".into(),
        };
        text += &format!("{:<14} {:.1} GB of each GPU, {more}\n", "memory", bytes as f64 * 1e-9);
    }
    text += &span("drawing", plan.draw_s, "s", "until the last row is drawn, with what it waits for");
    if asked.engine != Engine::Native {
        text += &span("prompts", plan.read_s, "s", "of each sampler, in that");
    }
    text +=
        &span("programs", plan.program_s, "s", &format!("on {} cores, while others are drawn", asked.cores));
    text += &span("grading", plan.graded_s, "s", "until the last row is graded");
    text += &span("learning", plan.learn_s, "s", "");
    text += &span("publishing", plan.publish_s, "s", "");
    text += &span("step", plan.step_s, "s", "");
    text += &span("run", plan.run_hours, "hours", &format!("of {} steps", config.steps));
    if let Some(usd) = plan.run_usd {
        text += &span("cost", usd, "USD", "");
    }
    text + &queue(&plan.queue) + ASSUMED
}

fn queue(flows: &[Flow]) -> String {
    let mut text = "\n--- where it waits, by number of samplers of this kind\n\
                    samplers   step s  drawn s  graded s  samplers, executors, trainer busy  waiting to be drawn, graded  \
                    waits for\n"
        .to_owned();
    for flow in flows {
        let busy = [flow.sampler_busy, flow.executor_busy, flow.trainer_busy]
            .map(|it| format!("{:.0} %", 100.0 * it));
        text += &format!(
            "{:>8} {:>8} {:>8} {:>9}  {:<33}  {:>12}, {:<13} {}\n",
            flow.samplers,
            number(flow.step_s),
            number(flow.drawn_s),
            number(flow.graded_s),
            busy.join(", "),
            flow.sampler_queue_max,
            flow.executor_queue_max,
            flow.bottleneck()
        );
    }
    text
}

const ASSUMED: &str = "
--- assumed
- What is asked for, and after what, is recorded: two steps of the loop itself, played with these settings on a pretend domain.
- There, --valid of the proposals are tasks, and tasks are solved as in the quick start: a quarter never, a seventh always.
- One phase at a time: nothing is drawn while the trainer learns; one trainer, whatever the number of samplers.
- Lengths are exponential about their mean and cut at the limit.
- A proposal's programs run under two hash seeds. A program takes 0.5 to 5 ms of a core, and those of a row run one after the other.
- Drawing scales with weights and memory bandwidth from measurements of an 8B model on one H100; learning is 20 to 40 % of peak.
- A row is drawn no faster than weights are read: at 77 to 100 % of the bandwidth of a GPU, at an eighth of kelvin's engine.
- Prompts on GPUs: 20 to 40 % of peak, equal ones once at best, with each row at worst; beginnings in common are not looked at.
- Prompts on kelvin's engine are in its measured rates: as those of the quick start, of about 45 tokens. Longer ones take longer.
- Weights are published over 2 to 12.5 GB/s; adapters alone where adapters learn.
- Ranges are of the queue with every rate at one end of its range; in the table each is in its geometric middle.
Nothing here was measured on GPUs by this project.
";

/// Three digits that count.
fn number(it: f64) -> String {
    match it.abs() {
        0.0 => "0".to_owned(),
        it if 1e6 <= it => format!("{:.1}M", it * 1e-6),
        it if 1e4 <= it => format!("{:.0}k", it * 1e-3),
        it if 100.0 <= it => format!("{it:.0}"),
        it if 10.0 <= it => format!("{it:.1}"),
        it if 0.1 <= it => format!("{it:.2}"),
        it => format!("{it:.4}"),
    }
}
