//! What the server knows, and what it answers.

mod archive;
mod pass;
mod saving;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use kelvin_core::seed::Seed;
use serde_json::{Value, json};

use super::{
    Answers, Request, Said, protobuf,
    table::{Base, Gradient, Table, context},
};

/// How gradients are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Json,
    Protobuf,
}

/// What the server knows.
pub struct World {
    pub dialect: Dialect,
    /// Whether the optimizer's parameters have `grad_clip_norm`.
    pub clips: bool,
    /// The key that it wants, if it wants one.
    pub key: Option<String>,
    /// The model that it serves.
    pub name: String,
    /// Adapters that it has a place for.
    pub n_models_max: usize,
    /// Whether it removes what it keeps when it is asked to, and says what that is.
    pub removes: bool,
    /// Where it says that archives lie, if elsewhere.
    pub archives_at: Option<String>,
    base: Base,
    /// With how often each was heard of since [`World::end_silent`]; nothing for those that never were.
    sessions: BTreeMap<String, Option<u64>>,
    models: BTreeMap<String, Model>,
    /// Sampling sessions: of which model, under which name.
    samplers: BTreeMap<String, (String, String)>,
    futures: BTreeMap<u64, Said>,
    /// Numbered requests: what was asked, and what came of it.
    numbered: BTreeMap<(String, u64), (Vec<u8>, Said)>,
    /// What outlives the server.
    states: BTreeMap<String, Table>,
    next: u64,
    /// Steps of any model, since the beginning.
    pub n_steps: u64,
    /// Data whose gradient was added.
    pub n_data: u64,
    /// Completions drawn.
    pub n_drawn: u64,
    /// Draws from weights that are not the newest, which spoil those that learn.
    pub n_stale_draws: u64,
    pub n_heartbeats: u64,
    /// Times that somebody else's weights were to be removed.
    pub n_taken: u64,
    /// Weights that were saved for whoever draws.
    pub n_saved_for_sampler: u64,
}

#[derive(Default)]
struct Model {
    session: String,
    rank: u64,
    table: Table,
    gradient: Gradient,
    n_data: f64,
    is_used: bool,
    names: BTreeSet<String>,
    published: BTreeMap<String, Table>,
    newest: String,
}

type Refused = (u16, String);

fn said(status: u16, body: Value) -> Said {
    Said { status, content_type: "application/json", body: body.to_string().into_bytes() }
}

fn refused<T>(status: u16, words: impl Into<String>) -> Result<T, Refused> {
    Err((status, words.into()))
}

impl Answers for World {
    fn restart(&mut self) {
        self.sessions.clear();
        self.models.clear();
        self.samplers.clear();
        self.futures.clear();
        self.numbered.clear();
    }

    fn drop_future(&mut self, request: &Request) {
        let asked: Option<Value> = serde_json::from_slice(&request.body).ok();
        if let Some(id) = asked.and_then(|it| it["request_id"].as_str()?.parse().ok()) {
            self.futures.remove(&id);
        }
    }

    fn answer(&mut self, request: &Request) -> Said {
        if self.key.is_some() && request.key != self.key {
            return said(401, json!({"detail": format!("invalid key {:?}", request.key)}));
        }
        self.answered(request).unwrap_or_else(|(status, words)| said(status, json!({"detail": words})))
    }

    fn is_read_again(&self, request: &Request) -> bool {
        request.path == "api/v1/retrieve_future" || request.path.ends_with("/download")
    }
}

impl World {
    pub fn new(name: &str, base: Base, dialect: Dialect) -> World {
        World {
            dialect,
            clips: true,
            key: None,
            name: name.to_owned(),
            n_models_max: usize::MAX,
            removes: true,
            archives_at: None,
            base,
            sessions: BTreeMap::new(),
            models: BTreeMap::new(),
            samplers: BTreeMap::new(),
            futures: BTreeMap::new(),
            numbered: BTreeMap::new(),
            states: BTreeMap::new(),
            next: 0,
            n_steps: 0,
            n_data: 0,
            n_drawn: 0,
            n_stale_draws: 0,
            n_heartbeats: 0,
            n_taken: 0,
            n_saved_for_sampler: 0,
        }
    }

    pub fn n_models(&self) -> usize {
        self.models.len()
    }

    /// Weights that were saved for whoever draws, and are there.
    pub fn n_published(&self) -> usize {
        self.models.values().map(|it| it.published.len()).sum()
    }

    /// States that were saved, and are there.
    pub fn states(&self) -> BTreeSet<&str> {
        self.states.keys().map(String::as_str).collect()
    }

    /// How often each session was heard of since [`World::end_silent`], the oldest first; without those that never were.
    pub fn heard(&self) -> Vec<u64> {
        self.sessions.values().flatten().copied().collect()
    }

    /// Ends the sessions that nobody told of since this was asked before, with the adapters in them. As on SkyRL, those that nobody
    /// ever told of stay. A real server asks itself by
    /// the clock (SkyRL after 300 s), which a test cannot.
    pub fn end_silent(&mut self) {
        self.sessions.retain(|_, n_heard| n_heard.as_mut().is_none_or(|it| mem::take(it) != 0));
        self.models.retain(|_, it| self.sessions.contains_key(&it.session));
        self.samplers.retain(|_, (model, _)| self.models.contains_key(model));
    }

