//! The environment against a scripted executor: which responses become tasks, which are rejected and why, and
//! what answers earn (azr.md appendix A).

mod answers;
mod composites;
mod errors;
mod properties;
mod proposals;
mod rules;
mod scripted;

use std::sync::Arc;

use kelvin_core::{
    environment::{Environment, Given},
    task::{Grade, Task, TaskType},
};
use kelvin_env::python_triplet::{AnswerPlace, Problem, PromptSet, PythonTriplet, Settings};
use scripted::{Scripted, value};

use TaskType::{Abduction, Deduction, Induction};

/// The default settings with the small prompts.
pub fn compact() -> Settings {
    Settings { prompt_set: PromptSet::Compact, ..Settings::default() }
}

/// The environment over a scripted executor.
pub fn environment(executor: &Arc<Scripted>, settings: Settings) -> PythonTriplet {
    PythonTriplet::new(executor.clone(), settings).unwrap()
}

/// A problem as the environment gets it.
pub fn task(task_type: TaskType, payload: Problem) -> Task<Problem> {
    Task { task_type, born: 0, label: None, payload }
}

/// A triplet.
pub fn doubling() -> Problem {
    Problem::triplet("def f(a):\n    return a * 2".into(), "[1]".into(), "[1, 1]".into())
}

/// An induction problem.
pub fn squares() -> Problem {
    Problem::Induction {
        program: "def f(a):\n    return a * a".into(),
        inputs: ["0", "1", "2", "3", "4", "5"].map(String::from).into(),
        outputs: ["0", "1", "4", "9", "16", "25"].map(String::from).into(),
        message: "multiply".into(),
    }
}
#[test]
fn a_broken_executor_is_an_error_and_never_a_verdict() {
    let environment = environment(&Scripted::broken(), compact());
    assert!(
        environment.validate(Deduction, Given::references(&[]), "def f(a):\n    return a\ninput: 1").is_err()
    );
    assert!(environment.grade(&task(Abduction, doubling()), "1").is_err());
    assert!(environment.grade(&task(Induction, squares()), "def f(a):\n    return a").is_err());
    assert!(environment.grade(&task(Abduction, squares()), "1").is_err(), "a task of another type");
}

#[test]
fn identity_ignores_the_order_of_induction_inputs_and_family_all_inputs() {
    let environment = environment(&Scripted::broken(), compact());
    let Problem::Induction { program, mut inputs, mut outputs, message } = squares() else { unreachable!() };
    inputs.reverse();
    outputs.reverse();
    let reversed = Problem::Induction { program: program.clone(), inputs, outputs, message };
    let other = Problem::triplet(program, "7".into(), "49".into());
    let (first, second, third) =
        (task(Induction, squares()), task(Induction, reversed), task(Deduction, other));
    assert_eq!(environment.identity(&first), environment.identity(&second));
    assert_ne!(environment.identity(&first), environment.identity(&third));
    assert_eq!(environment.family(&first), environment.family(&third));
    assert_ne!(environment.family(&first), environment.family(&task(Deduction, doubling())));
}

#[test]
fn seed_tasks_are_valid_tasks() {
    let executor = Scripted::new(|_, input| value(input));
    for prompt_set in [PromptSet::Full, PromptSet::Compact] {
        let environment = environment(&executor, Settings { prompt_set, ..Settings::default() });
        for (task_type, problem) in environment.seed_tasks() {
            let task = task(task_type, problem);
            let answer = prompt_set.solution_text(AnswerPlace::Tags, task_type, &task.payload, &[]);
            assert_eq!(environment.grade(&task, &answer).unwrap(), Grade::correct());
            let reference =
                [environment.seed_tasks().remove(0)].map(|(kind, problem)| self::task(kind, problem));
            if task_type != Induction || prompt_set == PromptSet::Compact {
                let response = prompt_set.proposal_text(AnswerPlace::Tags, task_type, &task.payload);
                let again =
                    environment.validate(task_type, Given::references(&reference), &response).unwrap();
                assert_eq!(again.unwrap(), task.payload);
            }
        }
    }
}

