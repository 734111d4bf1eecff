//! Adapters as they are downloaded: the table as PEFT's files, in a tar whose names begin at the root, by gzip without packing.

use flate2::{Compression, write::GzEncoder};
use serde_json::json;
use std::io::Write;

use super::{Refused, Said, World, refused, said};

impl World {
    /// What is asked of checkpoints: which there are, where the archive of one lies, the archive, or its end.
    pub(super) fn checkpoint(&mut self, path: &str) -> Result<Said, Refused> {
        let parts: Vec<&str> = path.split('/').collect();
        let [_, id, "checkpoints", rest @ ..] = &parts[..] else { return refused(404, "Not Found") };
        let unknown = (404, format!("Checkpoint not found: {path}"));
        if !self.removes && !matches!(rest, [_, "archive" | "download"]) {
            return refused(405, "Method Not Allowed");
        }
        self.n_taken += u64::from(path.ends_with("/best"));
        // A state outlives its model.
        if let ["weights", name] = rest {
            let removed = self.states.remove(&format!("tinker://{id}/weights/{name}"));
            return removed.map(|_| said(200, json!({}))).ok_or(unknown);
        }
        let model = self.models.get_mut(*id).ok_or(unknown.clone())?;
        match rest {
            [] => {
                let of = |it: &String| json!({"checkpoint_id": it, "checkpoint_type": "sampler", "tinker_path": format!("tinker://{id}/sampler_weights/{it}")});
                let mut listed: Vec<_> = model.published.keys().map(of).collect();
                // What somebody else saved.
                for (kind, place) in [("training", "weights/best"), ("sampler", "sampler_weights/best")] {
                    listed.push(
                        json!({"checkpoint_type": kind, "tinker_path": format!("tinker://{id}/{place}")}),
                    );
                }
                Ok(said(200, json!({"checkpoints": listed})))
            }
            [_, "archive"] => {
                let place = path.trim_end_matches("archive");
                let host = self.archives_at.clone().unwrap_or_default();
                let body = format!("{host}/api/v1/{place}download").into_bytes();
                Ok(Said { status: 302, content_type: "text/plain", body })
            }
            [name, "download"] => {
                let table = model.published.get(*name).ok_or(unknown)?;
                let archive = archive(model.rank, &table.tensors(model.rank));
                Ok(Said { status: 200, content_type: "application/octet-stream", body: archive })
            }
            ["sampler_weights", name] => match model.published.remove(*name) {
                Some(_) => Ok(said(200, json!({}))),
                None => Err(unknown),
            },
            _ => refused(400, "Invalid checkpoint identifier"),
        }
    }
}

fn archive(rank: u64, weights: &[u8]) -> Vec<u8> {
    let config =
        json!({"peft_type": "LORA", "r": rank, "lora_alpha": 32, "target_modules": null}).to_string();
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::none()));
    for (name, bytes) in
        [("/adapter_config.json", config.as_bytes()), ("/adapter_model.safetensors", weights)]
    {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        tar.append(&header, bytes).unwrap();
    }
    let mut packed = tar.into_inner().unwrap();
    packed.flush().unwrap();
    packed.finish().unwrap()
}
