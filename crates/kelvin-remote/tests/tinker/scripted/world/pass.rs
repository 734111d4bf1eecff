//! Gradients and scores: what a request for them says in either dialect, and what comes of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    super::{
        Request, Said,
        protobuf::{self, Field},
        table::context,
    },
    Dialect, Refused, World, refused, said, tokens,
};

/// A datum as it came.
#[derive(Debug, Default)]
struct Datum {
    input: Vec<u32>,
    targets: Vec<u32>,
    fields: BTreeMap<String, Vec<f64>>,
}

/// What a pass asks for.
struct Pass {
    model: String,
    seq: u64,
    data: Vec<Datum>,
    loss: String,
    bounds: (f64, f64),
    forward_only: bool,
}

impl World {
    pub(super) fn pass(&mut self, path: &str, request: &Request) -> Result<Said, Refused> {
        let is_protobuf = request.content_type.starts_with("application/x-protobuf");
        if (self.dialect == Dialect::Protobuf) != is_protobuf {
            return refused(415, "forward_backward requires another body");
        }
        let body = match request.is_packed {
            true => zstd::decode_all(&request.body[..]).map_err(|it| (422, it.to_string()))?,
            false => request.body.clone(),
        };
        let asked = match self.dialect {
            Dialect::Protobuf if path == "forward" => return refused(404, "Not Found"),
            Dialect::Protobuf => pass_of_protobuf(&body),
            Dialect::Json => pass_of_json(&body, path == "forward"),
        };
        let Some(Pass { model, seq, data, loss, bounds, forward_only }) = asked else {
            return refused(422, "no request for gradients");
        };
        self.model(&model)?.is_used = true;
        let key = (model.clone(), seq);
        if let Some(known) = self.repeated(&key, &body)? {
            return Ok(known);
        }
        let base = self.base.clone();
        let held = self.model(&model)?;
        let mut scores = Vec::new();
        let mut gradient = std::mem::take(&mut held.gradient);
        for datum in &data {
            let field = |name: &str| {
                datum.fields.get(name).cloned().unwrap_or_else(|| vec![0.0; datum.targets.len()])
            };
            let (weights, advantages, old) = (field("weights"), field("advantages"), field("logprobs"));
            let whole: f64 = weights.iter().sum();
            let mut all = datum.input[..1].to_vec();
            let mut logprobs = Vec::new();
            for (at, &target) in datum.targets.iter().enumerate() {
                let before = context(&all);
                let logprob = held.table.logprobs(&base, before)[target as usize];
                let ratio = (logprob - old[at]).exp();
                let clipped = ratio.clamp(bounds.0, bounds.1);
                let by_logprob = match loss.as_str() {
                    "cross_entropy" => -1.0,
                    "importance_sampling" => -advantages[at] * ratio,
                    "ppo" if clipped * advantages[at] < ratio * advantages[at] => 0.0,
                    "ppo" => -advantages[at] * ratio,
                    "cispo" => -advantages[at] * clipped,
                    _ => return refused(422, "unknown loss"),
                };
                if !forward_only && weights[at] != 0.0 {
                    held.table.add(&base, &mut gradient, before, target, weights[at] * by_logprob / whole);
                }
                logprobs.push(logprob as f32);
                all.push(target);
            }
            scores.push(logprobs);
        }
        held.gradient = gradient;
        if !forward_only {
            held.n_data += data.len() as f64;
            self.n_data += data.len() as u64;
        }
        let outcome = self.scored(&scores);
        self.numbered.insert(key, (body, outcome.clone()));
        Ok(self.future(outcome))
    }

    fn scored(&self, scores: &[Vec<f32>]) -> Said {
        if self.dialect == Dialect::Json {
            let output =
                |it: &Vec<f32>| json!({"logprobs": {"data": it, "dtype": "float32", "shape": [it.len()]}});
            let outputs: Vec<Value> = scores.iter().map(output).collect();
            return said(
                200,
                json!({"loss_fn_outputs": outputs, "loss_fn_output_type": "scalar", "metrics": {}}),
            );
        }
        let data: Vec<u8> = scores.iter().flatten().flat_map(|it| it.to_le_bytes()).collect();
        let mut offsets = vec![0i64];
        offsets.extend(scores.iter().scan(0, |end, it| {
            *end += 4 * it.len() as i64;
            Some(*end)
        }));
        let offsets: Vec<u8> = offsets.iter().flat_map(|it| it.to_le_bytes()).collect();
        let tensor =
            [protobuf::bytes(1, &data), protobuf::bytes(2, &offsets), protobuf::integer(3, 1)].concat();
        let entry = [protobuf::bytes(1, b"logprobs"), protobuf::bytes(2, &tensor)].concat();
        let record = [protobuf::bytes(2, &entry), protobuf::integer(3, scores.len() as u64)].concat();
        let body = [protobuf::bytes(1, b"scalar"), protobuf::bytes(2, &record)].concat();
        Said { status: 200, content_type: "application/x-protobuf", body }
    }
}

