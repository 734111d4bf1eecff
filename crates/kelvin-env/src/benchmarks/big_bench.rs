//! BBEH (Kazemi et al. 2025) and BBH (Suzgun et al. 2022): reasoning tasks of many kinds with short answers, compared as
//! text. BBEH's own headline is a harmonic mean over its tasks; the share of right answers, which R-Zero reports, stands
//! beside it. BBH is asked with its authors' three worked examples, which come with its files.

use std::path::Path;

use anyhow::Context;
use kelvin_core::{
    benchmark::{Ask, Benchmark, Card, Headline, Item, Profile, PromptMode, SourceFile, Verdict},
    rollout::Sampling,
    task::Miss,
};
use serde::Deserialize;

use super::{DataFolder, Entry, Open, no_prompt, paper};
use crate::grading::{extract, last_boxed};

/// The longest answers, in tokens: ours, R-Zero's, and of BBH's examples in kind.
const CLEAN_NEW: usize = 4096;
const PAPER_NEW: usize = 8192;
const BBH_NEW: usize = 1024;

macro_rules! files {
    ($($before:literal, $after:literal: $($name:literal)*;)*) => {
        &[$($(SourceFile { path: concat!($before, $name, $after), sha256: None }),*),*]
    };
}

const BBEH_FILES: &[SourceFile] = files![
    "bbeh/benchmark_tasks/bbeh_", "/task.json":
    "boardgame_qa" "boolean_expressions" "buggy_tables" "causal_understanding" "disambiguation_qa" "dyck_languages"
    "geometric_shapes" "hyperbaton" "linguini" "movie_recommendation" "multistep_arithmetic" "nycc" "object_counting"
    "object_properties" "sarc_triples" "shuffled_objects" "spatial_reasoning" "sportqa" "temporal_sequence"
    "time_arithmetic" "web_of_lies" "word_sorting" "zebra_puzzles";
];

const MINI_FILES: &[SourceFile] = &[SourceFile {
    path: "bbeh/mini/data.json",
    sha256: Some("14e77b3d6be68faa008d268abf53b1f8d2420ffdd762504a304dafc3f8d43026"),
}];

const BBH_FILES: &[SourceFile] = files![
    "bbh/bbh/", ".json":
    "boolean_expressions" "causal_judgement" "date_understanding" "disambiguation_qa" "dyck_languages" "formal_fallacies"
    "geometric_shapes" "hyperbaton" "logical_deduction_five_objects" "logical_deduction_seven_objects"
    "logical_deduction_three_objects" "movie_recommendation" "multistep_arithmetic_two" "navigate" "object_counting"
    "penguins_in_a_table" "reasoning_about_colored_objects" "ruin_names" "salient_translation_error_detection" "snarks"
    "sports_understanding" "temporal_sequences" "tracking_shuffled_objects_five_objects"
    "tracking_shuffled_objects_seven_objects" "tracking_shuffled_objects_three_objects" "web_of_lies" "word_sorting";
];

/// Where BBH's worked examples lie, one file a task.
const BBH_PROMPTS: &str = "bbh/cot-prompts";

const BBEH_CARD: Card = Card {
    name: "bbeh",
    title: "BBEH",
    n_rows: 4520,
    source: "https://github.com/google-deepmind/bbeh, bbeh/benchmark_tasks",
    licence: "CC-BY-4.0",
    files: BBEH_FILES,
    note: "its files carry a canary string; keep it",
};

pub(super) const BBEH: Entry = Entry {
    card: BBEH_CARD,
    open: Open::Reads(|data, profile| Ok(Box::new(BigBench::hard(data, profile, BBEH_CARD)?))),
};

const BBEH_MINI_CARD: Card = Card {
    name: "bbeh-mini",
    title: "BBEH mini",
    n_rows: 460,
    source: "https://github.com/google-deepmind/bbeh, bbeh/mini/data.json",
    files: MINI_FILES,
    note: "20 questions of each task, which the file does not name; its files carry a canary string",
    ..BBEH_CARD
};

pub(super) const BBEH_MINI: Entry = Entry {
    card: BBEH_MINI_CARD,
    open: Open::Reads(|data, profile| Ok(Box::new(BigBench::hard(data, profile, BBEH_MINI_CARD)?))),
};

const BBH_CARD: Card = Card {
    name: "bbh",
    title: "BBH",
    n_rows: 6511,
    source: "https://github.com/suzgunmirac/BIG-Bench-Hard, bbh/ and cot-prompts/",
    licence: "MIT",
    files: BBH_FILES,
    note: "with its authors' worked examples, bbh/cot-prompts/TASK.txt; both profiles are the same",
};

pub(super) const BBH: Entry = Entry {
    card: BBH_CARD,
    open: Open::Reads(|data, profile| Ok(Box::new(BigBench::with_examples(data, profile)?))),
};

