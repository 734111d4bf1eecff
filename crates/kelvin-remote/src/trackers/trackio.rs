//! Trackio over its HTTP interface (`asgi_app.py` and `server.py` of trackio 0.43): rows go to `api/bulk_log`, each with a
//! name of its own, by which the server drops one that comes twice.

use serde_json::{Value, json};

use super::{
    Mark, Row, Subject, TrackingSettings, finite,
    service::{json_body, json_of, unlike},
};
use crate::http::{Failure, Http, KeyPlace, Secret};

pub(super) struct Trackio {
    http: Http,
}

impl Trackio {
    pub(super) fn new(settings: &TrackingSettings, key: Option<String>) -> anyhow::Result<Trackio> {
        // A Space of the hub knows the tokens of the hub, a server of one's own has a token to write.
        let is_space = settings.trackio.trim_end_matches('/').ends_with(".hf.space");
        let place = if is_space { KeyPlace::Bearer } else { KeyPlace::Header("x-trackio-write-token") };
        let key = (place, key.map(Secret::new));
        Ok(Trackio { http: Http::new(&settings.trackio, key, settings.plain_http, settings.manner())? })
    }

    pub(super) fn server(&self) -> String {
        self.http.server()
    }

    pub(super) async fn send(&self, subject: &Subject, mark: &Mark, rows: &[Row]) -> Result<(), Failure> {
        let logs: Vec<Value> = rows.iter().map(|row| entry(subject, mark, row)).collect();
        let body = json_body(&json!({"logs": logs, "hf_token": null}));
        let said = json_of(&self.http.post_once("api/bulk_log", &body).await?)?;
        // The call has nothing to say, and says that.
        if said.get("data").is_some() { Ok(()) } else { Err(unlike()) }
    }
}

fn entry(subject: &Subject, mark: &Mark, row: &Row) -> Value {
    let metrics: Value = finite(&row.metrics).map(|(name, value)| (name.clone(), json!(value))).collect();
    let config: Option<Value> = (row.index == 0).then(|| {
        subject.parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect()
    });
    json!({
        "project": subject.project,
        "run": subject.run,
        "run_id": mark.id,
        "metrics": metrics,
        "step": row.step,
        "config": config,
        "log_id": format!("{}-{}", mark.id, row.index),
    })
}
