//! Reads proposals (r-zero.md section 2).

use kelvin_core::task::{Reason, Rejection};

use super::{PromptSet, Question, Settings, Validity};
use crate::grading::last_boxed;

/// What asks for a proof, in lower case; matched at the beginning of a word.
const PROOF_WORDS: &[&str] = &["prove", "give a proof", "show that", "证明"];

/// The parts of a response, trimmed.
pub(super) struct Parts<'response> {
    question: &'response str,
    own_answer: Option<&'response str>,
    /// What stands behind the own answer.
    after: &'response str,
}

/// The question of a response that keeps all rules.
pub(super) fn question(settings: &Settings, response: &str) -> Result<Question, Rejection> {
    let Parts { question, own_answer, after } = parts(settings, response)?;
    if settings.validity == Validity::BothParts {
        let n_words = question.split_whitespace().count();
        let (least, most) = (settings.words_min(), settings.words_max);
        if n_words < least {
            return Err(Rejection::new(Reason::TooShort, format!("{n_words} words of at least {least}")));
        }
        if most < n_words {
            return Err(Rejection::new(Reason::TooLong, format!("{n_words} words of at most {most}")));
        }
        if let Some(tag) = first_tag(question) {
            return Err(Rejection::new(Reason::HoldsTag, format!("the question holds `{tag}`")));
        }
    }
    if !settings.text_after_answer && !after.is_empty() {
        return Err(Rejection::new(Reason::TextAfterAnswer, "something stands behind the box"));
    }
    if !settings.proofs && asks_proof(question) {
        return Err(Rejection::new(Reason::AsksProof, "the question asks for a proof"));
    }
    Ok(Question { text: question.to_owned(), own_answer: own_answer.map(str::to_owned) })
}

/// The question and its proposer's own answer, whatever they say.
pub(super) fn parts<'response>(
    settings: &Settings,
    response: &'response str,
) -> Result<Parts<'response>, Rejection> {
    let (question, rest) = match settings.prompt_set {
        PromptSet::Full => last_span(response)
            .ok_or_else(|| Rejection::new(Reason::NoQuestion, "no <question> with its end"))?,
        PromptSet::Compact => before_answer_line(response)
            .ok_or_else(|| Rejection::new(Reason::NoAnswer, "no line begins with `answer:`"))?,
    };
    let question = question.trim();
    if question.is_empty() {
        return Err(Rejection::new(Reason::NoQuestion, "the question is empty"));
    }
    // The original reads the last box of the whole response.
    let place = match settings.validity {
        Validity::BothParts => rest,
        Validity::Original => response,
    };
    let own_answer = last_boxed(place);
    let after = own_answer.map_or("", |inside| after_box(place, inside));
    match (own_answer.map(str::trim), settings.validity) {
        (Some(""), _) => Err(Rejection::new(Reason::NoAnswer, "the box is empty")),
        (None, Validity::BothParts) => Err(Rejection::new(Reason::NoAnswer, "no box behind the question")),
        (own_answer, Validity::BothParts | Validity::Original) => Ok(Parts { question, own_answer, after }),
    }
}

/// The inside of the last `<question>..</question>`, each of which ends as early as it can, and what follows it.
fn last_span(response: &str) -> Option<(&str, &str)> {
    let (mut rest, mut last) = (response, None);
    while let Some((_, inside)) = rest.split_once("<question>") {
        let Some((question, after)) = inside.split_once("</question>") else { break };
        last = Some((question, after));
        rest = after;
    }
    last
}

/// What stands before the last line that begins with `answer:`, and that line with what follows it.
fn before_answer_line(response: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    let mut last = None;
    for line in response.split_inclusive('\n') {
        if line.starts_with("answer:") {
            last = Some(at);
        }
        at += line.len();
    }
    last.map(|at| response.split_at(at))
}

/// What follows the closing brace of a box of `text`, trimmed.
fn after_box<'text>(text: &'text str, inside: &str) -> &'text str {
    let start = inside.as_ptr() as usize - text.as_ptr() as usize;
    text[start + inside.len() + 1..].trim()
}

/// The first `<name>` or `</name>` of two letters or more; `a<b>c` is mathematics.
fn first_tag(text: &str) -> Option<&str> {
    text.match_indices('<').find_map(|(at, _)| {
        let rest = &text[at + 1..];
        let name = rest.strip_prefix('/').unwrap_or(rest);
        let n_letters = name.bytes().take_while(|it| it.is_ascii_alphabetic() || *it == b'_').count();
        let closes = 2 <= n_letters && name[n_letters..].starts_with('>');
        closes.then(|| &text[at..text.len() - name.len() + n_letters + 1])
    })
}

fn asks_proof(question: &str) -> bool {
    let lower = question.to_lowercase();
    let begins_word = |at: usize| !lower[..at].ends_with(|it: char| it.is_ascii_alphabetic());
    PROOF_WORDS.iter().any(|word| lower.match_indices(word).any(|(at, _)| begins_word(at)))
}
