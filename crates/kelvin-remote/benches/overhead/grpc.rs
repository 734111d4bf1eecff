//! vLLM's services over gRPC, answering at once.

use std::{
    io::Read,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};
use vllm_proto::{
    control_server::{Control, ControlServer},
    finish_info::FinishReason,
    inference_server::{Inference, InferenceServer},
    *,
};

use crate::NEW;

/// The adapter that was loaded last.
#[derive(Clone, Default)]
struct Front(Arc<Mutex<String>>);

/// Says on standard output where it is, and answers until its standard input ends, which it does with whoever started it.
///
/// # Errors
/// If there is no port.
pub fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let incoming = runtime.block_on(async { TcpIncoming::bind(([127, 0, 0, 1], 0).into()) })?;
    println!("http://{}", incoming.local_addr()?);
    let front = Front::default();
    let services = Server::builder()
        .add_service(InferenceServer::new(front.clone()))
        .add_service(ControlServer::new(front));
    thread::spawn(move || runtime.block_on(services.serve_with_incoming(incoming.with_nodelay(Some(true)))));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

#[tonic::async_trait]
impl Inference for Front {
    type GenerateStreamStream = tonic::codegen::BoxStream<GenerateResponse>;

    async fn generate(&self, _: Request<GenerateRequest>) -> Result<Response<GenerateResponse>, Status> {
        let outputs = SequenceOutput {
            token_ids: (0..NEW as u32).map(|it| 97 + it % 26).collect(),
            logprobs: vec![-0.5; NEW],
            finish_info: Some(FinishInfo {
                finish_reason: FinishReason::Length.into(),
                ..FinishInfo::default()
            }),
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

control! { Front {
    async fn load_lora(&self, request: Request<LoadLoraRequest>) -> Result<Response<LoadLoraResponse>, Status> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = request.into_inner().lora_name;
        Ok(Response::new(LoadLoraResponse::default()))
    }

    async fn unload_lora(&self, _: Request<UnloadLoraRequest>) -> Result<Response<UnloadLoraResponse>, Status> {
        Ok(Response::new(UnloadLoraResponse::default()))
    }

    async fn list_loras(&self, _: Request<ListLorasRequest>) -> Result<Response<ListLorasResponse>, Status> {
        let lora_name = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Response::new(ListLorasResponse { adapters: vec![LoraAdapter { lora_name, ..LoraAdapter::default() }] }))
    }
} }
