//! What a program does with an input, foretold: the questions of CRUXEval and of LiveCodeBench's execution part.

use std::sync::Arc;

use kelvin_core::{
    benchmark::{Ask, Benchmark, Item, Profile, PromptMode, Verdict},
    environment::Environment,
    executor::Executor,
    rollout::Sampling,
    task::{Miss, SEED_STAGE, Task, TaskType},
};
use kelvin_python::{
    Policy,
    value::{Equality, parse_literal},
};

use super::harness::Harness;
use crate::python_triplet::{Problem, PromptSet, PythonTriplet, Settings};

/// CPU time of an answer, in seconds: CRUXEval's 3 (of wall time there).
const ANSWER_S: f64 = 3.0;

/// The longest answers, in tokens: with the benchmark's tags; AZR's; of the embedded model, which writes down its working.
const TAGGED_NEW: usize = 512;
const PAPER_NEW: usize = 8096;
const COMPACT_NEW: usize = 128;

/// A benchmark of such questions.
pub(super) struct Foretelling {
    items: Vec<Item>,
    rows: Vec<Foretold>,
    rules: Rules,
}

/// A program whose function is called `f`, an argument list, and what comes back.
pub(super) struct Foretold {
    pub(super) code: String,
    pub(super) input: String,
    pub(super) output: String,
    /// What runs before the program and is not shown.
    pub(super) prelude: &'static str,
}

/// How such questions are asked and graded.
struct Rules {
    profile: Profile,
    /// Deduction or abduction.
    task_type: TaskType,
    harness: Harness,
    full: PythonTriplet,
    compact: PythonTriplet,
}

impl Foretelling {
    /// The benchmark of these questions by identifier.
    pub(super) fn new(
        rows: impl Iterator<Item = (String, Foretold)>,
        profile: Profile,
        executor: Arc<dyn Executor>,
        task_type: TaskType,
    ) -> anyhow::Result<Foretelling> {
        let rules = Rules::new(profile, executor, task_type)?;
        let (items, rows) = rows.map(|(id, it)| (Item { id, group: String::new() }, it)).unzip();
        Ok(Foretelling { items, rows, rules })
    }
}

impl Benchmark for Foretelling {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn ask(&self, item_idx: usize, mode: PromptMode) -> anyhow::Result<Ask> {
        Ok(self.rules.ask(&self.rows[item_idx], mode))
    }

    fn sampling(&self, mode: PromptMode) -> Sampling {
        self.rules.sampling(mode)
    }

    fn grade(&self, item_idx: usize, mode: PromptMode, response: &str) -> anyhow::Result<Verdict> {
        self.rules.grade(&self.rows[item_idx], mode, response)
    }

    fn gold(&self, item_idx: usize) -> Option<String> {
        Some(self.rules.gold(&self.rows[item_idx]))
    }
}

impl Rules {
    fn new(profile: Profile, executor: Arc<dyn Executor>, task_type: TaskType) -> anyhow::Result<Rules> {
        let triplets = |prompt_set| {
            let settings = Settings {
                prompt_set,
                task_types: vec![task_type],
                equality: Equality::Python,
                // The programs are the benchmark's own.
                policy: Policy::Code,
                ..Settings::default()
            };
            PythonTriplet::new(executor.clone(), settings)
        };
        let (full, compact) = (triplets(PromptSet::Full)?, triplets(PromptSet::Compact)?);
        Ok(Rules { profile, task_type, harness: Harness::new(executor), full, compact })
    }

    fn ask(&self, it: &Foretold, mode: PromptMode) -> Ask {
        let prompt = match (mode, self.profile) {
            (PromptMode::Compact, _) => self.compact.solve_prompt(&self.task(it)),
            (PromptMode::Plain | PromptMode::Chat, Profile::Paper) => self.full.solve_prompt(&self.task(it)),
            (PromptMode::Plain | PromptMode::Chat, Profile::Clean) => self.tagged_prompt(it),
        };
        match mode {
            PromptMode::Chat => Ask::Chat { system: None, user: prompt, prefill: String::new() },
            PromptMode::Plain | PromptMode::Compact => Ask::Text(prompt),
        }
    }

    fn sampling(&self, mode: PromptMode) -> Sampling {
        match (mode, self.profile) {
            (PromptMode::Compact, _) => Sampling::greedy(COMPACT_NEW),
            (PromptMode::Plain | PromptMode::Chat, Profile::Paper) => Sampling::greedy(PAPER_NEW),
            (PromptMode::Plain | PromptMode::Chat, Profile::Clean) => {
                Sampling { stop: vec!["[/ANSWER]".to_owned()], ..Sampling::greedy(TAGGED_NEW) }
            }
        }
    }

    fn grade(&self, it: &Foretold, mode: PromptMode, response: &str) -> anyhow::Result<Verdict> {
        let (env, set) = match (mode, self.profile) {
            (PromptMode::Compact, _) => (&self.compact, PromptSet::Compact),
            (PromptMode::Plain | PromptMode::Chat, Profile::Paper) => (&self.full, PromptSet::Full),
            (PromptMode::Plain | PromptMode::Chat, Profile::Clean) => {
                return self.grade_tagged(it, tagged_answer(self.task_type, response));
            }
        };
        let form = Settings::default().form();
        match set.parse_solution(form, self.task_type, response) {
            Some(extracted) => Ok(Verdict::on(extracted, env.grade(&self.task(it), response)?.miss)),
            None => Ok(Verdict::no_answer()),
        }
    }

