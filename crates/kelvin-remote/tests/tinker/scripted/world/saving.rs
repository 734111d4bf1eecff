//! What outlives a step: states and weights that are saved, and states that others begin with.

use std::mem;

use serde_json::{Value, json};

use super::{Refused, Said, World, refused, said};

impl World {
    pub(super) fn save(&mut self, path: &str, id: &str, body: &Value) -> Result<Said, Refused> {
        let session = body["sampling_session_seq_id"].as_u64();
        let name = match (body["path"].as_str(), session) {
            (Some(name), _) => name.to_owned(),
            (None, Some(session)) => format!("ss{session}_seq{}", body["seq_id"]),
            (None, None) => return refused(422, "Either 'path' or both ids must be provided"),
        };
        let model = self.model(id)?;
        model.is_used = true;
        if !model.names.insert(format!("{path}/{name}")) {
            return refused(409, format!("Checkpoint '{name}' already exists"));
        }
        let table = model.table.clone();
        let outcome = if path == "save_weights" {
            let state = format!("tinker://{id}/weights/{name}");
            self.states.insert(state.clone(), table);
            json!({"path": state, "type": "save_weights"})
        } else {
            self.n_saved_for_sampler += 1;
            let model = self.model(id)?;
            model.published.insert(name.clone(), table);
            model.newest.clone_from(&name);
            match session {
                Some(_) => {
                    let sampler = self.id("sampling");
                    self.samplers.insert(sampler.clone(), (id.to_owned(), name));
                    json!({"path": null, "sampling_session_id": sampler})
                }
                None => json!({"path": format!("tinker://{id}/{name}")}),
            }
        };
        Ok(self.future(said(200, outcome)))
    }

    pub(super) fn load(&mut self, id: &str, path: &str, body: &Value) -> Result<Said, Refused> {
        let state = self.states.get(path).cloned().ok_or((404, format!("Checkpoint not found: {path}")))?;
        let model = self.model(id)?;
        if mem::replace(&mut model.is_used, true) {
            return refused(400, "LoadWeights is not permitted with seq_id 2");
        }
        model.table = if body["optimizer"] == json!(true) { state } else { state.forgetting() };
        Ok(self.future(said(200, json!({"type": "load_weights"}))))
    }
}
