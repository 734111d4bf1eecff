//! Values that are out of range, and combinations that do not fit.

use std::{fmt::Display, net::SocketAddr, path::PathBuf};

use kelvin_core::{
    rollout::{STOP_BYTES_MAX, STOPS_MAX, Sampling, is_drawing_temperature},
    task::TaskType,
};
use kelvin_model::{Dtype, LoraConfig, NativeOptions, THREADS_MAX};
use kelvin_remote::{
    check_draw,
    rollouts::{Engine, RolloutSettings},
    tinker::{Losses, Refusal, TinkerSettings, refusal},
};
use kelvin_selfplay::settings::{AzrSettings, EstimateStop, Misfit, Recipe};

use super::{Backend, Config, EnvironmentName, LoraSettings, PolicySettings, PythonSettings};
use crate::{error::Usage, sandbox::WORKERS_MAX};

/// # Errors
/// If a value is out of range or two do not fit; the message names the key and the range.
pub(super) fn check(config: &Config) -> anyhow::Result<()> {
    counts(config)?;
    policy(config)?;
    draws(config)?;
    learning(config)?;
    python(config)?;
    inversion(config)?;
    r_zero(config)?;
    question(config)?;
    seed_files(config)?;
    held_out_types(config)?;
    tracking(config)?;
    let n_best = config.checkpoint.keep_best;
    require(n_best == 0 || config.eval.every != 0, "checkpoint.keep_best", n_best, "0 where eval.every is 0")
}

/// A server that is named and not asked is a mistake of who wrote it. The file of a run has these sections as they were when it
/// began, whatever they are by default today.
///
/// # Errors
/// If settings were given that nothing reads.
pub(super) fn unread(config: &Config) -> anyhow::Result<()> {
    let PolicySettings { backend, remote, rollouts, .. } = &config.policy;
    if *backend == Backend::Native && *remote != TinkerSettings::default() {
        return Err(Usage::error(
            "settings of policy.remote are read by policy.backend = \"tinker\" alone, and the backend is \"native\"\nhint: set \
             the backend, or leave them out",
        ));
    }
    if rollouts.engine == Engine::Off && *rollouts != RolloutSettings::default() {
        return Err(Usage::error(
            "settings of policy.rollouts do nothing with engine = \"off\"\nhint: set policy.rollouts.engine to \
             \"vllm\", \"vllm_grpc\" or \"sglang\", or leave out the others",
        ));
    }
    Ok(())
}

fn tracking(config: &Config) -> anyhow::Result<()> {
    let tracking = &config.tracking;
    if let Err((key, range)) = tracking.check() {
        return Err(Usage::error(format!("tracking.{key} is out of range\nhint: it is {range}")));
    }
    // Its message says what to do.
    tracking.check_addresses().map_err(|it| Usage::error(it.to_string()))?;
    let is_address = tracking.prometheus.is_empty() || tracking.prometheus.parse::<SocketAddr>().is_ok();
    require(
        is_address,
        "tracking.prometheus",
        &tracking.prometheus,
        "an address with a port, such as 127.0.0.1:9464",
    )
}

fn counts(config: &Config) -> anyhow::Result<()> {
    let azr = &config.azr;
    for (key, n) in [
        ("steps", config.steps as usize),
        ("azr.batch_size", azr.batch_size),
        ("azr.n_estimate", azr.n_estimate),
        ("azr.estimate_round", azr.estimate_round),
        ("azr.n_solutions", azr.n_solutions),
        ("azr.seed_factor", azr.seed_factor),
        ("azr.buffer_max", azr.buffer_max),
        ("python.batch_max", config.python.batch_max),
        ("python.queue_max", config.python.queue_max),
        ("eval.n_samples", config.eval.n_samples),
        ("benchmarks.n_samples", config.benchmarks.n_samples),
        ("checkpoint.every", config.checkpoint.every as usize),
        ("checkpoint.keep", config.checkpoint.keep),
        ("sampling.propose_prompt_tokens_max", config.sampling.propose_prompt_tokens_max),
        ("sampling.solve_prompt_tokens_max", config.sampling.solve_prompt_tokens_max),
    ] {
        require(1 <= n, key, n, "at least 1")?;
    }
    Ok(())
}

fn policy(config: &Config) -> anyhow::Result<()> {
    let PolicySettings { backend, dtype, lora, options, .. } = &config.policy;
    let NativeOptions { threads, max_rows, prefill_chunk, kv_bytes_max, .. } = options;
    check_threads("policy.threads", *threads)?;
    for (key, value) in
        [("max_rows", max_rows), ("prefill_chunk", prefill_chunk), ("kv_bytes_max", kv_bytes_max)]
    {
        require(1 <= *value, &format!("policy.{key}"), value, "at least 1")?;
    }
    match backend {
        Backend::Native => check_lora(lora, *dtype)?,
        Backend::Tinker => remote(config)?,
    }
    rollouts(config)
}