    /// The right answer, in the form that the prompt asks for.
    fn gold(&self, it: &Foretold) -> String {
        match self.profile {
            Profile::Clean => assertion(self.task_type, it).1,
            Profile::Paper => {
                let place = Settings::default().answer;
                PromptSet::Full.solution_text(place, self.task_type, &self.task(it).payload, &[])
            }
        }
    }

    /// The benchmark's own scoring: the answer is an expression, and what it comes to after the program has run is what
    /// counts. An output that calls the function, or an input that does not, is no answer.
    fn grade_tagged(&self, it: &Foretold, answer: Option<String>) -> anyhow::Result<Verdict> {
        let Some(answer) = answer else { return Ok(Verdict::no_answer()) };
        let is_refused = match self.task_type {
            TaskType::Deduction => answer.contains(&format!("f({})", it.input)),
            _ => !answer.contains("f("),
        };
        if is_refused {
            return Ok(Verdict::on(answer, Some(Miss::Unparsable)));
        }
        let miss = match self.harness.expression(&format!("{}{}", it.prelude, it.code), &answer, ANSWER_S)? {
            Err(miss) => Some(miss),
            Ok(written) => match (parse_literal(&written), parse_literal(&it.output)) {
                (Ok(value), Ok(gold)) if gold.equals(&value, Equality::Python) => None,
                (Ok(_) | Err(_), _) => Some(Miss::Wrong),
            },
        };
        Ok(Verdict::on(answer, miss))
    }

    /// Two examples and the question between the benchmark's tags.
    fn tagged_prompt(&self, it: &Foretold) -> String {
        let task = match self.task_type {
            TaskType::Deduction => {
                "Each program below is followed by an assertion whose right side is missing. Complete the assertion with \
                 the literal that the call returns; no call and no other expression may stand there."
            }
            _ => {
                "Each program below is followed by an assertion whose argument list is missing. Complete the assertion \
                 with arguments for which it holds; several may, and one suffices."
            }
        };
        let show = |it: &Foretold| assertion(self.task_type, it);
        let question =
            |it: &Foretold| format!("[PYTHON]\n{}\n{}\n[/PYTHON]\n[ANSWER]\n", it.code, show(it).0);
        let examples = EXAMPLES.map(|[code, input, output]| {
            let it = Foretold {
                code: code.to_owned(),
                input: input.to_owned(),
                output: output.to_owned(),
                prelude: "",
            };
            format!("{}{}\n[/ANSWER]\n\n", question(&it), show(&it).1)
        });
        format!(
            "{task} The answer stands between [ANSWER] and [/ANSWER].\n\n{}{}",
            examples.concat(),
            question(it)
        )
    }

    fn task(&self, it: &Foretold) -> Task<Problem> {
        let payload = Problem::triplet(it.code.clone(), it.input.clone(), it.output.clone());
        Task { task_type: self.task_type, born: SEED_STAGE, label: None, payload }
    }
}

/// What an answer completes, with the gap and without.
fn assertion(task_type: TaskType, it: &Foretold) -> (String, String) {
    let Foretold { input, output, .. } = it;
    let whole = format!("assert f({input}) == {output}");
    match task_type {
        TaskType::Deduction => (format!("assert f({input}) == ??"), whole),
        _ => (format!("assert f(??) == {output}"), whole),
    }
}

/// Programs, inputs and outputs that are in no benchmark.
const EXAMPLES: [[&str; 3]; 2] = [
    [
        "def f(words, limit):\n    kept = []\n    for word in words:\n        if len(word) <= limit:\n            \
         kept.append(word.upper())\n    return kept",
        "['oak', 'willow', 'ash'], 3",
        "['OAK', 'ASH']",
    ],
    [
        "def f(n):\n    total = 0\n    while n:\n        total += n % 10\n        n //= 10\n    return {'sum': total}",
        "405",
        "{'sum': 9}",
    ],
];

/// The expression that a response commits to, by CRUXEval's rules: what stands in the tags, of an assertion the side that
/// was asked for.
fn tagged_answer(task_type: TaskType, response: &str) -> Option<String> {
    let text = response.split_once("[ANSWER]").map_or(response, |(_, inside)| inside);
    let text = text.split("[/ANSWER]").next().unwrap_or_default();
    let answer = match task_type {
        TaskType::Deduction => text.split_once("==").map_or(text, |(_, right)| right).trim().to_owned(),
        _ => {
            let left = text.split("==").next().unwrap_or_default().trim();
            match left.rsplit_once("assert f") {
                Some((_, arguments)) => format!("f{}", arguments.trim()),
                None => left.to_owned(),
            }
        }
    };
    Some(answer).filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_by_the_benchmarks_rules() {
        for (task_type, response, answer) in [
            (TaskType::Deduction, "assert f(1) == [2]\n", Some("[2]")),
            (TaskType::Deduction, "so\n[ANSWER]\nassert f(1) == 'a'\n[/ANSWER] more", Some("'a'")),
            (TaskType::Deduction, " 5 ", Some("5")),
            (TaskType::Deduction, "[ANSWER][/ANSWER]", None),
            (TaskType::Abduction, "assert f('x', 2) == 3", Some("f('x', 2)")),
            (TaskType::Abduction, "[ANSWER]f(1)[/ANSWER]", Some("f(1)")),
            (TaskType::Abduction, "", None),
        ] {
            assert_eq!(tagged_answer(task_type, response).as_deref(), answer, "{response}");
        }
    }
}