    /// Weights by model.
    pub fn tables(&self) -> Vec<&Table> {
        self.models.values().map(|it| &it.table).collect()
    }

    /// Log-probabilities under the weights of the newest model, computed here.
    pub fn newest_logprobs(&self, sequence: &[u32]) -> Vec<f64> {
        let table = &self.models.values().last().expect("there is a model").table;
        let at = |it: usize| table.logprobs(&self.base, context(&sequence[..it]))[sequence[it] as usize];
        (1..sequence.len()).map(at).collect()
    }

    fn answered(&mut self, request: &Request) -> Result<Said, Refused> {
        let path = request.path.strip_prefix("api/v1/").unwrap_or(&request.path);
        match path {
            "healthz" => return Ok(said(200, json!({"status": "ok"}))),
            "get_server_capabilities" => {
                return Ok(said(200, json!({"supported_models": [{"model_name": self.name}]})));
            }
            "openapi.json" => {
                let field = if self.clips { "grad_clip_norm" } else { "beta1" };
                let schemas = json!({"AdamParams": {"properties": {field: {}}}});
                return Ok(said(200, json!({"components": {"schemas": schemas}})));
            }
            "forward_backward" | "forward" => return self.pass(path, request),
            _ if path.starts_with("training_runs/") => return self.checkpoint(path),
            _ => {}
        }
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else { return refused(422, "no JSON") };
        let text = |field: &str| -> Result<String, Refused> {
            body[field].as_str().map(str::to_owned).ok_or((422, format!("no {field}")))
        };
        match path {
            "create_session" => {
                let id = self.id("session");
                self.sessions.insert(id.clone(), None);
                Ok(said(200, json!({"session_id": id})))
            }
            "session_heartbeat" => {
                self.n_heartbeats += 1;
                let session = text("session_id")?;
                let n_heard = self.sessions.get_mut(&session).ok_or((404, "Session not found".to_owned()))?;
                *n_heard.get_or_insert(0) += 1;
                Ok(said(200, json!({})))
            }
            "create_model" => {
                let (session, rank) = (text("session_id")?, body["lora_config"]["rank"].as_u64());
                if !self.sessions.contains_key(&session) {
                    return refused(404, "Session not found");
                }
                let Some(rank) = rank.filter(|it| (1..=64).contains(it)) else {
                    return refused(400, "LoRA rank must be between 1 and 64");
                };
                if self.n_models_max <= self.models.len() {
                    let told = format!("Maximum number of LoRA adapters ({}) reached", self.n_models_max);
                    return Ok(self.future(said(400, json!({"detail": told}))));
                }
                let id = self.id("model");
                self.models.insert(id.clone(), Model { session, rank, ..Model::default() });
                Ok(self.future(said(200, json!({"model_id": id, "type": "create_model"}))))
            }
            "unload_model" => {
                self.models.remove(&text("model_id")?);
                Ok(self.future(said(200, json!({}))))
            }
            "optim_step" => self.step(&text("model_id")?, &body, &request.body),
            "save_weights" | "save_weights_for_sampler" => self.save(path, &text("model_id")?, &body),
            "load_weights" => self.load(&text("model_id")?, &text("path")?, &body),
            "asample" => self.sample(&body),
            "retrieve_future" => {
                let id = text("request_id")?.parse().map_err(|_| (500, "no number".to_owned()))?;
                self.futures.get(&id).cloned().ok_or((404, "Future not found".to_owned()))
            }
            _ => refused(404, "Not Found"),
        }
    }

    fn id(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{kind}_{:08}", self.next)
    }

    fn future(&mut self, outcome: Said) -> Said {
        self.next += 1;
        self.futures.insert(self.next, outcome);
        said(200, json!({"request_id": self.next.to_string(), "future_id": self.next.to_string()}))
    }

    fn model(&mut self, id: &str) -> Result<&mut Model, Refused> {
        self.models.get_mut(id).ok_or((404, "Model not found".to_owned()))
    }

    /// A request under a number that was there before: what it gave, as another future, or a refusal of other bytes.
    fn repeated(&mut self, key: &(String, u64), bytes: &[u8]) -> Result<Option<Said>, Refused> {
        let Some((known, outcome)) = self.numbered.get(key).filter(|_| key.1 != 0).cloned() else {
            return Ok(None);
        };
        match known == bytes {
            true => Ok(Some(self.future(outcome))),
            false => refused(409, "Training request sequence number was reused"),
        }
    }

