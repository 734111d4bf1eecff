//! What comes back, in both dialects, to one shape of our own.
//!
//! Nothing of it is trusted: lengths are compared, numbers must be finite, and what does not fit is an error that says so.
//! Nothing is unpickled or run.

use anyhow::{Context, bail, ensure};
use prost::Message;
use serde::Deserialize;
use serde_json::Value;

use super::{
    proto,
    wire::{Datum, PROTOBUF},
};
use crate::{drawing::Drawn, http::Reply};

/// Reads a completion.
///
/// # Errors
/// If it is none.
pub(crate) fn drawn(reply: &Reply) -> anyhow::Result<Drawn> {
    let drawn = if is_protobuf(reply) { drawn_protobuf(reply)? } else { drawn_json(reply)? };
    drawn.check()?;
    Ok(drawn)
}

fn drawn_protobuf(reply: &Reply) -> anyhow::Result<Drawn> {
    let mut response =
        proto::SampleResponse::decode(reply.bytes.clone()).context("a completion that cannot be read")?;
    ensure!(response.sequences.len() == 1, "{} completions instead of one", response.sequences.len());
    let sequence = response.sequences.remove(0);
    let tokens = numbers(&sequence.tokens, i32::from_le_bytes)?;
    let tokens =
        tokens.into_iter().map(u32::try_from).collect::<Result<_, _>>().context("a negative token")?;
    Ok(Drawn {
        tokens,
        logprobs: numbers(
            &sequence.logprobs.context("a completion without log-probabilities")?,
            f32::from_le_bytes,
        )?,
        stopped: sequence.stop_reason == 0,
        prompt_logprobs: response.prompt_logprobs.map(|it| numbers(&it, f32::from_le_bytes)).transpose()?,
    })
}

fn drawn_json(reply: &Reply) -> anyhow::Result<Drawn> {
    #[derive(Deserialize)]
    struct Response {
        sequences: Vec<Sequence>,
        prompt_logprobs: Option<Vec<Option<f32>>>,
    }
    #[derive(Deserialize)]
    struct Sequence {
        tokens: Vec<u32>,
        logprobs: Option<Vec<f32>>,
        stop_reason: String,
    }
    let Response { mut sequences, prompt_logprobs } =
        serde_json::from_slice(&reply.bytes).context("a completion that cannot be read")?;
    ensure!(sequences.len() == 1, "{} completions instead of one", sequences.len());
    let Sequence { tokens, logprobs, stop_reason } = sequences.remove(0);
    Ok(Drawn {
        tokens,
        logprobs: logprobs.context("a completion without log-probabilities")?,
        stopped: stop_reason == "stop",
        prompt_logprobs: prompt_logprobs.map(|it| it.into_iter().map(|it| it.unwrap_or(f32::NAN)).collect()),
    })
}

/// Reads the log-probabilities of every target, datum by datum.
///
/// # Errors
/// If there are none, or not as many as there are targets.
pub(crate) fn scores(reply: &Reply, data: &[Datum]) -> anyhow::Result<Vec<Vec<f32>>> {
    let scores = if is_protobuf(reply) { scores_protobuf(reply)? } else { scores_json(reply)? };
    ensure!(scores.len() == data.len(), "log-probabilities of {} samples for {}", scores.len(), data.len());
    for (scores, datum) in scores.iter().zip(data) {
        ensure!(
            scores.len() == datum.targets.len(),
            "{} log-probabilities for {} tokens",
            scores.len(),
            datum.targets.len()
        );
        let learnt = scores.iter().zip(&datum.weights).filter(|it| *it.1 != 0.0);
        ensure!(learnt.into_iter().all(|it| it.0.is_finite()), "a log-probability that is not finite");
    }
    Ok(scores)
}

fn scores_protobuf(reply: &Reply) -> anyhow::Result<Vec<Vec<f32>>> {
    let output =
        proto::ForwardBackwardOutput::decode(reply.bytes.clone()).context("an output that cannot be read")?;
    let mut scores = Vec::new();
    for record in output.loss_fn_outputs {
        let field = record.fields.get("logprobs").context("an output without log-probabilities")?;
        ensure!(field.dtype == proto::FLOAT32, "log-probabilities of the type {}", field.dtype);
        let offsets = numbers(&field.offsets, i64::from_le_bytes)?;
        ensure!(
            Ok(offsets.len()) == usize::try_from(record.num_datums).map(|it| it.saturating_add(1)),
            "offsets that do not fit the samples"
        );
        for bounds in offsets.windows(2) {
            let place = usize::try_from(bounds[0]).ok().zip(usize::try_from(bounds[1]).ok());
            let part = place.and_then(|(start, end)| field.data.get(start..end));
            scores.push(numbers(part.context("offsets outside of the output")?, f32::from_le_bytes)?);
        }
    }
    Ok(scores)
}

fn scores_json(reply: &Reply) -> anyhow::Result<Vec<Vec<f32>>> {
    #[derive(Deserialize)]
    struct Output {
        loss_fn_outputs: Vec<Fields>,
    }
    #[derive(Deserialize)]
    struct Fields {
        logprobs: Tensor,
    }
    #[derive(Deserialize)]
    struct Tensor {
        data: Vec<f32>,
    }
    let output: Output = serde_json::from_slice(&reply.bytes).context("an output that cannot be read")?;
    Ok(output.loss_fn_outputs.into_iter().map(|it| it.logprobs.data).collect())
}

