//! What a scripted server of Trackio and of MLflow knows and answers. Paths, fields and words are those of trackio 0.43.0 and
//! mlflow 3.17.2, read in their sources and tried on the real ones (`cargo xtask tracker-peers`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::scripted::{Answers, Request, Said};

/// A server of both.
#[derive(Default)]
pub struct World {
    /// The key that it wants, if it wants one.
    pub key: Option<String>,
    /// Trackio's rows, by name.
    pub logs: BTreeMap<String, Value>,
    pub experiments: BTreeMap<String, String>,
    /// MLflow's runs: what they were made with, and how they stand.
    pub runs: BTreeMap<String, (Value, String)>,
    /// MLflow's points: the run, the key, the step, the time and the value.
    pub points: BTreeSet<(String, String, u64, u64, String)>,
    pub parameters: BTreeMap<String, String>,
}

impl World {
    fn answered(&mut self, request: &Request) -> Result<Value, (u16, Value)> {
        if self.key.is_some() && self.key != request.key {
            return Err((401, json!({"detail": "who are you?"})));
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
        let list = |field: &str| body[field].as_array().cloned().unwrap_or_default();
        let path = request.path.strip_prefix("api/2.0/mlflow/").unwrap_or(&request.path);
        let missing = || (404, json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}));
        match path {
            "api/bulk_log" => {
                for log in list("logs") {
                    // As the server: a name that is there already is passed over.
                    self.logs.entry(log["log_id"].as_str().unwrap().to_owned()).or_insert(log);
                }
                Ok(json!({"data": null}))
            }
            "experiments/get-by-name?experiment_name=a+b%2F%C3%A9" => {
                let id = self.experiments.get("a b/é").ok_or_else(missing)?;
                Ok(json!({"experiment": {"experiment_id": id}}))
            }
            "experiments/create" => {
                let id = format!("e{}", self.experiments.len());
                match self.experiments.insert(text("name"), id.clone()) {
                    None => Ok(json!({"experiment_id": id})),
                    Some(_) => {
                        Err((400, json!({"error_code": "RESOURCE_ALREADY_EXISTS", "message": "it is there"})))
                    }
                }
            }
            "runs/create" => {
                let id = format!("r{}", self.runs.len());
                self.runs.insert(id.clone(), (body, "RUNNING".to_owned()));
                Ok(json!({"run": {"info": {"run_id": id}}}))
            }
            "runs/update" => {
                self.runs.get_mut(&text("run_id")).ok_or_else(missing)?.1 = text("status");
                Ok(json!({"run_info": {}}))
            }
            "runs/log-batch" => {
                assert!(list("metrics").len() <= 1000 && list("params").len() <= 100);
                let run = text("run_id");
                self.runs.get(&run).ok_or_else(missing)?;
                for it in list("metrics") {
                    let [step, time] = ["step", "timestamp"].map(|field| it[field].as_u64().unwrap());
                    let key = it["key"].as_str().unwrap().to_owned();
                    self.points.insert((run.clone(), key, step, time, it["value"].to_string()));
                }
                for it in list("params") {
                    let [key, value] = ["key", "value"].map(|field| it[field].as_str().unwrap().to_owned());
                    self.parameters.insert(key, value);
                }
                Ok(json!({}))
            }
            _ => Err(missing()),
        }
    }

    /// Steps of a key, each once, that MLflow has of any run.
    pub fn steps(&self, key: &str) -> Vec<u64> {
        self.points.iter().filter(|it| it.1 == key).map(|it| it.2).collect()
    }
}

impl Answers for World {
    fn answer(&mut self, request: &Request) -> Said {
        let (status, said) = match self.answered(request) {
            Ok(said) => (200, said),
            Err(refused) => refused,
        };
        Said { status, content_type: "application/json", body: said.to_string().into_bytes() }
    }

    fn restart(&mut self) {}

    fn is_read_again(&self, _: &Request) -> bool {
        false
    }

    fn drop_future(&mut self, _: &Request) {}
}