    fn step(&mut self, id: &str, body: &Value, bytes: &[u8]) -> Result<Said, Refused> {
        self.model(id)?;
        let key = (id.to_owned(), body["seq_id"].as_u64().unwrap_or(0));
        if let Some(known) = self.repeated(&key, bytes)? {
            return Ok(known);
        }
        let adam = &body["adam_params"];
        let number = |field: &str| adam[field].as_f64().ok_or((422, format!("no {field}")));
        let adam = (number("learning_rate")?, number("beta1")?, number("beta2")?, number("eps")?);
        let model = self.model(id)?;
        let (mut gradient, n_data) = (mem::take(&mut model.gradient), mem::take(&mut model.n_data));
        gradient.values_mut().flatten().for_each(|it| *it /= n_data);
        let norm = model.table.step(&gradient, adam);
        model.is_used = true;
        self.n_steps += 1;
        let outcome = said(200, json!({"metrics": {"skyrl.ai/grad_norm": norm}}));
        self.numbered.insert(key, (bytes.to_vec(), outcome.clone()));
        Ok(self.future(outcome))
    }

    fn sample(&mut self, body: &Value) -> Result<Said, Refused> {
        let of_path = || {
            let path = body["model_path"].as_str()?.strip_prefix("tinker://")?;
            path.split_once('/').map(|(id, name)| (id.to_owned(), name.to_owned()))
        };
        let sampler = body["sampling_session_id"].as_str();
        if sampler.is_some() && body["seq_id"].as_u64().is_none() {
            return refused(422, "'seq_id' must be provided");
        }
        let table = match sampler.map(|it| self.samplers.get(it).cloned()) {
            Some(None) => return refused(404, "Sampling session not found"),
            Some(Some((id, name))) => self.draws_from(&id, &name)?,
            None => match (of_path(), body["base_model"].as_str()) {
                (Some((id, name)), _) => self.draws_from(&id, &name)?,
                (None, Some(base)) if base == self.name => Table::default(),
                (None, _) => return refused(400, "unknown base model"),
            },
        };
        let prompt = tokens(&body["prompt"])?;
        let params = &body["sampling_params"];
        let number = |field: &str| params[field].as_u64().ok_or((400, format!("{field} is required")));
        let (most, seed) = (number("max_tokens")?, Seed::new(number("seed")?));
        let ends: Vec<u64> =
            params["stop"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
        let greedy = params["temperature"].as_f64() == Some(0.0);
        let (mut all, mut logprobs, mut stopped) = (prompt.clone(), Vec::new(), false);
        while (logprobs.len() as u64) < most && !stopped {
            let at = seed.nth(logprobs.len() as u64);
            let (token, logprob) = table.draw(&self.base, context(&all), greedy, at);
            all.push(token);
            logprobs.push(logprob as f32);
            stopped = ends.contains(&u64::from(token));
        }
        let scored =
            |it: usize| table.logprobs(&self.base, context(&prompt[..it]))[prompt[it] as usize] as f32;
        let asked = body["prompt_logprobs"] == json!(true);
        let of_prompt: Option<Vec<f32>> = asked.then(|| (1..prompt.len()).map(scored).collect());
        self.n_drawn += 1;
        let outcome = self.drawn(&all[prompt.len()..], &logprobs, stopped, of_prompt);
        Ok(self.future(outcome))
    }

    /// Published weights. As on a real server, drawing from old ones puts them in the place of those that learn.
    fn draws_from(&mut self, id: &str, name: &str) -> Result<Table, Refused> {
        let model = self.models.get_mut(id).ok_or((400, format!("Model {id} not loaded")))?;
        let table = model.published.get(name).cloned().ok_or((404, "Checkpoint not found".to_owned()))?;
        if model.newest != name || model.table != table {
            model.table = table.clone();
            self.n_stale_draws += 1;
        }
        Ok(table)
    }

    fn drawn(&self, tokens: &[u32], logprobs: &[f32], stopped: bool, of_prompt: Option<Vec<f32>>) -> Said {
        if self.dialect == Dialect::Json {
            let of_prompt =
                of_prompt.map(|it| [vec![Value::Null], it.iter().map(|it| json!(it)).collect()].concat());
            let reason = if stopped { "stop" } else { "length" };
            let sequence = json!({"tokens": tokens, "logprobs": logprobs, "stop_reason": reason});
            return said(
                200,
                json!({"sequences": [sequence], "prompt_logprobs": of_prompt, "type": "sample"}),
            );
        }
        let floats = |it: &[f32]| it.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<_>>();
        let ids: Vec<u8> = tokens.iter().flat_map(|it| it.to_le_bytes()).collect();
        let sequence = [
            protobuf::integer(1, u64::from(!stopped)),
            protobuf::bytes(2, &ids),
            protobuf::bytes(3, &floats(logprobs)),
        ]
        .concat();
        let mut body = protobuf::bytes(1, &sequence);
        body.extend(of_prompt.into_iter().flat_map(|it| protobuf::bytes(2, &floats(&it))));
        Said { status: 200, content_type: "application/x-protobuf", body }
    }
}

fn tokens(prompt: &Value) -> Result<Vec<u32>, Refused> {
    let ids = prompt["chunks"][0]["tokens"].as_array().ok_or((422, "no prompt".to_owned()))?;
    Ok(ids.iter().filter_map(Value::as_u64).map(|it| it as u32).collect())
}
