//! The environment of questions: its prompts against the corpus, its parser against any text, its truth against the
//! generator.

use kelvin_core::{
    environment::DynEnvironment,
    executor::{Executor, Job, Outcome},
    task::Label,
};
use proptest::prelude::*;

use super::*;
use crate::corpus::{CorpusConfig, HeldOutPrograms, Kind, Shares, generate};

fn compact() -> Settings {
    Settings { prompt_set: PromptSet::Compact, ..Settings::default() }
}

fn environment(settings: Settings) -> MathQuestion {
    MathQuestion::new(settings).unwrap()
}

fn known(answer: &str) -> Label {
    Label { answer: answer.to_owned(), share: 1.0 }
}

fn task(text: &str, label: Option<&str>) -> Task<Question> {
    let payload = Question { text: text.to_owned(), own_answer: None };
    Task { task_type: TaskType::Question, born: 1, label: label.map(known), payload }
}

fn validated(settings: &Settings, response: &str) -> Result<Question, Rejection> {
    let given = Given::references(&[]);
    Environment::validate(&environment(settings.clone()), TaskType::Question, given, response).unwrap()
}

/// Answers with a number that depends on program and input only.
struct MadeUp;

impl Executor for MadeUp {
    fn run(&self, job: &Job) -> anyhow::Result<Vec<Outcome>> {
        let seed = Seed::new(9).fork(&job.program);
        let outcome = |input: &String| Outcome::Value { repr: seed.fork(input).below(100).to_string() };
        Ok(job.inputs.iter().map(outcome).collect())
    }

    fn parallelism(&self) -> usize {
        1
    }
}

/// The embedded model reads what it was pretrained on, byte for byte, and its answers are read.
#[test]
fn compact_prompts_are_those_of_the_corpus() {
    let shares = Shares {
        solve_deduction: 0,
        solve_abduction: 0,
        solve_induction: 0,
        propose_deduction: 0,
        propose_abduction: 0,
        propose_induction: 0,
        solve_inversion: 0,
        pose_inversion: 0,
        ..Shares::default()
    };
    let config = CorpusConfig { n_programs: 20, n_examples: 400, shares, ..CorpusConfig::default() };
    let corpus = generate(&config, Seed::new(1), &MadeUp, &HeldOutPrograms::new()).unwrap();
    let env = environment(compact());
    let (mut counts, mut n_shown) = ([0, 0], 0);
    for example in &corpus.examples {
        match example.kind {
            Kind::PoseQuestion => {
                counts[0] += 1;
                let shown = example.prompt.strip_suffix("### propose question\n").unwrap();
                let shown = shown.split("### question\n").skip(1);
                let references: Vec<Task<Question>> = shown.map(|it| task(it.trim_end(), None)).collect();
                n_shown += references.len();
                let given = Given::references(&references);
                assert_eq!(Environment::propose_prompt(&env, TaskType::Question, given), example.prompt);
                let question = validated(&compact(), &example.response).unwrap();
                assert_eq!(truth(&question.text), question.own_answer, "{}", example.response);
            }
            Kind::SolveQuestion => {
                counts[1] += 1;
                let text = example.prompt.strip_prefix("### question\n").unwrap();
                let text = text.strip_suffix("\n### answer\n").unwrap();
                let task = task(text, truth(text).as_deref());
                assert_eq!(Environment::solve_prompt(&env, &task), example.prompt);
                assert!(Environment::grade(&env, &task, &example.response).unwrap().correct, "{example:?}");
            }
            Kind::Solve(_) | Kind::Propose(_) | Kind::SolveInversion | Kind::PoseInversion => {
                panic!("{example:?}")
            }
        }
    }
    assert!(20 < n_shown, "proposals follow other questions too");
    assert!(50 < counts[0] && 50 < counts[1], "{counts:?}");
}

#[test]
fn references_stand_before_the_request() {
    let references = [task("What is 1 + 1?", None), task("What is 2 + 2?", None)];
    let prompt = |settings| {
        Environment::propose_prompt(
            &environment(settings),
            TaskType::Question,
            Given::references(&references),
        )
    };
    assert_eq!(
        prompt(compact()),
        "### question\nWhat is 1 + 1?\n### question\nWhat is 2 + 2?\n### propose question\n"
    );
    insta::assert_snapshot!("full_propose_with_references", prompt(Settings::default()));
    insta::assert_snapshot!("full_propose", PromptSet::Full.propose_prompt(&[]));
    insta::assert_snapshot!("full_solve", PromptSet::Full.solve_prompt("What is <b> & {{ 2 }}?"));
}

