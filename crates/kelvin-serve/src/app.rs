//! The routes, and what every call goes through: who may call, how long it may take, and that it is counted.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::HttpBody,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    Served, aggregate,
    clock::Moment,
    episode::Episodes,
    gate::{Gate, Room},
    guard,
    meters::{Load, Meters, OPEN_METRICS},
    nemo_gym, open_env,
    refusal::{Refusal, reply},
    reward, run_code,
    settings::Settings,
    socket,
    tasks::{self, Draws},
};

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Desk(Arc<Shared>);

/// See [`Desk`].
pub(crate) struct Shared {
    pub(crate) served: Arc<Served>,
    pub(crate) settings: Settings,
    pub(crate) gate: Gate,
    pub(crate) draws: Draws,
    pub(crate) episodes: Episodes,
    pub(crate) ending: watch::Receiver<bool>,
    meters: Meters,
}

impl std::ops::Deref for Desk {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What ends an [`app`]: sockets close and calls that wait are sent away once it says true.
pub type Ending = watch::Receiver<bool>;

/// Everything that is served, as one service.
pub fn app(served: Served, settings: Settings, ending: Ending) -> Router {
    let desk = Desk(Arc::new(Shared {
        served: Arc::new(served),
        gate: Gate::new(&settings),
        draws: Draws::new(settings.seed),
        episodes: Episodes::new(settings.sessions_max, settings.session_idle),
        meters: Meters::new(),
        ending,
        settings,
    }));
    let body_bytes_max = desk.settings.body_bytes_max;
    Router::new()
        .route("/run_code", post(run_code::run_code))
        .route("/reward", post(reward::reward))
        .route("/get_reward", post(reward::get_reward))
        .route("/reset", post(open_env::reset))
        .route("/step", post(open_env::step))
        .route("/state", get(open_env::state))
        .route("/schema", get(open_env::schema))
        .route("/metadata", get(open_env::metadata))
        .route("/ws", get(socket::connect))
        .route("/list_environments", get(tasks::environments))
        .route("/{environment}/splits", get(tasks::splits))
        .route("/{environment}/num_tasks", post(tasks::n_tasks))
        .route("/{environment}/task", post(tasks::task))
        .route("/{environment}/task_range", post(tasks::task_range))
        .route("/seed_session", post(nemo_gym::seed_session))
        .route("/close_session", post(nemo_gym::close_session))
        .route("/verify", post(nemo_gym::verify))
        .route("/aggregate_metrics", post(aggregate::aggregate_metrics))
        .route("/reverify_mode", get(nemo_gym::reverify_mode))
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .route("/v1/ping", get(ping))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .layer(from_fn_with_state(desk.clone(), around))
        .with_state(desk)
}

/// Routes that say nothing and are open to whoever asks whether the server is up.
const OPEN: [&str; 2] = ["/health", "/v1/ping"];

/// What every call goes through.
async fn around(State(desk): State<Desk>, mut request: Request, next: Next) -> Response {
    let since = Moment::now();
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", |it| it.as_str()).to_owned();
    let may_come = match OPEN.contains(&route.as_str()) {
        true => Ok(()),
        false => guard::check(&desk.settings.access, request.headers()),
    };
    let answered = match may_come {
        Ok(()) => {
            let answer = async {
                // Held until the answer, and by what works on it: what was read of the body is in memory as long.
                let room = match request.body().size_hint().upper() {
                    Some(0) => Room::default(),
                    bytes => desk.gate.room(bytes).await,
                };
                request.extensions_mut().insert(room.clone());
                let answer = next.run(request).await;
                drop(room);
                Ok(answer)
            };
            desk.gate.in_time(answer).await
        }
        Err(refusal) => Err(refusal),
    };
    let response = answered.unwrap_or_else(IntoResponse::into_response);
    desk.meters.answered(&route, response.status().as_u16(), since);
    response
}

/// `GET /health`, as OpenEnv has it: unhealthy once the sandbox was found broken, since it stays so.
async fn health(State(desk): State<Desk>) -> Response {
    match desk.gate.is_broken() {
        false => reply(StatusCode::OK, &json!({ "status": "healthy" })),
        true => reply(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "unhealthy" })),
    }
}

/// `GET /v1/ping`, as SandboxFusion has it.
async fn ping() -> Json<Value> {
    Json(json!("pong"))
}

/// `GET /metrics`.
async fn metrics(State(desk): State<Desk>) -> Result<Response, Refusal> {
    let (running, admitted) = desk.gate.load();
    let load = Load { running, admitted, sessions: desk.episodes.count().0 };
    let page = desk.meters.page(&load, desk.served.env.timing());
    let page = page.map_err(|error| Refusal::Broken(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response())
}

async fn unknown() -> Refusal {
    Refusal::Status(
        StatusCode::NOT_FOUND,
        "there is no such route\nhint: docs/serve.md lists them".to_owned(),
    )
}
