//! MBPP in its sanitised form (Austin et al. 2021) and MBPP+ (Liu et al. 2023): a sentence and a test, from which a whole
//! function is written. The first is graded by its own assertions, which hold what is right and run beside the candidate;
//! the second by comparing results outside of the sandbox.

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
    "mbpp/sanitized-mbpp.json",
    "7fec016546acaee11dbe14f9f0bb670e59f41919f7b522a59fba34871da78551",
);
const PLUS_FILE: SourceFile = SourceFile::unknown("mbpp_plus/MbppPlus.jsonl.gz");

pub(super) const MBPP: Entry = Entry {
    card: Card {
        name: "mbpp",
        title: "MBPP (sanitised)",
        n_rows: 427,
        source: "https://github.com/google-research/google-research, mbpp/sanitized-mbpp.json",
        licence: "CC-BY-4.0",
        files: &[FILE],
        note: "its own assertions run beside the candidate, and hold what is right",
    },
    open: Open::Runs(|data, profile, executor| Ok(Box::new(Mbpp::open(data, profile, executor)?))),
};

/// The second.
static PLUS: Kind = Kind {
    card: Card {
        name: "mbpp-plus",
        title: "MBPP+",
        n_rows: 378,
        source: "https://github.com/evalplus/mbppplus_release, v0.2.0",
        licence: "Apache-2.0",
        files: &[PLUS_FILE],
        note: "",
    },
    oracle: Oracle::of_mbpp,
    shape,
    stops: &STOPS,
};

pub(super) const MBPP_PLUS: Entry = Entry {
    card: PLUS.card,
    open: Open::Runs(|data, profile, executor| Ok(Box::new(EvalPlus::open(&PLUS, data, profile, executor)?))),
};

/// CPU time of a candidate with its assertions, in seconds.
const ASSERTIONS_S: f64 = 10.0;

/// What ends a completion beside what ends any program (EvalPlus).
const STOPS: [&str; 2] = ["\n\"\"\"", "\nassert"];

#[derive(Deserialize)]
struct Row {
    task_id: u32,
    prompt: String,
    code: String,
    test_imports: Vec<String>,
    test_list: Vec<String>,
}

impl Row {
    /// The function that the assertions call: of those that the publisher's solution defines, the first that the first
    /// assertion names.
    fn entry(&self) -> Option<&str> {
        let test = self.test_list.first()?;
        let is_name = |it: char| it.is_alphanumeric() || it == '_';
        let defined = |line: &str| {
            line.trim_start().strip_prefix("def ")?.split('(').next().map(|it| it.trim().to_owned())
        };
        let names: Vec<String> = self.code.lines().filter_map(defined).collect();
        test.split(|it| !is_name(it)).find(|word| names.iter().any(|name| name == word))
    }

    /// The prompt, written as EvalPlus writes those of MBPP+: a docstring of the sentence and the first assertion.
    fn docstring(&self) -> String {
        let test = self.test_list.first().map_or("", String::as_str);
        format!("\"\"\"\n{}\n{test}\n\"\"\"\n", self.prompt.trim())
    }
}

struct Mbpp {
    rows: Vec<Row>,
    items: Vec<Item>,
    harness: Harness,
    profile: Profile,
}

impl Mbpp {
    fn open(data: &DataFolder, profile: Profile, executor: Arc<dyn Executor>) -> anyhow::Result<Mbpp> {
        let rows: Vec<Row> = data.rows(&FILE)?;
        let items =
            rows.iter().map(|it| Item { id: format!("Mbpp/{}", it.task_id), group: String::new() }).collect();
        Ok(Mbpp { rows, items, harness: Harness::new(executor), profile })
    }
}

impl Benchmark for Mbpp {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn ask(&self, item_idx: usize, mode: PromptMode) -> anyhow::Result<Ask> {
        program::ask(&self.rows[item_idx].docstring(), mode).map_or_else(|| no_prompt(&MBPP.card, mode), Ok)
    }

    fn sampling(&self, mode: PromptMode) -> Sampling {
        program::sampling(mode, self.profile, &STOPS)
    }

    fn grade(&self, item_idx: usize, mode: PromptMode, response: &str) -> anyhow::Result<Verdict> {
        let row = &self.rows[item_idx];
        let entry = row.entry().unwrap_or_default();
        let Some(program) = program::in_response(mode, &row.docstring(), response, entry) else {
            return Ok(Verdict::no_answer());
        };
        let tests = [row.test_imports.join("\n"), row.test_list.join("\n")].join("\n");
        let miss = self.harness.asserts(&program, &tests, ASSERTIONS_S)?;
        Ok(Verdict::on(program, miss))
    }

    fn gold(&self, item_idx: usize) -> Option<String> {
        Some(program::in_fence(&self.rows[item_idx].code))
    }
}

/// What the argument lists of a task of MBPP+ are made into, since JSON has neither tuples nor sets nor complex numbers:
/// the table of EvalPlus 0.3.1, by names of `SHAPES` in `harness.py`.
fn shape(id: &str) -> &'static str {
    match id.rsplit('/').next().and_then(|it| it.parse::<u32>().ok()).unwrap_or_default() {
        2 | 116 | 132 | 143 | 222 | 261 | 273 | 394 | 399 | 421 | 424 | 429 | 470 | 560 | 579 | 596 | 616
        | 630 | 726 | 740 | 744 | 809 => "tuples",
        63 | 64 | 70 | 94 | 120 | 237 | 272 | 299 | 400 | 409 | 417 | 438 | 473 | 614 | 780 => {
            "lists of tuples"
        }
        75 | 413 | 444 | 753 => "list of tuples",
        106 | 750 => "second tuple",
        115 => "list of sets",
        124 => "float, complex",
        250 | 307 | 405 | 446 | 617 | 720 | 763 | 808 => "tuple",
        259 | 401 | 445 => "tuples of tuples",
        278 => "tuple of tuples",
        722 => "dictionary of tuples",
        252 => "complex",
        580 | 615 | 791 => "deep tuples",
        _ => "",
    }
}
