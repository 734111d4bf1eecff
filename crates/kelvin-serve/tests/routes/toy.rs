//! A domain of sums, and scripts that do what their text says: nothing here runs a process.

use std::sync::{
    Arc, Condvar, Mutex,
    atomic::{AtomicBool, Ordering},
};

use anyhow::bail;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
    response::Response,
};
use kelvin_core::{
    environment::{Environment, Given},
    rollout::Prompt,
    script::{End, Ran, Script, Scripts},
    task::{Grade, Miss, Rejection, Task, TaskType},
};
use kelvin_serve::{Access, ScriptLimits, Served, Settings, app};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{runtime, sync::watch};
use tower::ServiceExt;

/// What is asked: the sum of two numbers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sum {
    a: i64,
    b: i64,
}

struct Sums(Barrier);

impl Environment for Sums {
    type Payload = Sum;

    fn task_types(&self) -> &'static [TaskType] {
        &[TaskType::Deduction]
    }
    fn seed_tasks(&self) -> Vec<(TaskType, Sum)> {
        Vec::new()
    }
    fn propose_prompt(&self, _task_type: TaskType, _given: Given<'_, Sum>) -> Prompt {
        unreachable!("nobody proposes over HTTP")
    }
    fn validate(
        &self,
        _task_type: TaskType,
        _given: Given<'_, Sum>,
        _response: &str,
    ) -> anyhow::Result<Result<Sum, Rejection>> {
        unreachable!("nobody proposes over HTTP")
    }
    fn proposal_is_formatted(&self, _task_type: TaskType, _response: &str) -> bool {
        unreachable!("nobody proposes over HTTP")
    }
    fn solve_prompt(&self, task: &Task<Sum>) -> Prompt {
        format!("{} + {}?", task.payload.a, task.payload.b)
    }
    fn grade(&self, task: &Task<Sum>, response: &str) -> anyhow::Result<Grade> {
        match response {
            "break" => bail!("no interpreter\nhint: install one"),
            "panic" => panic!("on purpose"),
            "wait" => {
                self.0.pass();
                Ok(Grade::correct())
            }
            "half" => Ok(Grade { score: 0.5, correct: false, ..Grade::correct() }),
            _ => Ok(match response.trim().parse::<i64>() {
                Ok(n) if n == task.payload.a + task.payload.b => Grade::correct(),
                Ok(_) => Grade::missed(Miss::Wrong),
                Err(_) => Grade::malformed(),
            }),
        }
    }
    fn identity(&self, task: &Task<Sum>) -> String {
        self.solve_prompt(task)
    }
}

/// Whether what waits may go on; and whether anything has waited.
#[derive(Clone, Default)]
pub struct Barrier(Arc<(Mutex<bool>, Condvar, AtomicBool)>);

impl Barrier {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
    pub fn is_reached(&self) -> bool {
        self.0.2.load(Ordering::Relaxed)
    }
    fn pass(&self) {
        self.0.2.store(true, Ordering::Relaxed);
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |open| !*open).unwrap());
    }
}

struct Said(Barrier);

impl Scripts for Said {
    fn run(&self, script: &Script) -> anyhow::Result<Ran> {
        let ended = |end| Ran { stdout: String::new(), stderr: "why".into(), end, seconds: None };
        let exited = |stdout: String, status| Ran {
            stdout,
            stderr: String::new(),
            end: End::Exited(status),
            seconds: Some(0.25),
        };
        Ok(match script.program.as_str() {
            "echo" => exited(script.input.clone(), 0),
            "limits" => exited(format!("{:?}", script.limits), 0),
            "status" => exited(String::new(), 3),
            "raise" => ended(End::Raised("ValueError".into())),
            "loop" => ended(End::TimedOut),
            "eat" => ended(End::OutOfMemory),
            "flood" => ended(End::TooLarge),
            "long" => ended(End::TooLong),
            "crash" => ended(End::Crashed),
            "wait" => {
                self.0.pass();
                exited("went on".into(), 0)
            }
            _ => bail!("no interpreter\nhint: install one"),
        })
    }
}

/// A server without a port.
pub struct Toy {
    pub router: Router,
    pub barrier: Barrier,
    pub runtime: runtime::Runtime,
    _ending: watch::Sender<bool>,
}

/// Limits that no test reaches by accident.
pub fn settings() -> Settings {
    Settings {
        access: Access::Loopback,
        running_max: 4,
        waiting_max: 4,
        deadline: Duration::from_secs(600),
        body_bytes_max: 1 << 16,
        bodies_bytes_max: 1 << 20,
        batch_max: 4,
        connections_max: 16,
        sessions_max: 3,
        session_idle: Duration::from_secs(600),
        grace: Duration::from_secs(600),
        threads: 1,
        seed: 7,
        scripts: ScriptLimits {
            timeout_s: 10.0,
            timeout_s_max: 60.0,
            memory_bytes: 512 << 20,
            memory_bytes_max: 1024 << 20,
            output_bytes: 1 << 20,
            wall_s: |cpu_s| 4.0 * cpu_s,
        },
    }
}

/// Five sums.
pub fn served(barrier: &Barrier) -> Served {
    let task = |a| Task {
        task_type: TaskType::Deduction,
        born: 0,
        label: None,
        payload: json!({ "a": a, "b": 10 }),
    };
    Served {
        name: "sums".into(),
        env: Arc::new(Sums(barrier.clone())),
        scripts: Some(Arc::new(Said(barrier.clone()))),
        by_gold: None,
        worth: |grade| grade.score,
        tasks: (0..5).map(task).collect(),
    }
}

impl Toy {
    pub fn new(settings: Settings) -> Toy {
        let barrier = Barrier::default();
        let served = served(&barrier);
        Toy::serving(served, barrier, settings)
    }

    pub fn serving(served: Served, barrier: Barrier, settings: Settings) -> Toy {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (ending, heard) = watch::channel(false);
        Toy { router: app(served, settings, heard), barrier, runtime, _ending: ending }
    }

    /// The answer to a request.
    pub fn ask(&self, request: Request<Body>) -> (StatusCode, Response<()>, Vec<u8>) {
        self.runtime.block_on(answer(self.router.clone(), request))
    }

    /// The status and JSON of a POST.
    pub fn post(&self, route: &str, body: &Value) -> (u16, Value) {
        let (status, _, bytes) = self.ask(json_post(route, body));
        (status.as_u16(), serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    /// The status and text of a GET.
    pub fn get(&self, route: &str) -> (u16, String) {
        let (status, _, bytes) = self.ask(Request::get(route).body(Body::empty()).unwrap());
        (status.as_u16(), String::from_utf8(bytes).unwrap())
    }
}

pub async fn answer(router: Router, request: Request<Body>) -> (StatusCode, Response<()>, Vec<u8>) {
    let response = router.oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    (head.status, Response::from_parts(head, ()), bytes)
}

pub fn json_post(route: &str, body: &Value) -> Request<Body> {
    let request = Request::post(route).header("content-type", "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}