const LONG: &str = "How many primes lie below one hundred in total?";

#[test]
fn parts_are_found_where_the_paper_puts_them() {
    let full = Settings::default();
    let question =
        |text: &str, own: &str| Ok(Question { text: text.to_owned(), own_answer: Some(own.to_owned()) });
    for (response, text, own) in [
        (format!("<question>\n{LONG}\n</question>\n\n\\boxed{{25}}"), LONG.to_owned(), "25"),
        (
            format!(
                "<question>an idea</question> no: <question>{LONG}\nGive it\nplainly.</question>\\boxed{{25}}"
            ),
            format!("{LONG}\nGive it\nplainly."),
            "25",
        ),
        (
            format!("\\boxed{{1}}<question>{LONG}</question>\\boxed{{2}} \\boxed{{ \\frac{{1}}{{2}} }}."),
            LONG.to_owned(),
            "\\frac{1}{2}",
        ),
        (
            format!("<question>{LONG} Is a<b>c?</question>\\boxed{{\\{{1\\}}}} or \\boxed{{2"),
            format!("{LONG} Is a<b>c?"),
            "\\{1\\}",
        ),
    ] {
        assert_eq!(validated(&full, &response), question(&text, own), "{response}");
    }
    let reason = |settings: &Settings, response: &str| validated(settings, response).unwrap_err().reason;
    let strict = Settings { text_after_answer: false, ..Settings::default() };
    let boxed = format!("<question>{LONG}</question>\\boxed{{25}}");
    assert!(validated(&strict, &format!("{boxed}\n ")).is_ok());
    for (settings, response, expected) in [
        (&full, "no question \\boxed{1}".to_owned(), Reason::NoQuestion),
        (&full, format!("<question>{LONG} \\boxed{{1}}"), Reason::NoQuestion),
        (&full, "<question> \n </question>\\boxed{1}".to_owned(), Reason::NoQuestion),
        (&full, format!("<question>{LONG}</question> 25"), Reason::NoAnswer),
        (&full, format!("<question>{LONG}</question> \\boxed{{ }}"), Reason::NoAnswer),
        (&full, format!("\\boxed{{25}}<question>{LONG}</question>"), Reason::NoAnswer),
        (
            &full,
            "<question>What is seven plus five or six?</question>\\boxed{12}".to_owned(),
            Reason::TooShort,
        ),
        (&full, format!("<question>{}</question>\\boxed{{1}}", "why ".repeat(1025)), Reason::TooLong),
        (&full, format!("<question>{LONG} <question> {LONG}</question>\\boxed{{1}}"), Reason::HoldsTag),
        (&full, format!("<question>{LONG} </think></question>\\boxed{{1}}"), Reason::HoldsTag),
        (&full, format!("<question>Prove that {LONG}</question>\\boxed{{1}}"), Reason::AsksProof),
        (&full, format!("<question>{LONG} 请证明。</question>\\boxed{{1}}"), Reason::AsksProof),
        (&strict, format!("{boxed} is what I think"), Reason::TextAfterAnswer),
    ] {
        assert_eq!(reason(settings, &response), expected, "{response}");
    }
    let improved = format!("<question>{LONG} Can it be improved upon?</question>\\boxed{{25}}");
    assert!(validated(&full, &improved).is_ok());
}

#[test]
fn the_original_needs_a_question_and_no_empty_box() {
    let original = Settings::original();
    let own = |response: &str| validated(&original, response).map(|it| it.own_answer);
    assert_eq!(own("<question>Prove it</question>"), Ok(None));
    assert_eq!(own("\\boxed{3}<question>why</question>"), Ok(Some("3".to_owned())));
    assert_eq!(own("<question>why <answer></question>\\boxed{3}"), Ok(Some("3".to_owned())));
    assert_eq!(own("<question>why</question>\\boxed{}").unwrap_err().reason, Reason::NoAnswer);
    assert_eq!(own("\\boxed{3}").unwrap_err().reason, Reason::NoQuestion);
}

