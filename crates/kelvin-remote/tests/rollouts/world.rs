//! What a scripted server of vLLM or SGLang knows and answers. Paths, fields, status codes and words are those of vLLM 0.33.0
//! and SGLang 0.5.23, read in their sources (docs/engines/rollouts.md).

#![allow(dead_code, reason = "each test that includes it uses a part")]

use std::{collections::BTreeMap, path::Path};

use kelvin_core::policy::Exported;
use kelvin_remote::rollouts::Engine;
use serde_json::{Value, json};

use super::scripted::{Answers, Request, Said};

/// Weights that a server draws from, as a trainer writes them.
pub trait Weights: Clone + Default + Send + 'static {
    /// Reads a folder.
    ///
    /// # Errors
    /// If a file is missing or damaged.
    fn read(dir: &Path, exported: Exported) -> anyhow::Result<Self>;

    /// Tokens with their log-probabilities, and whether they ended by themselves.
    fn draw(&self, prompt: &[u32], how: How) -> (Vec<u32>, Vec<f32>, bool);
}

/// How a row is drawn.
#[derive(Clone, Copy)]
pub struct How {
    pub seed: u64,
    pub max_tokens: usize,
    /// Whether the most likely token follows.
    pub greedy: bool,
}

/// A server.
pub struct World<W> {
    pub engine: Engine,
    /// The key that it wants, if it wants one.
    pub key: Option<String>,
    /// Weights by name: adapters, in the order of no clock.
    pub adapters: BTreeMap<String, W>,
    /// All weights, with their label.
    pub whole: (String, W),
    /// Whether adapters can be loaded while it runs.
    pub may_load: bool,
    /// Every so many draws come from other weights than were asked for, and say so.
    pub slip_every: Option<u64>,
    /// Every so many draws say that nothing ended them.
    pub abort_every: Option<u64>,
    /// It says that it took weights, and does not.
    pub forgets: bool,
    /// The longest row that vLLM draws, with its prompt, in tokens.
    pub tokens_max: Option<usize>,
    /// What stands before it answers in its place, with status 404.
    pub is_lost: bool,
    pub n_drawn: u64,
    pub n_loaded: u64,
    /// Names of requests, as they came.
    pub ids: Vec<String>,
    /// How long rows of vLLM may be, with their prompts, as they came.
    pub lengths: Vec<usize>,
}

type Refused = (u16, Value);

impl<W: Weights> World<W> {
    pub fn new(engine: Engine) -> World<W> {
        World {
            engine,
            key: None,
            adapters: BTreeMap::new(),
            whole: ("default".into(), W::default()),
            may_load: true,
            slip_every: None,
            abort_every: None,
            forgets: false,
            tokens_max: None,
            is_lost: false,
            n_drawn: 0,
            n_loaded: 0,
            ids: Vec::new(),
            lengths: Vec::new(),
        }
    }

    /// How vLLM words a refusal.
    fn vllm<T>(code: u16, message: impl Into<String>) -> Result<T, Refused> {
        Err((code, json!({"error": {"message": message.into(), "type": "", "param": null, "code": code}})))
    }

