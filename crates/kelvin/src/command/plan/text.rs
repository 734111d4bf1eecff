//! A plan as text.

use crate::{
    config::Config,
    plan::{
        cluster::{Plan, StepPlan},
        flow::Flow,
        hosted::{Hosted, HostedStep},
        rates::{Engine, Range, native_cores},
        steps::{OfPhase, Steps},
        workload::Tokens,
    },
};

/// What is planned on an engine.
pub(super) fn planned(plan: &Plan, config: &Config) -> String {
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
    let mut text = match &plan.steps {
        Steps::Alike { step, .. } => {
            format!("--- a step on {on}\n{}{}{}", rows(&step.tokens), room(plan), seconds(plan, step))
        }
        Steps::Phases { phases } => {
            let each = phases.iter().map(|it| {
                let OfPhase { phase, iteration_steps, step, .. } = it;
                let head = format!("\n--- a {phase} step, {iteration_steps} in an iteration\n");
                head + &rows(&step.tokens) + &seconds(plan, step)
            });
            let mut text = format!("--- on {on}\n{}", room(plan));
            text.extend(each);
            text + "\n--- all steps\n" + &shares(phases)
        }
    };
    if let Some(hours) = plan.iteration_hours {
        text += &span("iteration", hours, "hours", "");
    }
    text += &span("run", plan.run_hours, "hours", &format!("of {} steps", config.steps));
    if let Some(usd) = plan.run_usd {
        text += &span("cost", usd, "USD", "");
    }
    match &plan.steps {
        Steps::Alike { step, .. } => text += &queue("it", &step.queue),
        Steps::Phases { phases } => {
            text.extend(phases.iter().map(|it| queue(&format!("a {} step", it.phase), &it.step.queue)));
        }
    }
    let of_r_zero = if plan.iteration_hours.is_some() { ASSUMED_OF_R_ZERO } else { "" };
    [&text, ASSUMED, of_r_zero, UNMEASURED].concat()
}

/// Memory of a GPU; of kelvin's engine another section tells.
fn room(plan: &Plan) -> String {
    let (Some(bytes), Some(fits), Some(rows)) =
        (plan.room.memory_bytes, plan.room.fits, plan.room.kv_rows_max)
    else {
        return String::new();
    };
    let more = match fits {
        true => format!("room for {rows} rows at once"),
        false => "does not fit: more GPUs.\nWhat follows is as if it did".into(),
    };
    format!("{:<14} {:.1} GB of each GPU, {more}\n", "memory", bytes as f64 * 1e-9)
}

/// Where the time of a step goes.
fn seconds(plan: &Plan, step: &StepPlan) -> String {
    let asked = &plan.asked;
    let mut text = span("drawing", step.draw_s, "s", "until the last row, waiting included");
    if asked.engine != Engine::Native {
        text += &span("prompts", step.read_s, "s", "of each sampler, in that");
    }
    if step.tokens.programs != 0.0 {
        let more = format!("on {} cores, while others are drawn", asked.cores);
        text += &span("programs", step.program_s, "s", &more);
    }
    text += &span("grading", step.graded_s, "s", "until the last row is graded");
    if step.tokens.trained != 0.0 {
        text += &span("learning", step.learn_s, "s", "");
    }
    if step.tokens.scored != 0.0 {
        let more = format!("in that, of {} tokens", number(step.tokens.scored));
        text += &span("scoring", step.score_s, "s", &more);
    }
    if step.tokens.trained != 0.0 {
        text += &span("publishing", step.publish_s, "s", "");
    }
    text + &span("step", step.step_s, "s", "")
}

/// What the steps of each phase take of an iteration.
fn shares(phases: &[OfPhase<StepPlan>]) -> String {
    let of = |it: &OfPhase<StepPlan>| {
        let hours = it.step.step_s.map(|s| s * f64::from(it.iteration_steps) / 3600.0);
        span(it.phase, hours, "hours", &format!("of an iteration, in {} steps", it.iteration_steps))
    };
    phases.iter().map(of).collect()
}

/// What is planned at a hosted server.
pub(super) fn hosted(plan: &Hosted, n_steps: u32) -> String {
    const WHERE: &str = "at a hosted server";
    let mut text = match &plan.steps {
        Steps::Alike { step, .. } => format!("--- a step {WHERE}\n{}", hosted_step(step)),
        Steps::Phases { phases } => {
            let each = phases.iter().map(|it| {
                let OfPhase { phase, iteration_steps, step, .. } = it;
                format!(
                    "--- a {phase} step {WHERE}, {iteration_steps} in an iteration\n{}\n",
                    hosted_step(step)
                )
            });
            each.collect::<String>() + "--- all steps\n"
        }
    };
    if let Some(usd) = plan.iteration_usd {
        text += &span("iteration", usd, "USD", "");
    }
    text += &span("run", plan.run_usd, "USD", &format!("of {n_steps} steps"));
    text + HOSTED_ASSUMED
}

