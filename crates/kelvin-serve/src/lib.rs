//! Environments and the executor over HTTP, for trainers that are not ours: SandboxFusion's `/run_code`, rewards as slime
//! and OpenRLHF ask for them, OpenEnv, NeMo Gym. `docs/serve.md` has the routes.
//!
//! What a program or an answer is worth is data; a broken sandbox, a full server and a late answer are HTTP errors, so that
//! none of them can be taken for a reward. Begin with [`app`](app::app). Beside it, [`RunPage`] shows a run's metrics to Prometheus.

mod aggregate;
mod app;
mod clock;
mod connections;
mod episode;
mod gate;
mod given;
mod guard;
mod judge;
mod meters;
mod nemo_gym;
mod open_env;
mod refusal;
mod reward;
mod run_code;
mod run_page;
mod settings;
mod socket;
mod tasks;

use std::sync::Arc;

use kelvin_core::{
    environment::DynEnvironment,
    script::Scripts,
    task::{Grade, Task},
};

pub use app::{Ending, app};
pub use connections::{Listening, bind};
pub use run_page::RunPage;
pub use settings::{Access, ScriptLimits, Settings};

/// What is served.
#[derive(Clone)]
pub struct Served {
    /// The name of the environment, as configurations have it.
    pub name: String,
    /// Poses and grades.
    pub env: Arc<dyn DynEnvironment>,
    /// Runs whole programs; none where no code is run for others.
    pub scripts: Option<Arc<dyn Scripts>>,
    /// Grades a response by a gold answer that is no task, in a domain that can: gold first.
    pub by_gold: Option<fn(&str, &str) -> Grade>,
    /// What a graded answer is worth.
    pub worth: fn(&Grade) -> f32,
    /// The tasks that are posed, in the order of their numbers.
    pub tasks: Vec<Task>,
}
