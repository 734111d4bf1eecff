//! A tracker as it is sent to: what its protocol is, and how it is tried again.

use bytes::Bytes;
use serde_json::Value;

use super::{Mark, Row, Subject, mlflow::Mlflow, trackio::Trackio};
use crate::http::{Body, Failure, Reply};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It did all its steps.
    Finished,
    /// It was asked to stop.
    Stopped,
    /// It failed.
    Failed,
}

/// A server that rows are sent to.
pub(super) enum Service {
    Trackio(Trackio),
    Mlflow(Mlflow),
}

impl Service {
    /// The name, and where.
    pub(super) fn told(&self) -> String {
        match self {
            Service::Trackio(_) => format!("Trackio at {}", self.server()),
            Service::Mlflow(_) => format!("MLflow at {}", self.server()),
        }
    }

    /// Where.
    pub(super) fn server(&self) -> String {
        match self {
            Service::Trackio(it) => it.server(),
            Service::Mlflow(it) => it.server(),
        }
    }

    /// The name of its mark.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Service::Trackio(_) => "trackio",
            Service::Mlflow(_) => "mlflow",
        }
    }

    pub(super) async fn send(
        &mut self,
        subject: &Subject,
        mark: &mut Mark,
        rows: &[Row],
    ) -> Result<(), Failure> {
        match self {
            Service::Trackio(it) => it.send(subject, mark, rows).await,
            Service::Mlflow(it) => it.send(subject, mark, rows).await,
        }
    }

    /// Trackio has no word for it.
    pub(super) async fn end(&self, mark: &Mark, ended: Ended) -> Result<(), Failure> {
        match self {
            Service::Trackio(_) => Ok(()),
            Service::Mlflow(it) => it.end(mark, ended).await,
        }
    }
}

/// What an answer says. What is no JSON comes from something between, such as a proxy: the server itself may answer the next
/// time.
pub(super) fn json_of(reply: &Reply) -> Result<Value, Failure> {
    serde_json::from_slice(&reply.bytes).map_err(|_| unlike())
}

/// An answer that the server does not give.
pub(super) fn unlike() -> Failure {
    Failure::Passing("its answer is none of its interface".to_owned())
}

pub(super) fn json_body(value: &Value) -> Body {
    Body { content_type: "application/json", encoding: None, bytes: Bytes::from(value.to_string()) }
}
