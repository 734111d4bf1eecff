//! What the server knows, and what it answers.

use std::collections::{BTreeMap, BTreeSet};

use kelvin_core::seed::Seed;
use serde_json::{Value, json};

use super::{
    Answers, Request, Said,
    protobuf::{self, Field},
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
    base: Base,
    sessions: BTreeSet<String>,
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
}

#[derive(Default)]
struct Model {
    session: String,
    table: Table,
    gradient: Gradient,
    n_data: f64,
    is_used: bool,
    names: BTreeSet<String>,
    published: BTreeMap<String, Table>,
    newest: String,
}

/// A datum as it came.
#[derive(Debug, Default)]
struct Datum {
    input: Vec<u32>,
    targets: Vec<u32>,
    fields: BTreeMap<String, Vec<f64>>,
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
        request.path == "api/v1/retrieve_future"
    }
}

impl World {
    pub fn new(name: &str, base: Base, dialect: Dialect) -> World {
        World {
            dialect,
            clips: true,
            key: None,
            name: name.to_owned(),
            base,
            sessions: BTreeSet::new(),
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
        }
    }

    pub fn n_models(&self) -> usize {
        self.models.len()
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
            _ => {}
        }
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else { return refused(422, "no JSON") };
        let text = |field: &str| -> Result<String, Refused> {
            body[field].as_str().map(str::to_owned).ok_or((422, format!("no {field}")))
        };
        match path {
            "create_session" => {
                let id = self.id("session");
                self.sessions.insert(id.clone());
                Ok(said(200, json!({"session_id": id})))
            }
            "session_heartbeat" => {
                self.n_heartbeats += 1;
                match self.sessions.contains(&text("session_id")?) {
                    true => Ok(said(200, json!({}))),
                    false => refused(404, "Session not found"),
                }
            }
            "create_model" => {
                let (session, rank) = (text("session_id")?, body["lora_config"]["rank"].as_u64());
                if !self.sessions.contains(&session) {
                    return refused(404, "Session not found");
                }
                if !rank.is_some_and(|it| (1..=64).contains(&it)) {
                    return refused(400, "LoRA rank must be between 1 and 64");
                }
                let id = self.id("model");
                self.models.insert(id.clone(), Model { session, ..Model::default() });
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
        let (mut gradient, n_data) = (std::mem::take(&mut model.gradient), std::mem::take(&mut model.n_data));
        gradient.values_mut().flatten().for_each(|it| *it /= n_data);
        let norm = model.table.step(&gradient, adam);
        model.is_used = true;
        self.n_steps += 1;
        let outcome = said(200, json!({"metrics": {"skyrl.ai/grad_norm": norm}}));
        self.numbered.insert(key, (bytes.to_vec(), outcome.clone()));
        Ok(self.future(outcome))
    }

    fn save(&mut self, path: &str, id: &str, body: &Value) -> Result<Said, Refused> {
        let session = body["sampling_session_seq_id"].as_u64();
        let name = match (body["path"].as_str(), session) {
            (Some(name), _) => name.to_owned(),
            (None, Some(session)) => format!("ss{session}_seq{}", body["seq_id"]),
            (None, None) => return refused(422, "Either 'path' or both ids must be provided"),
        };
        let model = self.model(id)?;
        model.is_used = true;
        if !model.names.insert(format!("{path}/{name}")) {
            return refused(409, format!("Checkpoint '{name}' already exists"));
        }
        let table = model.table.clone();
        let outcome = if path == "save_weights" {
            let state = format!("tinker://{id}/weights/{name}");
            self.states.insert(state.clone(), table);
            json!({"path": state, "type": "save_weights"})
        } else {
            model.published.insert(name.clone(), table);
            model.newest.clone_from(&name);
            match session {
                Some(_) => {
                    let sampler = self.id("sampling");
                    self.samplers.insert(sampler.clone(), (id.to_owned(), name));
                    json!({"path": null, "sampling_session_id": sampler})
                }
                None => json!({"path": format!("tinker://{id}/{name}")}),
            }
        };
        Ok(self.future(said(200, outcome)))
    }

    fn load(&mut self, id: &str, path: &str, body: &Value) -> Result<Said, Refused> {
        let state = self.states.get(path).cloned().ok_or((404, format!("Checkpoint not found: {path}")))?;
        let model = self.model(id)?;
        if std::mem::replace(&mut model.is_used, true) {
            return refused(400, "LoadWeights is not permitted with seq_id 2");
        }
        model.table = if body["optimizer"] == json!(true) { state } else { state.forgetting() };
        Ok(self.future(said(200, json!({"type": "load_weights"}))))
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

    fn pass(&mut self, path: &str, request: &Request) -> Result<Said, Refused> {
        let is_protobuf = request.content_type.starts_with("application/x-protobuf");
        if (self.dialect == Dialect::Protobuf) != is_protobuf {
            return refused(415, "forward_backward requires another body");
        }
        let body = match request.is_packed {
            true => zstd::decode_all(&request.body[..]).map_err(|it| (422, it.to_string()))?,
            false => request.body.clone(),
        };
        let asked = match self.dialect {
            Dialect::Protobuf if path == "forward" => return refused(404, "Not Found"),
            Dialect::Protobuf => pass_of_protobuf(&body),
            Dialect::Json => pass_of_json(&body, path == "forward"),
        };
        let Some(Pass { model, seq, data, loss, bounds, forward_only }) = asked else {
            return refused(422, "no request for gradients");
        };
        self.model(&model)?.is_used = true;
        let key = (model.clone(), seq);
        if let Some(known) = self.repeated(&key, &body)? {
            return Ok(known);
        }
        let base = self.base.clone();
        let held = self.model(&model)?;
        let mut scores = Vec::new();
        let mut gradient = std::mem::take(&mut held.gradient);
        for datum in &data {
            let field = |name: &str| {
                datum.fields.get(name).cloned().unwrap_or_else(|| vec![0.0; datum.targets.len()])
            };
            let (weights, advantages, old) = (field("weights"), field("advantages"), field("logprobs"));
            let whole: f64 = weights.iter().sum();
            let mut all = datum.input[..1].to_vec();
            let mut logprobs = Vec::new();
            for (at, &target) in datum.targets.iter().enumerate() {
                let before = context(&all);
                let logprob = held.table.logprobs(&base, before)[target as usize];
                let ratio = (logprob - old[at]).exp();
                let clipped = ratio.clamp(bounds.0, bounds.1);
                let by_logprob = match loss.as_str() {
                    "cross_entropy" => -1.0,
                    "importance_sampling" => -advantages[at] * ratio,
                    "ppo" if clipped * advantages[at] < ratio * advantages[at] => 0.0,
                    "ppo" => -advantages[at] * ratio,
                    "cispo" => -advantages[at] * clipped,
                    _ => return refused(422, "unknown loss"),
                };
                if !forward_only && weights[at] != 0.0 {
                    held.table.add(&base, &mut gradient, before, target, weights[at] * by_logprob / whole);
                }
                logprobs.push(logprob as f32);
                all.push(target);
            }
            scores.push(logprobs);
        }
        held.gradient = gradient;
        if !forward_only {
            held.n_data += data.len() as f64;
            self.n_data += data.len() as u64;
        }
        let outcome = self.scored(&scores);
        self.numbered.insert(key, (body, outcome.clone()));
        Ok(self.future(outcome))
    }

    fn scored(&self, scores: &[Vec<f32>]) -> Said {
        if self.dialect == Dialect::Json {
            let output =
                |it: &Vec<f32>| json!({"logprobs": {"data": it, "dtype": "float32", "shape": [it.len()]}});
            let outputs: Vec<Value> = scores.iter().map(output).collect();
            return said(
                200,
                json!({"loss_fn_outputs": outputs, "loss_fn_output_type": "scalar", "metrics": {}}),
            );
        }
        let data: Vec<u8> = scores.iter().flatten().flat_map(|it| it.to_le_bytes()).collect();
        let mut offsets = vec![0i64];
        offsets.extend(scores.iter().scan(0, |end, it| {
            *end += 4 * it.len() as i64;
            Some(*end)
        }));
        let offsets: Vec<u8> = offsets.iter().flat_map(|it| it.to_le_bytes()).collect();
        let tensor =
            [protobuf::bytes(1, &data), protobuf::bytes(2, &offsets), protobuf::integer(3, 1)].concat();
        let entry = [protobuf::bytes(1, b"logprobs"), protobuf::bytes(2, &tensor)].concat();
        let record = [protobuf::bytes(2, &entry), protobuf::integer(3, scores.len() as u64)].concat();
        let body = [protobuf::bytes(1, b"scalar"), protobuf::bytes(2, &record)].concat();
        Said { status: 200, content_type: "application/x-protobuf", body }
    }
}

/// What a pass asks for.
struct Pass {
    model: String,
    seq: u64,
    data: Vec<Datum>,
    loss: String,
    bounds: (f64, f64),
    forward_only: bool,
}

fn tokens(prompt: &Value) -> Result<Vec<u32>, Refused> {
    let ids = prompt["chunks"][0]["tokens"].as_array().ok_or((422, "no prompt".to_owned()))?;
    Ok(ids.iter().filter_map(Value::as_u64).map(|it| it as u32).collect())
}

fn pass_of_json(body: &[u8], forward_only: bool) -> Option<Pass> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let input = &body[if forward_only { "forward_input" } else { "forward_backward_input" }];
    let datum = |it: &Value| {
        let fields = it["loss_fn_inputs"].as_object()?;
        let numbers =
            |it: &Value| it["data"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        let mut fields: BTreeMap<String, Vec<f64>> =
            fields.iter().map(|it| (it.0.clone(), numbers(it.1))).collect();
        let targets = fields.remove("target_tokens")?.into_iter().map(|it| it as u32).collect();
        Some(Datum { input: tokens(&it["model_input"]).ok()?, targets, fields })
    };
    let bound = |name: &str, unset| input["loss_fn_config"][name].as_f64().unwrap_or(unset);
    Some(Pass {
        model: body["model_id"].as_str()?.to_owned(),
        seq: body["seq_id"].as_u64()?,
        data: input["data"].as_array()?.iter().map(datum).collect::<Option<_>>()?,
        loss: input["loss_fn"].as_str()?.to_owned(),
        bounds: (bound("clip_low_threshold", 0.8), bound("clip_high_threshold", 1.2)),
        forward_only,
    })
}

fn pass_of_protobuf(body: &[u8]) -> Option<Pass> {
    let fields = protobuf::read(body)?;
    let text = |number| Some(String::from_utf8_lossy(protobuf::all(&fields, number).next()?).into_owned());
    let datum = |bytes: &[u8]| -> Option<Datum> {
        let fields = protobuf::read(bytes)?;
        let chunk = protobuf::read(protobuf::all(&fields, 1).next()?)?;
        let chunk = protobuf::read(protobuf::all(&chunk, 1).next()?)?;
        let ids = protobuf::all(&chunk, 1).next()?;
        let mut datum = Datum {
            input: ids.as_chunks().0.iter().map(|it| u32::from_le_bytes(*it)).collect(),
            ..Datum::default()
        };
        for entry in protobuf::all(&fields, 2) {
            let entry = protobuf::read(entry)?;
            let name = String::from_utf8_lossy(protobuf::all(&entry, 1).next()?).into_owned();
            let tensor = protobuf::read(protobuf::all(&entry, 2).next()?)?;
            let dense = protobuf::all(&tensor, 1).next()?;
            match protobuf::number(&tensor, 3) {
                2 => {
                    datum.targets =
                        dense.as_chunks().0.iter().map(|it| i64::from_le_bytes(*it) as u32).collect()
                }
                1 => {
                    let values = dense.as_chunks().0.iter().map(|it| f64::from(f32::from_le_bytes(*it)));
                    datum.fields.insert(name, values.collect());
                }
                _ => return None,
            }
        }
        Some(datum)
    };
    let mut bounds = (0.8, 1.2);
    for entry in protobuf::all(&fields, 5) {
        let entry = protobuf::read(entry)?;
        // What is 0 is not written.
        let value = protobuf::all(&entry, 2)
            .next()
            .and_then(|it| it.as_array())
            .map_or(0.0, |it| f64::from_le_bytes(*it));
        match protobuf::all(&entry, 1).next()? {
            b"clip_low_threshold" => bounds.0 = value,
            b"clip_high_threshold" => bounds.1 = value,
            _ => return None,
        }
    }
    let is_set = |number| fields.iter().any(|it| it.0 == number && it.1 == Field::Number(1));
    Some(Pass {
        model: text(1)?,
        seq: protobuf::number(&fields, 2),
        data: protobuf::all(&fields, 3).map(datum).collect::<Option<_>>()?,
        loss: text(4)?,
        bounds,
        forward_only: is_set(6),
    })
}
