//! The generator and the mix, on an executor that makes outputs up: what runs is checked where CPython is.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use kelvin_core::{
    executor::{Executor, Job, Outcome},
    seed::Seed,
    task::TaskType,
};
use kelvin_python::program::{Policy, prepare};

use super::*;
use crate::python_triplet::PromptSet;

/// Answers with a number that depends on program and input only.
struct MadeUp {
    n_threads: usize,
}

impl Executor for MadeUp {
    fn run(&self, job: &Job) -> anyhow::Result<Vec<Outcome>> {
        let seed = Seed::new(9).fork(&job.program);
        let outcome = |input: &String| match job.program.contains("sorted") && input.contains("11") {
            true => Outcome::Raised { exception: "ValueError".to_owned(), message: String::new() },
            false => Outcome::Value { repr: seed.fork(input).below(100).to_string() },
        };
        Ok(job.inputs.iter().map(outcome).collect())
    }

    fn parallelism(&self) -> usize {
        self.n_threads
    }
}

fn small() -> CorpusConfig {
    CorpusConfig { n_programs: 1200, n_examples: 3000, ..CorpusConfig::default() }
}

fn built(seed: u64, held_out: &HeldOutPrograms, n_threads: usize) -> Corpus {
    generate(&small(), Seed::new(seed), &MadeUp { n_threads }, held_out).unwrap()
}

fn programs(n: u64) -> Vec<Program> {
    (0..n).map(|at| Program::draw(Seed::new(1).nth(at))).collect()
}

#[test]
fn programs_pass_the_policy_and_inputs_are_canonical() {
    for (at, program) in programs(2000).iter().enumerate() {
        let input = program.input(Seed::new(2).nth(at as u64));
        let prepared = prepare(&program.text, &Policy::Kelvin);
        assert!(prepared.is_ok(), "{}\n{:?}", program.text, prepared.err());
        let values = kelvin_python::value::parse_literal(&format!("({input},)"));
        let values = values.unwrap_or_else(|error| panic!("{input}: {error:?}"));
        assert_eq!(values.canonical().replace(",)", ")"), format!("({input})"), "{}", program.text);
    }
}

#[test]
fn programs_are_short_and_varied() {
    let programs = programs(4000);
    let share = |holds: &dyn Fn(&Program) -> bool| {
        programs.iter().filter(|program| holds(program)).count() as f64 / programs.len() as f64
    };
    let between = |low: f64, high: f64, share: f64| assert!(low < share && share < high, "{share}");
    between(0.35, 0.55, share(&|it| it.n_steps == 1));
    between(0.20, 0.40, share(&|it| it.n_steps == 2));
    between(0.05, 0.20, share(&|it| it.text.contains("\n    for ")));
    between(0.05, 0.25, share(&|it| it.text.contains("if ") && !it.text.contains(" for ")));
    between(0.02, 0.08, share(&|it| it.text.contains("def g(")));
    between(0.10, 0.30, share(&|it| it.text.contains("(x, y)")));
    between(0.05, 0.30, share(&|it| it.text.contains("[") && it.text.contains(" for ")));
    let distinct: HashSet<&str> = programs.iter().map(|it| it.text.as_str()).collect();
    between(0.5, 1.0, distinct.len() as f64 / programs.len() as f64);
    let mean_len = programs.iter().map(|it| it.text.len()).sum::<usize>() / programs.len();
    assert!((40..80).contains(&mean_len), "{mean_len}");
    assert!(programs.iter().all(|it| it.text.len() <= program::MAX_PROGRAM_LEN && it.text.is_ascii()));
}

#[test]
fn messages_are_one_line_without_code() {
    for (at, program) in programs(1000).iter().enumerate() {
        let message = program.message(Seed::new(3).nth(at as u64));
        let plain = |c: char| c.is_ascii_lowercase() || c == ' ' || c == ',';
        assert!(!message.is_empty() && message.len() <= 110 && message.chars().all(plain), "{message}");
    }
}

#[test]
fn one_digest_for_a_seed_whatever_the_threads() {
    let none = HeldOutPrograms::new();
    let digest = built(5, &none, 1).digest;
    assert_eq!(digest, built(5, &none, 3).digest);
    assert_ne!(digest, built(6, &none, 1).digest);
}

#[test]
fn held_out_tasks_are_nowhere() {
    let deductions = |corpus: &Corpus| -> BTreeSet<(String, String)> {
        let prompts = corpus.examples.iter().filter(|it| it.kind == Kind::Solve(TaskType::Deduction));
        let tasks = prompts.map(|it| {
            let (program, rest) = it.prompt.split_once('\n').unwrap().1.split_once("\ninput: ").unwrap();
            (program.to_owned(), rest.split_once('\n').unwrap().0.to_owned())
        });
        tasks.collect()
    };
    let mut held_out = HeldOutPrograms::new();
    for (program, input) in deductions(&built(5, &HashMap::new(), 1)).into_iter().step_by(3) {
        held_out.entry(program).or_default().insert(input);
    }
    let without = built(5, &held_out, 1);
    let one_step: HashSet<String> =
        programs(20_000).into_iter().filter(|it| it.n_steps == 1).map(|it| it.text).collect();
    let tasks = deductions(&without);
    assert!(tasks.iter().any(|(program, _)| held_out.contains_key(program)), "one-step programs stay");
    for (program, input) in &tasks {
        if let Some(inputs) = held_out.get(program) {
            assert!(!inputs.contains(input), "{program}\n{input}");
        }
    }
    // Wherever a program stands, a line ends after it.
    let longer: Vec<String> =
        held_out.keys().filter(|it| !one_step.contains(*it)).map(|it| format!("\n{it}\n")).collect();
    assert!(100 < longer.len());
    for example in &without.examples {
        let text = format!("{}\n{}\n", example.prompt, example.response);
        assert!(longer.iter().all(|program| !text.contains(program)), "{text}");
    }
}

