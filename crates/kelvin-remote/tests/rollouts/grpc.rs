//! vLLM over gRPC: the scripted server of HTTP behind the services of `vllm-proto`, with the status codes that vLLM's Rust
//! frontend gives (read in its sources). Runs come out as over HTTP.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use kelvin_core::{
    policy::{Exported, Sampler},
    seed::Seed,
};
use kelvin_remote::rollouts::{Engine, RolloutSettings};
use serde_json::{Value, json};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};
use vllm_proto::{
    control_server::{Control, ControlServer},
    finish_info::FinishReason,
    generate_request::Prompt,
    inference_server::{Inference, InferenceServer},
    *,
};

use crate::{
    protocol::{ADAM, OBJECTIVE, draws, play, policy, requests, rollouts, samples, settings},
    scripted::{self, Answers},
    toy::World,
};

/// What the services share.
struct Front {
    world: World,
    /// Says that it is not there, to everything.
    is_down: bool,
    /// So often a call is refused before or after it was done.
    faults: Option<(Seed, f64)>,
    n_calls: u64,
}

/// Where it listens, and what it knows.
#[derive(Clone)]
struct Grpc {
    front: Arc<Mutex<Front>>,
    address: SocketAddr,
}

impl Grpc {
    fn start() -> Grpc {
        let front = Front { world: World::new(Engine::Vllm), is_down: false, faults: None, n_calls: 0 };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let incoming = runtime.block_on(async { TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap() });
        let grpc = Grpc { front: Arc::new(Mutex::new(front)), address: incoming.local_addr().unwrap() };
        let (inference, control) = (InferenceServer::new(grpc.clone()), ControlServer::new(grpc.clone()));
        thread::spawn(move || {
            let services = Server::builder().add_service(inference).add_service(control);
            runtime.block_on(services.serve_with_incoming(incoming)).unwrap();
        });
        grpc
    }

