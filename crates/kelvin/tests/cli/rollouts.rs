//! Runs whose draws come from scripted servers that have read the adapters which kelvin wrote, with the native engine behind them:
//! whatever goes wrong there, a run ends as one that nothing happened to.

#[path = "../../../kelvin-remote/tests/rollouts/world.rs"]
mod world;

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use kelvin_core::{
    policy::{Exported, Sampler},
    rollout::{Finish, SampleRequest, Sampling},
    seed::Seed,
    vocabulary::Vocabulary,
};
use kelvin_model::{Checkpoint, Lora, Merged, ModelText, NativeOptions, NativeSampler, kernels::Storage};
use kelvin_remote::rollouts::Engine;

use crate::{
    command, feed,
    tinker::{
        self, outcome,
        scripted::{
            self, Faults, Rates, Server,
            table::{Base, Table, context},
            world::Dialect,
        },
    },
};

use world::{How, Weights, World};

/// The folder of the model that the binary carries.
fn base() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/base"))
}

fn text() -> &'static ModelText {
    static TEXT: OnceLock<ModelText> = OnceLock::new();
    TEXT.get_or_init(|| ModelText::folder(base()).unwrap())
}

/// A model with adapters merged, as an engine draws from it.
#[derive(Clone, Default)]
struct Served(Option<Arc<NativeSampler>>);

impl Weights for Served {
    fn read(dir: &Path, exported: Exported) -> anyhow::Result<Served> {
        let Checkpoint { config, params, tokenizer, end_tokens, .. } = match exported {
            Exported::Adapter => Checkpoint::load(base())?,
            Exported::Model => Checkpoint::load(dir)?,
        };
        let loras = match exported {
            Exported::Adapter => vec![Lora::load(dir, &config)?],
            Exported::Model => Vec::new(),
        };
        let merged = Merged::new(&params, &loras);
        let options = NativeOptions { threads: 1, ..NativeOptions::default() };
        let sampler = NativeSampler::new(&config, &merged, Storage::F32, tokenizer, end_tokens, options)?;
        Ok(Served(Some(Arc::new(sampler))))
    }

    fn draw(&self, prompt: &[u32], How { seed, max_tokens, greedy }: How) -> (Vec<u32>, Vec<f32>, bool) {
        let sampler = self.0.as_ref().expect("nothing is drawn before weights are loaded");
        let sampling = if greedy { Sampling::greedy(max_tokens) } else { Sampling::plain(max_tokens) };
        let request = SampleRequest {
            prompt: text().decode(prompt).unwrap(),
            seed: Seed::new(seed),
            sampling: sampling.into(),
        };
        let drawn = sampler.sample(vec![request]).unwrap().remove(0);
        assert_eq!(drawn.prompt_tokens[..], *prompt, "the prompt reads as it was written");
        (drawn.tokens, drawn.logprobs, drawn.finish == Finish::Stop)
    }
}

/// What a run says that draws at servers and corrects nothing.
const UNMENDED: &str = "note: objective.importance_cap is 0";

