//! LiveCodeBench (Jain et al. 2024), its part on execution: what a program written for a contest returns. Asked and graded
//! as CRUXEval's outputs are. AZR's released script asks for inputs here where its paper says outputs; both profiles ask
//! for outputs.

use std::sync::Arc;

use kelvin_core::{
    benchmark::{Card, Profile, SourceFile},
    executor::Executor,
    task::TaskType,
};
use kelvin_python::{Policy, prepare};
use serde::Deserialize;

use super::{
    DataFolder, Entry, Open,
    foretold::{Foretelling, Foretold},
};

const FILE: SourceFile = SourceFile::unknown("livecodebench_execution/test.jsonl")
    .or(&["livecodebench_execution/test-00000-of-00001.parquet"]);

pub(super) const LIVE_EXECUTION: Entry = Entry {
    card: Card {
        name: "livecodebench-execution",
        title: "LiveCodeBench execution",
        n_rows: 479,
        source: "https://huggingface.co/datasets/livecodebench/execution-v2, the test split",
        licence: "CC, as its authors state; the problems are LeetCode's",
        files: &[FILE],
        note: "",
    },
    open: Open::Runs(|data, profile, executor| Ok(Box::new(open(data, profile, executor)?))),
};

/// What programs of LiveCodeBench take for imported.
pub(super) const PRELUDE: &str = "from string import *\nfrom re import *\nfrom datetime import *\nfrom collections import *\n\
    from heapq import *\nfrom bisect import *\nfrom copy import *\nfrom math import *\nfrom random import *\n\
    from statistics import *\nfrom itertools import *\nfrom functools import *\nfrom operator import *\nfrom typing import *\n";

#[derive(Deserialize)]
struct Row {
    id: serde_json::Value,
    function_name: String,
    code: String,
    input: String,
    output: String,
}

fn open(data: &DataFolder, profile: Profile, executor: Arc<dyn Executor>) -> anyhow::Result<Foretelling> {
    let rows: Vec<Row> = data.rows(&FILE)?;
    let id = |it: &serde_json::Value| it.as_str().map_or_else(|| it.to_string(), str::to_owned);
    let rows = rows.into_iter().map(|row| (id(&row.id), foretold(row)));
    Foretelling::new(rows, profile, executor, TaskType::Deduction)
}

/// The function is called `f`, as in CRUXEval; the argument list stands without its call.
fn foretold(row: Row) -> Foretold {
    let Row { function_name, code, input, output, .. } = row;
    let arguments = input
        .trim()
        .strip_prefix(&function_name)
        .and_then(|it| it.trim().strip_prefix('(')?.strip_suffix(')'));
    let code = match prepare(&code, &Policy::Code) {
        Ok(program) => program.source,
        Err(_) => format!("{code}\n\nf = {function_name}"),
    };
    Foretold { code, input: arguments.unwrap_or(&input).trim().to_owned(), output, prelude: PRELUDE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_is_called_f() {
        let row = |input: &str| Row {
            id: 0.into(),
            function_name: "countPairs".into(),
            code: "def countPairs(nums: List[int]) -> int:\n    return len(nums)".into(),
            input: input.into(),
            output: "2".into(),
        };
        for input in ["countPairs(nums = [1, 2])", "nums = [1, 2]"] {
            let it = foretold(row(input));
            assert_eq!(it.input, "nums = [1, 2]");
            assert!(it.code.starts_with("def f(nums: List[int])"), "{}", it.code);
        }
    }
}