    fn answered(&mut self, request: &Request) -> Result<Value, Refused> {
        if self.is_lost {
            return Err((404, json!("default backend - 404")));
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        let adapter = || W::read(Path::new(&text("lora_path")), Exported::Adapter);
        match (self.engine, request.path.as_str()) {
            (_, "v1/models") => {
                let names = ["base".to_owned()].into_iter().chain(self.adapters.keys().cloned());
                let data: Vec<Value> = names.map(|it| json!({"id": it, "object": "model"})).collect();
                Ok(json!({"object": "list", "data": data}))
            }
            (Engine::Vllm, "v1/load_lora_adapter" | "v1/unload_lora_adapter") if !self.may_load => {
                Err((404, json!({"detail": "Not Found"})))
            }
            (Engine::Vllm, "v1/load_lora_adapter") => {
                let name = text("lora_name");
                if self.adapters.contains_key(&name) {
                    return World::<W>::vllm(
                        400,
                        format!("The lora adapter '{name}' has already been loaded."),
                    );
                }
                match adapter() {
                    Ok(weight) => self.load(name, weight),
                    Err(error) => return World::<W>::vllm(404, format!("{error:#}")),
                }
                Ok(json!("Success"))
            }
            (Engine::Vllm, "v1/unload_lora_adapter") => match self.adapters.remove(&text("lora_name")) {
                Some(_) => Ok(json!("Success")),
                None => World::<W>::vllm(404, "The lora adapter cannot be found."),
            },
            (Engine::Vllm, "inference/v1/generate") => self.vllm_draw(&body),
            (Engine::Sglang, "load_lora_adapter") => match adapter() {
                Ok(_) if self.adapters.contains_key(&text("lora_name")) => {
                    Err((400, json!({"success": false, "error_message": "already loaded"})))
                }
                Ok(weight) => {
                    self.load(text("lora_name"), weight);
                    Ok(json!({"success": true}))
                }
                Err(error) => Err((400, json!({"success": false, "error_message": format!("{error:#}")}))),
            },
            (Engine::Sglang, "unload_lora_adapter") => {
                self.adapters.remove(&text("lora_name"));
                Ok(json!({"success": true}))
            }
            (Engine::Sglang, "update_weights_from_disk") => {
                match W::read(Path::new(&text("model_path")), Exported::Model) {
                    Ok(weight) => {
                        self.n_loaded += 1;
                        if !self.forgets {
                            self.whole = (text("weight_version"), weight);
                        }
                        Ok(json!({"success": true, "message": "", "num_paused_requests": 0}))
                    }
                    Err(error) => Err((400, json!({"success": false, "message": format!("{error:#}")}))),
                }
            }
            (Engine::Sglang, "model_info") => Ok(json!({"weight_version": self.whole.0})),
            (Engine::Sglang, "generate") => self.sglang_draw(&body),
            _ => Err((404, json!({"detail": "Not Found"}))),
        }
    }

    fn load(&mut self, name: String, weight: W) {
        self.n_loaded += 1;
        if !self.forgets {
            self.adapters.insert(name, weight);
        }
    }

    /// The weights that draw for `name`, and the name they go by: by mistake, now and then, the others.
    fn weights(&mut self, name: &str) -> Option<(String, W)> {
        let weight = self.adapters.get(name)?.clone();
        self.n_drawn += 1;
        let slips = self.slip_every.is_some_and(|it| self.n_drawn.is_multiple_of(it));
        Some(if slips { ("base".into(), W::default()) } else { (name.to_owned(), weight) })
    }

    fn finish(&self, ended: bool) -> &'static str {
        match self.abort_every {
            Some(every) if self.n_drawn.is_multiple_of(every) => "abort",
            _ if ended => "stop",
            _ => "length",
        }
    }

    fn vllm_draw(&mut self, body: &Value) -> Result<Value, Refused> {
        let asked = &body["sampling_params"];
        let plain = json!([1, 1.0, 0, 0.0, 0, true, [0]]);
        let fields = ["n", "top_p", "top_k", "min_p", "logprobs", "ignore_eos", "stop_token_ids"];
        if json!(fields.map(|it| &asked[it])) != plain {
            return World::<W>::vllm(400, format!("no plain draw: {asked}"));
        }
        let (prompt, how) = row(&body["token_ids"], asked, ["seed", "max_tokens"]);
        let n_tokens = prompt.len() + how.max_tokens;
        self.lengths.push(n_tokens);
        if let Some(most) = self.tokens_max.filter(|it| *it < n_tokens) {
            let words = format!(
                "This model's maximum context length is {most} tokens. However, you requested {n_tokens} tokens"
            );
            return World::<W>::vllm(400, words);
        }
        let name = body["model"].as_str().unwrap_or_default();
        let Some((model, weight)) = self.weights(name) else {
            return World::<W>::vllm(404, format!("The model `{name}` does not exist. Valid aliases: base."));
        };
        let id = body["request_id"].as_str().unwrap_or_default().to_owned();
        self.ids.push(id.clone());
        let (tokens, logprobs, ended) = weight.draw(&prompt, how);
        let content = tokens.iter().zip(&logprobs).map(
            |(token, logprob)| json!({"token_id": token, "logprob": logprob, "rank": 1, "top_logprobs": []}),
        );
        Ok(json!({
            "request_id": id,
            "model": model,
            "output_mode": "tokens",
            "choices": [{
                "index": 0,
                "token_ids": tokens,
                "logprobs": {"content": content.collect::<Vec<_>>()},
                "finish_reason": self.finish(ended),
                "stop_reason": if ended { json!(0) } else { Value::Null },
                "weight_versions": [{"version": "default", "start": 0, "end": tokens.len()}],
            }],
            "prompt_logprobs": null,
        }))
    }