fn hosted_step(step: &HostedStep) -> String {
    let tokens = |name: &str, it: f64| format!("{name:<14} {} tokens\n", number(it));
    let mut text = rows(&step.tokens);
    text += &tokens("prompts", step.prefilled);
    text += &tokens("drawn", step.tokens.drawn);
    text += &tokens("scored", step.scored);
    text += &tokens("learnt", step.tokens.learnt);
    text + &span("step", step.step_usd, "USD", "")
}

fn rows(tokens: &Tokens) -> String {
    let mut text = format!(
        "{} rows of {} tokens behind prompts of {}, on average\n{} tokens drawn, {} programs\n",
        number(tokens.rows),
        number(tokens.response_mean),
        number(tokens.prompt_mean),
        number(tokens.drawn),
        number(tokens.programs),
    );
    text += &match tokens.trained {
        0.0 => "nothing is learnt\n".to_owned(),
        rows => {
            format!(
                "{} rows learnt from: {} tokens with their prompts\n",
                number(rows),
                number(tokens.learnt)
            )
        }
    };
    text
}

fn span(name: &str, it: Range, unit: &str, more: &str) -> String {
    let values = format!("{} to {} {unit}", number(it[0]), number(it[1]));
    format!("{}\n", format!("{name:<14} {values:<26} {more}").trim_end())
}

const HOSTED_ASSUMED: &str = "
--- assumed
- Rows, and those that train, are recorded: the loop itself, played on a
  pretend domain, where --valid of the proposals are tasks.
- Prices of Qwen3-8B by the lists of January and October 2026; other models
  cost by their weights, whether they are offered or not.
- Every row pays for its prompt, in drawing and in learning; what is kept of
  equal prompts may be cheaper.
- What is scored, a pass for log-probabilities alone, costs as a prompt at the
  least, as learning at the most.
- Nothing for checkpoints, and evaluation is left out.
How long it takes is not known: nobody publishes it. A server of your own is
planned as the engine that draws in it.
";

fn queue(what: &str, flows: &[Flow]) -> String {
    let mut text = format!(
        "\n--- where {what} waits, by number of samplers of this kind\n\
         {:32} {:<19}{}\n\
         samplers step s drawn s graded s draw grade learn   draw  grade waits for\n",
        "", "busy, in %", "rows waiting to"
    );
    for flow in flows {
        let [drawing, grading, learning] =
            [flow.sampler_busy, flow.executor_busy, flow.trainer_busy].map(|it| 100.0 * it);
        text += &format!(
            "{:>8}{:>7}{:>8}{:>9}{drawing:>5.0}{grading:>6.0}{learning:>6.0}{:>7}{:>7} {}\n",
            flow.samplers,
            number(flow.step_s),
            number(flow.drawn_s),
            number(flow.graded_s),
            flow.sampler_queue_max,
            flow.executor_queue_max,
            flow.bottleneck()
        );
    }
    text
}

const ASSUMED: &str = "
--- assumed
- What is asked for, and after what, is recorded: two steps of the loop itself,
  played with these settings on a pretend domain.
- There, --valid of the proposals are tasks, and tasks are solved as in the
  quick start: a quarter never, a seventh always.
- Where truth is a vote, answers agree as in three runs of r-zero-tiny whose
  challenger was not trained.
- One phase at a time: nothing is drawn while the trainer learns; one trainer,
  whatever the number of samplers.
- Lengths are exponential about their mean and cut at the limit.
- A proposal's programs run under two hash seeds. A program takes 0.5 to 5 ms
  of a core, and those of a row run one after the other.
- Drawing scales with weights and memory bandwidth from measurements of an 8B
  model on one H100; learning is 20 to 40 % of peak.
- A row is drawn no faster than weights are read: at 77 to 100 % of the
  bandwidth of a GPU, at an eighth of kelvin's engine.
- Prompts on GPUs: 20 to 40 % of peak, equal ones once at best, with each row
  at worst; beginnings in common are not looked at.
- Prompts on kelvin's engine are in its measured rates: as those of the quick
  start, of about 45 tokens. Longer ones take longer.
- Scoring, a pass for log-probabilities, is forward alone: a third of learning,
  a fourth where that computes activations again. It reads prompts with every
  row.
- Weights are published over 2 to 12.5 GB/s; adapters alone where adapters
  learn.
- Ranges are of the queue with every rate at one end of its range; in the table
  each is in its geometric middle.
";

const ASSUMED_OF_R_ZERO: &str = "\
- Of each phase the first two steps; the whole pool is posed. No question is
  one that the run knows, and no answer is unreadable.
- Each policy holds weights, moments and what it draws from; adapters of both
  stand on one model.
";

const UNMEASURED: &str = "Nothing here was measured on GPUs by this project.\n";

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
