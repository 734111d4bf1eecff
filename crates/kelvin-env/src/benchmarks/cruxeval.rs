//! CRUXEval (Gu et al. 2024): what a short function returns, or an input for which it returns what is given. Profile
//! `clean` keeps the benchmark's own tags and scoring, where an answer is any expression; `paper` asks and grades as AZR
//! did during training, where it is a literal. Either way the answer's value comes out of the sandbox and is compared here.

use std::sync::Arc;

use kelvin_core::{
    benchmark::{Card, Profile, SourceFile},
    executor::Executor,
    task::TaskType,
};
use serde::Deserialize;

use super::{
    DataFolder, Entry, Open,
    foretold::{Foretelling, Foretold},
};

const FILE: SourceFile = SourceFile::known(
    "cruxeval/cruxeval.jsonl",
    "8368b81047dc5014e4caf5a2f97604eff7644e0ecd7415e3ceeb184bbc2e0c96",
);

const CARD: Card = Card {
    name: "cruxeval-o",
    title: "CRUXEval-O",
    n_rows: 800,
    source: "https://github.com/facebookresearch/cruxeval, data/cruxeval.jsonl",
    licence: "MIT",
    files: &[FILE],
    note: "",
};

pub(super) const CRUXEVAL_O: Entry = Entry {
    card: CARD,
    open: Open::Runs(|data, profile, executor| {
        Ok(Box::new(open(data, profile, executor, TaskType::Deduction)?))
    }),
};

pub(super) const CRUXEVAL_I: Entry = Entry {
    card: Card { name: "cruxeval-i", title: "CRUXEval-I", ..CARD },
    open: Open::Runs(|data, profile, executor| {
        Ok(Box::new(open(data, profile, executor, TaskType::Abduction)?))
    }),
};

#[derive(Deserialize)]
struct Row {
    id: String,
    code: String,
    input: String,
    output: String,
}

fn open(
    data: &DataFolder,
    profile: Profile,
    executor: Arc<dyn Executor>,
    task_type: TaskType,
) -> anyhow::Result<Foretelling> {
    let rows: Vec<Row> = data.rows(&FILE)?;
    let rows = rows
        .into_iter()
        .map(|Row { id, code, input, output }| (id, Foretold { code, input, output, prelude: "" }));
    Foretelling::new(rows, profile, executor, task_type)
}
