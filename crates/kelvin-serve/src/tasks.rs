//! Which task an episode poses: by number, or drawn by a seed. What is asked is what the environment's solver reads.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use kelvin_core::{rollout::Prompt, seed::Seed, task::Task};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Served, app::Desk, given::Given, refusal::Refusal};

/// The name of the only split.
const SPLIT: &str = "train";

/// A task and what is asked.
#[derive(Clone, Debug)]
pub(crate) struct Posed {
    pub(crate) task: Arc<Task>,
    pub(crate) prompt: Prompt,
    pub(crate) index: usize,
}

impl Posed {
    /// As a caller that trains wants it: `label` is what the routes of rewards take.
    fn row(&self) -> Value {
        json!({
            "index": self.index, "prompt": self.prompt, "task_type": self.task.task_type.as_str(), "label": &*self.task,
        })
    }
}

/// Draws tasks. Equal seeds give equal tasks, whoever asked before.
pub(crate) struct Draws {
    root: Seed,
    n_unseeded: AtomicU64,
}

impl Draws {
    pub(crate) fn new(seed: u64) -> Draws {
        Draws { root: Seed::new(seed).fork("serve"), n_unseeded: AtomicU64::new(0) }
    }

    /// The task of a seed; without one, the next of the server's own.
    ///
    /// # Errors
    /// If there are no tasks.
    pub(crate) fn draw(&self, served: &Served, seed: Option<u64>) -> Result<Posed, Refusal> {
        let path = match seed {
            Some(seed) => Seed::new(seed).fork("episode"),
            None => self.root.nth(self.n_unseeded.fetch_add(1, Ordering::Relaxed)),
        };
        require_some(served)?;
        at(served, path.below(served.tasks.len()))
    }
}

fn require_some(served: &Served) -> Result<(), Refusal> {
    if served.tasks.is_empty() {
        let why = "there is no task to pose\nhint: start `kelvin serve` with --tasks or --fresh";
        return Err(Refusal::Status(StatusCode::CONFLICT, why.to_owned()));
    }
    Ok(())
}

fn at(served: &Served, index: usize) -> Result<Posed, Refusal> {
    let n = served.tasks.len();
    let task = served.tasks.get(index).ok_or_else(|| {
        Refusal::Status(
            StatusCode::NOT_FOUND,
            format!("there is no task {index}: they are 0 to {n}, exclusive"),
        )
    })?;
    let prompt = served.env.solve_prompt(task).map_err(|error| Refusal::Broken(format!("{error:#}")))?;
    Ok(Posed { task: Arc::new(task.clone()), prompt, index })
}

/// OpenEnv's `GET /list_environments`.
pub(crate) async fn environments(State(desk): State<Desk>) -> Json<Value> {
    Json(json!([desk.served.name]))
}

/// OpenEnv's `GET /{environment}/splits`.
pub(crate) async fn splits(
    State(desk): State<Desk>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    require(&desk, &name, None)?;
    Ok(Json(json!([{ "name": SPLIT, "type": SPLIT }])))
}

#[derive(Deserialize)]
pub(crate) struct Split {
    split: String,
}

/// OpenEnv's `POST /{environment}/num_tasks`.
pub(crate) async fn n_tasks(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    Given(asked): Given<Split>,
) -> Result<Json<Value>, Refusal> {
    require(&desk, &name, Some(&asked.split))?;
    Ok(Json(json!({ "num_tasks": desk.served.tasks.len() })))
}

#[derive(Deserialize)]
pub(crate) struct Numbered {
    split: String,
    index: usize,
}

/// OpenEnv's `POST /{environment}/task`.
pub(crate) async fn task(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    Given(asked): Given<Numbered>,
) -> Result<Json<Value>, Refusal> {
    require(&desk, &name, Some(&asked.split))?;
    Ok(Json(json!({ "task": at(&desk.served, asked.index)?.row() })))
}

#[derive(Deserialize)]
pub(crate) struct Range {
    split: String,
    #[serde(default)]
    start: Option<usize>,
    #[serde(default)]
    stop: Option<usize>,
}

/// OpenEnv's `POST /{environment}/task_range`; as many tasks as a batch of answers may have.
pub(crate) async fn task_range(
    State(desk): State<Desk>,
    Path(name): Path<String>,
    Given(asked): Given<Range>,
) -> Result<Json<Value>, Refusal> {
    require(&desk, &name, Some(&asked.split))?;
    let n = desk.served.tasks.len();
    let (start, stop) = (asked.start.unwrap_or(0), asked.stop.unwrap_or(n).min(n));
    let max = desk.settings.batch_max;
    if max < stop.saturating_sub(start) {
        return Err(Refusal::malformed(format!("over {max} tasks in one call\nhint: ask for a part")));
    }
    let rows = (start..stop).map(|index| Ok(at(&desk.served, index)?.row()));
    Ok(Json(json!({ "tasks": rows.collect::<Result<Vec<Value>, Refusal>>()? })))
}

fn require(desk: &Desk, name: &str, split: Option<&str>) -> Result<(), Refusal> {
    let absent = |what: String| Err(Refusal::Status(StatusCode::NOT_FOUND, what));
    if name != desk.served.name {
        return absent(format!("there is no environment {name}\nhint: it is {}", desk.served.name));
    }
    match split {
        Some(split) if split != SPLIT => absent(format!("there is no split {split}\nhint: it is {SPLIT}")),
        Some(_) | None => Ok(()),
    }
}