/// # Errors
/// If they are more than the native engine starts.
pub(crate) fn check_threads(key: &str, threads: usize) -> anyhow::Result<()> {
    let range = format!("at most {THREADS_MAX}; 0 is one for each core");
    require(threads <= THREADS_MAX, key, threads, &range)
}

/// What servers cannot draw, and what they would draw for nobody.
fn rollouts(config: &Config) -> anyhow::Result<()> {
    let PolicySettings { backend, lora, remote, rollouts, .. } = &config.policy;
    if rollouts.engine == Engine::Off {
        return Ok(());
    }
    if let Err((key, range)) = rollouts.check() {
        return Err(Usage::error(format!("policy.rollouts.{key} is out of range\nhint: it is {range}")));
    }
    // Those take ratios to what drew: elsewhere that is another engine, whose difference no loss of theirs mends or measures.
    if *backend == Backend::Tinker && remote.losses == Losses::Server {
        return Err(Usage::error(
            "policy.remote.losses = \"server\" cannot be had with policy.rollouts: ratios would be to the log-probabilities of the \
             servers that draw, not of the one that learns\nhint: set policy.remote.losses = \"ours\", or leave out \
             policy.rollouts",
        ));
    }
    // Servers of that protocol learn nothing else.
    let has_adapters = 0 < lora.rank || *backend == Backend::Tinker;
    if matches!(rollouts.engine, Engine::Vllm | Engine::VllmGrpc) && !has_adapters {
        return Err(Usage::error(
            "policy.rollouts.engine = \"vllm\" or \"vllm_grpc\" takes adapters alone, and with policy.lora.rank = 0 all weights learn\nhint: \
             set policy.lora.rank, such as to 16, or draw at SGLang",
        ));
    }
    if !has_adapters && config.recipe == Recipe::RZero && config.r_zero.two_policies {
        return Err(Usage::error(
            "policy.rollouts cannot draw for two policies whose weights all learn: a server has one set of weights\nhint: \
             set policy.lora.rank, or r_zero.two_policies = false",
        ));
    }
    plain_draws(config)
}

/// What adapters on a server cannot be or learn.
fn remote(config: &Config) -> anyhow::Result<()> {
    let PolicySettings { lora, remote, .. } = &config.policy;
    if let Err((key, range)) = remote.check() {
        return Err(Usage::error(format!("policy.remote.{key} is out of range\nhint: it is {range}")));
    }
    if lora.from().is_some() {
        return Err(Usage::error(
            "policy.lora.from cannot be had with policy.backend = \"tinker\": adapters there begin fresh\nhint: leave it \
             out, or learn with policy.backend = \"native\"",
        ));
    }
    let servers = LoraConfig { rank: lora.rank, alpha: SERVER_ALPHA, ..LoraConfig::default() };
    if lora.rank != 0 && lora.config() != servers {
        return Err(Usage::error(format!(
            "policy.lora asks for other adapters than servers make\nhint: with policy.backend = \"tinker\" only the rank is \
             free; alpha is {SERVER_ALPHA}, every matrix of a layer has one, and rslora is off",
        )));
    }
    plain_draws(config)?;
    let objective = config.objective.objective(config.sampling.solve.temperature);
    match refusal(&objective, remote) {
        None => Ok(()),
        Some(Refusal { key, hint }) => {
            Err(Usage::error(format!("{key} cannot be had with policy.backend = \"tinker\"\nhint: {hint}")))
        }
    }
}

/// Draws whose log-probabilities servers tell.
fn plain_draws(config: &Config) -> anyhow::Result<()> {
    let sampling = &config.sampling;
    for (name, draw) in [
        ("propose", &sampling.propose),
        ("solve", &sampling.solve),
        ("estimate", &sampling.estimate),
        ("seed", &sampling.seed),
        ("eval", &sampling.eval),
    ] {
        check_draw(draw).map_err(|error| Usage::error(format!("sampling.{name}: {error}")))?;
    }
    Ok(())
}

/// Alpha of the adapters that servers make; no request can name another one.
const SERVER_ALPHA: f64 = 32.0;

