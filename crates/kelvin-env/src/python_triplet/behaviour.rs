//! What solvers do on the way to an answer, read from their thoughts and programs (azr.md section 9). All of it is
//! counted by patterns: numbers are for comparison over a run, not for single responses. Thoughts
//! of the compact prompt set are the comment lines before an answer, of which only the number is taken.

use std::collections::HashSet;

use kelvin_core::{
    measures::Behaviour,
    task::{Grade, Task, TaskType},
};
use kelvin_python::{
    arguments::parse_arguments,
    program::{complexity, lines},
};

use super::{
    Problem, PromptSet, Settings,
    fence::{find_ignoring_case, tagged},
};

/// The most calls and quoted spans of one thought that are read.
const SPANS_MAX: usize = 1000;
/// The longest argument list that is read, in bytes.
const ARGUMENTS_BYTES_MAX: usize = 2000;

/// What can be seen in one graded response.
pub(super) fn behaviours(
    settings: &Settings,
    task: &Task<Problem>,
    response: &str,
    grade: &Grade,
) -> Vec<(Behaviour, f64)> {
    let thought = match settings.prompt_set {
        PromptSet::Full => Some(thought(response)),
        PromptSet::Compact => None,
    };
    let working = (Behaviour::WorkingLines, n_comments_before(response) as f64);
    match task.task_type {
        TaskType::Deduction => {
            vec![thought.map_or(working, |it| (Behaviour::StateLines, n_state_lines(it) as f64))]
        }
        TaskType::Abduction => {
            vec![thought.map_or(working, |it| (Behaviour::Trials, tried_inputs(it).len() as f64))]
        }
        TaskType::Induction => {
            let mut seen = Vec::new();
            let tried = thought.map(|it| n_pairs_tried(it, &task.payload.shown_pairs()));
            seen.extend(tried.map(|it| (Behaviour::PairsTried, it as f64)));
            if let Some(program) =
                settings.prompt_set.parse_solution(settings.form(), task.task_type, response)
            {
                seen.extend(of_program(&program, task.payload.program(), grade));
            }
            seen
        }
        TaskType::Error | TaskType::Question => Vec::new(),
    }
}

/// Comment lines at the beginning: the working of a compact answer.
fn n_comments_before(response: &str) -> usize {
    let lines = response.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.take_while(|line| line.starts_with('#')).count()
}

/// What stands before the last answer.
fn thought(response: &str) -> &str {
    let before = response.rsplit_once("<answer>").map_or(response, |(before, _)| before).trim_end();
    before.strip_suffix("</think>").unwrap_or(before)
}

/// Of an induction answer: comments, and for a right one how much simpler it is than the task's program.
fn of_program(answer: &str, gold: &str, grade: &Grade) -> Vec<(Behaviour, f64)> {
    let lines = lines(answer);
    let mut seen = vec![
        (Behaviour::CommentDensity, lines.comment_density()),
        (Behaviour::StepComments, f64::from(u8::from(0 < lines.n_steps))),
    ];
    if grade.correct
        && let (Ok(gold), Ok(answer)) = (complexity(gold), complexity(answer))
    {
        let gap = f64::from(gold.cognitive) - f64::from(answer.cognitive);
        seen.push((Behaviour::ComplexityGap, gap));
    }
    seen
}

/// Different argument lists, in canonical form: in calls of `f`, in `input` fences, and in backticks on lines that
/// speak of trying.
fn tried_inputs(thought: &str) -> HashSet<String> {
    let tries = |line: &&str| {
        let line = line.to_ascii_lowercase();
        ["try", "suppose", "assume", "guess", "let's say", "candidate"].iter().any(|it| line.contains(it))
    };
    let quoted = thought.lines().filter(tries).flat_map(|line| line.split('`').skip(1).step_by(2));
    let all = calls(thought).into_iter().chain(tagged(thought, "input")).chain(quoted);
    all.take(SPANS_MAX).filter_map(canonical).collect()
}

fn canonical(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || ARGUMENTS_BYTES_MAX < text.len() {
        return None;
    }
    parse_arguments(text).ok().map(|it| it.canonical())
}

