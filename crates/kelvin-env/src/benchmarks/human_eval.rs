//! HumanEval (Chen et al. 2021) and HumanEval+ (Liu et al. 2023): a function's head and docstring, continued. The first is
//! graded by its own `check` functions, which hold what is right and run beside the candidate; the second by comparing
//! results outside of the sandbox.

use std::sync::Arc;

use kelvin_core::{
    benchmark::{Ask, Benchmark, Card, Item, Profile, PromptMode, SourceFile, Verdict},
    executor::Executor,
    rollout::Sampling,
};
use serde::Deserialize;

use super::{
    DataFolder, Entry, Open,
    eval_plus::{EvalPlus, Kind},
    harness::Harness,
    no_prompt,
    oracle::Oracle,
    program,
};

const FILE: SourceFile = SourceFile::known(
    "humaneval/HumanEval.jsonl.gz",
    "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef",
);
const PLUS_FILE: SourceFile = SourceFile::known(
    "humaneval_plus/HumanEvalPlus.jsonl.gz",
    "272720b90ac375502c8ed23cd791c2a93dfb22a911641a494da74a426c09f101",
);

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

/// The second.
static PLUS: Kind = Kind {
    card: Card {
        name: "humaneval-plus",
        title: "HumanEval+",
        n_rows: 164,
        source: "https://github.com/evalplus/humanevalplus_release, v0.1.10",
        licence: "Apache-2.0",
        files: &[PLUS_FILE],
        note: "",
    },
    oracle: Oracle::of_human_eval,
    shape: |_| "",
    stops: &STOPS,
};

pub(super) const HUMAN_EVAL_PLUS: Entry = Entry {
    card: PLUS.card,
    open: Open::Runs(|data, profile, executor| Ok(Box::new(EvalPlus::open(&PLUS, data, profile, executor)?))),
};

/// CPU time of a candidate with its tests, in seconds (HumanEval's own limit, of wall time).
const CHECK_S: f64 = 3.0;

/// What ends a completion beside what ends any program (EvalPlus).
const STOPS: [&str; 5] = ["\ndef ", "\nclass ", "\nimport ", "\nfrom ", "\nassert "];

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
        program::sampling(mode, self.profile, &STOPS)
    }

    fn grade(&self, item_idx: usize, mode: PromptMode, response: &str) -> anyhow::Result<Verdict> {
        let Row { prompt, entry_point, test, .. } = &self.rows[item_idx];
        let Some(program) = program::in_response(mode, prompt, response, entry_point) else {
            return Ok(Verdict::no_answer());
        };
        let tests = format!("{test}\ncheck({entry_point})");
        // Tests may call what the prompt defines beside the function; the answer defines the function again. What it
        // imports from the future stands at a program's head.
        let (future, rest): (Vec<&str>, Vec<&str>) =
            program.lines().partition(|it| it.starts_with("from __future__ import "));
        let whole = [&future[..], &[prompt], &rest[..]].concat().join("\n");
        let miss = self.harness.asserts(&whole, &tests, CHECK_S)?;
        Ok(Verdict::on(program, miss))
    }

    fn gold(&self, item_idx: usize) -> Option<String> {
        Some(self.rows[item_idx].canonical_solution.clone())
    }
}