#[test]
fn files_hold_the_originals_field_names() {
    let line =
        r#"{"snippet":"def f(a): return a","input":"1","output":"1","imports":[],"composite_functions":[]}"#;
    let problem: Problem = serde_json::from_str(line).unwrap();
    assert_eq!(problem, Problem::triplet("def f(a): return a".into(), "1".into(), "1".into()));
    let written = serde_json::to_value(&problem).unwrap();
    let fields: Vec<&String> = written.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["input", "output", "snippet"]);
    let line =
        r#"{"snippet":"s","original_snippet":"o","input":"1","output":"1","composite_functions":["g"]}"#;
    let composite: Problem = serde_json::from_str(line).unwrap();
    let Problem::Triplet { composition: Some(it), .. } = &composite else { panic!("not a composite") };
    assert_eq!((it.original_snippet.as_str(), &it.composite_functions[..]), ("o", &["g".to_owned()][..]));
    let written = serde_json::to_value(&composite).unwrap();
    let fields: Vec<&String> = written.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["composite_functions", "input", "original_snippet", "output", "snippet"]);
    assert_eq!(serde_json::from_value::<Problem>(written).unwrap(), composite);
    let written = serde_json::to_value(squares()).unwrap();
    let fields: Vec<&String> = written.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["inputs", "message", "outputs", "snippet"]);
    assert_eq!(serde_json::from_value::<Problem>(written).unwrap(), squares());
}

#[test]
fn every_choice_of_task_types_is_one() {
    let check = |task_types: &[TaskType]| {
        let settings = Settings { task_types: task_types.to_vec(), ..Settings::default() };
        settings.check().map_err(|error| error.to_string())
    };
    assert_eq!(check(&[TaskType::Error]), Ok(&[TaskType::Error][..]));
    assert_eq!(check(&[TaskType::Error, Abduction]), Ok(&[Abduction, TaskType::Error][..]));
    let all = [Deduction, Abduction, Induction, TaskType::Error];
    assert_eq!(check(&all), Ok(&all[..]));
    assert_eq!(Settings::default().check().unwrap(), &all[..3], "error tasks are off");
}

#[test]
fn settings_refuse_task_types_of_other_environments() {
    let check = |task_types: &[TaskType]| {
        let settings = Settings { task_types: task_types.to_vec(), ..Settings::default() };
        settings.check().map_err(|error| error.to_string())
    };
    assert_eq!(check(&[Induction, Deduction, Induction]), Ok(&[Deduction, Induction][..]));
    assert!(check(&[]).unwrap_err().contains("hint: "));
    assert!(check(&[TaskType::Question]).unwrap_err().contains("question"));
}

#[test]
fn a_new_name_is_nearly_the_same_task_and_a_new_message_is_not() {
    let environment = environment(&Scripted::broken(), compact());
    let shingles = |task_type, payload| environment.shingles(&task(task_type, payload));
    let program = "def f(items):\n    # twice\n    return items * 2";
    let renamed = Problem::triplet(program.into(), "[7]".into(), "[7, 7]".into());
    assert_eq!(shingles(Deduction, doubling()), shingles(Abduction, renamed));
    let Problem::Induction { program, inputs, outputs, .. } = squares() else { unreachable!() };
    let with = |program: &str, message: &str| Problem::Induction {
        program: program.into(),
        inputs: inputs.clone(),
        outputs: outputs.clone(),
        message: message.into(),
    };
    let n_common = |a: &Problem, b: &Problem| {
        let [a, b] = [a, b].map(|it| shingles(Induction, it.clone()));
        a.iter().filter(|it| b.contains(it)).count()
    };
    assert_eq!(n_common(&squares(), &with(&program, "a hint in other words")), 6, "its inputs");
    assert_eq!(n_common(&squares(), &with("def f(a):\n    return a + a", "multiply")), 0);
}

/// What comes from outside as a task and is none is told, so that nobody's answer to it is graded.
#[test]
fn tasks_that_others_wrote_are_looked_at() {
    let environment = environment(&Scripted::broken(), compact());
    let misfit = |task_type, payload| environment.misfit(&task(task_type, payload));
    for (task_type, payload) in [(Deduction, doubling()), (Abduction, doubling()), (Induction, squares())] {
        assert_eq!(misfit(task_type, payload), None);
    }
    let one = |program: &str, input: &str, output: &str| {
        Problem::triplet(program.into(), input.into(), output.into())
    };
    let uneven = Problem::Induction {
        program: "def f(a):\n    return a".into(),
        inputs: vec!["1".into(), "2".into()],
        outputs: vec!["1".into()],
        message: String::new(),
    };
    for (task_type, payload, why) in [
        (Induction, doubling(), "not one of induction"),
        (Deduction, squares(), "not one of deduction"),
        (Induction, uneven, "not one of induction"),
        (TaskType::Question, doubling(), "no question tasks"),
        (TaskType::Error, doubling(), "no error tasks"),
        (Deduction, one("def f(", "1", "1"), "parse_error"),
        (Deduction, one("import os\ndef f(a):\n    return 1", "1", "1"), "banned_import"),
        (Deduction, one("def f(a):\n    return a", "1", "open"), "not a literal"),
        (Deduction, one("def f(a):\n    return a", "g()", "1"), "not an argument list"),
    ] {
        let said = misfit(task_type, payload).unwrap_or_default();
        assert!(said.contains(why), "{said:?} should say {why:?}");
    }
}