/// What stands between the parentheses of each call of `f`.
fn calls(text: &str) -> Vec<&str> {
    let is_name = |it: char| it.is_alphanumeric() || matches!(it, '_' | '.');
    let starts = text.match_indices("f(").filter(|(at, _)| !text[..*at].ends_with(is_name));
    starts.take(SPANS_MAX).filter_map(|(at, _)| up_to_closing(&text[at + 2..])).collect()
}

/// The text up to the parenthesis that closes what was opened before it; brackets in strings do not count.
fn up_to_closing(text: &str) -> Option<&str> {
    let (mut depth, mut quote, mut is_escaped) = (0usize, None, false);
    for (at, char) in text.char_indices().take_while(|(at, _)| *at <= ARGUMENTS_BYTES_MAX) {
        match (quote, char) {
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(_), '\\') => is_escaped = true,
            (Some(open), _) if open == char => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(char),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')') if depth == 0 => return Some(&text[..at]),
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    None
}

/// Lines outside of fences that give a variable a value (`total = 6`, `i is now 3`), and rows of tables with numbers.
fn n_state_lines(thought: &str) -> usize {
    let mut is_fenced = false;
    let notes = |line: &&str| {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
            return false;
        }
        !is_fenced && notes_state(line)
    };
    thought.lines().filter(notes).count()
}

fn notes_state(line: &str) -> bool {
    let line = line.trim();
    if line.starts_with('|') {
        return line.bytes().any(|it| it.is_ascii_digit()) && 2 < line.matches('|').count();
    }
    let assigns = line.match_indices('=').any(|(at, _)| {
        let is_name_end = |it: char| it.is_alphanumeric() || matches!(it, '_' | ']' | '`');
        line[..at].trim_end().ends_with(is_name_end) && begins_literal(&line[at + 1..])
    });
    assigns
        || [" becomes ", " is now "]
            .iter()
            .any(|it| find_ignoring_case(line, it).iter().any(|at| begins_literal(&line[at + it.len()..])))
}

fn begins_literal(text: &str) -> bool {
    let text = text.trim_start().trim_start_matches('`');
    text.starts_with(|it: char| it.is_ascii_digit() || matches!(it, '\'' | '"' | '[' | '(' | '{' | '-'))
        || ["True", "False", "None"].iter().any(|it| text.starts_with(it))
}

/// Words that lead from an input to an output.
const LEADS: [&str; 10] =
    ["->", "→", "=", "⇒", "gives", "returns", "output", "becomes", "yields", "should be"];

/// How many of `pairs` a thought goes through: it calls `f` with the input, or a line leads from it to the output.
fn n_pairs_tried(thought: &str, pairs: &[(&str, &str)]) -> usize {
    let called: HashSet<String> = calls(thought).into_iter().filter_map(canonical).collect();
    let is_tried = |(input, output): &&(&str, &str)| {
        canonical(input).is_some_and(|it| called.contains(&it))
            || thought.lines().any(|line| leads(line, input, output))
    };
    pairs.iter().filter(is_tried).count()
}

fn leads(line: &str, input: &str, output: &str) -> bool {
    let Some(at) = bounded(line, input) else { return false };
    let after = &line[at + input.len()..];
    bounded(after, output).is_some_and(|at| LEADS.iter().any(|it| after[..at].contains(it)))
}

/// Where `text` stands in a line as more than a part of a longer word or number.
fn bounded(line: &str, text: &str) -> Option<usize> {
    if text.is_empty() {
        return None;
    }
    let is_word = |it: char| it.is_alphanumeric() || it == '_';
    let starts_word = text.starts_with(is_word);
    let ends_word = text.ends_with(is_word);
    let mut places = line.match_indices(text).map(|(at, _)| at);
    places.find(|&at| {
        let is_free_before = !starts_word || !line[..at].ends_with(is_word);
        is_free_before && (!ends_word || !line[at + text.len()..].starts_with(is_word))
    })
}

#[cfg(test)]
mod tests {
    use kelvin_core::task::Miss;

    use super::*;