#[derive(Deserialize)]
struct File {
    examples: Vec<Example>,
}

#[derive(Deserialize)]
struct Example {
    input: String,
    target: String,
}

/// Which of the two families.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    ExtraHard,
    Hard,
}

struct BigBench {
    card: Card,
    family: Family,
    profile: Profile,
    items: Vec<Item>,
    examples: Vec<Example>,
    /// Worked examples, by the place of an item; empty for BBEH.
    shots: Vec<std::sync::Arc<str>>,
}

impl BigBench {
    fn hard(data: &DataFolder, profile: Profile, card: Card) -> anyhow::Result<BigBench> {
        let family = Family::ExtraHard;
        let mut bench =
            BigBench { card, family, profile, items: Vec::new(), examples: Vec::new(), shots: Vec::new() };
        for file in card.files {
            let group = Path::new(file.path).parent().and_then(Path::file_name).unwrap_or_default();
            let group =
                if card.files.len() == 1 { String::new() } else { group.to_string_lossy().into_owned() };
            bench.read(data, file, &group)?;
        }
        Ok(bench)
    }

    fn with_examples(data: &DataFolder, profile: Profile) -> anyhow::Result<BigBench> {
        let (card, family) = (BBH_CARD, Family::Hard);
        let mut bench =
            BigBench { card, family, profile, items: Vec::new(), examples: Vec::new(), shots: Vec::new() };
        for file in card.files {
            let task = Path::new(file.path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let n_before = bench.items.len();
            bench.read(data, file, &task)?;
            let shots: std::sync::Arc<str> =
                data.worked_examples(&format!("{BBH_PROMPTS}/{task}.txt"))?.into();
            bench.shots.extend((n_before..bench.items.len()).map(|_| shots.clone()));
        }
        Ok(bench)
    }

    fn read(&mut self, data: &DataFolder, file: &SourceFile, group: &str) -> anyhow::Result<()> {
        let File { examples } = serde_json::from_str(&data.text(file)?).with_context(|| {
            format!("{} is not a file of examples\nhint: fetch the file again", file.path)
        })?;
        for (index, example) in examples.into_iter().enumerate() {
            let id = if group.is_empty() { index.to_string() } else { format!("{group}/{index}") };
            self.items.push(Item { id, group: group.to_owned() });
            self.examples.push(example);
        }
        Ok(())
    }
}

/// What the model is asked to do, in profile `clean`.
const INSTRUCTION: &str =
    "Reason step by step, and put the final answer, in the form that the question asks for, into \\boxed{}.";

impl Benchmark for BigBench {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn ask(&self, item_idx: usize, mode: PromptMode) -> anyhow::Result<Ask> {
        let question = self.examples[item_idx].input.trim();
        let text = match (self.family, self.profile, mode) {
            (_, _, PromptMode::Compact) => return no_prompt(&self.card, mode),
            (Family::ExtraHard, Profile::Paper, _) => return Ok(paper::r_zero_question(question, mode)),
            (Family::ExtraHard, Profile::Clean, PromptMode::Plain) => {
                format!("Question: {question}\n\n{INSTRUCTION}\n\nAnswer:")
            }
            (Family::ExtraHard, Profile::Clean, PromptMode::Chat) => format!("{question}\n\n{INSTRUCTION}"),
            (Family::Hard, _, _) => {
                format!("{}\n\nQ: {question}\nA: Let's think step by step.", self.shots[item_idx])
            }
        };
        Ok(match mode {
            PromptMode::Chat => Ask::Chat { system: None, user: text, prefill: String::new() },
            PromptMode::Plain | PromptMode::Compact => Ask::Text(text),
        })
    }

    fn sampling(&self, _mode: PromptMode) -> Sampling {
        match (self.family, self.profile) {
            (Family::ExtraHard, Profile::Clean) => Sampling::greedy(CLEAN_NEW),
            (Family::ExtraHard, Profile::Paper) => Sampling::greedy(PAPER_NEW),
            (Family::Hard, _) => Sampling { stop: vec!["\nQ:".to_owned()], ..Sampling::greedy(BBH_NEW) },
        }
    }

    fn grade(&self, item_idx: usize, _mode: PromptMode, response: &str) -> anyhow::Result<Verdict> {
        let target = &self.examples[item_idx].target;
        let (extracted, is_right): (_, fn(&str, &str) -> bool) = match self.family {
            Family::ExtraHard => {
                let text = extract::after_thinking(response);
                let found = last_boxed(text).or_else(|| match self.profile {
                    Profile::Clean => extract::answer_phrase(text),
                    Profile::Paper => after_phrase(text),
                });
                (found, same_extra_hard)
            }
            Family::Hard => (response.rsplit_once("the answer is ").map(|it| it.1), same_hard),
        };
        Ok(match extracted.map(str::trim).filter(|it| !it.is_empty()) {
            None => Verdict::no_answer(),
            Some(answer) => Verdict::on(answer, (!is_right(answer, target)).then_some(Miss::Wrong)),
        })
    }