/// Runs, and gives what was said.
fn train(servers: &[Server<World<Served>>; 2], engine: &str, rank: usize, dir: &Path) -> String {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/prime-inversion.toml");
    let folder = dir.with_extension("weights");
    let urls: Vec<String> = servers.iter().map(|it| format!("{:?}", it.url())).collect();
    let mut sets = vec![
        format!("policy.rollouts.engine={engine}"),
        format!("policy.rollouts.servers=[{}]", urls.join(",")),
        format!("policy.rollouts.folder={}", folder.display()),
        format!("policy.lora.rank={rank}"),
    ];
    let more = [
        "policy.rollouts.pause_ms=1",
        "policy.rollouts.rejoin_s=0.05",
        "policy.rollouts.retries=12",
        "objective.importance_cap=2.0",
        "azr.batch_size=4",
        "azr.n_estimate=2",
        "inversion.n_seeds=4",
        "inversion.p_max=29",
        "inversion.eval_p_max=19",
        "eval.n_samples=1",
        "eval.every=2",
        "policy.threads=1",
    ];
    sets.extend(more.map(str::to_owned));
    let sets: Vec<String> = sets.into_iter().flat_map(|it| ["--set".to_owned(), it]).collect();
    let paths = [config.to_str().unwrap(), "--run-dir", dir.to_str().unwrap(), "--steps", "2", "--plain"];
    let arguments: Vec<&str> =
        ["train"].into_iter().chain(paths).chain(sets.iter().map(String::as_str)).collect();
    let mut command = command(&arguments);
    command.env("KELVIN_ROLLOUTS_KEY", "hidden");
    let ran = feed(command, "");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.contains("draws at http://") && !ran.err.contains("hidden"), "{}", ran.err);
    assert!(!ran.err.contains(UNMENDED), "{}", ran.err);
    let n_left = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(n_left, 0, "weights are taken away");
    ran.err
}

#[test]
fn a_run_that_servers_draw_for_ends_the_same_whatever_goes_wrong() {
    let start = |engine| {
        let servers = [World::<Served>::new(engine), World::new(engine)].map(Server::start);
        servers.iter().for_each(|it| it.with(|it| it.world.key = Some("hidden".into())));
        servers
    };
    for (engine, name, rank) in [(Engine::Vllm, "vllm", 2), (Engine::Sglang, "sglang", 0)] {
        let dir = tempfile::tempdir().unwrap();
        let [spared, struck] = ["spared", "struck"].map(|it| dir.path().join(it));
        let whole = start(engine);
        train(&whole, name, rank, &spared);
        let (tasks, rows) = outcome(&spared);
        for row in rows.iter().filter(|it| it.contains_key("update/loss")) {
            let said = |key: &str| row[key].as_f64().unwrap();
            // The same arithmetic on both sides, but for merging adapters and for the order of sums.
            assert!(said("update/mismatch_kl") < 1e-6, "{row:?}");
            assert!((said("update/mismatch_effective") - 1.0).abs() < 1e-4, "{row:?}");
            assert!(!row.contains_key("update/behind_max") && 0.0 < said("update/grad_norm"), "{row:?}");
        }
        let servers = start(engine);
        for (idx, server) in servers.iter().enumerate() {
            server.with(|it| {
                let seed = Seed::new(3).nth(idx as u64);
                let rates = Rates { late: 0.0, ..Rates::all(0.01) };
                it.faults = Some(Faults { seed, rates });
                it.world.slip_every = Some(41);
            });
        }
        // One of them is started again while it draws, and has no room for the longer rows.
        let mut lengths = whole.map(|it| it.with(|it| it.world.lengths.clone())).concat();
        lengths.sort_unstable();
        let middle = lengths.get(lengths.len() / 2).copied();
        servers[1].with(|it| (it.restarts, it.world.tokens_max) = (vec![60], middle));
        let told = train(&servers, name, rank, &struck);
        assert_eq!(told.contains("; others draw"), engine == Engine::Vllm, "{told}");
        assert!(servers.iter().all(|it| it.with(|it| 0 < it.n_struck() && 0 < it.world.n_drawn)));
        assert_eq!(outcome(&struck), (tasks, rows), "{name}");
    }
}

/// What a scripted server of the Tinker protocol has learnt, as another engine draws from it.
#[derive(Clone, Default)]
struct Downloaded(Option<Arc<Table>>);

impl Weights for Downloaded {
    fn read(dir: &Path, exported: Exported) -> anyhow::Result<Downloaded> {
        anyhow::ensure!(
            exported == Exported::Adapter && dir.join("adapter_config.json").is_file(),
            "no adapter"
        );
        let table = Table::read(&std::fs::read(dir.join("adapter_model.safetensors"))?);
        Ok(Downloaded(Some(Arc::new(table))))
    }

