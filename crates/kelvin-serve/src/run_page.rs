//! The newest metrics of a run, as Prometheus scrapes them.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use kelvin_core::{metrics::Metrics, task::Step};
use prometheus_client::{encoding::text::encode, metrics::gauge::Gauge, registry::Registry};
use tokio::{net, runtime, sync::watch};

use crate::{connections::accept, meters::OPEN_METRICS};

/// Connections at once; more wait. Scrapers keep one.
const CONNECTIONS_MAX: usize = 16;

/// The page `/metrics` of a run, for as long as this lives.
pub struct RunPage {
    address: SocketAddr,
    newest: Arc<Mutex<Metrics>>,
    /// Gone as soon as the page is to end.
    ending: Option<watch::Sender<bool>>,
    thread: Option<JoinHandle<()>>,
}

/// The port is free afterwards: the next run may have the same.
impl Drop for RunPage {
    fn drop(&mut self) {
        drop(self.ending.take());
        drop(self.thread.take().map(JoinHandle::join));
    }
}

impl RunPage {
    /// Begins to answer at `address`, on a thread of its own.
    ///
    /// # Errors
    /// If it is taken, or no thread can be had.
    pub fn begin(address: SocketAddr) -> anyhow::Result<RunPage> {
        let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
        listener.set_nonblocking(true).context("the port cannot be polled")?;
        let address = listener.local_addr().context("the port has no address")?;
        let newest = Arc::<Mutex<Metrics>>::default();
        let (ending, mut ended) = watch::channel(false);
        let router = Router::new().route("/metrics", get(page)).with_state(newest.clone());
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().context("starting a thread")?;
        let answer = move || {
            runtime.block_on(async {
                let Ok(listener) = net::TcpListener::from_std(listener) else { return };
                let _ = accept(listener, router, CONNECTIONS_MAX, Duration::ZERO, &mut ended).await;
            });
        };
        let thread = thread::Builder::new().name("kelvin-metrics".into());
        let thread = thread.spawn(answer).context("starting a thread")?;
        Ok(RunPage { address, newest, ending: Some(ending), thread: Some(thread) })
    }

    /// Where.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Metrics of a step take the place of the same ones of the step before.
    pub fn set(&self, step: Step, metrics: &Metrics) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.insert("step".to_owned(), f64::from(step));
        newest.extend(metrics.iter().map(|(name, value)| (name.clone(), *value)));
    }
}

async fn page(State(newest): State<Arc<Mutex<Metrics>>>) -> impl IntoResponse {
    let metrics = newest.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match text(&metrics) {
        Ok(text) => (StatusCode::OK, [(CONTENT_TYPE, OPEN_METRICS)], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}

/// A gauge a metric, called as in `docs/metrics.md` with other signs than letters and digits as `_`.
fn text(metrics: &Metrics) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("kelvin");
    for (name, value) in metrics {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(*value);
        let plain = name.replace(|it: char| !it.is_ascii_alphanumeric(), "_");
        registry.register(plain, name.clone(), gauge);
    }
    let mut page = String::new();
    encode(&mut page, &registry)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpStream,
    };

    use super::*;

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn the_newest_of_each_metric_is_scraped() {
        let page = RunPage::begin("127.0.0.1:0".parse().unwrap()).unwrap();
        let row = |pairs: &[(&str, f64)]| pairs.iter().map(|it| (it.0.to_owned(), it.1)).collect::<Metrics>();
        page.set(0, &row(&[("eval/mean/accuracy", 0.25), ("loss", 2.0)]));
        page.set(1, &row(&[("loss", -1.5)]));
        let answer = get(page.address(), "/metrics");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        for line in ["kelvin_step 1.0\n", "kelvin_eval_mean_accuracy 0.25\n", "kelvin_loss -1.5\n", "# EOF\n"]
        {
            assert!(answer.contains(line), "{line}{answer}");
        }
        assert!(get(page.address(), "/").starts_with("HTTP/1.1 404 "));
        let address = page.address();
        assert!(RunPage::begin(address).is_err());
        drop(page);
        RunPage::begin(address).unwrap();
    }
}
