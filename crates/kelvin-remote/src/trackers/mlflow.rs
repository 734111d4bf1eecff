//! MLflow over its REST interface, version 2.0 (mlflow.org/docs/latest/rest-api.html): an experiment by its name, a run in
//! it, and batches of metrics. Points that come twice are the same ones, as the times of rows do not change.

use reqwest::Url;
use serde_json::{Value, json};

use super::{
    Mark, Row, Subject, TrackingSettings, finite,
    service::{Ended, json_body, json_of, unlike},
};
use crate::{
    clock::unix_ms,
    http::{Failure, Http, KeyPlace, Secret},
};

/// The most metrics, and the most parameters, that a batch may have.
const METRICS_MAX: usize = 1000;
const PARAMETERS_MAX: usize = 100;
/// The longest value of a parameter, in characters.
const PARAMETER_CHARS_MAX: usize = 6000;

pub(super) struct Mlflow {
    http: Http,
    /// Whether the server was told that the run goes on.
    is_open: bool,
}

impl Mlflow {
    pub(super) fn new(settings: &TrackingSettings, key: Option<String>) -> anyhow::Result<Mlflow> {
        let key = (KeyPlace::Bearer, key.map(Secret::new));
        let http = Http::new(&settings.mlflow, key, settings.plain_http, settings.manner())?;
        Ok(Mlflow { http, is_open: false })
    }

    pub(super) fn server(&self) -> String {
        self.http.server()
    }

    /// Sends rows; the run is made with the first of them.
    pub(super) async fn send(
        &mut self,
        subject: &Subject,
        mark: &mut Mark,
        rows: &[Row],
    ) -> Result<(), Failure> {
        self.open(subject, mark).await?;
        let begun_ms = mark.begun_ms;
        let metrics: Vec<Value> = rows
            .iter()
            .flat_map(|row| {
                let timestamp = begun_ms + (row.seconds * 1000.0) as u64;
                finite(&row.metrics).map(move |(name, value)| {
                    json!({"key": name, "value": value, "timestamp": timestamp, "step": row.step})
                })
            })
            .collect();
        for batch in metrics.chunks(METRICS_MAX) {
            self.ask("runs/log-batch", &json!({"run_id": mark.there, "metrics": batch})).await?;
        }
        Ok(())
    }

    /// Says how the run ended, as far as there is one.
    pub(super) async fn end(&self, mark: &Mark, ended: Ended) -> Result<(), Failure> {
        let status = match ended {
            Ended::Finished => "FINISHED",
            Ended::Stopped => "KILLED",
            Ended::Failed => "FAILED",
        };
        if let Some(there) = &mark.there {
            self.ask("runs/update", &json!({"run_id": there, "status": status, "end_time": unix_ms()}))
                .await?;
        }
        Ok(())
    }

    async fn open(&mut self, subject: &Subject, mark: &mut Mark) -> Result<(), Failure> {
        match &mark.there {
            Some(_) if self.is_open => return Ok(()),
            Some(there) => {
                self.ask("runs/update", &json!({"run_id": there, "status": "RUNNING"})).await?;
            }
            None => {
                let experiment = self.experiment(&subject.project).await?;
                let run = json!({"experiment_id": experiment, "run_name": subject.run, "start_time": mark.begun_ms});
                let made = self.ask("runs/create", &run).await?;
                mark.there = Some(text_at(&made, "/run/info/run_id")?);
            }
        }
        // Before the first row; the same value twice is taken.
        if mark.n_sent == 0 {
            let parameters: Vec<Value> = subject.parameters.iter().map(parameter).collect();
            for batch in parameters.chunks(PARAMETERS_MAX) {
                self.ask("runs/log-batch", &json!({"run_id": mark.there, "params": batch})).await?;
            }
        }
        self.is_open = true;
        Ok(())
    }

    async fn experiment(&self, name: &str) -> Result<String, Failure> {
        if let Some(id) = self.experiment_there(name).await? {
            return Ok(id);
        }
        match self.ask("experiments/create", &json!({"name": name})).await {
            Ok(made) => text_at(&made, "/experiment_id"),
            // Another run may have made it meanwhile.
            Err(refused) => self.experiment_there(name).await?.ok_or(refused),
        }
    }

    async fn experiment_there(&self, name: &str) -> Result<Option<String>, Failure> {
        // A name may have any character, and a query takes it as a form would have it.
        let query = Url::parse_with_params("http://server", [("experiment_name", name)]).expect("an address");
        let query = query.query().unwrap_or_default();
        match self.http.get_once(&format!("api/2.0/mlflow/experiments/get-by-name?{query}")).await {
            Ok(reply) => text_at(&json_of(&reply)?, "/experiment/experiment_id").map(Some),
            Err(Failure::Refused { status: 404, .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn ask(&self, what: &str, body: &Value) -> Result<Value, Failure> {
        json_of(&self.http.post_once(&format!("api/2.0/mlflow/{what}"), &json_body(body)).await?)
    }
}

fn parameter((name, value): &(String, String)) -> Value {
    json!({"key": name, "value": value.chars().take(PARAMETER_CHARS_MAX).collect::<String>()})
}

fn text_at(value: &Value, place: &str) -> Result<String, Failure> {
    value.pointer(place).and_then(Value::as_str).map(str::to_owned).ok_or_else(unlike)
}
