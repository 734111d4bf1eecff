//! A policy whose adapters learn on a server.
//!
//! The state behind a checkpoint stays on the server, under a name that is never used twice; a checkpoint holds the name. To
//! go back to it is to make new adapters and load it into them: so neither a client nor a server that starts again
//! applies anything twice, and what was given up lies in adapters that nobody reads any more.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64, mpsc::Receiver},
};

use anyhow::{bail, ensure};
use kelvin_core::{
    objective::Objective,
    policy::{AdamParams, Completions, Indexed, LossStats, OptimStats, Part, Sampler, Trainer, UpdateId},
    rollout::SampleRequest,
    seed::Seed,
    stop::Stop,
    vocabulary::Vocabulary,
};
use serde_json::json;
use tokio::time;

use super::{
    answers,
    engine::{Call, Engine},
    kept,
    losses::{self, Given, refusal},
    model::{From, GOODBYE, Model, Published, Shape},
    sampler::{self, Drawer},
    scores::{Frozen, answered, logprobs, score},
    settings::Losses,
    stored::Stored,
    wire::{Datum, Pass},
};

/// Adapters to be made.
#[derive(Clone, Debug)]
pub struct Adapters {
    /// What the server calls the model below them.
    pub base_model: String,
    /// Their rank.
    pub rank: usize,
    /// Of their first values.
    pub seed: Seed,
}

impl Adapters {
    pub(super) fn shape(&self) -> Shape {
        let Adapters { base_model, rank, seed } = self;
        Shape { base_model: base_model.clone(), rank: *rank, seed: seed.value() >> 33 }
    }
}

/// A policy on a server.
pub struct TinkerPolicy {
    pub(super) engine: Arc<Engine>,
    vocabulary: Arc<dyn Vocabulary>,
    shape: Shape,
    /// What the adapters that live were begun with, or are to be.
    beginning: From,
    /// Made when first needed: a run that goes on begins with loading.
    live: Mutex<Option<Live>>,
    applied: Applied,
    /// Whether weights moved since they were published. Older ones must not be drawn from: some servers would put them in the
    /// place of those that learn.
    is_stale: bool,
}

/// Adapters on the server, with their weights that are drawn from.
struct Live {
    model: Arc<Model>,
    /// Saved at the first draw since they were published: of weights that engines elsewhere draw from, never.
    published: Option<Published>,
    next_draw: Arc<AtomicU64>,
}

/// What was done of the latest updates, so that asking again applies nothing twice.
#[derive(Default)]
struct Applied {
    /// Parts whose gradient was added since the last step, and those of the last step.
    parts: Vec<(UpdateId, u64, LossStats)>,
    step: Option<(UpdateId, OptimStats)>,
    published: Option<UpdateId>,
    /// What was sent and not answered yet: sent again, it has the same numbers and bytes.
    pending: Option<Pending>,
    pending_step: Option<(UpdateId, Call)>,
}

/// A part on its way.
struct Pending {
    update: UpdateId,
    digest: u64,
    given: Given,
    /// Requests, each with where its data begin; the first `scores` of data are answered.
    calls: Vec<(usize, Call)>,
    scores: Vec<Vec<f32>>,
}

impl TinkerPolicy {
    /// A policy that has learnt nothing. Nothing is asked of the server yet.
    pub fn new(engine: Arc<Engine>, vocabulary: Arc<dyn Vocabulary>, adapters: Adapters) -> TinkerPolicy {
        let (live, applied) = (Mutex::new(None), Applied::default());
        let (shape, beginning) = (adapters.shape(), From::Nothing);
        TinkerPolicy { engine, vocabulary, shape, beginning, live, applied, is_stale: false }
    }

    /// Of its adapters.
    pub(super) fn rank(&self) -> usize {
        self.shape.rank
    }

    /// Looks at the adapters, made if they are not there yet.
    fn with_live<T>(&self, look: impl FnOnce(&mut Live) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let live = match &mut *live {
            Some(live) => live,
            none => none.insert(self.begin(&self.beginning)?),
        };
        look(live)
    }