    fn draw(&self, prompt: &[u32], How { seed, max_tokens, greedy }: How) -> (Vec<u32>, Vec<f32>, bool) {
        static BASE: OnceLock<Base> = OnceLock::new();
        let base = BASE.get_or_init(tinker::base);
        let table = self.0.clone().unwrap_or_default();
        let (mut all, mut logprobs, mut ended) = (prompt.to_vec(), Vec::new(), false);
        while logprobs.len() < max_tokens && !ended {
            let at = Seed::new(seed).nth(logprobs.len() as u64);
            let (token, logprob) = table.draw(base, context(&all), greedy, at);
            all.push(token);
            logprobs.push(logprob as f32);
            ended = text().end_tokens().contains(&token);
        }
        (all.split_off(prompt.len()), logprobs, ended)
    }
}

/// Weights learn at one kind of server and are drawn from at another: the run is the one that draws where it learns.
#[test]
fn a_run_that_learns_at_one_server_and_draws_at_others_is_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    let [alone, apart, struck] = ["alone", "apart", "struck"].map(|it| dir.path().join(it));
    let folder = dir.path().join("weights");
    let train = |learning: &Server, drawing: &[Server<World<Downloaded>>], dir: &Path| {
        let mut command = tinker::train_command(learning, dir);
        if !drawing.is_empty() {
            let urls: Vec<String> = drawing.iter().map(|it| format!("{:?}", it.url())).collect();
            let sets = [
                "policy.rollouts.engine=vllm".to_owned(),
                format!("policy.rollouts.servers=[{}]", urls.join(",")),
                format!("policy.rollouts.folder={}", folder.display()),
                "policy.rollouts.pause_ms=1".to_owned(),
                "policy.rollouts.rejoin_s=0.05".to_owned(),
                "policy.rollouts.retries=12".to_owned(),
            ];
            command.args(sets.iter().flat_map(|it| ["--set", it]));
        }
        let ran = feed(command, "");
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(ran.err.contains(UNMENDED), !drawing.is_empty(), "{}", ran.err);
    };
    let start = || [World::<Downloaded>::new(Engine::Vllm), World::new(Engine::Vllm)].map(Server::start);
    let whole = tinker::server(Dialect::Json);
    train(&whole, &[], &alone);
    let (learning, drawing) = (tinker::server(Dialect::Protobuf), start());
    train(&learning, &drawing, &apart);
    assert_eq!(outcome(&apart), outcome(&alone));
    // What pulls towards the base is asked of the server that learns, and nothing else is drawn there.
    let n_drawn: Vec<u64> = drawing.iter().map(|it| it.with(|it| it.world.n_drawn)).collect();
    let n_there = learning.with(|it| it.world.n_drawn);
    assert_eq!(n_there + n_drawn.iter().sum::<u64>(), whole.with(|it| it.world.n_drawn), "{n_drawn:?}");
    assert!(n_drawn.iter().all(|it| 0 < *it) && drawing.iter().all(|it| it.with(|it| 3 < it.world.n_loaded)));
    let (learning, drawing) = (tinker::server(Dialect::Protobuf), start());
    let faults = |n: u64, rate: f64| {
        Some(Faults { seed: Seed::new(11).nth(n), rates: Rates { late: 0.0, ..Rates::all(rate) } })
    };
    learning.with(|it| it.faults = faults(0, 0.003));
    for (n, server) in (1..).zip(&drawing) {
        server.with(|it| it.faults = faults(n, 0.01));
    }
    drawing[1].with(|it| it.restarts = vec![60]);
    train(&learning, &drawing, &struck);
    assert_eq!(outcome(&struck), outcome(&alone));
    assert!(
        learning.with(|it| 0 < it.n_struck()) && drawing.iter().all(|it| it.with(|it| 0 < it.n_struck()))
    );
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "weights are taken away");
}