/// Checks settings of adapters, where there are any, beside the type of weights.
///
/// # Errors
/// If they are out of range or do not go with each other.
pub(crate) fn check_lora(lora: &LoraSettings, dtype: Dtype) -> anyhow::Result<()> {
    if lora.rank == 0 {
        return match *lora == LoraSettings::default() {
            true => Ok(()),
            false => Err(Usage::error(
                "settings of adapters do nothing with lora.rank = 0: all weights would learn\nhint: set lora.rank, \
                 such as 16, or leave out the others",
            )),
        };
    }
    if dtype == Dtype::Bf16 {
        return Err(Usage::error(
            "dtype = \"bf16\" does not go with adapters: they are f32, on weights as the model has them\n\
             hint: leave out dtype",
        ));
    }
    lora.config().validate().map_err(|error| Usage::error(error.to_string()))
}

fn draws(config: &Config) -> anyhow::Result<()> {
    let sampling = &config.sampling;
    let all = [
        ("propose", &sampling.propose),
        ("solve", &sampling.solve),
        ("estimate", &sampling.estimate),
        ("seed", &sampling.seed),
        ("eval", &sampling.eval),
    ];
    for (name, draw) in all {
        let Sampling { temperature, top_k: _, top_p, min_p, max_new_tokens, ref stop } = *draw;
        let key = |field: &str| format!("sampling.{name}.{field}");
        require(
            is_drawing_temperature(temperature),
            &key("temperature"),
            temperature,
            "0 for the most likely token, or from 1e-6 to 1e6",
        )?;
        require(0.0 < top_p && top_p <= 1.0, &key("top_p"), top_p, "over 0 and at most 1")?;
        require((0.0..1.0).contains(&min_p), &key("min_p"), min_p, "at least 0 and under 1")?;
        require(1 <= max_new_tokens, &key("max_new_tokens"), max_new_tokens, "at least 1")?;
        require(
            stop.len() <= STOPS_MAX && stop.iter().all(|it| (1..=STOP_BYTES_MAX).contains(&it.len())),
            &key("stop"),
            format_args!("{stop:?}"),
            &format!("at most {STOPS_MAX} texts, each of 1 to {STOP_BYTES_MAX} bytes"),
        )?;
    }
    let (propose, solve) = (sampling.propose.temperature, sampling.solve.temperature);
    if propose != solve {
        return Err(Usage::error(format!(
            "sampling.propose.temperature is {propose} and sampling.solve.temperature is {solve}, but both are \
             trained in one update\nhint: give them the same temperature"
        )));
    }
    require(
        0.0 < solve,
        "sampling.solve.temperature",
        solve,
        "over 0: greedy draws have nothing to learn from",
    )?;
    let estimate = sampling.estimate.temperature;
    if config.recipe == Recipe::Azr && config.azr.train_estimates && estimate != solve {
        return Err(Usage::error(format!(
            "sampling.estimate.temperature is {estimate} and sampling.solve.temperature is {solve}, but with \
             azr.train_estimates both are trained in one update\nhint: give them the same temperature, or set \
             azr.train_estimates to false"
        )));
    }
    require(
        0.0 < estimate || config.azr.n_estimate == 1,
        "sampling.estimate.temperature",
        estimate,
        "over 0 where azr.n_estimate is over 1: greedy estimates are all the same",
    )
}

fn learning(config: &Config) -> anyhow::Result<()> {
    let within = |section: &str, checked: Result<(), Misfit>| match checked {
        Ok(()) => Ok(()),
        Err(Misfit { key, value, range }) => require(false, &format!("{section}.{key}"), value, range),
    };
    within("objective", config.objective.check())?;
    within("optimizer", config.optimizer.check())?;
    within("intrinsic", config.intrinsic.check())?;
    within("azr", config.azr.composite.check())?;
    within("r_zero", config.r_zero.check())?;
    let azr = &config.azr;
    within("azr", azr.check())?;
    require(
        azr.estimate_stop == EstimateStop::None || azr.estimate_round < azr.n_estimate,
        "azr.estimate_round",
        azr.estimate_round,
        "under azr.n_estimate with azr.estimate_stop, which else would never look",
    )?;
    let width = azr.estimate_width;
    require(0.0 < width && width <= 1.0, "azr.estimate_width", width, "over 0 and at most 1")?;
    let has_groups = 1 < azr.n_solutions || azr.train_estimates && 1 < azr.n_estimate;
    if azr.group_advantage != AzrSettings::default().group_advantage && !has_groups {
        return Err(Usage::error(
            "azr.group_advantage compares several solutions of a task, and each task has one\nhint: set \
             azr.n_solutions to 2 or more, or azr.train_estimates; azr.advantage is for what stands alone",
        ));
    }
    Ok(())
}

