//! The server as a process: real programs, real tasks, keys and signals.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{command, feed, run};

struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(options: &[&str]) -> Server {
        let command = command(&[&["serve", "--bind", "127.0.0.1:0"], options].concat());
        Server::from(command)
    }

    fn from(mut command: Command) -> Server {
        command.env_remove("KELVIN_API_KEY");
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
        Server { process, address }
    }

    /// A call whose answer is not read yet.
    fn ask(&self, route: &str, body: Option<&Value>) -> TcpStream {
        let (method, text) = body.map_or(("GET", String::new()), |it| ("POST", it.to_string()));
        let mut stream = TcpStream::connect(self.address).unwrap();
        let head = format!(
            "{method} {route} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{text}",
            self.address,
            text.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    fn post(&self, route: &str, body: &Value) -> (u16, Value) {
        let (status, text) = read(self.ask(route, Some(body)));
        (status, serde_json::from_str(&text).unwrap())
    }

    fn get(&self, route: &str) -> (u16, String) {
        read(self.ask(route, None))
    }

    fn terminate(&self) {
        let id = self.process.id().to_string();
        #[expect(clippy::disallowed_methods, reason = "a signal to a process of this test")]
        let status = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Whatever the test did, nothing stays behind.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn read(mut stream: TcpStream) -> (u16, String) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// What SandboxFusion's `python FILE` does with a program, and what this does.
#[test]
fn programs_do_what_a_process_does() {
    let server = Server::start(&["--fresh", "0"]);
    let run = |code: &str, stdin: &str| {
        let body = json!({ "code": code, "stdin": stdin, "language": "python", "run_timeout": 5 });
        let (status, body) = server.post("/run_code", &body);
        assert_eq!(status, 200, "{code}: {body}");
        assert_eq!(body["status"] == "Success", body["run_result"]["return_code"] == 0, "{code}: {body}");
        let of = |key: &str| body["run_result"][key].as_str().unwrap().to_owned();
        (body["run_result"]["return_code"].as_i64(), of("stdout"), of("stderr"))
    };
    let ok = |stdout: &str| (Some(0), stdout.to_owned(), String::new());
    for (code, stdin, stdout) in [
        ("a, b = map(int, input().split())\nprint(a + b)", "3 4", "7\n"),
        ("import sys\nprint(sys.stdin.read().upper(), end='')", "é\n", "É\n"),
        ("print(open(0).read())\nimport sys\nsys.stdout.close()", "x", "x\n"),
        ("import sys\nsys.stdout.buffer.write(b'raw')\nsys.exit()", "", "raw"),
        ("exit(0)", "", ""),
        ("if __name__ == '__main__':\n    print('main')", "", "main\n"),
        ("from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\nprint(A(1))", "", "A(x=1)\n"),
        ("import threading\nthreading.Thread(target=lambda: print('t')).start()", "", "t\n"),
    ] {
        assert_eq!(run(code, stdin), ok(stdout), "{code}");
    }
    for (code, status, stdout, stderr) in [
        (
            "print(1)\nx = [1]\ndef g():\n    return x[5]\ng()",
            1,
            "1\n",
            "IndexError: list index out of range",
        ),
        ("def f(", 1, "", "SyntaxError"),
        ("import sys\nprint('to', file=sys.stderr)\nsys.exit(3)", 3, "", "to\n"),
        ("import sys\nsys.exit('said')", 1, "", "said\n"),
        ("import sys\nsys.exit(257)", 1, "", ""),
        ("input()", 1, "", "EOFError"),
        ("open('/etc/passwd')", 1, "", "OSError"),
        ("x = bytearray(1 << 40)", 1, "", "MemoryError"),
        ("import os\nos._exit(4)", 4, "", ""),
        ("print('x' * (20 << 20))", 1, "", "the output is over"),
    ] {
        let (got, out, err) = run(code, "");
        assert_eq!((got, out.as_str()), (Some(status), stdout), "{code}: {err}");
        assert!(err.contains(stderr), "{code}: {err:?}");
        assert!(!err.contains("line 52"), "the traceback begins in the program: {err}");
    }
    let body = json!({ "code": "while True: pass", "language": "python", "run_timeout": 0.2 });
    let (status, body) = server.post("/run_code", &body);
    assert_eq!((status, &body["run_result"]["status"]), (200, &json!("TimeLimitExceeded")));
    assert_eq!(server.get("/health").0, 200, "none of this broke anything");
}

/// The environment's own tasks, extraction and grader.
#[test]
fn answers_are_worth_what_the_environment_says() {
    let program = "def f(a):\n    return sorted(a)";
    let label = |task_type: &str| json!({ "task_type": task_type, "born": 0, "payload": { "snippet": program, "input": "[2, 1]", "output": "[1, 2]" } });
    let server = Server::start(&["--reward", "azr", "--fresh", "2"]);
    let reward = |label: &Value, answer: &str| {
        let response = format!("<think> </think> <answer> {answer} </answer>");
        server.post("/reward", &json!({ "prompt": "?", "response": response, "label": label })).1
    };
    for (task_type, answer, worth) in [
        ("deduction", "```output\n[1, 2]\n```", 1.0),
        ("deduction", "```output\n[2, 1]\n```", -0.5),
        ("abduction", "```input\n[1, 2]\n```", 1.0),
        ("abduction", "```input\n(3,)\n```", -0.5),
    ] {
        assert_eq!(reward(&label(task_type), answer), json!(worth), "{task_type} {answer}");
    }
    let bare = json!({ "prompt": "?", "response": "nothing", "label": label("deduction") });
    assert_eq!(server.post("/reward", &bare).1, json!(-1.0));
    let (status, seen) = server.post("/reset", &json!({ "seed": 1 }));
    assert_eq!(status, 200);
    assert!(seen["observation"]["prompt"].as_str().unwrap().contains("answer"), "{seen}");
    let math = Server::start(&["--env", "math_question", "--without-code"]);
    let ask = |response: &str| {
        math.post("/reward", &json!({ "prompt": "?", "response": response, "label": "1/2" })).1
    };
    assert_eq!((ask("\\boxed{0.5}"), ask("\\boxed{2}"), ask("0.5")), (json!(1.0), json!(0.0), json!(0.0)));
    assert_eq!(math.post("/run_code", &json!({ "code": "", "language": "python" })).0, 404);
}

#[test]
fn a_port_that_others_reach_needs_a_key() {
    let ran = run(&["serve", "--bind", "0.0.0.0:0"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("hint: ") && ran.err.contains("KELVIN_API_KEY"), "{}", ran.err);
    let mut both = command(&["serve", "--bind", "0.0.0.0:0", "--without-key"]);
    both.env("KELVIN_API_KEY", "hunter2");
    let ran = feed(both, "");
    assert_eq!(ran.code, Some(2));
    assert!(!ran.err.contains("hunter2"), "{}", ran.err);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ran = run(&["serve", "--bind", &taken.local_addr().unwrap().to_string()]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("hint: ") && ran.err.contains("--bind"), "{}", ran.err);
    let ran = run(&["serve", "--env", "chess"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
}

/// A call that is being worked on is answered; then the process ends with the signal's code.
#[test]
fn a_signal_lets_calls_finish() {
    let mut server = Server::start(&["--fresh", "0"]);
    let slow = json!({ "code": "for _ in range(20_000_000): pass\nprint('done')", "language": "python" });
    let call = server.ask("/run_code", Some(&slow));
    while !server.get("/metrics").1.contains("kelvin_serve_running 1") {}
    server.terminate();
    let (status, body) = read(call);
    assert_eq!(status, 200);
    assert!(body.contains("done"), "{body}");
    assert_eq!(server.process.wait().unwrap().code(), Some(143));
    assert!(TcpStream::connect(server.address).is_err());
}