#[test]
fn every_kind_renders_and_parses_back() {
    let corpus = built(5, &HashMap::new(), 1);
    let set = PromptSet::Compact;
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    let mut seen = HashSet::new();
    for example in &corpus.examples {
        let Example { kind, prompt, response } = example;
        *counts.entry(*kind).or_default() += 1;
        assert!(prompt.starts_with("### ") && prompt.ends_with('\n'), "{prompt}");
        match kind {
            Kind::Propose(task_type) => {
                assert!(set.proposal_is_formatted(*task_type, response), "{response}");
                assert!(set.parse_proposal(*task_type, response).is_ok());
            }
            Kind::Solve(task_type) => {
                assert_eq!(set.parse_solution(*task_type, response).as_deref(), Some(response.as_str()));
                assert!(prompt.len() + response.len() <= 700, "{prompt}{response}");
                seen.insert((prompt.clone(), response.clone()));
            }
            Kind::SolveQuestion | Kind::PoseQuestion => {
                assert!(response.contains("\\boxed{") && response.ends_with('}'));
            }
            Kind::SolveInversion => assert!(response.parse::<u64>().is_ok()),
            Kind::PoseInversion => assert!(response.contains(" = 1 mod ")),
        }
    }
    let share = |kind| counts[&kind] as f64 / corpus.examples.len() as f64;
    assert_eq!(counts.len(), 10);
    assert!((share(Kind::Solve(TaskType::Deduction)) - 0.31).abs() < 0.03);
    assert!((share(Kind::Propose(TaskType::Induction)) - 0.07).abs() < 0.03);
    let n_solved: usize =
        TaskType::ALL.iter().filter_map(|task_type| counts.get(&Kind::Solve(*task_type))).sum();
    assert!(n_solved * 3 / 4 < seen.len(), "{} of {n_solved} differ", seen.len());
}

#[test]
fn fresh_problems_differ() {
    let executor = MadeUp { n_threads: 2 };
    let settings = Settings { prompt_set: PromptSet::Compact, ..Settings::default() };
    for task_type in [TaskType::Deduction, TaskType::Abduction, TaskType::Induction] {
        let fresh = |n| fresh_problems(task_type, n, Seed::new(7), &executor, &settings).unwrap();
        let problems = fresh(120);
        assert_eq!(problems[..40], fresh(40));
        let task = |problem| Task {
            task_type,
            born: 0,
            label: None,
            payload: serde_json::to_value(problem).unwrap(),
        };
        let tasks: Vec<Task> = problems.iter().map(task).collect();
        assert_eq!(held_out_programs(&tasks).unwrap().len(), 120);
        let n_pairs = if task_type == TaskType::Induction { 6 } else { 1 };
        assert!(problems.iter().all(|problem| problem.pairs().len() == n_pairs));
    }
    assert!(fresh_problems(TaskType::Question, 1, Seed::new(7), &executor, &settings).is_err());
}

/// Raises on a third of all inputs.
struct Fickle;

impl Executor for Fickle {
    fn run(&self, job: &Job) -> anyhow::Result<Vec<Outcome>> {
        let outcome = |input: &String| match Seed::new(5).fork(&job.program).fork(input).below(3) {
            0 => Outcome::Raised { exception: "TypeError".to_owned(), message: String::new() },
            _ => Outcome::Value { repr: "1".to_owned() },
        };
        Ok(job.inputs.iter().map(outcome).collect())
    }

    fn parallelism(&self) -> usize {
        1
    }
}

#[test]
fn half_of_the_fresh_error_tasks_raise() {
    let fresh = |n| fresh_problems(TaskType::Error, n, Seed::new(7), &Fickle, &Settings::default()).unwrap();
    let problems = fresh(40);
    assert_eq!(problems[..10], fresh(10));
    let raising = problems.iter().filter(|it| it.pairs()[0].1 == "TypeError").count();
    assert_eq!((raising, problems.iter().filter(|it| it.pairs()[0].1 == "NoError").count()), (20, 20));
    let programs: HashSet<&str> = problems.iter().map(|it| it.program()).collect();
    assert_eq!(programs.len(), 40);
    let none = MadeUp { n_threads: 1 };
    let error = fresh_problems(TaskType::Error, 40, Seed::new(7), &none, &Settings::default());
    assert!(error.unwrap_err().to_string().contains("hint: "), "an executor that never raises is broken");
}
