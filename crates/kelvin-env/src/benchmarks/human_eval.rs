//! HumanEval (Chen et al. 2021) and HumanEval+ (Liu et al. 2023): a function's head and docstring, continued. The first is
//! graded by its own `check` functions, which hold what is right and run beside the candidate; the second by comparing
//! results outside of the sandbox.

use std::sync::Arc;

use anyhow::Context;
use kelvin_core::{
    benchmark::{Ask, Benchmark, Card, Item, Profile, PromptMode, SourceFile, Verdict},
    executor::Executor,
    rollout::Sampling,
};
use serde::Deserialize;

use super::{
    DataFolder, Entry, Open,
    harness::Harness,
    no_prompt,
    oracle::Oracle,
    plus::{PlusTask, Tests, TimeLimits},
    program, raw,
};

const FILE: SourceFile = SourceFile {
    path: "humaneval/HumanEval.jsonl.gz",
    sha256: Some("b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"),
};
const PLUS_FILE: SourceFile = SourceFile {
    path: "humaneval_plus/HumanEvalPlus.jsonl.gz",
    sha256: Some("272720b90ac375502c8ed23cd791c2a93dfb22a911641a494da74a426c09f101"),
};

pub(super) const HUMAN_EVAL: Entry = Entry {
    card: Card {
        name: "humaneval",
        title: "HumanEval",
        n_rows: 164,
        source: "https://github.com/openai/human-eval, data/HumanEval.jsonl.gz",
        licence: "MIT",
        files: &[FILE],
        note: "its own check functions run beside the candidate, and hold what is right",
    },
    open: Open::Runs(|data, profile, executor| Ok(Box::new(HumanEval::open(data, profile, executor)?))),
};

pub(super) const HUMAN_EVAL_PLUS: Entry = Entry {
    card: Card {
        name: "humaneval-plus",
        title: "HumanEval+",
        n_rows: 164,
        source: "https://github.com/evalplus/humanevalplus_release, v0.1.10",
        licence: "Apache-2.0",
        files: &[PLUS_FILE],
        note: "",
    },
    open: Open::Runs(|data, profile, executor| Ok(Box::new(HumanEvalPlus::open(data, profile, executor)?))),
};

/// CPU time of a candidate with its tests, in seconds (HumanEval's own limit, of wall time).
const CHECK_S: f64 = 3.0;

/// The longest answer, in tokens: EvalPlus' 768, and room for a model that explains.
const MAX_NEW: [usize; 2] = [1024, 768];

/// What ends a completion beside what ends any program (EvalPlus).
const STOPS: [&str; 5] = ["\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "];

fn sampling(profile: Profile, mode: PromptMode) -> Sampling {
    let max_new = match profile {
        Profile::Clean => MAX_NEW[0],
        Profile::Paper => MAX_NEW[1],
    };
    program::sampling(mode, max_new, &STOPS)
}

#[derive(Deserialize)]
struct Row {
    task_id: String,
    prompt: String,
    entry_point: String,
    canonical_solution: String,
    test: String,
}

struct HumanEval {
    rows: Vec<Row>,
    items: Vec<Item>,
    harness: Harness,
    profile: Profile,
}

impl HumanEval {
    fn open(data: &DataFolder, profile: Profile, executor: Arc<dyn Executor>) -> anyhow::Result<HumanEval> {
        let rows: Vec<Row> = data.rows(&FILE)?;
        let items = rows.iter().map(|it| Item { id: it.task_id.clone(), group: String::new() }).collect();
        Ok(HumanEval { rows, items, harness: Harness::new(executor), profile })
    }
}

impl Benchmark for HumanEval {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn ask(&self, item_idx: usize, mode: PromptMode) -> anyhow::Result<Ask> {
        program::ask(&self.rows[item_idx].prompt, mode).map_or_else(|| no_prompt(&HUMAN_EVAL.card, mode), Ok)
    }

    fn sampling(&self, mode: PromptMode) -> Sampling {
        sampling(self.profile, mode)
    }