    /// The adapters.
    pub(super) fn model(&self) -> anyhow::Result<Arc<Model>> {
        self.with_live(|it| Ok(Arc::clone(&it.model)))
    }

    fn begin(&self, from: &From) -> anyhow::Result<Live> {
        let model = Arc::new(Model::create(&self.engine, &self.shape, from)?);
        Ok(Live { model, published: None, next_draw: Arc::default() })
    }

    /// Removes a state that nothing goes on from.
    fn remove(&self, state: &str) {
        // What stays takes room, which is no reason to wait for long.
        drop(
            self.engine.wait(async { time::timeout(GOODBYE, kept::remove(&self.engine.link, state)).await }),
        );
    }

    /// Puts new adapters with that state in the place of those that are there, and publishes them.
    fn begin_anew(&mut self, from: &From) -> anyhow::Result<()> {
        // The old ones go first: a server may have no place for both.
        *self.live.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        // Should it fail, whoever asks again gets this state and no other.
        self.beginning = from.clone();
        let live = self.begin(from)?;
        *self.live.get_mut().unwrap_or_else(PoisonError::into_inner) = Some(live);
        (self.applied, self.is_stale) = (Applied::default(), false);
        Ok(())
    }

    fn require_published(&self) -> anyhow::Result<()> {
        ensure!(
            !self.is_stale,
            "the weights have moved since they were published\nhint: publish before drawing"
        );
        Ok(())
    }

    /// The requests of a part, with what they say of its loss.
    fn prepare(&self, part: Part<'_>, objective: &Objective, model: &Model) -> anyhow::Result<Given> {
        let (settings, samples) = (&self.engine.link.settings, part.samples);
        match settings.losses {
            Losses::Ours => {
                let data = samples.iter().map(|it| losses::scored(&it.prompt, &it.response));
                let scores = score(&self.engine, model, &data.collect::<anyhow::Result<Vec<_>>>()?)?;
                let of_response = |(sample, scores): (&kelvin_core::rollout::Sample, Vec<f32>)| {
                    scores[scores.len() - sample.response.len()..].to_vec()
                };
                let logprobs: Vec<Vec<f32>> = samples.iter().zip(scores).map(of_response).collect();
                losses::ours(objective, settings.gradient, (samples, part.whole), &logprobs)
            }
            Losses::Server => {
                let samples = losses::with_old_logprobs(samples)?;
                losses::servers(objective, settings.gradient, (&samples, part.whole))
            }
        }
    }

    /// Sends what is pending of a part, and reads what the server says of its tokens.
    fn deliver(&mut self) -> anyhow::Result<()> {
        let engine = Arc::clone(&self.engine);
        let pending = self.applied.pending.as_mut().expect("a part was prepared");
        let Pending { given, calls, scores, .. } = pending;
        let ends = calls.iter().skip(1).map(|it| it.0).chain([given.data.len()]).collect::<Vec<_>>();
        for ((start, call), end) in calls.iter().zip(ends) {
            if *start < scores.len() {
                continue;
            }
            let data = &given.data[*start..end];
            scores.extend(engine.wait_heeding(answered(&engine, call, data))?);
        }
        Ok(())
    }

    /// What a delivered part says of its loss. Log-probabilities that came with the gradient must be those that it was made for.
    fn said(&self, part: Part<'_>, objective: &Objective) -> anyhow::Result<LossStats> {
        let Pending { given, scores, .. } = self.applied.pending.as_ref().expect("a part was delivered");
        let of_response = |(datum, scores): (&Datum, &Vec<f32>)| -> Vec<f32> {
            scores.iter().zip(&datum.weights).filter(|it| *it.1 != 0.0).map(|it| *it.0).collect()
        };
        let logprobs: Vec<Vec<f32>> = given.data.iter().zip(scores).map(of_response).collect();
        let Some(stats) = given.stats else {
            let samples = losses::with_old_logprobs(part.samples)?;
            return Ok(losses::stats(objective, (&samples, part.whole), &logprobs));
        };
        let expected = given.data.iter().flat_map(|it| it.logprobs.iter().zip(&it.weights));
        let expected = expected.filter(|it| *it.1 != 0.0).map(|it| it.0);
        let moved =
            logprobs.iter().flatten().zip(expected).map(|(now, before)| f64::from((now - before).abs()));
        let drift = moved.sum::<f64>() / stats.n_tokens as f64;
        ensure!(
            drift <= self.engine.link.settings.drift_max,
            "log-probabilities moved by {drift:.4} nats a token between a forward pass and its gradient\nhint: somebody else \
             trains or draws from these adapters, or the server computes both differently; policy.remote.drift_max is how \
             far they may be apart"
        );
        Ok(stats)
    }
}