    fn with<T>(&self, what: impl FnOnce(&mut Front) -> T) -> T {
        what(&mut self.front.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the scripted server says of this over HTTP, with the status that gRPC has for it.
    fn ask<T>(&self, request: &Request<T>, path: &str, body: Value) -> Result<Value, Status> {
        let bearer = request.metadata().get("authorization").map(|it| it.to_str().unwrap());
        let key = bearer.and_then(|it| it.strip_prefix("Bearer ")).map(str::to_owned);
        let request = scripted::Request {
            path: path.to_owned(),
            content_type: "application/json".into(),
            is_packed: false,
            key,
            body: body.to_string().into_bytes(),
        };
        self.with(|it| {
            it.n_calls += 1;
            let strike = it.faults.map_or(1.0, |(seed, rate)| seed.nth(it.n_calls).unit() / rate);
            if it.is_down || strike < 0.5 {
                return Err(Status::unavailable("not there"));
            }
            let said = it.world.answer(&request);
            if strike < 1.0 {
                return Err(Status::internal("done, and not said"));
            }
            let text = String::from_utf8_lossy(&said.body).into_owned();
            match said.status {
                200 => Ok(serde_json::from_slice(&said.body).unwrap()),
                401 => Err(Status::unauthenticated(text)),
                404 if path.ends_with("load_lora_adapter") && !it.world.may_load => {
                    Err(Status::failed_precondition(text))
                }
                404 => Err(Status::not_found(text)),
                400 if text.contains("already been loaded") => Err(Status::already_exists(text)),
                _ => Err(Status::invalid_argument(text)),
            }
        })
    }
}

#[tonic::async_trait]
impl Inference for Grpc {
    type GenerateStreamStream = tonic::codegen::BoxStream<GenerateResponse>;

    async fn generate(
        &self,
        request: Request<GenerateRequest>,
    ) -> Result<Response<GenerateResponse>, Status> {
        let it = request.get_ref();
        let (sampling, stopping) = (it.sampling.unwrap(), it.stopping.clone().unwrap());
        // What is not said, the server takes from its model's folder.
        assert_eq!((it.decoding.as_ref().unwrap().repetition_penalty, it.watermarking), (1.0, Some(false)));
        let options = it.response.as_ref().unwrap();
        assert!(options.output_token_ids && options.output_logprobs && it.temperature == Some(1.0));
        let Some(Prompt::TokenIds(prompt)) = &it.prompt else { panic!("tokens go out") };
        let body = json!({
            "request_id": it.request_id,
            "model": it.lora_name,
            "token_ids": prompt.ids,
            "sampling_params": {
                "n": sampling.num_sequences, "top_p": sampling.top_p, "top_k": sampling.top_k, "min_p": sampling.min_p,
                "logprobs": 0, "seed": sampling.seed, "max_tokens": stopping.max_new_tokens,
                "ignore_eos": stopping.ignore_eos, "stop_token_ids": stopping.stop_token_ids,
            },
        });
        let choice = self.ask(&request, "inference/v1/generate", body)?["choices"][0].take();
        let reason = match choice["finish_reason"].as_str() {
            Some("stop") => FinishReason::Stop,
            Some("length") => FinishReason::Length,
            _ => FinishReason::Aborted,
        };
        let numbers = |it: &Value| it.as_array().unwrap().clone();
        let outputs = SequenceOutput {
            token_ids: numbers(&choice["token_ids"]).iter().map(|it| it.as_u64().unwrap() as u32).collect(),
            logprobs: numbers(&choice["logprobs"]["content"])
                .iter()
                .map(|it| it["logprob"].as_f64().unwrap() as f32)
                .collect(),
            finish_info: Some(FinishInfo { finish_reason: reason.into(), ..FinishInfo::default() }),
            ..SequenceOutput::default()
        };
        Ok(Response::new(GenerateResponse { prompt_info: None, outputs: Some(outputs) }))
    }

    async fn generate_stream(
        &self,
        _: Request<GenerateRequest>,
    ) -> Result<Response<Self::GenerateStreamStream>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }
}

control! { Grpc {
    async fn load_lora(&self, request: Request<LoadLoraRequest>) -> Result<Response<LoadLoraResponse>, Status> {
        let LoadLoraRequest { lora_name, source_path } = request.get_ref();
        let body = json!({"lora_name": lora_name, "lora_path": source_path});
        self.ask(&request, "v1/load_lora_adapter", body)?;
        Ok(Response::new(LoadLoraResponse::default()))
    }

    async fn unload_lora(&self, request: Request<UnloadLoraRequest>) -> Result<Response<UnloadLoraResponse>, Status> {
        self.ask(&request, "v1/unload_lora_adapter", json!({"lora_name": request.get_ref().lora_name}))?;
        Ok(Response::new(UnloadLoraResponse::default()))
    }

    async fn list_loras(&self, request: Request<ListLorasRequest>) -> Result<Response<ListLorasResponse>, Status> {
        let listed = self.ask(&request, "v1/models", Value::Null)?;
        let names = listed["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned());
        let adapters = names.map(|lora_name| LoraAdapter { lora_name, ..LoraAdapter::default() }).collect();
        Ok(Response::new(ListLorasResponse { adapters }))
    }
} }

fn over(servers: &[&Grpc], folder: &std::path::Path) -> RolloutSettings {
    let servers = servers.iter().map(|it| format!("http://{}", it.address)).collect();
    RolloutSettings { servers, ..settings(Engine::VllmGrpc, &[], folder) }
}

/// A run over two servers of HTTP.
fn over_http(n_steps: u64) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = [(); 2].map(|()| scripted::Server::start(World::new(Engine::Vllm)));
    play(&mut policy(settings(Engine::Vllm, &[&a, &b], dir.path()), Exported::Adapter), n_steps)
}

#[test]
fn a_run_comes_out_as_over_http() {
    let ([a, b], dir) = ([Grpc::start(), Grpc::start()], tempfile::tempdir().unwrap());
    a.with(|it| it.world.key = Some("secret".into()));
    let mut policy = policy(over(&[&a, &b], dir.path()), Exported::Adapter);
    assert_eq!(play(&mut policy, 3), over_http(3));
    assert!([&a, &b].iter().all(|it| it.with(|it| 0 < it.world.n_drawn && it.world.adapters.len() <= 2)));
    drop(policy);
    assert!([&a, &b].iter().all(|it| it.with(|it| it.world.adapters.is_empty())), "all is let go of");
}

#[test]
fn faults_change_nothing() {
    let expected = over_http(4);
    for number in 0..3 {
        let ([a, b], dir) = ([Grpc::start(), Grpc::start()], tempfile::tempdir().unwrap());
        for (idx, server) in [&a, &b].into_iter().enumerate() {
            server.with(|it| it.faults = Some((Seed::new(number).nth(idx as u64), 0.05)));
        }
        b.with(|it| it.world.abort_every = Some(7));
        let mut policy = policy(over(&[&a, &b], dir.path()), Exported::Adapter);
        assert_eq!(play(&mut policy, 4), expected, "{number}");
    }
}

/// It is given its adapters anew, draws elsewhere while it is gone, and joins again.
#[test]
fn a_server_dies_is_started_again_and_joins() {
    let ([a, b], dir) = ([Grpc::start(), Grpc::start()], tempfile::tempdir().unwrap());
    let mut policy = policy(over(&[&a, &b], dir.path()), Exported::Adapter);
    let first = draws(policy.trainer.sampler(), 0);
    for server in [&a, &b] {
        server.with(|it| it.world.adapters.clear());
    }
    assert_eq!(draws(policy.trainer.sampler(), 0), first);
    a.with(|it| it.is_down = true);
    policy.update(&samples(&first), &OBJECTIVE, &ADAM).unwrap();
    let second = draws(policy.trainer.sampler(), 1);
    a.with(|it| it.is_down = false);
    b.with(|it| it.is_down = true);
    assert_eq!(draws(policy.trainer.sampler(), 1), second);
}

#[test]
fn what_it_refuses_is_told_with_a_hint() {
    let told = |spoil: fn(&mut Front), exported: Exported| {
        let (server, dir) = (Grpc::start(), tempfile::tempdir().unwrap());
        server.with(spoil);
        let settings = RolloutSettings { retries: 1, wait_s: 0.5, ..over(&[&server], dir.path()) };
        let error = rollouts(settings, exported).sample(requests(0)).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("\nhint: ") && !text.contains("secret"), "{text}");
        text
    };
    assert!(told(|it| it.world.key = Some("other".into()), Exported::Adapter).contains("Unauthenticated"));
    assert!(told(|it| it.world.may_load = false, Exported::Adapter).contains("FailedPrecondition"));
    assert!(told(|it| it.world.forgets = true, Exported::Adapter).contains("does not hold it"));
    assert!(told(|it| it.world.abort_every = Some(1), Exported::Adapter).contains("ABORTED"));
    assert!(told(|it| it.is_down = true, Exported::Adapter).contains("http://127.0.0.1:"));
    assert!(told(|_| {}, Exported::Model).contains("adapters alone"));
}
