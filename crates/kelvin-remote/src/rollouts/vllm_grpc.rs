//! What vLLM's gRPC services are asked and what they say (`vllm-proto` 0.6, `vllm serve --grpc-port`). What is asked for is the
//! same as over HTTP; what differs is that an answer names neither its request nor its adapter. A call is a stream of its own on
//! the connection, so that no answer is taken for another's, and a name that is not loaded is refused.
//!
//! Everything that the server would else take from its model's folder is said: top-k, top-p, min-p, penalties, watermarks.

use std::{sync::OnceLock, time::Duration};

use anyhow::Context;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, ClientTlsConfig, Endpoint},
};
use vllm_proto::{
    DecodingParameters, GenerateRequest, ListLorasRequest, LoadLoraRequest, RandomSampling, ResponseOptions,
    StoppingCriteria, TokenIds, UnloadLoraRequest, control_client::ControlClient, finish_info::FinishReason,
    generate_request::Prompt, inference_client::InferenceClient,
};

use super::{
    server::{Ask, Unusable},
    settings::RolloutSettings,
    shelf::Version,
};
use crate::drawing::Drawn;

/// A client of one server's services.
pub(super) struct Grpc {
    endpoint: Endpoint,
    /// Made with the first call, since it belongs to the threads that make it.
    channel: OnceLock<Channel>,
    bearer: Option<MetadataValue<Ascii>>,
    reply_bytes_max: usize,
}

impl Grpc {
    /// Of the server at `url`. Nothing is asked yet.
    ///
    /// # Errors
    /// If the address or the key cannot be sent.
    pub(super) fn new(url: &str, key: Option<&str>, settings: &RolloutSettings) -> anyhow::Result<Grpc> {
        let endpoint = Endpoint::from_shared(url.to_owned()).with_context(|| {
            format!("{url} is no address for gRPC\nhint: it is like http://127.0.0.1:50051")
        })?;
        let is_tls = endpoint.uri().scheme_str().is_some_and(|it| it.eq_ignore_ascii_case("https"));
        let endpoint = match is_tls {
            true => endpoint.tls_config(ClientTlsConfig::new().with_native_roots()).context(
                "the system's certificates cannot be read\nhint: http:// to this machine needs none",
            )?,
            false => endpoint,
        };
        // The one connection to a machine that is gone is found to be dead as soon as a server that says nothing.
        let probe = Duration::from_secs_f64(settings.probe_s);
        let endpoint = endpoint
            .tcp_nodelay(true)
            .connect_timeout(probe)
            .http2_keep_alive_interval(probe)
            .keep_alive_timeout(probe)
            .keep_alive_while_idle(true);
        let bearer = |key: &str| {
            let mut value: MetadataValue<Ascii> = format!("Bearer {key}").parse().ok().context(
                "the API key has characters that no header can hold\nhint: look for a line break at its end",
            )?;
            value.set_sensitive(true);
            anyhow::Ok(value)
        };
        let bearer = key.map(bearer).transpose()?;
        let reply_bytes_max = settings.reply_bytes_max;
        Ok(Grpc { endpoint, channel: OnceLock::new(), bearer, reply_bytes_max })
    }

    fn channel(&self) -> Channel {
        self.channel.get_or_init(|| self.endpoint.connect_lazy()).clone()
    }

    fn control(&self) -> ControlClient<Channel> {
        ControlClient::new(self.channel()).max_decoding_message_size(self.reply_bytes_max)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }

    /// Asks for a completion.
    pub(super) async fn draw(&self, ask: &Ask<'_>) -> Result<Drawn, Unusable> {
        let mut client = InferenceClient::new(self.channel()).max_decoding_message_size(self.reply_bytes_max);
        let asked = client.generate(self.request(generate(ask))).await;
        drawn(
            asked
                .map_err(|status| match status.code() {
                    // It was started again and knows nothing of the adapters that it held.
                    Code::NotFound => Unusable::Stale(words(&status)),
                    _ => unusable(&status),
                })?
                .into_inner(),
        )
    }

    /// Whether it has these adapters.
    pub(super) async fn holds(&self, version: &Version) -> Result<bool, Unusable> {
        let listed = self.control().list_loras(self.request(ListLorasRequest {})).await;
        let listed = listed.map_err(|status| unusable(&status))?.into_inner();
        Ok(listed.adapters.iter().any(|it| it.lora_name == version.name))
    }

    /// Has it read adapters.
    pub(super) async fn load(&self, version: &Version) -> Result<(), Unusable> {
        let message = LoadLoraRequest { lora_name: version.name.clone(), source_path: version.path.clone() };
        match self.control().load_lora(self.request(message)).await {
            Ok(_) => Ok(()),
            Err(status) => Err(unusable(&status)),
        }
    }

    /// Has it let go of adapters; that it has none of the name is as good.
    pub(super) async fn unload(&self, version: &Version) -> Result<(), Unusable> {
        let message = UnloadLoraRequest { lora_name: version.name.clone() };
        match self.control().unload_lora(self.request(message)).await {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::NotFound => Ok(()),
            Err(status) => Err(unusable(&status)),
        }
    }
}

/// One completion. End tokens are the policy's, whatever the server's own model folder says.
fn generate(ask: &Ask<'_>) -> GenerateRequest {
    let Ask { id, row, end_tokens, version } = ask;
    GenerateRequest {
        request_id: id.clone(),
        lora_name: version.name.clone(),
        prompt: Some(Prompt::TokenIds(TokenIds { ids: row.prompt.to_vec() })),
        temperature: Some(row.sampling.temperature),
        sampling: Some(RandomSampling {
            num_sequences: 1,
            top_k: Some(0),
            top_p: Some(1.0),
            min_p: Some(0.0),
            seed: Some(row.seed as i64),
        }),
        decoding: Some(DecodingParameters { repetition_penalty: 1.0, ..DecodingParameters::default() }),
        stopping: Some(StoppingCriteria {
            max_new_tokens: row.max_tokens as u32,
            stop_token_ids: end_tokens.to_vec(),
            ignore_eos: true,
            ..StoppingCriteria::default()
        }),
        response: Some(ResponseOptions {
            output_text: Some(false),
            output_token_ids: true,
            output_logprobs: true,
            ..ResponseOptions::default()
        }),
        watermarking: Some(false),
        ..GenerateRequest::default()
    }
}

/// Reads a completion.
fn drawn(response: vllm_proto::GenerateResponse) -> Result<Drawn, Unusable> {
    let outputs =
        response.outputs.ok_or_else(|| Unusable::Passing("an answer without a completion".into()))?;
    let reason = outputs.finish_info.map_or(FinishReason::NotFinished, |it| it.finish_reason());
    let stopped = match reason {
        FinishReason::Stop => true,
        FinishReason::Length => false,
        FinishReason::NotFinished | FinishReason::Aborted => {
            return Err(Unusable::Passing(format!(
                "a completion that ended with {:?}",
                reason.as_str_name()
            )));
        }
    };
    Ok(Drawn { tokens: outputs.token_ids, logprobs: outputs.logprobs, stopped, prompt_logprobs: None })
}

fn unusable(status: &Status) -> Unusable {
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Unauthenticated => Unusable::Refused(words(status)),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Unusable::Passing(words(status)),
    }
}

fn words(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}
