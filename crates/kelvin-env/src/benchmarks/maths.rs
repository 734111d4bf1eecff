//! Mathematics with short answers: GSM8K, MATH500, AIME, AMC, Minerva and OlympiadBench. The rows of all are a question and
//! a gold answer; they differ in the names of fields and in where the gold answer stands. Two papers ran the same
//! questions in different ways, so profile `paper` knows most of them twice: as AZR and, with `-r-zero`, as R-Zero asked.

use anyhow::{Context, bail};
use kelvin_core::{
    benchmark::{Ask, Benchmark, Card, Item, Profile, PromptMode, SourceFile, Verdict},
    rollout::Sampling,
    task::Miss,
};
use serde_json::Value;

use super::{DataFolder, Entry, Open, no_prompt, paper};
use crate::grading::{
    extract, last_boxed, math,
    paper::{azr_answer, r_zero_answer},
};

/// The longest answers, in tokens: ours, AZR's and R-Zero's.
const CLEAN_NEW: usize = 4096;
const AZR_NEW: usize = 16_000;
const R_ZERO_NEW: usize = 4096;

/// Who else asked these questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paper {
    Azr,
    RZero,
}

/// Where the gold answer stands in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gold {
    /// In `answer`, a text or a number.
    Answer,
    /// In `answer`, behind `####`.
    Hashes,
    /// In the first of `final_answer`.
    FirstFinal,
    /// In `solution`, boxed last.
    BoxedSolution,
}

/// Entries of a benchmark: as AZR ran it, as R-Zero did, or both.
macro_rules! entry {
    ($name:ident, $card:expr, $gold:expr, $paper:expr) => {
        pub(super) const $name: Entry = Entry {
            card: $card,
            open: Open::Reads(|data, profile| {
                Ok(Box::new(Maths::open(data, profile, $card, $gold, $paper)?))
            }),
        };
    };
}

const GSM8K_CARD: Card = Card {
    name: "gsm8k",
    title: "GSM8K",
    n_rows: 1319,
    source: "https://github.com/openai/grade-school-math, grade_school_math/data/test.jsonl",
    licence: "MIT",
    files: &[SourceFile::known(
        "gsm8k/test.jsonl",
        "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14",
    )],
    note: "",
};
const MATH500_CARD: Card = Card {
    name: "math500",
    title: "MATH500",
    n_rows: 500,
    source: "https://github.com/openai/prm800k, prm800k/math_splits/test.jsonl",
    licence: "MIT, as its authors state",
    files: &[SourceFile::known(
        "math500/test.jsonl",
        "35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132",
    )],
    note: MEMORISED,
};
const OLYMPIAD_CARD: Card = Card {
    name: "olympiadbench",
    title: "OlympiadBench",
    n_rows: 675,
    source: "https://github.com/QwenLM/Qwen2.5-Math, evaluation/data/olympiadbench/test.jsonl",
    licence: "MIT / Apache-2.0",
    files: &[SourceFile::known(
        "olympiadbench/test.jsonl",
        "bb8c1e38a16ea9eacb77530315a674d883f267fbff79183effc53681b4fcc416",
    )],
    note: "",
};
const MINERVA_CARD: Card = Card {
    name: "minerva",
    title: "Minerva Math",
    n_rows: 272,
    source: "https://github.com/QwenLM/Qwen2.5-Math, evaluation/data/minerva_math/test.jsonl",
    licence: "Apache-2.0 (repository)",
    files: &[SourceFile::known(
        "minerva/test.jsonl",
        "0e656b430d3a0a1dab6aa853f453ba3805e28e2cabe4fc72486a897cc09d8ba2",
    )],
    note: "",
};
const AIME24_CARD: Card = Card {
    name: "aime24",
    title: "AIME24",
    n_rows: 30,
    source: "https://github.com/QwenLM/Qwen2.5-Math, evaluation/data/aime24/test.jsonl",
    licence: "of the MAA; check before you pass it on",
    files: &[SourceFile::known(
        "aime24/test.jsonl",
        "af2b8bd2aa911b6333ad0df32f3ca05c7ae8ed10f1731f4372c8ae26990bf7ac",
    )],
    note: MEMORISED,
};
const AIME25_CARD: Card = Card {
    name: "aime25",
    title: "AIME25",
    n_rows: 30,
    source: "AZR's repository, evaluation/math_eval/eval/data/aime25/test.jsonl",
    licence: "of the MAA; check before you pass it on",
    files: &[SourceFile::known(
        "aime25/test.jsonl",
        "20c1ca392758d96bd1e28af15d9f30df5660257927cacc9eac7301c29f677d1a",
    )],
    note: "30 questions: one of them is 3.3 points",
};
const AMC23_CARD: Card = Card {
    name: "amc23",
    title: "AMC23",
    n_rows: 40,
    source: "https://github.com/QwenLM/Qwen2.5-Math, evaluation/data/amc23/test.jsonl",
    licence: "of the MAA; check before you pass it on",
    files: &[SourceFile::known(
        "amc23/test.jsonl",
        "43707e1ca784602d8479de24ee8ce36609dbebc46dd152b0b12a46611aa898a4",
    )],
    note: MEMORISED,
};

