//! Benchmarks in EvalPlus' form (Liu et al. 2023): HumanEval+ and MBPP+, read from its files, whose rows are alike.

use std::sync::Arc;

use anyhow::Context;
use kelvin_core::{
    benchmark::{Ask, Benchmark, Card, Item, Profile, PromptMode, Verdict},
    executor::Executor,
    rollout::Sampling,
};

use super::{
    DataFolder,
    harness::Harness,
    no_prompt,
    oracle::Oracle,
    plus::{PlusTask, Tests, TimeLimits},
    program, raw,
};

/// What tells one from the other.
pub(super) struct Kind {
    /// With the one file that it is read from.
    pub(super) card: Card,
    /// How results are compared, by the name of the function and the row's tolerance.
    pub(super) oracle: fn(&str, f64) -> Oracle,
    /// What argument lists are made into, by the row's identifier: a name of `SHAPES` in `harness.py`.
    pub(super) shape: fn(&str) -> &'static str,
    /// What ends a completion.
    pub(super) stops: &'static [&'static str],
}

pub(super) struct EvalPlus {
    kind: &'static Kind,
    items: Vec<Item>,
    /// Prompts with their tasks.
    rows: Vec<(String, PlusTask)>,
    harness: Harness,
    profile: Profile,
}

impl EvalPlus {
    pub(super) fn open(
        kind: &'static Kind,
        data: &DataFolder,
        profile: Profile,
        executor: Arc<dyn Executor>,
    ) -> anyhow::Result<EvalPlus> {
        let file = &kind.card.files[0];
        let mut rows = Vec::new();
        let text = data.text(file)?;
        for (index, line) in text.lines().enumerate().filter(|it| !it.1.trim().is_empty()) {
            rows.push(row(line, kind).with_context(|| {
                format!("{}:{}: not a row of EvalPlus\nhint: fetch the file again", file.path, index + 1)
            })?);
        }
        let items = rows.iter().map(|(_, it)| Item { id: it.id.clone(), group: String::new() }).collect();
        Ok(EvalPlus { kind, items, rows, harness: Harness::new(executor), profile })
    }
}

/// Reads a line; argument lists stay text.
fn row(line: &str, kind: &Kind) -> Option<(String, PlusTask)> {
    let fields = raw::fields(line)?;
    let field = |name: &str| fields.iter().find(|it| it.0 == name).map(|it| it.1);
    let text = |name: &str| serde_json::from_str::<String>(field(name)?).ok();
    let tests = |name: &str| match field(name)? {
        // MBPP+ writes no tests as an empty object.
        "{}" => Some(Tests::new("[]".to_owned(), 0)),
        json => Some(Tests::new(json.to_owned(), raw::n_elements(json)?)),
    };
    let (id, prompt, entry) = (text("task_id")?, text("prompt")?, text("entry_point")?);
    let tolerance = field("atol").and_then(|it| it.parse().ok()).unwrap_or(0.0);
    let task = PlusTask {
        oracle: (kind.oracle)(&entry, tolerance),
        solution: format!("{prompt}{}", text("canonical_solution")?),
        shape: (kind.shape)(&id),
        id,
        entry,
        base: tests("base_input")?,
        plus: tests("plus_input")?,
    };
    Some((prompt, task))
}

impl Benchmark for EvalPlus {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn ask(&self, item_idx: usize, mode: PromptMode) -> anyhow::Result<Ask> {
        program::ask(&self.rows[item_idx].0, mode).map_or_else(|| no_prompt(&self.kind.card, mode), Ok)
    }

    fn sampling(&self, mode: PromptMode) -> Sampling {
        program::sampling(mode, self.profile, self.kind.stops)
    }

    fn grade(&self, item_idx: usize, mode: PromptMode, response: &str) -> anyhow::Result<Verdict> {
        let (prompt, task) = &self.rows[item_idx];
        match program::in_response(mode, prompt, response, &task.entry) {
            Some(program) => task.verdict(&self.harness, TimeLimits::of(self.profile), program),
            None => Ok(Verdict::no_answer()),
        }
    }

    fn gold(&self, item_idx: usize) -> Option<String> {
        Some(program::in_fence(&self.rows[item_idx].1.solution))
    }
}