impl Trainer for TinkerPolicy {
    /// One update may be given several parts. A part that an update was given before is not added again; its first answer
    /// comes back.
    fn forward_backward_part(
        &mut self,
        update: UpdateId,
        part: Part<'_>,
        objective: &Objective,
    ) -> anyhow::Result<LossStats> {
        objective.check(part.samples)?;
        if let Some(it) = refusal(objective, &self.engine.link.settings) {
            bail!("{} cannot be had over this protocol\nhint: {}", it.key, it.hint);
        }
        let digest = part.digest(objective);
        let known = self.applied.parts.iter().find(|it| (it.0, it.1) == (update, digest));
        if let Some(&(_, _, stats)) = known {
            return Ok(stats);
        }
        let step = self.applied.step.map(|it| it.0);
        ensure!(
            step != Some(update),
            "update {update} has taken its step and is given another batch\nhint: number the next update {}",
            update + 1
        );
        let before =
            self.applied.parts.iter().map(|it| it.0).chain(self.applied.pending.iter().map(|it| it.update));
        if let Some(other) = before.into_iter().find(|it| *it != update && Some(*it) != step) {
            bail!(
                "update {other} was given up, and the server holds its gradient\nhint: `kelvin resume` begins anew with the \
                 last checkpoint's state"
            );
        }
        let model = self.model()?;
        let is_pending = self.applied.pending.as_ref().is_some_and(|it| it.digest == digest);
        if !is_pending {
            ensure!(
                self.applied.pending.is_none(),
                "another part of update {update} was sent and not answered\nhint: ask for it again first"
            );
            let given = self.prepare(part, objective, &model)?;
            let data_max = self.engine.link.settings.data_max;
            let calls = given.data.chunks(data_max).enumerate().map(|(idx, data)| {
                let call = self.engine.wait(model.pass(data, given.loss, Pass::ForwardBackward))?;
                Ok((idx * data_max, call))
            });
            let calls = calls.collect::<anyhow::Result<_>>()?;
            self.applied.pending = Some(Pending { update, digest, given, calls, scores: Vec::new() });
        }
        self.deliver()?;
        let stats = self.said(part, objective)?;
        self.applied.pending = None;
        self.applied.parts.retain(|it| it.0 == update);
        self.applied.parts.push((update, digest, stats));
        Ok(stats)
    }

    fn optim_step(&mut self, update: UpdateId, adam: &AdamParams) -> anyhow::Result<OptimStats> {
        if let Some((_, stats)) = self.applied.step.filter(|it| it.0 == update) {
            return Ok(stats);
        }
        let (engine, model) = (Arc::clone(&self.engine), self.model()?);
        let call = match self.applied.pending_step.take() {
            Some((pending, call)) if pending == update => call,
            _ => model.step(parameters(adam)),
        };
        self.applied.pending_step = Some((update, call.clone()));
        // Weights may have moved from here on, whatever is heard of it.
        self.is_stale = true;
        let reply =
            engine.wait(engine.link.call(&call)).map_err(|it| engine.link.told("taking a step", it))?;
        let said = answers::object(&reply)?;
        // Names differ between servers, their ends do not. Where nothing is said, nothing is known.
        let norm = said["metrics"].as_object().into_iter().flatten().find(|it| it.0.ends_with("grad_norm"));
        let grad_norm = norm.and_then(|it| it.1.as_f64()).unwrap_or(0.0);
        ensure!(
            norm.is_none_or(|it| it.1.as_f64().is_some_and(f64::is_finite)),
            "the norm of the gradient is not finite\nhint: `kelvin resume` goes on from the last checkpoint; lower the \
             learning rate"
        );
        let stats = OptimStats { grad_norm };
        (self.applied.step, self.applied.pending_step) = (Some((update, stats)), None);
        Ok(stats)
    }

