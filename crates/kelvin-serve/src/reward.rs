//! Rewards over HTTP: one response a call as slime asks for it, several as OpenRLHF does.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::Desk,
    gate::Room,
    given::Given,
    judge::{self, Judged, Truth},
    refusal::{Refusal, ok},
};

/// What slime's `remote_rm` sends. The prompt may be a text or messages; the label says what was asked.
#[derive(Debug, Deserialize)]
pub(crate) struct One {
    response: String,
    label: Value,
}

/// A number.
pub(crate) async fn reward(
    State(desk): State<Desk>,
    room: Room,
    Given(call): Given<One>,
) -> Result<Response, Refusal> {
    let truth = judge::truth(&desk.served, &call.label)?;
    let served = desk.served.clone();
    let judged = desk.gate.work(room, move || truth.judge(&served, &call.response)).await?;
    Ok(ok(&judged.reward))
}

/// What OpenRLHF sends: prompts, the prompts with their responses behind them, and labels. Whoever has responses alone sends
/// those instead of queries.
#[derive(Debug, Deserialize)]
pub(crate) struct Several {
    #[serde(default)]
    query: Option<Vec<String>>,
    #[serde(default)]
    responses: Option<Vec<String>>,
    #[serde(default)]
    prompts: Vec<String>,
    labels: Vec<Value>,
}

impl Several {
    /// The responses, each with its label.
    fn responses(self) -> Result<Vec<(String, Value)>, Refusal> {
        let responses = match (self.responses, self.query) {
            (Some(responses), None) => responses,
            (None, Some(queries)) => {
                if queries.len() != self.prompts.len() {
                    return Err(Refusal::malformed("query and prompts are of different lengths"));
                }
                let behind = |(query, prompt): (&String, &String)| behind(query, prompt).map(str::to_owned);
                queries.iter().zip(&self.prompts).map(behind).collect::<Option<_>>().ok_or_else(|| {
                    Refusal::malformed(
                        "a query does not hold its prompt\nhint: send responses instead of query",
                    )
                })?
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(Refusal::malformed("one of query and responses is needed"));
            }
        };
        if responses.len() != self.labels.len() {
            return Err(Refusal::malformed("responses and labels are of different lengths"));
        }
        Ok(responses.into_iter().zip(self.labels).collect())
    }
}

/// What follows the prompt. A tokenizer may have put its signs before it.
fn behind<'it>(query: &'it str, prompt: &str) -> Option<&'it str> {
    query.find(prompt).map(|at| &query[at + prompt.len()..])
}

/// Lists of numbers.
pub(crate) async fn get_reward(
    State(desk): State<Desk>,
    room: Room,
    Given(call): Given<Several>,
) -> Result<Response, Refusal> {
    let asked = call.responses()?;
    if desk.settings.batch_max < asked.len() {
        return Err(Refusal::malformed(format!(
            "{} answers in one call\nhint: send at most {}, or raise --batch-max",
            asked.len(),
            desk.settings.batch_max
        )));
    }
    let read = |(response, label): (String, Value)| Ok((judge::truth(&desk.served, &label)?, response));
    let asked: Vec<(Truth, String)> = asked.into_iter().map(read).collect::<Result<_, Refusal>>()?;
    let works = asked.into_iter().map(|(truth, response)| {
        let served = Arc::clone(&desk.served);
        move || truth.judge(&served, &response)
    });
    let judged: Vec<Judged> = desk.gate.admit(room)?.work_all(works.collect()).await?;
    let rewards: Vec<f32> = judged.iter().map(|it| it.reward).collect();
    let share = |of: &dyn Fn(&Judged) -> bool| -> Vec<f32> {
        judged.iter().map(|it| f32::from(u8::from(of(it)))).collect()
    };
    let scores: Vec<f32> = judged.iter().map(|it| it.grade.score).collect();
    Ok(ok(&json!({
        "rewards": rewards,
        "scores": scores,
        "extra_logs": { "correct": share(&|it| it.grade.correct), "formatted": share(&|it| it.grade.formatted) },
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_what_follows_its_prompt() {
        assert_eq!(behind("<s>ask: 1+1?<a>2</s>", "ask: 1+1?"), Some("<a>2</s>"));
        assert_eq!(behind("2", "1+1"), None);
        assert_eq!(behind("é2", "é"), Some("2"));
    }
}
