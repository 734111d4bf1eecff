//! SandboxFusion's `POST /run_code`, for Python. What is refused by name: other languages, files in and out, limits over
//! ours. A broken sandbox is `SandboxError` under HTTP 500.

use std::collections::HashMap;

use axum::{extract::State, http::StatusCode, response::Response};
use kelvin_core::{
    executor::Limits,
    script::{End, Ran, Script},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    app::Desk,
    gate::Room,
    given::Given,
    refusal::{Refusal, ok, reply},
    settings::ScriptLimits,
};

/// The languages that SandboxFusion knows, but for Python.
const OTHER_LANGUAGES: &[&str] = &[
    "cpp",
    "nodejs",
    "go",
    "go_test",
    "java",
    "php",
    "csharp",
    "bash",
    "typescript",
    "sql",
    "rust",
    "cuda",
    "lua",
    "R",
    "perl",
    "D_ut",
    "ruby",
    "scala",
    "julia",
    "pytest",
    "junit",
    "kotlin_script",
    "jest",
    "verilog",
    "python_gpu",
    "lean",
    "swift",
    "racket",
];

/// A request, with SandboxFusion's defaults. What a compiler would take is not asked for: Python has none.
#[derive(Debug, Deserialize)]
pub(crate) struct RunCode {
    code: String,
    language: String,
    #[serde(default)]
    stdin: Option<String>,
    #[serde(default)]
    run_timeout: Option<f64>,
    #[serde(default, rename = "memory_limit_MB")]
    memory_limit_mb: Option<i64>,
    #[serde(default)]
    files: HashMap<String, Value>,
    #[serde(default)]
    fetch_files: Vec<String>,
}

/// A response.
#[derive(Debug, Serialize)]
struct Answer {
    status: Status,
    message: String,
    compile_result: Option<CommandResult>,
    run_result: Option<CommandResult>,
    executor_pod_name: Option<String>,
    files: HashMap<String, String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
enum Status {
    Success,
    Failed,
    SandboxError,
}

#[derive(Debug, Serialize)]
struct CommandResult {
    status: CommandStatus,
    execution_time: Option<f64>,
    return_code: Option<i32>,
    stdout: String,
    stderr: String,
}

#[derive(Clone, Copy, Debug, Serialize)]
enum CommandStatus {
    Finished,
    TimeLimitExceeded,
}

/// Runs one program.
pub(crate) async fn run_code(
    State(desk): State<Desk>,
    room: Room,
    Given(call): Given<RunCode>,
) -> Result<Response, Refusal> {
    let Some(scripts) = desk.served.scripts.clone() else {
        return Err(Refusal::Status(
            StatusCode::NOT_FOUND,
            "no code is run here\nhint: start `kelvin serve` without --without-code".to_owned(),
        ));
    };
    if OTHER_LANGUAGES.contains(&call.language.as_str()) {
        return Ok(ok(&sandbox_error(format!("{} is not run here\nhint: python is", call.language))));
    }
    let timeout_s = call.run_timeout.unwrap_or(desk.settings.scripts.timeout_s);
    let script = call.script(&desk.settings.scripts, timeout_s)?;
    match desk.gate.work(room, move || scripts.run(&script)).await {
        Ok(Ran { end: End::TooLong, stderr, .. }) => Err(Refusal::Status(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("code, stdin: {}\nhint: give a program less to read", stderr.trim_end()),
        )),
        Ok(ran) => Ok(ok(&response(ran, timeout_s))),
        Err(Refusal::Broken(why)) => Ok(reply(StatusCode::INTERNAL_SERVER_ERROR, &sandbox_error(why))),
        Err(refusal) => Err(refusal),
    }
}

impl RunCode {
    fn script(self, limits: &ScriptLimits, timeout_s: f64) -> Result<Script, Refusal> {
        if self.language != "python" {
            return Err(Refusal::malformed(format!(
                "language: {:?} is no language\nhint: python",
                self.language
            )));
        }
        if !self.files.is_empty() || !self.fetch_files.is_empty() {
            let why =
                "files, fetch_files: programs reach no file here\nhint: give a program its input as stdin";
            return Err(Refusal::malformed(why));
        }
        let max = limits.timeout_s_max;
        if !(0.0 < timeout_s && timeout_s <= max) {
            return Err(Refusal::malformed(format!(
                "run_timeout: {timeout_s} is not from 0 to {max} s\nhint: ask for less, or raise --run-timeout-max"
            )));
        }
        let memory_bytes = match self.memory_limit_mb.map(u64::try_from) {
            // SandboxFusion's -1 is no limit, and a server has one.
            None | Some(Err(_) | Ok(0)) => limits.memory_bytes,
            Some(Ok(mebibytes)) => mebibytes.saturating_mul(1 << 20),
        };
        if limits.memory_bytes_max < memory_bytes {
            return Err(Refusal::malformed(format!(
                "memory_limit_MB: over {}\nhint: ask for less, or raise --memory-max",
                limits.memory_bytes_max >> 20
            )));
        }
        // A limit under the executor's least is that one.
        let cpu_s = timeout_s.max(1e-3);
        let limits =
            Limits { cpu_s, wall_s: (limits.wall_s)(cpu_s), memory_bytes, output_bytes: limits.output_bytes };
        Ok(Script { program: self.code, input: self.stdin.unwrap_or_default(), limits })
    }
}

fn sandbox_error(message: String) -> Answer {
    Answer {
        status: Status::SandboxError,
        message,
        compile_result: None,
        run_result: None,
        executor_pod_name: None,
        files: HashMap::new(),
    }
}

/// `Failed` is a status other than 0 or a time that ran out, as SandboxFusion has it.
fn response(ran: Ran, timeout_s: f64) -> Answer {
    let return_code = ran.end.status();
    let (status, execution_time) = match ran.end {
        End::TimedOut => (CommandStatus::TimeLimitExceeded, Some(timeout_s)),
        End::Exited(_) | End::Raised(_) | End::OutOfMemory | End::TooLarge | End::TooLong | End::Crashed => {
            (CommandStatus::Finished, ran.seconds)
        }
    };
    let run_result =
        CommandResult { status, execution_time, return_code, stdout: ran.stdout, stderr: ran.stderr };
    Answer {
        status: if return_code == Some(0) { Status::Success } else { Status::Failed },
        run_result: Some(run_result),
        ..sandbox_error(String::new())
    }
}