/// Numbers of `N` bytes each, little endian.
fn numbers<const N: usize, T>(bytes: &[u8], read: fn([u8; N]) -> T) -> anyhow::Result<Vec<T>> {
    let (whole, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() {
        bail!("{} bytes are no numbers of {N} bytes", bytes.len());
    }
    Ok(whole.iter().map(|it| read(*it)).collect())
}

fn is_protobuf(reply: &Reply) -> bool {
    reply.content_type.starts_with(PROTOBUF)
}

/// An object of JSON.
///
/// # Errors
/// If it is none.
pub(crate) fn object(reply: &Reply) -> anyhow::Result<Value> {
    let value: Value = serde_json::from_slice(&reply.bytes).context("an answer that is no JSON")?;
    ensure!(value.is_object(), "an answer that is no object");
    Ok(value)
}

/// The text of an object's field; numbers that name things are taken as their digits.
///
/// # Errors
/// If it has none.
pub(crate) fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    match &value[field] {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => bail!("an answer without {field}"),
    }
}

/// What an answer says in a few words of JSON, such as that nothing is there yet or why there never will be. `None` for
/// results, which are read once, by whom they are for.
///
/// # Errors
/// If it is short and nothing that can be read.
pub(crate) fn words(reply: &Reply) -> anyhow::Result<Option<Value>> {
    const SHORT_BYTES: usize = 4096;
    match is_protobuf(reply) || SHORT_BYTES < reply.bytes.len() {
        true => Ok(None),
        false => object(reply).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::tinker::wire::{JSON, tests::datum};

    fn reply(content_type: &str, bytes: impl Into<Bytes>) -> Reply {
        Reply { content_type: content_type.into(), bytes: bytes.into() }
    }

    #[test]
    fn both_dialects_say_the_same() {
        let json = json!({"sequences": [{"tokens": [5, 6], "logprobs": [-0.5, -2.0], "stop_reason": "stop"}],
            "prompt_logprobs": [null, -1.5]});
        let [first, second] = [
            drawn(&reply(JSON, json.to_string())).unwrap(),
            drawn(&reply(
                PROTOBUF,
                proto::SampleResponse {
                    sequences: vec![proto::SampledSequence {
                        stop_reason: proto::STOPPED,
                        tokens: [5i32, 6].iter().flat_map(|it| it.to_le_bytes()).collect(),
                        logprobs: Some([-0.5f32, -2.0].iter().flat_map(|it| it.to_le_bytes()).collect()),
                    }],
                    prompt_logprobs: Some([f32::NAN, -1.5].iter().flat_map(|it| it.to_le_bytes()).collect()),
                }
                .encode_to_vec(),
            ))
            .unwrap(),
        ];
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
        assert_eq!((first.tokens, first.logprobs, first.stopped), (vec![5, 6], vec![-0.5, -2.0], true));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let sample = |tokens: Value, logprobs: Value| {
            let one = json!({"tokens": tokens, "logprobs": logprobs, "stop_reason": "stop"});
            drawn(&reply(JSON, json!({"sequences": [one]}).to_string())).unwrap_err().to_string()
        };
        assert_eq!(sample(json!([1, 2]), json!([-1.0])), "a completion of 2 tokens with 1 log-probabilities");
        assert_eq!(sample(json!([]), json!([])), "a completion without tokens");
        assert_eq!(sample(json!([1]), Value::Null), "a completion without log-probabilities");
        let output = |scores: Value| {
            let text = json!({"loss_fn_outputs": [{"logprobs": {"data": scores}}]}).to_string();
            super::scores(&reply(JSON, text), &[datum()])
        };
        assert_eq!(output(json!([-1.0, -2.0, -3.0])).unwrap(), [[-1.0, -2.0, -3.0]]);
        assert_eq!(output(json!([-1.0])).unwrap_err().to_string(), "1 log-probabilities for 3 tokens");
    }

    proptest! {
        /// Whatever a server sends, it is read or refused.
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), protobuf in any::<bool>()) {
            let reply = reply(if protobuf { PROTOBUF } else { JSON }, bytes);
            let _ = (drawn(&reply), scores(&reply, &[datum()]), object(&reply), words(&reply));
        }

        /// The same for fields that are almost right.
        #[test]
        fn no_offsets_panic(
            offsets in proptest::collection::vec(-9i64..40, 0..5),
            n in -3i64..6,
            n_bytes in 0usize..40,
        ) {
            let field = proto::BatchedTensor {
                data: vec![0; n_bytes].into(),
                offsets: offsets.iter().flat_map(|it| it.to_le_bytes()).collect(),
                dtype: proto::FLOAT32,
            };
            let record = proto::ArrayRecord { fields: [("logprobs".to_owned(), field)].into(), num_datums: n };
            let output = proto::ForwardBackwardOutput { loss_fn_outputs: vec![record], ..Default::default() };
            let _ = scores(&reply(PROTOBUF, output.encode_to_vec()), &[datum()]);
        }
    }
}
