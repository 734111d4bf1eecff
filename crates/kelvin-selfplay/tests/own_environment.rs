//! A new environment, whole, and what proves one: `docs/guides/environments.md` walks through this file.

use std::{collections::BTreeMap, ops::RangeInclusive};

use kelvin_core::{
    environment::{Environment, Given},
    fake::FakePolicy,
    metrics::Metrics,
    policy::Policy,
    rollout::SampleRequest,
    seed::Seed,
    task::{Grade, Miss, Reason, Rejection, SEED_STAGE, Task, TaskType},
};
use kelvin_selfplay::{
    checkpoint::RunDir,
    run::{self, Grounds},
    settings::{AzrSettings, EvalSettings, Recipe, RunSettings},
    state::RunState,
};
use proptest::prelude::{any, proptest};

/// A proposer writes a word; a solver puts its letters into the order of the alphabet.
struct Letters {
    /// How long a word may be.
    lengths: RangeInclusive<usize>,
}

impl Letters {
    /// What stands between the last pair of tags.
    fn tagged<'text>(tag: &str, text: &'text str) -> Option<&'text str> {
        let (_, after) = text.rsplit_once(&format!("<{tag}>"))?;
        Some(after.split_once(&format!("</{tag}>"))?.0.trim())
    }

    fn ordered(word: &str) -> String {
        let mut letters: Vec<char> = word.chars().collect();
        letters.sort_unstable();
        letters.into_iter().collect()
    }
}

impl Environment for Letters {
    type Payload = String;

    fn task_types(&self) -> &'static [TaskType] {
        &[TaskType::Deduction]
    }

    fn seed_tasks(&self) -> Vec<(TaskType, String)> {
        vec![(TaskType::Deduction, "cab".to_owned())]
    }

    fn propose_prompt(&self, _: TaskType, given: Given<'_, String>) -> String {
        let words: Vec<&str> = given.references.iter().map(|it| it.payload.as_str()).collect();
        format!(
            "Words so far: {}. Write another of {} to {} small letters, as <word>..</word>.\n",
            words.join(", "),
            self.lengths.start(),
            self.lengths.end()
        )
    }

    fn validate(
        &self,
        _: TaskType,
        _: Given<'_, String>,
        response: &str,
    ) -> anyhow::Result<Result<String, Rejection>> {
        let Some(word) = Letters::tagged("word", response) else {
            return Ok(Err(Rejection::new(Reason::NoInput, "no word in tags")));
        };
        Ok(if !word.chars().all(|it| it.is_ascii_lowercase()) {
            Err(Rejection::new(
                Reason::InputNotLiteral,
                format!("{word:?} has other signs than small letters"),
            ))
        } else if !self.lengths.contains(&word.len()) {
            Err(Rejection::new(Reason::OutOfRange, format!("{} letters", word.len())))
        } else if Letters::ordered(word) == word {
            Err(Rejection::new(Reason::Trivial, "it is in order already"))
        } else {
            Ok(word.to_owned())
        })
    }

    fn proposal_is_formatted(&self, _: TaskType, response: &str) -> bool {
        Letters::tagged("word", response).is_some()
    }

    fn solve_prompt(&self, task: &Task<String>) -> String {
        format!("Put the letters of {} in order, as <answer>..</answer>.\n", task.payload)
    }

    fn grade(&self, task: &Task<String>, response: &str) -> anyhow::Result<Grade> {
        Ok(match Letters::tagged("answer", response) {
            None => Grade::malformed(),
            Some(answer) if answer == Letters::ordered(&task.payload) => Grade::correct(),
            Some(_) => Grade::missed(Miss::Wrong),
        })
    }

    fn identity(&self, task: &Task<String>) -> String {
        task.payload.clone()
    }

    fn held_out(&self, _: TaskType, n: usize, seed: Seed) -> anyhow::Result<Vec<String>> {
        let word = |seed: Seed| -> String {
            let mut draws = seed.draws();
            let letters = (0..*self.lengths.end()).map(|_| (b'a' + draws.below(26) as u8) as char);
            letters.collect()
        };
        Ok((0..n as u64).map(|it| word(seed.nth(it))).collect())
    }
}

const LETTERS: Letters = Letters { lengths: 3..=5 };

fn validate(response: &str) -> Result<String, Reason> {
    let verdict = LETTERS.validate(TaskType::Deduction, Given::references(&[]), response);
    verdict.unwrap().map_err(|it| it.reason)
}

