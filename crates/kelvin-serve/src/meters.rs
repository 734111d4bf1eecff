//! What a server counts, as Prometheus reads it.

use std::fmt;

use kelvin_core::metrics::Metrics;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::clock::Moment;

/// What OpenMetrics calls its text.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper ends of the buckets of latencies, in seconds.
const BUCKETS_S: [f64; 11] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0, 60.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    name: String,
}

/// See the module.
pub(crate) struct Meters {
    registry: Registry,
    answered: Family<Answered, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
    running: Gauge,
    admitted: Gauge,
    sessions: Gauge,
    timing: Family<Named, Gauge<f64, std::sync::atomic::AtomicU64>>,
}

/// How busy a server is.
pub(crate) struct Load {
    /// Pieces of work that run.
    pub(crate) running: usize,
    /// Calls that work or wait.
    pub(crate) admitted: usize,
    /// Episodes that are open.
    pub(crate) sessions: usize,
}

impl Meters {
    pub(crate) fn new() -> Meters {
        let answered = Family::default();
        let seconds: Family<Route, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS_S));
        let (running, admitted, sessions, timing) =
            (Gauge::default(), Gauge::default(), Gauge::default(), Family::default());
        let mut registry = Registry::with_prefix("kelvin_serve");
        registry.register("calls", "Calls answered, by route and status", answered.clone());
        let help = "From a call's head to its answer";
        registry.register_with_unit("call", help, Unit::Seconds, seconds.clone());
        registry.register("running", "Programs and answers being worked on", running.clone());
        registry.register("admitted", "Calls that work or wait", admitted.clone());
        registry.register("sessions", "Episodes that are open", sessions.clone());
        registry.register(
            "executor",
            "What the executor says of itself, by metric of docs/metrics.md",
            timing.clone(),
        );
        Meters { registry, answered, seconds, running, admitted, sessions, timing }
    }

    /// Counts an answer to a call of this route.
    pub(crate) fn answered(&self, route: &str, status: u16, since: Moment) {
        let route = route.to_owned();
        self.answered.get_or_create(&Answered { route: route.clone(), status }).inc();
        self.seconds.get_or_create(&Route { route }).observe(since.passed().as_secs_f64());
    }

    /// The page.
    ///
    /// # Errors
    /// If a metric cannot be written.
    pub(crate) fn page(&self, load: &Load, timing: Metrics) -> Result<String, fmt::Error> {
        let number = |it: usize| i64::try_from(it).unwrap_or(i64::MAX);
        self.running.set(number(load.running));
        self.admitted.set(number(load.admitted));
        self.sessions.set(number(load.sessions));
        for (name, value) in timing {
            self.timing.get_or_create(&Named { name }).set(value);
        }
        let mut page = String::new();
        encode(&mut page, &self.registry)?;
        Ok(page)
    }
}