fn python(config: &Config) -> anyhow::Result<()> {
    let python = &config.python;
    python
        .environment_settings()
        .check()
        .map_err(|error| Usage::error(format!("python.task_types: {error}")))?;
    python.environment_settings().check_form().map_err(|error| Usage::error(format!("python: {error}")))?;
    let tolerance = python.float_tolerance;
    require((0.0..=1.0).contains(&tolerance), "python.float_tolerance", tolerance, "from 0 to 1")?;
    let PythonSettings { timeout_s, memory_mb, output_bytes, workers, .. } = *python;
    require(workers <= WORKERS_MAX, "python.workers", workers, "from 0, one for each core, to 4096")?;
    require((0.001..=3600.0).contains(&timeout_s), "python.timeout_s", timeout_s, "from 0.001 to 3600")?;
    require((16..=1 << 20).contains(&memory_mb), "python.memory_mb", memory_mb, "from 16 to 1048576")?;
    require((1..=1 << 24).contains(&output_bytes), "python.output_bytes", output_bytes, "from 1 to 16777216")
}

/// What R-Zero reads of other sections.
fn r_zero(config: &Config) -> anyhow::Result<()> {
    let rules = &config.r_zero;
    let has_probe = config.eval.every != 0;
    if config.recipe == Recipe::RZero && (rules.rollback_below < 1.0 || 0 < rules.patience) && !has_probe {
        return Err(Usage::error(
            "r_zero.rollback_below and r_zero.patience follow a probe, and eval.every = 0 evaluates nothing\nhint: set \
             eval.every, such as to the steps of an iteration",
        ));
    }
    Ok(())
}

fn question(config: &Config) -> anyhow::Result<()> {
    config.question.check().map_err(|error| Usage::error(format!("question: {error}")))?;
    let is_voted = config.environment == EnvironmentName::MathQuestion && config.recipe == Recipe::Azr;
    if is_voted && config.azr.estimate_stop != EstimateStop::None {
        return Err(Usage::error(
            "azr.estimate_stop ends tries by their grades, and here nobody grades before all have voted\nhint: set it \
             to \"none\"",
        ));
    }
    Ok(())
}

fn inversion(config: &Config) -> anyhow::Result<()> {
    let inversion = &config.inversion;
    inversion.check().map_err(|error| Usage::error(format!("inversion: {error}")))?;
    if config.environment != EnvironmentName::PrimeInversion || config.eval.every == 0 {
        return Ok(());
    }
    let (n_tasks, n_pairs) = (config.eval.n_tasks, inversion.n_evaluated());
    if n_tasks < n_pairs {
        return Err(Usage::error(format!(
            "eval.n_tasks = {n_tasks} cuts the evaluation short, of {n_pairs} pairs for each type\nhint: set it to \
             {n_pairs} or more, or narrow inversion.eval_p_min and inversion.eval_p_max"
        )));
    }
    Ok(())
}

/// Held-out tasks are of types that the environment has, each once.
fn held_out_types(config: &Config) -> anyhow::Result<()> {
    let asked = &config.eval.task_types;
    if asked.is_empty() {
        return Ok(());
    }
    for (type_idx, task_type) in asked.iter().enumerate() {
        require(!asked[..type_idx].contains(task_type), "eval.task_types", task_type, "each type once")?;
    }
    config.chosen(asked).map_err(|error| Usage::error(format!("eval.task_types: {error}")))?;
    Ok(())
}

/// Files seed only what is played, and only programs come in files.
fn seed_files(config: &Config) -> anyhow::Result<()> {
    let (azr, played) = (&config.azr, config.task_types());
    let seeds: [(&str, &[PathBuf], &[TaskType]); 3] = [
        ("seed_files", &azr.seed_files, &[TaskType::Deduction, TaskType::Abduction]),
        ("induction_seed_files", &azr.induction_seed_files, &[TaskType::Induction]),
        ("error_seed_files", &azr.error_seed_files, &[TaskType::Error]),
    ];
    for (key, files, types) in seeds {
        if !files.is_empty() && config.environment != EnvironmentName::PythonTriplet {
            return Err(Usage::error(format!(
                "azr.{key} names files of programs, and this environment has none\nhint: leave it out"
            )));
        }
        if !files.is_empty() && !types.iter().any(|it| played.contains(it)) {
            let types: Vec<&str> = types.iter().map(|it| it.as_str()).collect();
            return Err(Usage::error(format!(
                "azr.{key} names files, but no {} tasks are played\nhint: leave it out, or add to python.task_types",
                types.join(" or ")
            )));
        }
    }
    Ok(())
}

fn require(fits: bool, key: &str, value: impl Display, range: &str) -> anyhow::Result<()> {
    if fits {
        return Ok(());
    }
    Err(Usage::error(format!("{key} = {value} is out of range\nhint: it is {range}")))
}
