//! Words that go with reflection. A weak signal: people write `however` without reconsidering anything, and models
//! reconsider without a word. Only changes over a run say something.

use std::sync::LazyLock;

use super::words::{Phrases, Words};

/// Words of checking, of doubt, of another way.
const REFLECTION: &[&str] = &[
    "actually",
    "alternatively",
    "another approach",
    "another way",
    "but wait",
    "check again",
    "check whether",
    "double check",
    "however",
    "hmm",
    "hold on",
    "i wonder",
    "let me check",
    "let me see",
    "let me think",
    "let me verify",
    "let us check",
    "let us verify",
    "let's check",
    "let's double",
    "let's see",
    "let's verify",
    "looking back",
    "maybe",
    "on reflection",
    "on second thought",
    "perhaps",
    "rather than",
    "re check",
    "recheck",
    "reconsider",
    "revisit",
    "rethink",
    "think again",
    "to be sure",
    "to confirm",
    "to verify",
    "verify",
    "wait",
    "what if",
];

/// Words of taking something back. They count as reflection too.
const CORRECTION: &[&str] = &[
    "correct myself",
    "correction",
    "does not match",
    "doesn't match",
    "doesn't work",
    "does not work",
    "i made a mistake",
    "i made an error",
    "i misread",
    "i was wrong",
    "my mistake",
    "not correct",
    "not quite right",
    "oops",
    "start over",
    "that is incorrect",
    "that is not right",
    "that is wrong",
    "that was wrong",
    "that's incorrect",
    "that's not right",
    "that's wrong",
    "this is incorrect",
    "this is not right",
    "this is wrong",
    "try again",
    "try another",
    "try a different",
];

static REFLECTION_PHRASES: LazyLock<Phrases> = LazyLock::new(|| Phrases::of(REFLECTION.iter().copied()));
static CORRECTION_PHRASES: LazyLock<Phrases> = LazyLock::new(|| Phrases::of(CORRECTION.iter().copied()));

/// Cues in one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cues {
    /// All of them.
    pub n_reflections: usize,
    /// Those that take something back.
    pub n_corrections: usize,
}

/// Counts cues, in any case and as whole words.
pub fn cues(text: &str) -> Cues {
    let words = Words::of(text);
    let mut cues = Cues::default();
    for index in 0..words.len() {
        let corrects = CORRECTION_PHRASES.len_at(&words, index).is_some();
        let reflects = corrects || REFLECTION_PHRASES.len_at(&words, index).is_some();
        cues.n_corrections += usize::from(corrects);
        cues.n_reflections += usize::from(reflects);
    }
    cues
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cues_are_whole_words() {
        let text = "Wait, that's wrong: f(3) is 4.\nLet me check f(2). def await_(): return waiting";
        assert_eq!(cues(text), Cues { n_reflections: 3, n_corrections: 1 });
        assert_eq!(cues("x = 3\nreturn x"), Cues::default());
    }

    #[test]
    fn cues_are_written_as_they_are_looked_up() {
        for cue in REFLECTION.iter().chain(CORRECTION) {
            assert_eq!(cues(&cue.to_uppercase()).n_reflections.min(1), 1, "{cue}");
        }
    }
}
