//! Multiple choice: MMLU-Pro (Wang et al. 2024) and SuperGPQA (M-A-P 2025), without examples. A response that names no
//! option is wrong in profile `clean`; R-Zero, which `paper` follows, drew a letter.

use kelvin_core::{
    benchmark::{Ask, Benchmark, Card, Item, Profile, PromptMode, SourceFile, Verdict},
    rollout::Sampling,
    seed::Seed,
    task::Miss,
};
use serde::Deserialize;

use super::{Entry, Open, no_prompt, paper};
use crate::grading::{
    choice::chosen,
    paper::{mmlu_pro_choice, r_zero_choice, r_zero_lot},
};

/// The longest answers, in tokens: ours and R-Zero's.
const CLEAN_NEW: usize = 4096;
const PAPER_NEW: usize = 8192;

const MMLU_PRO_CARD: Card = Card {
    name: "mmlu-pro",
    title: "MMLU-Pro",
    n_rows: 12_032,
    source: "https://huggingface.co/datasets/TIGER-Lab/MMLU-Pro, data/test-00000-of-00001.parquet",
    licence: "MIT / Apache-2.0",
    files: &[SourceFile::unknown("mmlu_pro/test-00000-of-00001.parquet")
        .or(&["mmlu_pro/test.jsonl", "mmlu_pro/mmlu_pro_test.derived.jsonl.gz"])],
    note: "",
};
const SUPER_GPQA_CARD: Card = Card {
    name: "supergpqa",
    title: "SuperGPQA",
    n_rows: 26_529,
    source: "https://huggingface.co/datasets/m-a-p/SuperGPQA, SuperGPQA-all.jsonl",
    licence: "ODC-BY",
    files: &[SourceFile::unknown("supergpqa/SuperGPQA-all.jsonl")],
    note: "",
};

pub(super) const MMLU_PRO: Entry = Entry {
    card: MMLU_PRO_CARD,
    open: Open::Reads(|data, profile| {
        let rows: Vec<MmluRow> = data.rows(&MMLU_PRO_CARD.files[0])?;
        let choices = Choices::new(MMLU_PRO_CARD, profile, rows.into_iter().map(Question::from));
        Ok(Box::new(Choices { own_rule: Some(mmlu_pro_choice), ..choices }))
    }),
};

pub(super) const SUPER_GPQA: Entry = Entry {
    card: SUPER_GPQA_CARD,
    open: Open::Reads(|data, profile| {
        let rows: Vec<GpqaRow> = data.rows(&SUPER_GPQA_CARD.files[0])?;
        Ok(Box::new(Choices::new(SUPER_GPQA_CARD, profile, rows.into_iter().map(Question::from))))
    }),
};

#[derive(Deserialize)]
struct MmluRow {
    question_id: u64,
    question: String,
    options: Vec<String>,
    answer: String,
    category: String,
}

#[derive(Deserialize)]
struct GpqaRow {
    uuid: String,
    question: String,
    options: Vec<String>,
    answer_letter: String,
    discipline: String,
}

struct Question {
    item: Item,
    text: String,
    options: Vec<String>,
    /// The letter, which of MMLU-Pro's two fields is the one that its own scripts compare with.
    gold: String,
}

impl From<MmluRow> for Question {
    fn from(row: MmluRow) -> Question {
        let MmluRow { question_id, question, options, answer, category } = row;
        let item = Item { id: question_id.to_string(), group: category };
        Question { item, text: question, options, gold: answer }
    }
}

impl From<GpqaRow> for Question {
    fn from(row: GpqaRow) -> Question {
        let GpqaRow { uuid, question, options, answer_letter, discipline } = row;
        let item = Item { id: uuid, group: discipline };
        Question { item, text: question, options, gold: answer_letter }
    }
}

/// The score by the publisher's own way to find a choice.
const BY_OWN_RULE: &str = "publisher";

struct Choices {
    card: Card,
    profile: Profile,
    /// The publisher's own way to find a choice; a response in which it finds none is wrong here, where the original draws.
    own_rule: Option<fn(&str) -> Option<char>>,
    items: Vec<Item>,
    questions: Vec<Question>,
}

impl Choices {
    fn new(card: Card, profile: Profile, questions: impl Iterator<Item = Question>) -> Choices {
        let questions: Vec<Question> = questions.collect();
        let items = questions.iter().map(|it| it.item.clone()).collect();
        Choices { card, profile, own_rule: None, items, questions }
    }
}

/// What the model is asked to do, in profile `clean`.
const INSTRUCTION: &str = "Reason step by step, and put the letter of the one right option into \\boxed{}.";

impl Benchmark for Choices {
    fn items(&self) -> &[Item] {
        &self.items
    }

    fn ask(&self, item_idx: usize, mode: PromptMode) -> anyhow::Result<Ask> {
        let Question { text, options, .. } = &self.questions[item_idx];
        let options: String =
            options.iter().zip('A'..).map(|(it, letter)| format!("{letter}. {it}\n")).collect();
        let question = format!("{}\n\nOptions:\n{options}", text.trim());
        match (self.profile, mode) {
            (_, PromptMode::Compact) => no_prompt(&self.card, mode),
            (Profile::Paper, _) => Ok(paper::r_zero_question(&question, mode)),
            (Profile::Clean, PromptMode::Plain) => {
                Ok(Ask::Text(format!("Question: {question}\n{INSTRUCTION}\n\nAnswer:")))
            }
            (Profile::Clean, PromptMode::Chat) => {
                let user = format!("{question}\n{INSTRUCTION}");
                Ok(Ask::Chat { system: None, user, prefill: String::new() })
            }
        }
    }

    fn sampling(&self, _mode: PromptMode) -> Sampling {
        match self.profile {
            Profile::Clean => {
                Sampling { stop: vec!["\nQuestion:".to_owned()], ..Sampling::greedy(CLEAN_NEW) }
            }
            Profile::Paper => Sampling::greedy(PAPER_NEW),
        }
    }

    fn grade(&self, item_idx: usize, _mode: PromptMode, response: &str) -> anyhow::Result<Verdict> {
        let Question { options, gold, item, .. } = &self.questions[item_idx];
        let letter = match self.profile {
            Profile::Clean => {
                let options: Vec<&str> = options.iter().map(String::as_str).collect();
                chosen(response, &options).map(|it| char::from(b'A' + it as u8))
            }
            Profile::Paper => r_zero_choice(response),
        };
        // The same lot for the same question, where the original draws anew. It is no answer, and may be right.
        let lot = (letter.is_none() && self.profile == Profile::Paper)
            .then(|| r_zero_lot(Seed::new(0).fork("choice").fork(self.card.name).fork(&item.id)));
        let is_gold = |letter: char| *gold == letter.to_string();
        let verdict = match letter {
            Some(letter) => Verdict::on(letter, (!is_gold(letter)).then_some(Miss::Wrong)),
            None if lot.is_some_and(is_gold) => Verdict { miss: None, ..Verdict::no_answer() },
            None => Verdict::no_answer(),
        };
        let also = self.own_rule.map(|read| (BY_OWN_RULE.to_owned(), read(response).is_some_and(is_gold)));
        Ok(Verdict { also: also.into_iter().collect(), ..verdict })
    }

    fn gold(&self, item_idx: usize) -> Option<String> {
        Some(format!("\\boxed{{{}}}", self.questions[item_idx].gold))
    }
}