const MEMORISED: &str = "Qwen2.5 base models are reported to have memorised items of it (arXiv 2507.10532)";

const fn r_zero(name: &'static str, title: &'static str, card: Card) -> Card {
    Card { name, title, ..card }
}

entry!(GSM8K, GSM8K_CARD, Gold::Hashes, Paper::RZero);
entry!(MATH500, MATH500_CARD, Gold::Answer, Paper::Azr);
entry!(OLYMPIAD, OLYMPIAD_CARD, Gold::FirstFinal, Paper::Azr);
entry!(MINERVA, MINERVA_CARD, Gold::BoxedSolution, Paper::Azr);
entry!(AIME24, AIME24_CARD, Gold::Answer, Paper::Azr);
entry!(AIME25, AIME25_CARD, Gold::Answer, Paper::Azr);
entry!(AMC23, AMC23_CARD, Gold::Answer, Paper::Azr);
entry!(
    MATH500_R_ZERO,
    r_zero("math500-r-zero", "MATH500 as in R-Zero", MATH500_CARD),
    Gold::Answer,
    Paper::RZero
);
entry!(
    OLYMPIAD_R_ZERO,
    r_zero("olympiadbench-r-zero", "OlympiadBench as in R-Zero", OLYMPIAD_CARD),
    Gold::FirstFinal,
    Paper::RZero
);
entry!(
    MINERVA_R_ZERO,
    r_zero("minerva-r-zero", "Minerva Math as in R-Zero", MINERVA_CARD),
    Gold::BoxedSolution,
    Paper::RZero
);
entry!(
    AIME24_R_ZERO,
    r_zero("aime24-r-zero", "AIME24 as in R-Zero", AIME24_CARD),
    Gold::Answer,
    Paper::RZero
);
entry!(
    AIME25_R_ZERO,
    r_zero("aime25-r-zero", "AIME25 as in R-Zero", AIME25_CARD),
    Gold::Answer,
    Paper::RZero
);
entry!(AMC23_R_ZERO, r_zero("amc23-r-zero", "AMC23 as in R-Zero", AMC23_CARD), Gold::Answer, Paper::RZero);

struct Maths {
    card: Card,
    items: Vec<Item>,
    questions: Vec<String>,
    golds: Vec<String>,
    /// `None` for profile `clean`.
    paper: Option<Paper>,
}

impl Maths {
    fn open(
        data: &DataFolder,
        profile: Profile,
        card: Card,
        gold: Gold,
        paper: Paper,
    ) -> anyhow::Result<Maths> {
        let paper = match profile {
            Profile::Paper => Some(paper),
            Profile::Clean if card.name.ends_with("-r-zero") => bail!(
                "{} is R-Zero's way of asking\nhint: add `--profile paper`, or leave `-r-zero` out",
                card.name
            ),
            Profile::Clean => None,
        };
        let rows: Vec<Value> = data.rows(&card.files[0])?;
        let mut maths = Maths { card, items: Vec::new(), questions: Vec::new(), golds: Vec::new(), paper };
        for (index, row) in rows.iter().enumerate() {
            let of_row = || {
                let file = maths.card.files[0].path;
                format!("{file}: row {} has no question or no answer\nhint: fetch the file again", index + 1)
            };
            let (question, gold) = (question(row), gold.of(row));
            maths.questions.push(question.with_context(of_row)?);
            maths.golds.push(gold.with_context(of_row)?);
            maths.items.push(Item { id: id(row, index), group: group(row) });
        }
        Ok(maths)
    }
}

fn question(row: &Value) -> Option<String> {
    let names = ["problem", "question", "Problem", "Question"];
    names.iter().find_map(|&name| row[name].as_str()).map(|it| it.trim().to_owned())
}

