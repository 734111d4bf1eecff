//! vLLM's control service over gRPC for servers that know adapters and nothing else.

/// Implements `Control` of `vllm-proto` by the methods that are given. To whatever else there is, it says that nobody asks.
macro_rules! control {
    ($server:ident { $($methods:tt)* }) => {
        control! { @ $server { $($methods)* }
            get_server_info GetServerInfoRequest ServerInfo,
            get_model_info GetModelInfoRequest ModelInfo,
            shutdown ShutdownRequest ShutdownResponse,
            abort AbortRequest AbortResponse,
            get_kv_event_sources GetKvEventSourcesRequest GetKvEventSourcesResponse,
            pause_generation PauseGenerationRequest PauseGenerationResponse,
            resume_generation ResumeGenerationRequest ResumeGenerationResponse,
            is_paused IsPausedRequest IsPausedResponse,
            sleep SleepRequest SleepResponse,
            wake_up WakeUpRequest WakeUpResponse,
            is_sleeping IsSleepingRequest IsSleepingResponse,
            init_weight_transfer_engine InitWeightTransferEngineRequest InitWeightTransferEngineResponse,
            start_weight_update StartWeightUpdateRequest StartWeightUpdateResponse,
            start_draft_weight_update StartDraftWeightUpdateRequest StartDraftWeightUpdateResponse,
            update_weights UpdateWeightsRequest UpdateWeightsResponse,
            finish_weight_update FinishWeightUpdateRequest FinishWeightUpdateResponse,
            update_weight_version UpdateWeightVersionRequest UpdateWeightVersionResponse,
            get_weight_version GetWeightVersionRequest GetWeightVersionResponse,
        }
    };
    (@ $server:ident { $($methods:tt)* } $($name:ident $asked:ident $said:ident,)*) => {
        #[tonic::async_trait]
        impl Control for $server {
            $($methods)*
            $(async fn $name(&self, _: Request<$asked>) -> Result<Response<$said>, Status> {
                Err(Status::unimplemented("nobody asks"))
            })*
        }
    };
}