    fn task(task_type: TaskType) -> Task<Problem> {
        let program = "def f(x):\n    if x > 0:\n        return x + 1\n    return 0".to_owned();
        let pairs = [("1", "2"), ("5", "6"), ("-1", "0"), ("7", "8")];
        let payload = match task_type {
            TaskType::Induction => Problem::Induction {
                program,
                inputs: pairs.iter().map(|it| it.0.to_owned()).collect(),
                outputs: pairs.iter().map(|it| it.1.to_owned()).collect(),
                message: "adds".into(),
            },
            _ => Problem::triplet(program, "1".into(), "2".into()),
        };
        Task { task_type, born: 0, label: None, payload }
    }

    fn seen(task_type: TaskType, response: &str, grade: Grade) -> Vec<(Behaviour, f64)> {
        behaviours(&Settings::default(), &task(task_type), response, &grade)
    }

    #[test]
    fn trials_are_different_inputs() {
        let response = "Let me try `[1, 2]`: f([1, 2]) is 3.\nf([1,2]) again, then f( (1, ')'), k=2 ) and obj.f(4), \
                        half(5), f(x).\nI guess `7`.\n```input\n8\n```\n`9` is no trial.</think>\n<answer>f(10)</answer>";
        let wrong = Grade::missed(Miss::Wrong);
        // [1, 2]; (1, ')'), k=2; 7; 8.
        assert_eq!(seen(TaskType::Abduction, response, wrong), [(Behaviour::Trials, 4.0)]);
        assert_eq!(seen(TaskType::Abduction, "<answer>3", wrong), [(Behaviour::Trials, 0.0)]);
    }

    #[test]
    fn state_is_noted_by_lines() {
        let response = "Start: total = 0, i=1\n- `seen[2]` = 'a'\nif total == 3 then\nx >= 4\n```python\ny = 5\n```\n\
                        i becomes 4\nthe sum is now [1]\n| i | total |\n| 1 | 3 |\nso y = x</think><answer>1</answer>";
        let found = seen(TaskType::Deduction, response, Grade::correct());
        assert_eq!(found, [(Behaviour::StateLines, 5.0)]);
    }

    #[test]
    fn induction_shows_pairs_comments_and_the_gap() {
        let response = "f(1) should be 2, and 15 -> 6 is no pair.</think>\n<answer>\n```python\n# Step 1: add\n\
                        def f(x):\n    return x + 1\n```\n</answer>";
        let found = seen(TaskType::Induction, response, Grade::correct());
        assert_eq!(
            found,
            [
                (Behaviour::PairsTried, 1.0),
                (Behaviour::CommentDensity, 0.5),
                (Behaviour::StepComments, 1.0),
                (Behaviour::ComplexityGap, 1.0),
            ]
        );
        let again = response.replace("15 -> 6", "5 -> 6");
        assert_eq!(seen(TaskType::Induction, &again, Grade::missed(Miss::Wrong))[0].1, 2.0);
        assert_eq!(
            seen(TaskType::Induction, &again, Grade::missed(Miss::Wrong)).len(),
            3,
            "no gap of a wrong one"
        );
    }

    #[test]
    fn compact_answers_have_workings_for_thoughts() {
        let settings = Settings { prompt_set: PromptSet::Compact, ..Settings::default() };
        let compact = |task_type, response: &str| {
            behaviours(&settings, &task(task_type), response, &Grade::missed(Miss::Wrong))
        };
        let working = |n_lines: f64| [(Behaviour::WorkingLines, n_lines)];
        assert_eq!(compact(TaskType::Deduction, "x = 1"), working(0.0));
        assert_eq!(compact(TaskType::Abduction, "# 1 + 2 = 3\n# 3 * 2 = 6\n6\n# late"), working(2.0));
        assert_eq!(compact(TaskType::Deduction, "# 1 + 2 = 3\n\n# 3 * 2 = 6\n6"), working(2.0));
        assert_eq!(compact(TaskType::Induction, "def f(x): return x").len(), 2);
    }

    #[test]
    fn no_text_breaks_it() {
        for response in
            ["f(", "f((((", "f('", "``` `", "=", "ä = 1 → f(ä", "<answer><answer>", "```python\ndef"]
        {
            for task_type in [TaskType::Deduction, TaskType::Abduction, TaskType::Induction] {
                seen(task_type, response, Grade::correct());
            }
        }
    }
}