fn task(word: &str) -> Task<String> {
    Task { task_type: TaskType::Deduction, born: SEED_STAGE, label: None, payload: word.to_owned() }
}

#[test]
fn each_fault_of_a_proposal_has_its_reason() {
    for (response, verdict) in [
        ("so <word>kelvi</word>", Ok("kelvi")),
        ("<word>abc</word> no, <word> cab </word>", Ok("cab")),
        ("cab", Err(Reason::NoInput)),
        ("<word>cab", Err(Reason::NoInput)),
        ("<word>CAB</word>", Err(Reason::InputNotLiteral)),
        ("<word>kelvin</word>", Err(Reason::OutOfRange)),
        ("<word>abc</word>", Err(Reason::Trivial)),
    ] {
        assert_eq!(validate(response), verdict.map(str::to_owned), "{response}");
    }
}

#[test]
fn seeds_are_valid_and_gold_answers_right() {
    for (_, word) in LETTERS.seed_tasks() {
        assert_eq!(validate(&format!("<word>{word}</word>")), Ok(word));
    }
    let grade = |response: &str| LETTERS.grade(&task("cab"), response).unwrap();
    assert_eq!(grade("<answer>abc</answer>"), Grade::correct());
    assert_eq!(grade("<answer>cab</answer>"), Grade::missed(Miss::Wrong));
    assert_eq!(grade("abc"), Grade::malformed());
}

proptest! {
    #[test]
    fn any_text_is_data(text in any::<String>()) {
        let _ = validate(&text);
        LETTERS.grade(&task("cab"), &text).unwrap();
        if let Ok(word) = validate(&format!("<word>{text}</word>")) {
            let answer = format!("<answer>{}</answer>", Letters::ordered(&word));
            assert_eq!(LETTERS.grade(&task(&word), &answer).unwrap(), Grade::correct());
        }
    }
}

/// Writes words of four letters, and puts letters in order in half of the cases.
fn respond(request: &SampleRequest, _updates: u64) -> String {
    let mut draws = request.seed.draws();
    match request.prompt.strip_prefix("Put the letters of ") {
        Some(rest) if draws.chance(0.5) => {
            let word = rest.split(' ').next().expect("the prompt names a word");
            format!("<answer>{}</answer>", Letters::ordered(word))
        }
        Some(_) => "<answer>abc</answer>".to_owned(),
        None => {
            let word: String = (0..4).map(|_| (b'a' + draws.below(4) as u8) as char).collect();
            format!("<word>{word}</word>")
        }
    }
}

/// The recipe plays it without knowing it: words are posed, refused, estimated and learnt from.
#[test]
fn absolute_zero_plays_it() {
    let dir = tempfile::tempdir().unwrap();
    let settings = RunSettings {
        seed: 7,
        steps: 3,
        task_types: LETTERS.task_types().to_vec(),
        n_judges: 2,
        recipe: Recipe::Azr,
        azr: AzrSettings { batch_size: 8, n_estimate: 4, seed_factor: 1, ..AzrSettings::default() },
        r_zero: Default::default(),
        intrinsic: Default::default(),
        objective: Default::default(),
        optimizer: Default::default(),
        sampling: Default::default(),
        eval: EvalSettings { n_tasks: 10, n_samples: 4, ..EvalSettings::default() },
        checkpoint: Default::default(),
        diagnostics: Default::default(),
    };
    let trainer = Box::new(FakePolicy::new(respond));
    let mut state = RunState::new(vec![Policy { name: "policy".into(), version: 0, trainer }]);
    let folder = RunDir::open(dir.path()).unwrap();
    run::run(&mut state, Grounds::of(&LETTERS), &settings, &folder, &|| false, &mut |_| ()).unwrap();

    let rows = std::fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
    let last: Metrics = serde_json::from_str(rows.lines().last().unwrap()).unwrap();
    let metric: BTreeMap<&str, f64> = last.iter().map(|(name, it)| (name.as_str(), *it)).collect();
    assert!(8.0 < metric["buffer/deduction/size"], "{last:?}");
    let accuracy = metric["eval/deduction/accuracy"];
    assert!((0.2..0.8).contains(&accuracy), "it is right by lot: {accuracy}");
    assert!(rows.contains("\"reject/deduction/trivial\""), "{rows}");
}
