//! Prompts and ideal responses of the two prompt sets, and where in a response its answer stands.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::{Blank, InductionRule, Inversion, Settings};
use crate::grading::last_boxed;

/// A family of prompts together with the form of the responses it asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptSet {
    /// For pretrained language models: instructions in words; proposals between `<problem>` tags, answers in a box.
    #[default]
    Full,
    /// For the embedded model, which knows these few markers and no English: a response is the equation or the number.
    Compact,
}

impl PromptSet {
    /// What the solver reads.
    pub fn solve_prompt(self, inversion: &Inversion, blank: Blank, rule: InductionRule) -> String {
        match self {
            PromptSet::Full => full_solve_prompt(inversion, blank, rule),
            PromptSet::Compact => compact_solve_prompt(inversion, blank),
        }
    }

    /// What the proposer reads under `settings`.
    pub fn propose_prompt(self, references: &[Inversion], blank: Blank, settings: &Settings) -> String {
        match self {
            PromptSet::Full => full_propose_prompt(references, blank, settings),
            PromptSet::Compact => compact_propose_prompt(references, blank),
        }
    }

    /// The response that proposes an equation.
    pub fn proposal_text(self, inversion: &Inversion, blank: Blank) -> String {
        match self {
            PromptSet::Full => tagged(inversion, blank),
            PromptSet::Compact => inversion.with(blank),
        }
    }

    /// The response that answers with a number.
    pub fn solution_text(self, answer: u32) -> String {
        match self {
            PromptSet::Full => format!("\\boxed{{{answer}}}"),
            PromptSet::Compact => answer.to_string(),
        }
    }

    /// Where the equation of a proposal stands: in the last pair of tags.
    pub(super) fn proposal(self, response: &str) -> Option<&str> {
        match self {
            PromptSet::Full => {
                let (before, _) = response.rsplit_once("</problem>")?;
                before.rsplit_once("<problem>").map(|(_, inside)| inside)
            }
            PromptSet::Compact => Some(response).filter(|it| !it.trim().is_empty()),
        }
    }

    /// Where the number of a solution stands: in the last box.
    pub(super) fn solution(self, response: &str) -> Option<&str> {
        match self {
            PromptSet::Full => last_boxed(response),
            PromptSet::Compact => Some(response),
        }
    }
}

/// What the solver reads in the compact form; it answers with the number alone.
pub fn compact_solve_prompt(inversion: &Inversion, blank: Blank) -> String {
    format!("### inversion\n{}\n### {}\n", inversion.with(blank), blank.letter())
}

/// What the proposer reads in the compact form; it answers with an equation that has the same letter.
pub fn compact_propose_prompt(references: &[Inversion], blank: Blank) -> String {
    let mut prompt = format!("### propose inversion {}\n", blank.letter());
    for reference in references {
        writeln!(prompt, "{}", reference.with(blank)).expect("texts take all that is written");
    }
    prompt + "### task\n"
}

const INVERSES: &str = "Two numbers are inverses of each other modulo a prime p if their product leaves the \
                        remainder 1 when it is divided by p. Such an equation is written x * y = 1 (mod p).";

fn full_solve_prompt(inversion: &Inversion, blank: Blank, rule: InductionRule) -> String {
    let p = inversion.p;
    let asked = match (blank, rule) {
        (Blank::X | Blank::Y, _) => format!("the number {}, from 1 to {},", blank.letter(), p - 1),
        (Blank::P, InductionRule::Unique) => "the prime p, greater than both numbers,".to_owned(),
        (Blank::P, InductionRule::AnyPrime) => "a prime p, any will do,".to_owned(),
    };
    format!(
        "{INVERSES}\n\nFind {asked} that makes this equation true:\n\n{}\n\nWork it out step by step. End with the \
         number alone in a box: \\boxed{{number}}\n",
        spelled(inversion, blank)
    )
}

fn full_propose_prompt(references: &[Inversion], blank: Blank, settings: &Settings) -> String {
    let Settings { p_min, p_max, trivial_allowed, induction, .. } = *settings;
    let (form, given) = match blank {
        Blank::X => ("x * B = 1 (mod P)", "B"),
        Blank::Y => ("A * y = 1 (mod P)", "A"),
        Blank::P => ("A * B = 1 (mod p)", "A and B"),
    };
    let prime = match (blank, induction) {
        (Blank::X | Blank::Y, _) => format!("P is a prime from {p_min} to {p_max}."),
        (Blank::P, InductionRule::Unique) => {
            format!("A prime p from {p_min} to {p_max}, greater than A and B, makes it true.")
        }
        (Blank::P, InductionRule::AnyPrime) => format!("A prime p from {p_min} to {p_max} makes it true."),
    };
    let range = match (blank, trivial_allowed) {
        (Blank::X | Blank::Y, false) => format!("{given} is from 2 to P - 2."),
        (Blank::X | Blank::Y, true) => format!("{given} is from 1 to P - 1."),
        (Blank::P, false) => "Neither A nor B is 1 or p - 1.".to_owned(),
        (Blank::P, true) => "A and B are not both 1.".to_owned(),
    };
    let mut prompt = format!(
        "{INVERSES}\n\nPose a problem about such an equation: write numbers for {}, and leave the letter {} for others \
         to find.\n\n- {prime}\n- {range}\n- Others should find the answer sometimes, but not always: make it neither \
         obvious nor hopeless.\n",
        if blank == Blank::P { "x and y".to_owned() } else { format!("p and {}", other(blank)) },
        blank.letter()
    );
    if !references.is_empty() {
        prompt += "- Your problem differs from these:\n\n";
        for reference in references {
            writeln!(prompt, "{}", tagged(reference, blank)).expect("texts take all that is written");
        }
    }
    write!(
        prompt,
        "\nThink first. End with the problem on one line between tags, with numbers in place of capital letters:\n\
         <problem>{form}</problem>\n"
    )
    .expect("texts take all that is written");
    prompt
}

/// The number that is given beside the prime.
fn other(blank: Blank) -> &'static str {
    match blank {
        Blank::X => Blank::Y.letter(),
        Blank::Y | Blank::P => Blank::X.letter(),
    }
}

fn tagged(inversion: &Inversion, blank: Blank) -> String {
    format!("<problem>{}</problem>", spelled(inversion, blank))
}

/// The equation as people write it.
fn spelled(inversion: &Inversion, blank: Blank) -> String {
    let [x, y, p] = inversion.slots(blank);
    format!("{x} * {y} = 1 (mod {p})")
}
