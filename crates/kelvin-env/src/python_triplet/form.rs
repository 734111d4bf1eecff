//! Where an answer stands in a response, and when the response has the form that was asked for (azr.md section 1.1).

use serde::{Deserialize, Serialize};

use crate::grading::last_boxed;

/// Where the answer stands in a response to the prompts of set `full` (the prefix of `extraction_type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerPlace {
    /// `<think>..</think> <answer>..</answer>`, in the template of DeepSeek-R1-Zero.
    #[default]
    Tags,
    /// In the last `\boxed{..}`; its braces must balance, those in strings of a program too.
    Boxed,
    /// Anywhere: the response is the answer.
    Plain,
}

impl AnswerPlace {
    /// The name in settings and templates.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            AnswerPlace::Tags => "tags",
            AnswerPlace::Boxed => "boxed",
            AnswerPlace::Plain => "plain",
        }
    }
}

/// Which of several programs in an answer to a proposer's prompt is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodeLocation {
    /// The first.
    #[default]
    First,
    /// The last.
    Last,
}

/// What a proposal needs, beside being valid, to earn more than a malformed one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalForm {
    /// The form that its prompt asks for, as in the original's code.
    #[default]
    Asked,
    /// Nothing: a valid triplet is well-formed, as in the paper.
    Valid,
}

/// How responses are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// Where the answer stands.
    pub answer: AnswerPlace,
    /// Read the last box, or else the whole response, where there is no `<answer>`. Only with [`AnswerPlace::Tags`].
    pub boxed_retry: bool,
    /// Take a solver's whole answer where it is no program.
    pub whole_answer: bool,
    /// Which program of a proposal is meant.
    pub code_location: CodeLocation,
}

impl Form {
    /// The answer in a response, trimmed.
    pub(super) fn body(self, response: &str) -> Option<&str> {
        let body = match self.answer {
            AnswerPlace::Tags => tagged_answer(response)
                .or_else(|| self.boxed_retry.then(|| last_boxed(response).unwrap_or(response))),
            AnswerPlace::Boxed => last_boxed(response),
            AnswerPlace::Plain => Some(response),
        };
        body.map(str::trim)
    }

    /// The format score of a response.
    pub(super) fn is_kept_by(self, response: &str) -> bool {
        match self.answer {
            AnswerPlace::Tags => thinks_then_answers(response),
            AnswerPlace::Boxed => last_boxed(response).is_some(),
            AnswerPlace::Plain => true,
        }
    }
}

/// Whether `<think>` + response is `<think>..</think> <answer>..</answer>`, with anything after it.
fn thinks_then_answers(response: &str) -> bool {
    let mut rest = response;
    while let Some((_, after)) = rest.split_once("</think>") {
        if let Some(answer) = after.trim_start().strip_prefix("<answer>") {
            return answer.contains("</answer>");
        }
        rest = after;
    }
    false
}

/// The text after the last `<answer>`, up to the next `</answer>` or the end.
fn tagged_answer(response: &str) -> Option<&str> {
    let (_, body) = response.rsplit_once("<answer>")?;
    Some(body.split_once("</answer>").map_or(body, |(inside, _)| inside))
}
