//! A server on this machine that answers at once: of the Tinker protocol, of vLLM, of SGLang. It knows no more than the
//! client looks at.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use crate::NEW;

/// The adapter that was loaded last.
type Held = Arc<Mutex<String>>;

/// Says on standard output where it is, and answers until its standard input ends, which it does with whoever started it.
///
/// # Errors
/// If there is no port.
pub fn run() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    let held = Held::default();
    // That a client goes away is no concern of the server's.
    let connection = move |it: std::io::Result<TcpStream>| {
        let held = Arc::clone(&held);
        drop(thread::spawn(move || drop(it.and_then(|it| serve(it, &held)))));
    };
    thread::spawn(move || listener.incoming().for_each(connection));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Answers every request on a connection.
fn serve(stream: TcpStream, held: &Held) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    let answers = Answers::new();
    let (mut first, mut line, mut body, mut answer) = (String::new(), String::new(), Vec::new(), Vec::new());
    loop {
        first.clear();
        if input.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            line.clear();
            input.read_line(&mut line)?;
            if line.len() <= 2 {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        body.resize(length, 0);
        input.read_exact(&mut body)?;
        let (content_type, content) = answers.to(&first, &String::from_utf8_lossy(&body), held);
        answer.clear();
        let length = content.len();
        write!(
            answer,
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
        )?;
        answer.extend(content);
        out.write_all(&answer)?;
    }
}

/// What is the same in every answer.
struct Answers {
    tinker: Vec<u8>,
    vllm: String,
    sglang: String,
}

impl Answers {
    fn new() -> Answers {
        let tokens: Vec<u32> = (0..NEW as u32).map(|it| 97 + it % 26).collect();
        let joined = |of: &dyn Fn(&u32) -> String| tokens.iter().map(of).collect::<Vec<_>>().join(",");
        let ids = joined(&|it| it.to_string());
        let vllm = joined(&|it| format!(r#"{{"token_id":{it},"logprob":-0.5,"rank":1,"top_logprobs":[]}}"#));
        let sglang = joined(&|it| format!("[-0.5,{it},null]"));
        Answers {
            tinker: drawn(&tokens),
            vllm: format!(
                r#""choices":[{{"token_ids":[{ids}],"finish_reason":"length","logprobs":{{"content":[{vllm}]}}}}]"#
            ),
            sglang: format!(
                r#""finish_reason":{{"type":"length"}},"output_token_logprobs":[{sglang}]}},"output_ids":[{ids}]"#
            ),
        }
    }

    fn to(&self, line: &str, body: &str, held: &Held) -> (&'static str, Vec<u8>) {
        const JSON: &str = "application/json";
        let path = line.split(' ').nth(1).unwrap_or_default();
        let json = match path {
            "/inference/v1/generate" => {
                let (id, model) = (field(body, "request_id"), field(body, "model"));
                format!(r#"{{"request_id":"{id}","model":"{model}",{}}}"#, self.vllm)
            }
            "/generate" => {
                let id = field(body, "rid");
                format!(r#"{{"meta_info":{{"id":"{id}",{}}}"#, self.sglang)
            }
            "/v1/load_lora_adapter" | "/load_lora_adapter" => {
                *held.lock().unwrap_or_else(PoisonError::into_inner) = field(body, "lora_name").to_owned();
                "{}".to_owned()
            }
            "/v1/models" => {
                let held = held.lock().unwrap_or_else(PoisonError::into_inner);
                format!(r#"{{"data":[{{"id":"{held}"}}]}}"#)
            }
            "/api/v1/retrieve_future" if field(body, "request_id") == "row" => {
                return ("application/x-protobuf", self.tinker.clone());
            }
            // Whatever else is asked for has one of these names.
            _ => {
                let id = if path == "/api/v1/asample" { "row" } else { "1" };
                format!(
                    r#"{{"request_id":"{id}","session_id":"x","model_id":"x","sampling_session_id":"x"}}"#
                )
            }
        };
        (JSON, json.into_bytes())
    }
}

/// A text of an object, as the client writes it.
fn field<'body>(body: &'body str, name: &str) -> &'body str {
    let rest = body.split_once(&format!("\"{name}\":\"")).map_or("", |it| it.1);
    rest.split('"').next().unwrap_or_default()
}

/// A `SampleResponse` by hand: one sequence that ended by its length, its tokens and log-probabilities.
fn drawn(tokens: &[u32]) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        assert!(bytes.len() < 1 << 14, "two bytes of length");
        [&[number << 3 | 2, bytes.len() as u8 | 128, (bytes.len() >> 7) as u8], bytes].concat()
    };
    let ids: Vec<u8> = tokens.iter().flat_map(|it| it.to_le_bytes()).collect();
    let logprobs: Vec<u8> = tokens.iter().flat_map(|_| (-0.5f32).to_le_bytes()).collect();
    field(1, &[vec![8, 1], field(2, &ids), field(3, &logprobs)].concat())
}
