//! What is asked for, in both dialects: one shape of our own, to bytes. What comes back is read in `answers.rs`.

use prost::Message;
use serde::Serialize;
use serde_json::{Value, json};

use super::proto;
use crate::http::Body;

pub(super) const PROTOBUF: &str = "application/x-protobuf";
pub(super) const JSON: &str = "application/json";
/// Bodies from this size on are packed.
const PACK_FROM_BYTES: usize = 1 << 16;
/// Of zstd: its own default.
const PACK_LEVEL: i32 = 3;

/// How gradients are asked for, once it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// In JSON.
    Json,
    /// In protobuf.
    Protobuf,
}

impl Spoken {
    /// Its name, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Spoken::Json => "json",
            Spoken::Protobuf => "protobuf",
        }
    }
}

/// One sequence with what its loss is made of; every vector has the length of `input`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Datum {
    pub(crate) input: Vec<u32>,
    /// What is to follow each.
    pub(crate) targets: Vec<u32>,
    /// 1 where a token is learnt, 0 elsewhere.
    pub(crate) weights: Vec<f32>,
    pub(crate) advantages: Vec<f32>,
    /// What ratios are to.
    pub(crate) logprobs: Vec<f32>,
}

/// A server's loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum LossFn {
    CrossEntropy,
    ImportanceSampling,
    /// Bounds of the ratio.
    Ppo {
        low: f64,
        high: f64,
    },
    /// Bounds of the ratio.
    Cispo {
        low: f64,
        high: f64,
    },
}

impl LossFn {
    fn name(self) -> &'static str {
        match self {
            LossFn::CrossEntropy => "cross_entropy",
            LossFn::ImportanceSampling => "importance_sampling",
            LossFn::Ppo { .. } => "ppo",
            LossFn::Cispo { .. } => "cispo",
        }
    }

    fn config(self) -> Vec<(&'static str, f64)> {
        match self {
            LossFn::CrossEntropy | LossFn::ImportanceSampling => Vec::new(),
            LossFn::Ppo { low, high } | LossFn::Cispo { low, high } => {
                vec![("clip_low_threshold", low), ("clip_high_threshold", high)]
            }
        }
    }
}

/// Whether gradients are wanted too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    Forward,
    ForwardBackward,
}

/// A request for log-probabilities or gradients, with its path.
pub(crate) fn pass(
    spoken: Spoken,
    (model, seq): (&str, u64),
    data: &[Datum],
    loss: LossFn,
    pass: Pass,
) -> (&'static str, Body) {
    match (spoken, pass) {
        (Spoken::Protobuf, _) => ("api/v1/forward_backward", pass_protobuf(model, seq, data, loss, pass)),
        (Spoken::Json, Pass::ForwardBackward) => {
            let input = pass_json(data, loss);
            (
                "api/v1/forward_backward",
                json(&json!({"model_id": model, "seq_id": seq, "forward_backward_input": input})),
            )
        }
        (Spoken::Json, Pass::Forward) => {
            let input = pass_json(data, loss);
            ("api/v1/forward", json(&json!({"model_id": model, "seq_id": seq, "forward_input": input})))
        }
    }
}

/// The named tensors of a datum; cross entropy takes no others.
fn tensors(datum: &Datum, loss: LossFn) -> Vec<(&'static str, &[f32])> {
    let mut tensors = vec![("weights", &datum.weights[..])];
    if loss != LossFn::CrossEntropy {
        tensors.extend([("advantages", &datum.advantages[..]), ("logprobs", &datum.logprobs[..])]);
    }
    tensors
}

fn pass_protobuf(model: &str, seq: u64, data: &[Datum], loss: LossFn, pass: Pass) -> Body {
    let request = proto::ForwardBackwardRequest {
        model_id: model.to_owned(),
        seq_id: i32::try_from(seq).expect("a run has fewer requests than 2^31"),
        data: data.iter().map(|it| datum_protobuf(it, loss)).collect(),
        loss_fn: loss.name().to_owned(),
        loss_fn_config: loss.config().into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        forward_only: pass == Pass::Forward,
    };
    let bytes = request.encode_to_vec();
    if bytes.len() < PACK_FROM_BYTES {
        return Body { content_type: PROTOBUF, encoding: None, bytes: bytes.into() };
    }
    let packed = zstd::encode_all(&bytes[..], PACK_LEVEL).expect("memory is written to memory");
    Body { content_type: PROTOBUF, encoding: Some("zstd"), bytes: packed.into() }
}