    fn publish(&mut self, update: UpdateId) -> anyhow::Result<()> {
        if self.applied.published == Some(update) {
            return Ok(());
        }
        self.with_live(|it| {
            (it.published, it.next_draw) = (None, Arc::default());
            Ok(())
        })?;
        (self.applied.published, self.is_stale) = (Some(update), false);
        Ok(())
    }

    fn sampler(&self) -> &dyn Sampler {
        self
    }

    fn listen(&mut self, stop: Stop) {
        self.engine.threads.listen(stop);
    }

    fn reset_optimizer(&mut self) -> anyhow::Result<()> {
        let path = self.engine.wait(self.model()?.save_state())?;
        self.begin_anew(&From::State { path: path.clone(), with_optimizer: false })?;
        self.remove(&path);
        Ok(())
    }

    /// In adapters of their own, which never learn: the weights of an earlier publication must not be drawn from while
    /// those after it learn.
    fn freeze(&self) -> anyhow::Result<Box<dyn Sampler>> {
        self.require_published()?;
        let path = self.engine.wait(self.model()?.save_state())?;
        let from = From::State { path: path.clone(), with_optimizer: false };
        let model = Model::create(&self.engine, &self.shape, &from)?;
        self.remove(&path);
        let (engine, vocabulary) = (Arc::clone(&self.engine), Arc::clone(&self.vocabulary));
        Ok(Box::new(Frozen { engine, vocabulary, model }))
    }

    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let state = self.engine.wait(self.model()?.save_state())?;
        let server = self.engine.link.http.server();
        Stored::new(server, &self.shape, state, dir).write(dir)?;
        self.vocabulary.save(dir)
    }

    /// The state, unless it is of another run, whose folder was copied. Where the run has another server now, the one that
    /// keeps it is not asked: names may mean other states here.
    fn forget(&self, dir: &Path) {
        if let Ok(stored) = Stored::read(dir)
            && stored.server == self.engine.link.http.server()
            && stored.is_own(dir)
        {
            self.remove(&stored.state);
        }
    }

    fn restore(&mut self, dir: &Path) -> anyhow::Result<()> {
        let stored = Stored::read(dir)?;
        stored.require(&self.shape, dir)?;
        self.begin_anew(&From::State { path: stored.state, with_optimizer: true })
    }
}

impl Sampler for TinkerPolicy {
    fn serve(
        &self,
        requests: Receiver<Indexed<SampleRequest>>,
        completions: Completions,
    ) -> anyhow::Result<()> {
        self.require_published()?;
        let (published, next_draw) = self.with_live(|it| {
            if it.published.is_none() {
                it.published = Some(self.engine.wait_heeding(it.model.save_for_sampler())?);
            }
            Ok((it.published.clone().expect("it was saved above"), Arc::clone(&it.next_draw)))
        })?;
        let drawer = Drawer { vocabulary: Arc::clone(&self.vocabulary), published, next_seq: next_draw };
        sampler::serve(&self.engine, drawer, &requests, &completions)
    }

    fn logprobs(&self, sequences: &[Vec<u32>], temperature: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        self.require_published()?;
        logprobs(&self.engine, &*self.model()?, sequences, temperature)
    }

    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        Ok(self.vocabulary.encode(prompt)?.len())
    }
}

/// AdamW in the protocol's words.
fn parameters(adam: &AdamParams) -> serde_json::Value {
    let AdamParams { learning_rate, beta1, beta2, eps, weight_decay, grad_clip } = adam;
    json!({"learning_rate": learning_rate, "beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay,
        "grad_clip_norm": grad_clip})
}
