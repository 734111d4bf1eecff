//! Prompts for programs, and the program that a response holds.

use kelvin_core::{
    benchmark::{Ask, Profile, PromptMode},
    rollout::Sampling,
};
use kelvin_python::sanitize;

use crate::grading::code::{Block, blocks};

const FENCE: &str = "```";

/// Ends of a program in any mode: nothing that is called from outside follows.
const STOPS: [&str; 3] = ["\nif __name__", "\ndef main(", "\nprint("];

/// The question of a task whose prompt is the beginning of a program: that beginning, or a message with it whose answer
/// begins inside of a fence.
pub(super) fn ask(prompt: &str, mode: PromptMode) -> Option<Ask> {
    let prompt = format!("{}\n", prompt.trim());
    match mode {
        PromptMode::Plain => Some(Ask::Text(prompt)),
        PromptMode::Chat => Some(Ask::Chat {
            system: None,
            user: format!(
                "Write one self-contained Python script, in a markdown block, that does what this asks for:\n\
                 {FENCE}\n{prompt}{FENCE}\n"
            ),
            prefill: format!(
                "Below is a Python script whose function does what is asked for; it needs nothing else:\n{FENCE}python\n"
            ),
        }),
        PromptMode::Compact => None,
    }
}

/// The longest answer, in tokens: EvalPlus' 768, and room for a model that explains.
const MAX_NEW: [usize; 2] = [1024, 768];

/// How programs are drawn: greedily, up to the end of the function.
pub(super) fn sampling(mode: PromptMode, profile: Profile, of_completions: &[&str]) -> Sampling {
    let max_new_tokens = match profile {
        Profile::Clean => MAX_NEW[0],
        Profile::Paper => MAX_NEW[1],
    };
    let more: &[&str] = match mode {
        PromptMode::Plain => of_completions,
        PromptMode::Chat | PromptMode::Compact => &["\n```\n"],
    };
    let stop = STOPS.iter().chain(more).map(|&it| it.to_owned()).collect();
    Sampling { stop, ..Sampling::greedy(max_new_tokens) }
}

/// A program as a response.
pub(super) fn in_fence(program: &str) -> String {
    format!("{FENCE}python\n{program}\n{FENCE}\n")
}

/// The program that a response holds. A completion goes on from its prompt, an answer in a chat from the fence that was
/// opened for it; a response that opens fences of its own means what stands in the last one that defines the function. Of
/// it stays what the function needs, as EvalPlus has it.
pub(super) fn in_response(mode: PromptMode, prompt: &str, response: &str, entry: &str) -> Option<String> {
    let response = response.replace('\t', "    ");
    let head = format!("def {entry}");
    let defines = |it: &Block| {
        let mut heads = it.inside.match_indices(&head);
        heads.any(|(at, _)| it.inside[at + head.len()..].trim_start().starts_with('('))
    };
    let code = match (blocks(&response).into_iter().rfind(defines), mode) {
        (Some(block), _) => block.inside,
        (None, PromptMode::Plain) => {
            let body = response.split("\n```").next().unwrap_or_default();
            format!("{}\n{body}", prompt.trim())
        }
        (None, PromptMode::Chat | PromptMode::Compact) => {
            response.split("\n```").next().unwrap_or_default().to_owned()
        }
    };
    (!response.trim().is_empty()).then(|| sanitize(&code, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: &str = "def f(x):\n    \"\"\"Adds one.\"\"\"\n";

    #[test]
    fn a_completion_goes_on_from_its_prompt() {
        let program = |mode, response| in_response(mode, PROMPT, response, "f").unwrap();
        assert_eq!(
            program(PromptMode::Plain, "\treturn x + 1\n```\nThat is it."),
            "def f(x):\n    \"\"\"Adds one.\"\"\"\n    return x + 1"
        );
        assert_eq!(
            program(PromptMode::Chat, "def f(x):\n    return x + 1\n```\nDone."),
            "def f(x):\n    return x + 1"
        );
        let chatty = "So:\n```python\ndef f(x):\n    return 0\n```\nor better\n```\ndef f(x):\n    return x + 1\n```\n";
        for mode in [PromptMode::Plain, PromptMode::Chat] {
            assert_eq!(program(mode, chatty), "def f(x):\n    return x + 1");
        }
        let cut = "So:\n```python\ndef f(x):\n    return x + 1";
        let tested = "```python\ndef f(x):\n    return x + 1\n```\nand\n```\ndef f_test():\n    assert f(1) == 2\n```\n";
        for response in [cut, tested] {
            assert_eq!(program(PromptMode::Chat, response), "def f(x):\n    return x + 1", "{response}");
        }
        assert_eq!(in_response(PromptMode::Plain, PROMPT, " \n", "f"), None);
    }

    #[test]
    fn prompts() {
        let Some(Ask::Text(plain)) = ask(PROMPT, PromptMode::Plain) else { panic!("plain prompts are text") };
        assert_eq!(plain, PROMPT);
        let Some(Ask::Chat { user, prefill, .. }) = ask(PROMPT, PromptMode::Chat) else {
            panic!("a message")
        };
        assert!(
            user.contains(&format!("```\n{PROMPT}```")) && prefill.ends_with(":\n```python\n"),
            "{user}{prefill}"
        );
        assert_eq!(ask(PROMPT, PromptMode::Compact), None);
    }
}