fn datum_protobuf(datum: &Datum, loss: LossFn) -> proto::Datum {
    let shape = vec![datum.input.len() as i64];
    let floats = |values: &[f32]| proto::Tensor {
        dense: Some(values.iter().flat_map(|it| it.to_le_bytes()).collect()),
        dtype: proto::FLOAT32,
        shape: shape.clone(),
    };
    let targets = proto::Tensor {
        dense: Some(datum.targets.iter().flat_map(|&it| i64::from(it).to_le_bytes()).collect()),
        dtype: proto::INT64,
        shape: shape.clone(),
    };
    let mut inputs: std::collections::BTreeMap<String, proto::Tensor> =
        tensors(datum, loss).into_iter().map(|(name, values)| (name.to_owned(), floats(values))).collect();
    inputs.insert("target_tokens".to_owned(), targets);
    let tokens = datum.input.iter().flat_map(|it| it.to_le_bytes()).collect();
    let chunk = proto::Chunk { encoded_text: Some(proto::EncodedTextChunk { tokens }) };
    proto::Datum { model_input: vec![chunk], loss_fn_inputs: inputs }
}

fn pass_json(data: &[Datum], loss: LossFn) -> Value {
    let datum = |datum: &Datum| {
        let shape = [datum.input.len()];
        let mut inputs = json!({
            "target_tokens": {"data": datum.targets, "dtype": "int64", "shape": shape},
        });
        for (name, values) in tensors(datum, loss) {
            inputs[name] = json!({"data": values, "dtype": "float32", "shape": shape});
        }
        json!({"model_input": prompt(&datum.input), "loss_fn_inputs": inputs})
    };
    let mut input = json!({"data": data.iter().map(datum).collect::<Vec<_>>(), "loss_fn": loss.name()});
    let config: serde_json::Map<String, Value> =
        loss.config().into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
    if !config.is_empty() {
        input["loss_fn_config"] = Value::Object(config);
    }
    input
}

fn prompt(tokens: &[u32]) -> Value {
    json!({"chunks": [{"type": "encoded_text", "tokens": tokens}]})
}

/// A body of JSON.
pub(crate) fn json(value: &impl Serialize) -> Body {
    let bytes = serde_json::to_vec(value).expect("what is sent is plain data").into();
    Body { content_type: JSON, encoding: None, bytes }
}