    fn sglang_draw(&mut self, body: &Value) -> Result<Value, Refused> {
        let asked = &body["sampling_params"];
        let plain = json!([1, 1.0, -1, 0.0, true, [0], true]);
        let fields = ["n", "top_p", "top_k", "min_p", "no_stop_trim", "stop_token_ids"].map(|it| &asked[it]);
        let mut said = fields.map(Clone::clone).to_vec();
        said.push(body["return_logprob"].clone());
        if Value::Array(said) != plain {
            return Err((400, json!({"error": {"message": format!("no plain draw: {body}")}})));
        }
        let (version, weight) = match body["lora_path"].as_str() {
            Some(name) => match self.weights(name) {
                Some((_, weight)) => ("default".to_owned(), weight),
                None => {
                    let words = format!("The following requested LoRA adapters are not loaded: {name}");
                    return Err((400, json!({"error": {"message": words}})));
                }
            },
            None => {
                self.n_drawn += 1;
                let slips = self.slip_every.is_some_and(|it| self.n_drawn.is_multiple_of(it));
                if slips { ("stale".into(), W::default()) } else { self.whole.clone() }
            }
        };
        self.ids.push(body["rid"].as_str().unwrap_or_default().to_owned());
        let (prompt, how) = row(&body["input_ids"], asked, ["sampling_seed", "max_new_tokens"]);
        let (tokens, logprobs, ended) = weight.draw(&prompt, how);
        let said: Vec<Value> = tokens.iter().zip(&logprobs).map(|(t, l)| json!([l, t, null])).collect();
        Ok(json!({
            "text": "",
            "output_ids": tokens,
            "meta_info": {
                "id": body["rid"],
                "finish_reason": {"type": self.finish(ended), "matched": 0},
                "weight_version": version,
                "output_token_logprobs": said,
            },
        }))
    }
}

/// A row of a request: its prompt, and how it is drawn, of which seed and limit have these names.
fn row(prompt: &Value, asked: &Value, [seed, limit]: [&str; 2]) -> (Vec<u32>, How) {
    let prompt = prompt.as_array().unwrap().iter().map(|it| it.as_u64().unwrap() as u32).collect();
    let how = How {
        seed: asked[seed].as_u64().unwrap(),
        max_tokens: asked[limit].as_u64().unwrap() as usize,
        greedy: asked["temperature"].as_f64() == Some(0.0),
    };
    (prompt, how)
}

impl<W: Weights> Answers for World<W> {
    fn answer(&mut self, request: &Request) -> Said {
        let (status, body) = match self.key.is_some() && request.key != self.key {
            true => (401, json!({"error": "Unauthorized"})),
            false => match self.answered(request) {
                Ok(body) => (200, body),
                Err(refused) => refused,
            },
        };
        Said { status, content_type: "application/json", body: body.to_string().into_bytes() }
    }

    /// It is started again: what was loaded is gone.
    fn restart(&mut self) {
        self.adapters.clear();
        self.whole = ("default".into(), W::default());
    }

    fn is_read_again(&self, request: &Request) -> bool {
        request.path.ends_with("generate") || request.path == "v1/models"
    }

    fn drop_future(&mut self, _: &Request) {}

    fn names_requests(&self) -> bool {
        true
    }
}
