//! How AZR and R-Zero asked; how they read answers is `grading/paper.rs`. `docs/divergences/evaluation.md` has a line for
//! each flaw.

use kelvin_core::benchmark::{Ask, PromptMode};

/// What AZR puts before every question but those for the coder, in our words.
pub(super) const PREAMBLE: &str = "A user puts a question to an assistant, who solves it. The assistant first reasons in mind and then \
                        gives the answer. Reasoning and answer stand in tags, like so: <think> reasoning </think> <answer> \
                        answer </answer>.";

/// What R-Zero asks of every answer, in our words.
const R_ZERO_SYSTEM: &str = "Please reason step by step, and put your final answer within \\boxed{}.";

/// A question of mathematics as AZR asks it.
pub(super) fn azr_question(question: &str, mode: PromptMode) -> Ask {
    let text = format!("{PREAMBLE}\nUser: {question}\nAssistant:");
    match mode {
        PromptMode::Plain | PromptMode::Compact => Ask::Text(text),
        PromptMode::Chat => Ask::Chat { system: None, user: text, prefill: String::new() },
    }
}

/// What ends an answer there.
pub(super) fn azr_stops() -> Vec<String> {
    ["</s>", "<|im_end|>", "<|endoftext|>"].map(str::to_owned).into()
}

/// A question as R-Zero asks it; without a chat template, roles in words and the instruction twice.
pub(super) fn r_zero_question(question: &str, mode: PromptMode) -> Ask {
    match mode {
        PromptMode::Chat => Ask::Chat {
            system: Some(R_ZERO_SYSTEM.to_owned()),
            user: question.to_owned(),
            prefill: String::new(),
        },
        PromptMode::Plain | PromptMode::Compact => {
            Ask::Text(format!("system: {R_ZERO_SYSTEM}\nuser: {question}\n{R_ZERO_SYSTEM}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_zero_says_it_twice_without_a_template() {
        let Ask::Text(text) = r_zero_question("1 + 1?", PromptMode::Plain) else { panic!("text") };
        assert_eq!((text.matches(R_ZERO_SYSTEM).count(), text.matches("user: 1 + 1?").count()), (2, 1));
        let Ask::Chat { system, user, .. } = r_zero_question("1 + 1?", PromptMode::Chat) else {
            panic!("a message")
        };
        assert_eq!((system.as_deref(), user.as_str()), (Some(R_ZERO_SYSTEM), "1 + 1?"));
        let Ask::Text(text) = azr_question("1 + 1?", PromptMode::Plain) else { panic!("text") };
        assert!(text.ends_with("\nUser: 1 + 1?\nAssistant:"), "{text}");
    }
}