/// The publisher's identifier where a row has one.
fn id(row: &Value, index: usize) -> String {
    let named = ["unique_id", "id", "idx"].iter().find_map(|&name| match &row[name] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    named.unwrap_or_else(|| index.to_string())
}

fn group(row: &Value) -> String {
    ["subject", "subfield", "type"].iter().find_map(|&name| row[name].as_str()).unwrap_or_default().to_owned()
}

impl Gold {
    fn of(self, row: &Value) -> Option<String> {
        let answer = || match [&row["answer"], &row["Answer"]].into_iter().find(|it| !it.is_null())? {
            Value::String(text) => Some(text.trim().to_owned()),
            // AMC23 writes 27 as 27.0.
            Value::Number(number) => {
                let text = number.to_string();
                Some(text.strip_suffix(".0").map_or(text.clone(), str::to_owned))
            }
            _ => None,
        };
        match self {
            Gold::Answer => answer(),
            Gold::Hashes => extract::after_hashes(&answer()?).map(|it| it.replace(',', "")),
            Gold::FirstFinal => row["final_answer"].get(0)?.as_str().map(|it| it.trim().to_owned()),
            Gold::BoxedSolution => last_boxed(row["solution"].as_str()?).map(str::to_owned),
        }
    }
}

/// What the model is asked to do, in profile `clean`.
const INSTRUCTION: &str = "Reason step by step, and put the final answer, and nothing else, into \\boxed{}.";

impl Benchmark for Maths {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn ask(&self, item_idx: usize, mode: PromptMode) -> anyhow::Result<Ask> {
        let question = &self.questions[item_idx];
        match (self.paper, mode) {
            (_, PromptMode::Compact) => no_prompt(&self.card, mode),
            (Some(Paper::Azr), _) => Ok(paper::azr_question(question, mode)),
            (Some(Paper::RZero), _) => Ok(paper::r_zero_question(question, mode)),
            (None, PromptMode::Plain) => {
                Ok(Ask::Text(format!("Problem: {question}\n\n{INSTRUCTION}\n\nSolution:")))
            }
            (None, PromptMode::Chat) => {
                let user = format!("{question}\n\n{INSTRUCTION}");
                Ok(Ask::Chat { system: None, user, prefill: String::new() })
            }
        }
    }

    fn sampling(&self, _mode: PromptMode) -> Sampling {
        match self.paper {
            None => Sampling { stop: vec!["\nProblem:".to_owned()], ..Sampling::greedy(CLEAN_NEW) },
            Some(Paper::Azr) => Sampling { stop: paper::azr_stops(), ..Sampling::greedy(AZR_NEW) },
            Some(Paper::RZero) => Sampling::greedy(R_ZERO_NEW),
        }
    }

    fn grade(&self, item_idx: usize, _mode: PromptMode, response: &str) -> anyhow::Result<Verdict> {
        let gold = &self.golds[item_idx];
        let extracted = match self.paper {
            // Only what was put into a box: a number that happens to come last is no answer.
            None => last_boxed(extract::after_thinking(response)),
            Some(Paper::Azr) => Some(azr_answer(response)),
            Some(Paper::RZero) => r_zero_answer(response),
        };
        let Some(extracted) = extracted.filter(|it| !it.trim().is_empty()) else {
            return Ok(Verdict::no_answer());
        };
        let miss = match math::equal(gold, extracted, &math::Options::default()) {
            math::Verdict::Equal => None,
            math::Verdict::Different => Some(Miss::Wrong),
            math::Verdict::Unparsable => Some(Miss::Unparsable),
        };
        Ok(Verdict::on(extracted, miss))
    }

    fn gold(&self, item_idx: usize) -> Option<String> {
        Some(format!("\\boxed{{{}}}", self.golds[item_idx]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn golds_stand_where_each_publisher_puts_them() {
        for (gold, row, answer) in [
            (Gold::Hashes, json!({"answer": "2 + 2 = 4\n#### 1,234"}), Some("1234")),
            (Gold::Answer, json!({"answer": " \\frac12 "}), Some("\\frac12")),
            (Gold::Answer, json!({"answer": 27.0}), Some("27")),
            (Gold::Answer, json!({"answer": 0.5}), Some("0.5")),
            (Gold::Answer, json!({"answer": 12345678901234567891u64}), Some("12345678901234567891")),
            (Gold::FirstFinal, json!({"final_answer": ["$2$", "$3$"]}), Some("$2$")),
            (Gold::BoxedSolution, json!({"solution": "\\boxed{1} or \\boxed{2}"}), Some("2")),
            (Gold::Answer, json!({"answer": null}), None),
            (Gold::FirstFinal, json!({"final_answer": []}), None),
        ] {
            assert_eq!(gold.of(&row).as_deref(), answer, "{row}");
        }
        assert_eq!(id(&json!({"unique_id": "a/1", "id": 3}), 7), "a/1");
        assert_eq!((id(&json!({"id": 3}), 7), id(&json!({}), 7)), ("3".to_owned(), "7".to_owned()));
    }
}