fn pass_of_json(body: &[u8], forward_only: bool) -> Option<Pass> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let input = &body[if forward_only { "forward_input" } else { "forward_backward_input" }];
    let datum = |it: &Value| {
        let fields = it["loss_fn_inputs"].as_object()?;
        let numbers =
            |it: &Value| it["data"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        let mut fields: BTreeMap<String, Vec<f64>> =
            fields.iter().map(|it| (it.0.clone(), numbers(it.1))).collect();
        let targets = fields.remove("target_tokens")?.into_iter().map(|it| it as u32).collect();
        Some(Datum { input: tokens(&it["model_input"]).ok()?, targets, fields })
    };
    let bound = |name: &str, unset| input["loss_fn_config"][name].as_f64().unwrap_or(unset);
    Some(Pass {
        model: body["model_id"].as_str()?.to_owned(),
        seq: body["seq_id"].as_u64()?,
        data: input["data"].as_array()?.iter().map(datum).collect::<Option<_>>()?,
        loss: input["loss_fn"].as_str()?.to_owned(),
        bounds: (bound("clip_low_threshold", 0.8), bound("clip_high_threshold", 1.2)),
        forward_only,
    })
}

fn pass_of_protobuf(body: &[u8]) -> Option<Pass> {
    let fields = protobuf::read(body)?;
    let text = |number| Some(String::from_utf8_lossy(protobuf::all(&fields, number).next()?).into_owned());
    let datum = |bytes: &[u8]| -> Option<Datum> {
        let fields = protobuf::read(bytes)?;
        let chunk = protobuf::read(protobuf::all(&fields, 1).next()?)?;
        let chunk = protobuf::read(protobuf::all(&chunk, 1).next()?)?;
        let ids = protobuf::all(&chunk, 1).next()?;
        let mut datum = Datum {
            input: ids.as_chunks().0.iter().map(|it| u32::from_le_bytes(*it)).collect(),
            ..Datum::default()
        };
        for entry in protobuf::all(&fields, 2) {
            let entry = protobuf::read(entry)?;
            let name = String::from_utf8_lossy(protobuf::all(&entry, 1).next()?).into_owned();
            let tensor = protobuf::read(protobuf::all(&entry, 2).next()?)?;
            let dense = protobuf::all(&tensor, 1).next()?;
            match protobuf::number(&tensor, 3) {
                2 => {
                    datum.targets =
                        dense.as_chunks().0.iter().map(|it| i64::from_le_bytes(*it) as u32).collect()
                }
                1 => {
                    let values = dense.as_chunks().0.iter().map(|it| f64::from(f32::from_le_bytes(*it)));
                    datum.fields.insert(name, values.collect());
                }
                _ => return None,
            }
        }
        Some(datum)
    };
    let mut bounds = (0.8, 1.2);
    for entry in protobuf::all(&fields, 5) {
        let entry = protobuf::read(entry)?;
        // What is 0 is not written.
        let value = protobuf::all(&entry, 2)
            .next()
            .and_then(|it| it.as_array())
            .map_or(0.0, |it| f64::from_le_bytes(*it));
        match protobuf::all(&entry, 1).next()? {
            b"clip_low_threshold" => bounds.0 = value,
            b"clip_high_threshold" => bounds.1 = value,
            _ => return None,
        }
    }
    let is_set = |number| fields.iter().any(|it| it.0 == number && it.1 == Field::Number(1));
    Some(Pass {
        model: text(1)?,
        seq: protobuf::number(&fields, 2),
        data: protobuf::all(&fields, 3).map(datum).collect::<Option<_>>()?,
        loss: text(4)?,
        bounds,
        forward_only: is_set(6),
    })
}
