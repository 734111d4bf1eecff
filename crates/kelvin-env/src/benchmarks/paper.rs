//! How AZR and R-Zero asked and read answers, flaws included: `docs/divergences/evaluation.md` has a line for each.

use kelvin_core::{
    benchmark::{Ask, PromptMode},
    seed::Seed,
};

use crate::grading::last_boxed;

/// What AZR puts before every question but those for the coder, in our words.
const PREAMBLE: &str = "A user puts a question to an assistant, who solves it. The assistant first reasons in mind and then \
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

/// AZR's answer: behind the last `<answer>`, there the last box if there is one; else the last box of all; else the first
/// `\[ .. \]` on one line.
pub(super) fn azr_answer(response: &str) -> Option<&str> {
    if let Some((_, after)) = response.rsplit_once("<answer>") {
        let inside = after.split("</answer>").next().unwrap_or_default();
        return Some(last_boxed(inside).unwrap_or(inside).trim());
    }
    last_boxed(response).or_else(|| {
        response.lines().find_map(|line| {
            let (_, after) = line.split_once("\\[")?;
            after.split_once("\\]").map(|(inside, _)| inside.trim())
        })
    })
}

/// R-Zero's answer: from the first box to the last brace on its line, so that two boxes on a line become one.
pub(super) fn first_box_to_last_brace(response: &str) -> Option<&str> {
    const BOX: &str = "\\boxed{";
    response.lines().find_map(|line| {
        let inside = &line[line.find(BOX)? + BOX.len()..];
        Some(&inside[..inside.rfind('}')?])
    })
}

/// R-Zero's choice: the first letter, in the order of the alphabet, that occurs anywhere in the last box or behind a
/// phrase; where nothing is found, a letter by lot.
pub(super) fn r_zero_choice(response: &str, n_options: usize, seed: Seed) -> usize {
    let committed = last_boxed(response).or_else(|| after_phrase(response));
    let letter =
        committed.and_then(|it| (0..n_options).find(|&index| it.contains(char::from(b'A' + index as u8))));
    letter.unwrap_or_else(|| seed.below(n_options))
}

/// What R-Zero reads where there is no box, up to the end of the line.
pub(super) fn after_phrase(response: &str) -> Option<&str> {
    ["Final Answer:", "The answer is:"].iter().find_map(|phrase| {
        let (_, after) = response.split_once(phrase)?;
        after.lines().next().map(str::trim)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn azr_reads_tags_before_boxes() {
        for (response, answer) in [
            ("<answer>1</answer> then <answer> \\boxed{2} </answer> \\boxed{3}", Some("2")),
            ("<answer> 7 </answer>", Some("7")),
            ("<answer>7", Some("7")),
            ("\\boxed{1} \\boxed{2}", Some("2")),
            ("so\n\\[ x = 1 \\]\n\\[ 2 \\]", Some("x = 1")),
            ("nothing", None),
        ] {
            assert_eq!(azr_answer(response), answer, "{response}");
        }
    }

    /// The examples of the specification's list of flaws.
    #[test]
    fn flaws_of_r_zero_are_kept() {
        assert_eq!(first_box_to_last_brace("\\boxed{5} or \\boxed{6}"), Some("5} or \\boxed{6"));
        assert_eq!(first_box_to_last_brace("none"), None);
        let choice = |response| r_zero_choice(response, 10, Seed::new(1));
        assert_eq!(choice("\\boxed{\\text{Answer: C}}"), 0);
        assert_eq!(choice("\\boxed{C}"), 2);
        assert_eq!(choice("The answer is: (D)."), 3);
        let lots: Vec<usize> = (0..20).map(|it| r_zero_choice("", 10, Seed::new(it))).collect();
        assert!(lots.iter().all(|&it| it < 10) && lots.iter().any(|&it| it != lots[0]), "{lots:?}");
    }
}