    fn grade(&self, item_idx: usize, mode: PromptMode, response: &str) -> anyhow::Result<Verdict> {
        let Row { prompt, entry_point, test, .. } = &self.rows[item_idx];
        let Some(program) = program::in_response(mode, prompt, response, entry_point) else {
            return Ok(Verdict::no_answer());
        };
        let tests = format!("{test}\ncheck({entry_point})");
        // Tests may call what the prompt defines beside the function; the answer defines the function again.
        let miss = self.harness.asserts(&format!("{prompt}\n{program}"), &tests, CHECK_S)?;
        Ok(Verdict::on(program, miss))
    }

    fn gold(&self, item_idx: usize) -> Option<String> {
        Some(self.rows[item_idx].canonical_solution.clone())
    }
}

struct HumanEvalPlus {
    prompts: Vec<String>,
    tasks: Vec<PlusTask>,
    items: Vec<Item>,
    harness: Harness,
    profile: Profile,
}

impl HumanEvalPlus {
    fn open(
        data: &DataFolder,
        profile: Profile,
        executor: Arc<dyn Executor>,
    ) -> anyhow::Result<HumanEvalPlus> {
        let (mut prompts, mut tasks) = (Vec::new(), Vec::new());
        for (index, line) in data.text(&PLUS_FILE)?.lines().enumerate() {
            let row = PlusRow::read(line).with_context(|| {
                format!("{}:{}: not a row of EvalPlus\nhint: fetch the file again", PLUS_FILE.path, index + 1)
            })?;
            let PlusRow { id, prompt, entry, solution, base, plus, tolerance } = row;
            tasks.push(PlusTask {
                id,
                oracle: Oracle::of_human_eval(&entry, tolerance),
                entry,
                solution: format!("{prompt}{solution}"),
                base,
                plus,
                shape: "",
            });
            prompts.push(prompt);
        }
        let items = tasks.iter().map(|it| Item { id: it.id.clone(), group: String::new() }).collect();
        Ok(HumanEvalPlus { prompts, tasks, items, harness: Harness::new(executor), profile })
    }
}

impl Benchmark for HumanEvalPlus {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn ask(&self, item_idx: usize, mode: PromptMode) -> anyhow::Result<Ask> {
        program::ask(&self.prompts[item_idx], mode).map_or_else(|| no_prompt(&HUMAN_EVAL_PLUS.card, mode), Ok)
    }

    fn sampling(&self, mode: PromptMode) -> Sampling {
        sampling(self.profile, mode)
    }

    fn grade(&self, item_idx: usize, mode: PromptMode, response: &str) -> anyhow::Result<Verdict> {
        let (task, prompt) = (&self.tasks[item_idx], &self.prompts[item_idx]);
        match program::in_response(mode, prompt, response, &task.entry) {
            Some(program) => task.verdict(&self.harness, TimeLimits::of(self.profile), program),
            None => Ok(Verdict::no_answer()),
        }
    }

    fn gold(&self, item_idx: usize) -> Option<String> {
        Some(program::in_fence(&self.tasks[item_idx].solution))
    }
}

/// A row of EvalPlus' files.
pub(super) struct PlusRow {
    pub(super) id: String,
    pub(super) prompt: String,
    pub(super) entry: String,
    pub(super) solution: String,
    pub(super) base: Tests,
    pub(super) plus: Tests,
    pub(super) tolerance: f64,
}

impl PlusRow {
    /// Reads a line; argument lists stay text.
    pub(super) fn read(line: &str) -> Option<PlusRow> {
        let fields = raw::fields(line)?;
        let field = |name: &str| fields.iter().find(|it| it.0 == name).map(|it| it.1);
        let text = |name: &str| serde_json::from_str::<String>(field(name)?).ok();
        let tests = |name: &str| match field(name)? {
            // MBPP+ writes no tests as an empty object.
            "{}" => Some(Tests::new("[]".to_owned(), 0)),
            json => Some(Tests::new(json.to_owned(), raw::n_elements(json)?)),
        };
        Some(PlusRow {
            id: text("task_id")?,
            prompt: text("prompt")?,
            entry: text("entry_point")?,
            solution: text("canonical_solution")?,
            base: tests("base_input")?,
            plus: tests("plus_input")?,
            tolerance: field("atol").and_then(|it| it.parse().ok()).unwrap_or(0.0),
        })
    }
}