#[test]
fn pool_filters_are_the_originals_only() {
    let refusal = |settings: Settings, text: &str, winner: &str| {
        Environment::untaught(&environment(settings), &task(text, Some(winner))).map(|it| it.reason)
    };
    for (text, winner, expected) in [
        ("请证明", "1", Some(Reason::AsksProof)),
        ("How many Boxes?", "1", Some(Reason::SpeaksOfBox)),
        ("How many?", "\\text{two}", Some(Reason::TextAnswer)),
        ("How many?", "2", None),
    ] {
        assert_eq!(refusal(Settings::original(), text, winner), expected);
        assert_eq!(refusal(Settings::default(), text, winner), None);
    }
}

#[test]
fn compact_proposals_end_in_an_answer_line() {
    let read = |response: &str| validated(&compact(), response);
    let question = read("What is\n2 + 2?\nanswer: 5\nanswer: \\boxed{4}\nanything").unwrap();
    assert_eq!(question.text, "What is\n2 + 2?\nanswer: 5");
    assert_eq!(question.own_answer.as_deref(), Some("4"));
    for (response, reason) in [
        ("What is 2 + 2?", Reason::NoAnswer),
        ("What is 2 + 2? answer: \\boxed{4}", Reason::NoAnswer),
        ("What is 2 + 2?\nanswer: 4", Reason::NoAnswer),
        ("answer: \\boxed{4}", Reason::NoQuestion),
        ("2 + 2?\nanswer: \\boxed{4}", Reason::TooShort),
    ] {
        assert_eq!(read(response).unwrap_err().reason, reason, "{response}");
        let formatted =
            Environment::proposal_is_formatted(&environment(compact()), TaskType::Question, response);
        assert_eq!(formatted, reason == Reason::TooShort, "{response}");
    }
}

#[test]
fn answers_are_graded_against_the_label_by_value() {
    let env = environment(Settings::default());
    let grade =
        |label: &str, response: &str| Environment::grade(&env, &task(LONG, Some(label)), response).unwrap();
    assert_eq!(grade("1/2", "so \\boxed{0.5}"), Grade::correct());
    assert_eq!(grade("0.50", "so \\boxed{\\frac12}"), Grade::correct());
    assert_eq!(grade("1/2", "so \\boxed{2}"), Grade::missed(Miss::Wrong));
    assert_eq!(grade("1/2", "so 1/2"), Grade::malformed());
    assert_eq!(grade("1/2", "so \\boxed{ }"), Grade::malformed());
    assert_eq!(Environment::answer(&env, &task(LONG, None), "\\boxed{\\text{No} }").as_deref(), Some("no"));
}

#[test]
#[should_panic(expected = "labelled before it is graded")]
fn a_question_without_label_is_not_graded() {
    let _ = Environment::grade(&environment(Settings::default()), &task(LONG, None), "\\boxed{1}");
}

#[test]
fn questions_are_known_by_their_words() {
    let env = environment(Settings::default());
    let identity = |text: &str| Environment::identity(&env, &task(text, None));
    assert_eq!(identity("What  is\n2 + 2? "), identity("what is 2 + 2?"));
    assert_ne!(identity("What is 2 + 2?"), identity("What is 2 + 3?"));
    let shingles = |text: &str| Environment::shingles(&env, &task(text, None));
    assert_eq!(shingles("a b c d").len(), 2);
    assert_eq!(shingles("A  b c d"), shingles("a b c d"));
    assert_eq!(shingles("a b").len(), 1);
    assert_eq!(shingles("").len(), 1);
    assert_ne!(shingles("one 2 three"), shingles("one 3 three"));
}

/// The evaluator and the generator are two ways to the same answer.
#[test]
fn truth_is_what_the_generator_says() {
    for index in 0..3000 {
        let drawn = arithmetic::question(&mut Seed::new(5).nth(index).draws());
        assert_eq!(truth(&drawn.text), Some(drawn.answer.to_string()), "{}", drawn.text);
    }
}

