//! One HTTP client: deadlines, bounded retries, and keys that appear nowhere.
//!
//! What passes by itself (a connection that breaks, a server that is busy or starts again) is asked again with growing
//! pauses; what a server refuses is an answer. Redirects are not followed, but for files ([`Http::download`]): a key goes where
//! the configuration says.

mod download;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use kelvin_core::seed::Seed;
use reqwest::{
    Method, RequestBuilder, Response, StatusCode, Url,
    header::{AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue},
    redirect::Policy,
};

use crate::address::{address, is_loopback};

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(20);
/// The longest part of a server's words that a message repeats, in characters.
const WORDS_MAX: usize = 600;

/// How a server is spoken to.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// Tries after the first one.
    pub(crate) retries: u32,
    /// The pause before the second try; it doubles.
    pub(crate) pause: Duration,
    /// The longest wait for one answer.
    pub(crate) deadline: Duration,
    /// The longest answer.
    pub(crate) reply_bytes_max: usize,
    /// Whether connections are kept for further requests. An answer that comes twice on one that is kept may be taken for
    /// that of the next request, where answers do not say what they are to.
    pub(crate) keep_alive: bool,
}

/// A key, which is shown nowhere.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: String) -> Secret {
        Secret(text)
    }

    /// For whoever sends it.
    pub(crate) fn shown(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Where a key is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyPlace {
    /// In a header of its own, whose name is in small letters.
    Header(&'static str),
    /// As a bearer's.
    Bearer,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) content_type: &'static str,
    pub(crate) encoding: Option<&'static str>,
    pub(crate) bytes: Bytes,
}

/// What came back, with success.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) content_type: String,
    pub(crate) bytes: Bytes,
}

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No answer within the deadline.
    Late,
    /// It may pass: connections that break, servers that are busy or fail.
    Passing(String),
    /// An answer that will stay the same.
    Refused { status: u16, words: String },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Late => f.write_str("no answer in time"),
            Failure::Passing(what) => f.write_str(what),
            Failure::Refused { status, words } => write!(f, "refused with status {status}: {words}"),
        }
    }
}

/// A client of one server.
#[derive(Debug)]
pub(crate) struct Http {
    client: reqwest::Client,
    base: Url,
    key: Option<Secret>,
    /// The header that holds it.
    header: Option<(HeaderName, HeaderValue)>,
    manner: Manner,
    n_pauses: AtomicU64,
}

impl Http {
    /// A client of the server at `url`, which is shown `key`.
    ///
    /// # Errors
    /// If the address is none, or would send what is said over an open network in plain text without `plain_http`.
    pub(crate) fn new(
        url: &str,
        (place, key): (KeyPlace, Option<Secret>),
        plain_http: bool,
        manner: Manner,
    ) -> anyhow::Result<Http> {
        let base = address(url, plain_http)?;
        let mut shown = None;
        if let Some(Secret(key)) = &key {
            let (header, text) = match place {
                KeyPlace::Header(name) => (HeaderName::from_static(name), key.clone()),
                KeyPlace::Bearer => (AUTHORIZATION, format!("Bearer {key}")),
            };
            let mut value = HeaderValue::from_str(&text).ok().context(
                "the API key has characters that no header can hold\nhint: look for a line break at its end",
            )?;
            value.set_sensitive(true);
            shown = Some((header, value));
        }
        // Another part of the program may have chosen one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!("kelvin/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .tcp_nodelay(true)
            // A machine that is gone is told from one that thinks.
            .connect_timeout(manner.deadline / 2);
        let client = if manner.keep_alive { client } else { client.pool_max_idle_per_host(0) };
        let client = if is_loopback(&base) { client.no_proxy() } else { client };
        let client = client.build().context("making an HTTP client")?;
        Ok(Http { client, base, key, header: shown, manner, n_pauses: AtomicU64::new(0) })
    }

    /// The server, for messages.
    pub(crate) fn server(&self) -> String {
        self.base.to_string().trim_end_matches('/').to_owned()
    }

    /// Asks for a page.
    pub(crate) async fn get(&self, path: &str) -> Result<Reply, Failure> {
        self.retried(Method::GET, path, None).await
    }

    /// Asks for a page once.
    pub(crate) async fn get_once(&self, path: &str) -> Result<Reply, Failure> {
        self.once(Method::GET, path, None).await
    }

    /// Sends `body`, again where that may help: only for what may be done twice.
    pub(crate) async fn post(&self, path: &str, body: &Body) -> Result<Reply, Failure> {
        self.retried(Method::POST, path, Some(body)).await
    }