/// Whose weights draw.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'name> {
    /// Those of a sampling session, in which requests are counted.
    Session(&'name str, u64),
    /// Those that were saved there.
    Path(&'name str),
    /// A base model's.
    Base(&'name str),
}

/// What is drawn, from whom.
pub(crate) struct Draw<'draw> {
    pub(crate) source: Source<'draw>,
    pub(crate) prompt: &'draw [u32],
    pub(crate) max_tokens: usize,
    pub(crate) temperature: f32,
    /// Under 2^31: some servers hold it in 32 bits.
    pub(crate) seed: u64,
    pub(crate) stop: &'draw [u32],
    pub(crate) prompt_logprobs: bool,
}

/// A request for one completion.
pub(crate) fn sample(draw: &Draw<'_>) -> Body {
    #[derive(Serialize)]
    struct Request<'draw> {
        num_samples: usize,
        prompt: Prompt<'draw>,
        sampling_params: Params<'draw>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sampling_session_id: Option<&'draw str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        seq_id: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        model_path: Option<&'draw str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base_model: Option<&'draw str>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        prompt_logprobs: bool,
    }
    #[derive(Serialize)]
    struct Prompt<'draw> {
        chunks: [Chunk<'draw>; 1],
    }
    #[derive(Serialize)]
    struct Chunk<'draw> {
        r#type: &'static str,
        tokens: &'draw [u32],
    }
    #[derive(Serialize)]
    struct Params<'draw> {
        max_tokens: usize,
        temperature: f32,
        seed: u64,
        #[serde(skip_serializing_if = "<[u32]>::is_empty")]
        stop: &'draw [u32],
    }
    let Draw { source, prompt, max_tokens, temperature, seed, stop, prompt_logprobs } = *draw;
    let (mut session, mut seq, mut path, mut base) = (None, None, None, None);
    match source {
        Source::Session(id, n) => (session, seq) = (Some(id), Some(n)),
        Source::Path(it) => path = Some(it),
        Source::Base(it) => base = Some(it),
    }
    json(&Request {
        num_samples: 1,
        prompt: Prompt { chunks: [Chunk { r#type: "encoded_text", tokens: prompt }] },
        sampling_params: Params { max_tokens, temperature, seed, stop },
        sampling_session_id: session,
        seq_id: seq,
        model_path: path,
        base_model: base,
        prompt_logprobs,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::tinker) fn datum() -> Datum {
        Datum {
            input: vec![1, 2, 300],
            targets: vec![2, 300, 4],
            weights: vec![0.0, 1.0, 1.0],
            advantages: vec![0.0, -0.5, 1.25],
            logprobs: vec![0.0, -1.0, -0.25],
        }
    }

    /// The bytes of the specification's field numbers, worked out by hand.
    #[test]
    fn protobuf_has_the_field_numbers_of_the_protocol() {
        let datum = Datum { input: vec![7], targets: vec![8], weights: vec![1.0], ..Datum::default() };
        let (path, body) = pass(Spoken::Protobuf, ("m", 3), &[datum], LossFn::CrossEntropy, Pass::Forward);
        let tensor = |name: &str, dense: &[u8], dtype: u8| {
            let value = [&[10, dense.len() as u8], dense, &[24, dtype, 34, 1, 1]].concat();
            let entry = [&[10, name.len() as u8], name.as_bytes(), &[18, value.len() as u8], &value].concat();
            [&[18, entry.len() as u8], &entry[..]].concat()
        };
        let fields = [
            &[10, 8, 10, 6, 10, 4, 7, 0, 0, 0][..],
            &tensor("target_tokens", &8i64.to_le_bytes(), 2),
            &tensor("weights", &1f32.to_le_bytes(), 1),
        ]
        .concat();
        let expected = [
            &[10, 1, b'm', 16, 3, 26, fields.len() as u8][..],
            &fields,
            &[34, 13],
            b"cross_entropy",
            &[48, 1],
        ]
        .concat();
        assert_eq!((path, body.encoding, &body.bytes[..]), ("api/v1/forward_backward", None, &expected[..]));
    }

    #[test]
    fn json_has_the_fields_of_the_protocol() {
        let loss = LossFn::Ppo { low: 0.8, high: 1.28 };
        let (path, body) = pass(Spoken::Json, ("m", 3), &[datum()], loss, Pass::ForwardBackward);
        assert_eq!((path, body.content_type), ("api/v1/forward_backward", JSON));
        let sent: Value = serde_json::from_slice(&body.bytes).unwrap();
        let tensor = |data: Value, dtype: &str| json!({"data": data, "dtype": dtype, "shape": [3]});
        let expected = json!({"model_id": "m", "seq_id": 3, "forward_backward_input": {
            "loss_fn": "ppo",
            "loss_fn_config": {"clip_low_threshold": 0.8, "clip_high_threshold": 1.28},
            "data": [{
                "model_input": {"chunks": [{"type": "encoded_text", "tokens": [1, 2, 300]}]},
                "loss_fn_inputs": {
                    "target_tokens": tensor(json!([2, 300, 4]), "int64"),
                    "weights": tensor(json!([0.0, 1.0, 1.0]), "float32"),
                    "advantages": tensor(json!([0.0, -0.5, 1.25]), "float32"),
                    "logprobs": tensor(json!([0.0, -1.0, -0.25]), "float32"),
                },
            }],
        }});
        assert_eq!(sent, expected);
        let (path, _) = pass(Spoken::Json, ("m", 3), &[datum()], LossFn::CrossEntropy, Pass::Forward);
        assert_eq!(path, "api/v1/forward");
    }

    #[test]
    fn large_bodies_are_packed_and_equal_ones_have_equal_bytes() {
        let data = vec![datum(); 2000];
        let ask =
            || pass(Spoken::Protobuf, ("m", 1), &data, LossFn::ImportanceSampling, Pass::ForwardBackward).1;
        let body = ask();
        assert_eq!(body.encoding, Some("zstd"));
        assert_eq!(body, ask());
        let read =
            proto::ForwardBackwardRequest::decode(&zstd::decode_all(&body.bytes[..]).unwrap()[..]).unwrap();
        assert_eq!(read.data.len(), 2000);
    }
}