    fn gold(&self, item_idx: usize) -> Option<String> {
        let target = &self.examples[item_idx].target;
        Some(match self.family {
            Family::ExtraHard => format!("\\boxed{{{target}}}"),
            Family::Hard => format!("So the answer is {target}."),
        })
    }

    fn headline(&self) -> Headline {
        match self.family {
            Family::ExtraHard if 1 < self.card.files.len() => Headline::HarmonicToo,
            Family::ExtraHard | Family::Hard => Headline::Micro,
        }
    }
}

/// What R-Zero reads where there is no box, up to the end of the line.
fn after_phrase(response: &str) -> Option<&str> {
    ["Final Answer:", "The answer is:"].iter().find_map(|phrase| {
        let (_, after) = response.split_once(phrase)?;
        after.lines().next().map(str::trim)
    })
}

/// BBH compares text without its period; a letter may stand in brackets or not.
fn same_hard(answer: &str, target: &str) -> bool {
    let bare = |text: &str| {
        let line = text.trim().lines().next().unwrap_or_default().trim().trim_end_matches('.').trim();
        let letter = line.strip_prefix('(').and_then(|it| it.strip_suffix(')')).filter(|it| it.len() == 1);
        letter.unwrap_or(line).to_owned()
    };
    bare(answer) == bare(target)
}

/// BBEH's comparison.
fn same_extra_hard(answer: &str, target: &str) -> bool {
    let answer = unwrapped(answer);
    let (answer, target) = (folded(&answer), folded(target));
    let same = |a: &str, b: &str| a == b;
    let in_brackets =
        |text: &str| text.strip_prefix('(').and_then(|it| it.strip_suffix(')')).map(str::to_owned);
    let number = |text: &str| text.parse::<f64>().ok().filter(|it| it.is_finite());
    let without = |text: &str, sign: char| text.replace(sign, "");
    let list = |text: &str| text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).map(str::to_owned);
    same(&answer, &target)
        || in_brackets(&target).is_some_and(|it| it.len() == 1 && same(&answer, &it))
        || in_brackets(&answer).is_some_and(|it| it.len() == 1 && same(&it, &target))
        || number(&answer).zip(number(&target)).is_some_and(|(a, b)| a == b)
        || same(&without(&answer, '\''), &without(&target, '\''))
        || list(&answer).is_some_and(|it| same(&it, &target))
        || list(&target).is_some_and(|it| same(&answer, &it))
        || answer.strip_suffix('?').is_some_and(|it| same(it, &target))
}

/// Without dollars and one wrapper of text.
fn unwrapped(text: &str) -> String {
    let text = text.trim().trim_end_matches('.').trim_matches('$').trim();
    let inside = ["\\text{", "\\texttt{"].iter().find_map(|it| text.strip_prefix(it)?.strip_suffix('}'));
    inside.unwrap_or(text).to_owned()
}

/// In small letters, on one line, without stars, blanks behind commas and a last period.
fn folded(text: &str) -> String {
    let text = text.trim().to_lowercase().replace(", ", ",").replace("**", "");
    let line = text.lines().next().unwrap_or_default().trim();
    line.strip_suffix('.').unwrap_or(line).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_hard_answers_compare_by_its_rules() {
        for (answer, target, is_right) in [
            ("Pen", "pen", true),
            ("ABC, ABCD, AB", "ABC,ABCD,AB", true),
            ("A", "(A)", true),
            ("(a)", "A", true),
            ("12.0", "12", true),
            ("\\text{unknown}.", "unknown", true),
            ("$\\texttt{x}$", "x", true),
            ("it's", "its", true),
            ("[1, 2]", "1,2", true),
            ("really?", "really", true),
            ("**no**\nmore", "no", true),
            ("pens", "pen", false),
            ("(b)", "(a)", false),
            ("1 2", "12", false),
        ] {
            assert_eq!(same_extra_hard(answer, target), is_right, "{answer} {target}");
        }
    }

    #[test]
    fn hard_answers_compare_without_period_and_brackets() {
        for (answer, target, is_right) in [
            ("(A).", "(A)", true),
            ("A", "(A)", true),
            ("yes.", "yes", true),
            ("] }", "] }", true),
            ("(AB)", "AB", false),
        ] {
            assert_eq!(same_hard(answer, target), is_right, "{answer} {target}");
        }
    }

    #[test]
    fn tasks_and_files_are_as_many_as_there_are() {
        assert_eq!((BBEH_FILES.len(), BBH_FILES.len()), (23, 27));
    }
}
