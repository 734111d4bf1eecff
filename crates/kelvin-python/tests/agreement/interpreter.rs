//! One CPython that answers a batch of questions.

use std::env;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value as Json;

/// What CPython 3.`minor` says.
pub(crate) struct Answers {
    pub(crate) minor: u8,
    pub(crate) answers: Vec<Json>,
}

/// Defines what `script` calls: nothing but the loop. A question and an answer are a line of JSON each.
const LOOP: &str = "
import json, sys
sys.setrecursionlimit(20000)
def main(judge):
    print(sys.version_info.minor)
    for line in sys.stdin.buffer.read().splitlines():
        print(json.dumps(judge(json.loads(line))))
";

/// Puts the questions to the function `judge` that `script` defines.
pub(crate) fn ask(script: &str, questions: &[Json]) -> Answers {
    let python = env::var_os("KELVIN_PYTHON").filter(|path| !path.is_empty());
    #[expect(
        clippy::disallowed_methods,
        reason = "another implementation is asked, and nothing is run in it"
    )]
    let mut child = Command::new(python.unwrap_or_else(|| "python3".into()))
        .args(["-I", "-S", "-W", "ignore", "-c", &format!("{LOOP}\n{script}\nmain(judge)")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python is installed");
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    // It answers nothing before it has read everything.
    child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).expect("Python reads");
    let output = child.wait_with_output().expect("Python ends");
    assert!(output.status.success(), "{}", output.status);
    let said = String::from_utf8(output.stdout).expect("JSON is ASCII");
    let mut lines = said.lines();
    let minor = lines.next().and_then(|line| line.parse().ok()).expect("a version");
    assert!(minor >= 11, "Python 3.{minor}; name a newer one with KELVIN_PYTHON");
    let answers: Vec<Json> = lines.map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(answers.len(), questions.len());
    Answers { minor, answers }
}