#[test]
fn truth_is_known_of_these_forms_only() {
    for (question, answer) in [
        ("What is (1 + 2) * (3 - 10) / -7?", Some("3")),
        ("What is 2 - 3 - 4?", Some("-5")),
        ("What is 12 / 3 / 2?", Some("2")),
        ("What is -(2+3)*4?", Some("-20")),
        ("What is 7 / 2?", None),
        ("What is 7 / (3 - 3)?", None),
        ("What is 2 + ?", None),
        ("What is (2 + 3?", None),
        ("What is 2 3?", None),
        ("What is x + 1?", None),
        ("What is love?", None),
        ("What is 170141183460469231731687303715884105727 + 1?", None),
        ("What is 99999999999999999999999999999999999999999?", None),
        ("What is the remainder of 17 divided by 5?", Some("2")),
        ("What is the remainder of 17 divided by 0?", None),
        ("x + 5 = 9. What is x?", Some("4")),
        ("5 + n = 9. What is n?", Some("4")),
        ("2 * (y - 3) = 20 - 4 * 2. What is y?", Some("9")),
        ("10 - 3 * x = x + 2. What is x?", Some("2")),
        ("2 * x = 9. What is x?", None),
        ("x * x = 9. What is x?", None),
        ("x + 1 = x + 1. What is x?", None),
        ("x + 5 = 9. What is y?", None),
        ("Zoe has 1000 stamps and gets 24 more. How many stamps now?", Some("1024")),
        ("Zoe has 1000 stamps and gets 24 more. How many coins now?", None),
        ("Zoe has 3 stamps and gives away 4. How many stamps are left?", None),
        ("Zoe shares 10 stamps among 4 people. How many stamps each?", None),
        ("Zoe has -1 stamps and gets 24 more. How many stamps now?", None),
        ("", None),
    ] {
        assert_eq!(truth(question).as_deref(), answer, "{question}");
    }
    assert_eq!(truth(&format!("What is {}1?", "(".repeat(100_000))), None);
    assert_eq!(truth(&format!("What is {}1{}?", "(".repeat(60), ")".repeat(60))).as_deref(), Some("1"));
}

#[test]
fn held_out_questions_are_fresh_different_and_labelled() {
    let env = environment(compact());
    let held_out = |n, seed| DynEnvironment::held_out(&env, TaskType::Question, n, Seed::new(seed)).unwrap();
    let tasks = held_out(200, 1);
    let mut families: Vec<String> =
        tasks.iter().map(|it| DynEnvironment::family(&env, it).unwrap()).collect();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), 200);
    for task in &tasks {
        let label = task.label.clone().map(|it| it.answer);
        assert!(label.is_some());
        assert_eq!(DynEnvironment::truth(&env, task).unwrap(), label);
        assert_eq!(task.typed::<Question>().unwrap().payload.own_answer, label);
        assert!(
            DynEnvironment::grade(&env, task, &format!("\\boxed{{{}}}", label.unwrap())).unwrap().correct
        );
    }
    assert_eq!(held_out(200, 1), tasks);
    assert_ne!(held_out(200, 2), tasks);
    assert!(DynEnvironment::held_out(&env, TaskType::Deduction, 1, Seed::new(1)).is_err());
}

#[test]
fn seeds_are_valid_and_labelled() {
    let env = environment(compact());
    for task in DynEnvironment::seed_tasks(&env) {
        let Question { text, own_answer } = task.typed::<Question>().unwrap().payload;
        assert_eq!(task.label.as_ref().map(|it| it.answer.clone()), own_answer, "{text}");
        let response = format!("{text}\nanswer: \\boxed{{{}}}", own_answer.as_deref().unwrap());
        assert_eq!(validated(&compact(), &response), Ok(Question { text, own_answer }));
    }
}

#[test]
fn settings_that_contradict_themselves_are_refused() {
    for settings in [
        Settings { words_min: 9, words_max: 8, ..Settings::default() },
        Settings { prompt_set: PromptSet::Compact, ..Settings::original() },
    ] {
        assert!(settings.check().unwrap_err().to_string().contains("hint: "));
    }
    Settings::original().check().unwrap();
    compact().check().unwrap();
}

proptest! {
    /// Any text around the markers is read without a panic, by each set of rules.
    #[test]
    fn no_response_breaks_the_parser(
        pieces in prop::collection::vec(
            prop_oneof![
                any::<String>(),
                prop::sample::select(vec![
                    "<question>", "</question>", "\\boxed{", "}", "\nanswer:", "answer: ", "<", ">", "</think>", "{", "prove ", "证明",
                ])
                .prop_map(str::to_owned),
            ],
            0..12,
        )
    ) {
        let response = pieces.concat();
        for settings in [Settings::default(), compact(), Settings::original()] {
            let env = environment(settings.clone());
            let outcome = validated(&settings, &response);
            let formatted = Environment::proposal_is_formatted(&env, TaskType::Question, &response);
            prop_assert!(formatted || outcome.is_err());
            Environment::answer(&env, &task(&response, None), &response);
            Environment::shingles(&env, &task(&response, None));
            truth(&response);
        }
    }
}