    /// Sends `body` once.
    pub(crate) async fn post_once(&self, path: &str, body: &Body) -> Result<Reply, Failure> {
        self.once(Method::POST, path, Some(body)).await
    }

    /// Asks for something to be removed, once.
    pub(crate) async fn delete_once(&self, path: &str) -> Result<Reply, Failure> {
        self.once(Method::DELETE, path, None).await
    }

    async fn retried(&self, method: Method, path: &str, body: Option<&Body>) -> Result<Reply, Failure> {
        let mut tried = 0;
        loop {
            match self.once(method.clone(), path, body).await {
                Err(Failure::Late | Failure::Passing(_)) if tried < self.manner.retries => {
                    self.pause(tried).await;
                    tried += 1;
                }
                ended => return ended,
            }
        }
    }

    /// Waits after so many tries: twice as long each time, and neither all clients nor all requests of one together.
    pub(crate) async fn pause(&self, tried: u32) {
        let whole = self.manner.pause.saturating_mul(1 << tried.min(16)).min(PAUSE_MAX);
        tokio::time::sleep(whole.mul_f64(self.part())).await;
    }

    /// From a half to 1, each time another.
    fn part(&self) -> f64 {
        let client = Seed::new(u64::from(std::process::id()));
        0.5 + 0.5 * client.nth(self.n_pauses.fetch_add(1, Ordering::Relaxed)).unit()
    }

    async fn once(&self, method: Method, path: &str, body: Option<&Body>) -> Result<Reply, Failure> {
        let asked = self.exchange(method, path, body);
        match tokio::time::timeout(self.manner.deadline, asked).await {
            Ok(ended) => ended,
            Err(_) => Err(Failure::Late),
        }
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<&Body>) -> Result<Reply, Failure> {
        let mut request = self.own(method, self.url(path));
        if let Some(Body { content_type, encoding, bytes }) = body {
            request = request.header(CONTENT_TYPE, *content_type).body(bytes.clone());
            if let Some(encoding) = encoding {
                request = request.header(CONTENT_ENCODING, *encoding);
            }
        }
        self.read(self.sent(request).await?).await
    }

    fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("paths are written in this crate")
    }

    /// A request that shows the key.
    fn own(&self, method: Method, url: Url) -> RequestBuilder {
        let mut request = self.client.request(method, url);
        if !self.manner.keep_alive {
            // So that the server closes: whoever closes first keeps the port for a while.
            request = request.header(CONNECTION, "close");
        }
        match &self.header {
            Some((name, value)) => request.header(name, value),
            None => request,
        }
    }

    /// Where a file lies may be a secret: addresses are left out.
    fn broken(&self, error: reqwest::Error) -> Failure {
        Failure::Passing(self.told(&chain(&error.without_url())))
    }

    async fn sent(&self, request: RequestBuilder) -> Result<Response, Failure> {
        request.send().await.map_err(|it| self.broken(it))
    }

    async fn read(&self, mut response: Response) -> Result<Reply, Failure> {
        let status = response.status();
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let mut bytes = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|it| self.broken(it))? {
            bytes.extend_from_slice(&chunk);
            if self.manner.reply_bytes_max < bytes.len() {
                let words = format!("an answer of over {} bytes", self.manner.reply_bytes_max);
                return Err(Failure::Refused { status: status.as_u16(), words });
            }
        }
        if status.is_success() {
            return Ok(Reply { content_type, bytes: bytes.freeze() });
        }
        let words = self.told(&words(&bytes));
        Err(match passes(status) {
            true => Failure::Passing(format!("status {}: {words}", status.as_u16())),
            false => Failure::Refused { status: status.as_u16(), words },
        })
    }

    /// A server's words without the key, should it repeat it, and without what a terminal would obey.
    pub(crate) fn told(&self, text: &str) -> String {
        let text = match &self.key {
            Some(Secret(key)) if !key.is_empty() => text.replace(key.as_str(), "(key)"),
            _ => text.to_owned(),
        };
        text.chars().filter(|it| !it.is_control()).take(WORDS_MAX).collect()
    }
}

/// Whether a status may be another one later.
fn passes(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
}

/// What a refusal says in JSON, or the text.
fn words(bytes: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    let said = json.as_ref().and_then(|it| {
        let names = ["detail", "error", "error_message", "message"];
        let said = names.into_iter().find_map(|name| it.get(name).filter(|it| !it.is_null()))?;
        Some(said.get("message").unwrap_or(said))
    });
    match said {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// An error with its causes, which reqwest leaves out of its text.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(it) = cause {
        text = format!("{text}: {it}");
        cause = it.source();
    }
    text
}
