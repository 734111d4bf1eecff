//! What answers are worth, and what solvers read.

use kelvin_core::{
    environment::{Environment, Given},
    task::{Miss, TaskType},
};
use kelvin_env::prime_inversion::{PromptSet, Settings};

use crate::{SETS, TYPES, any_prime, blank, env, grade, task, with};

/// The tasks below are of 5 * 7 = 1 (mod 17).
const ANSWERS: [(TaskType, &str, u32); 3] =
    [(TaskType::Deduction, "y", 7), (TaskType::Abduction, "x", 5), (TaskType::Induction, "p", 17)];

#[test]
fn every_spelling_of_the_answer_is_right() {
    let env = env(PromptSet::Full);
    for (task_type, letter, answer) in ANSWERS {
        for inside in [
            format!("{answer}"),
            format!("{{{answer}}}"),
            format!(" {letter}={answer} "),
            format!("{letter} ≡ {answer}"),
            format!("{} \\equiv {answer}", letter.to_uppercase()),
            format!("${letter} = {answer}$"),
            format!("+{answer}."),
        ] {
            let response = format!("first \\boxed{{3}}, no, \\boxed{{{inside}}} it is");
            assert!(grade(&env, &task(task_type, 5, 17), &response).correct, "{task_type}: {inside}");
        }
    }
}

#[test]
fn x_and_y_count_modulo_p_and_p_does_not() {
    let env = env(PromptSet::Full);
    let at = |task_type, answer: &str| grade(&env, &task(task_type, 5, 17), &format!("\\boxed{{{answer}}}"));
    // 7 + 17 * 10^30, and thousands.
    for right in ["24", "-10", "17000000000000000000000000000000007", "17,007", "17 007", "17{,}007"] {
        assert!(at(TaskType::Deduction, right).correct, "{right}");
    }
    for wrong in ["5", "0", "17", "-7", "18446744073709551615"] {
        assert_eq!(at(TaskType::Deduction, wrong).miss, Some(Miss::Wrong), "{wrong}");
    }
    for wrong in ["2", "34", "0", "1", "-17", "4294967313", "17000000000000000000000000000000017"] {
        assert_eq!(at(TaskType::Induction, wrong).miss, Some(Miss::Wrong), "{wrong}");
    }
    for (task_type, unparsable) in [
        (TaskType::Deduction, ""),
        (TaskType::Deduction, "seven"),
        (TaskType::Deduction, "7/2"),
        (TaskType::Deduction, "x = 7"),
        (TaskType::Deduction, "y 7"),
        (TaskType::Induction, "17 (mod p)"),
    ] {
        let grade = at(task_type, unparsable);
        assert_eq!((grade.miss, grade.formatted), (Some(Miss::Unparsable), false), "{unparsable}");
    }
}

#[test]
fn the_rule_decides_which_primes_answer_an_induction() {
    // 5 * 7 - 1 = 34 = 2 * 17.
    let task = task(TaskType::Induction, 5, 17);
    for (answer, unique, any) in [(2, false, true), (17, true, true), (34, false, false), (3, false, false)] {
        let response = PromptSet::Full.solution_text(answer);
        let verdicts = [env(PromptSet::Full), any_prime()].map(|it| grade(&it, &task, &response).correct);
        assert_eq!(verdicts, [unique, any], "{answer}");
    }
}

#[test]
fn a_compact_answer_is_the_number_alone() {
    let env = env(PromptSet::Compact);
    for (task_type, _, answer) in ANSWERS {
        let task = task(task_type, 5, 17);
        let response = PromptSet::Compact.solution_text(answer);
        assert!(
            grade(&env, &task, &response).correct && grade(&env, &task, &format!("{response}\n")).correct
        );
        for bad in [format!("{response} {response} {response}!"), String::new(), "\n".to_owned()] {
            assert!(!grade(&env, &task, &bad).formatted, "{bad}");
        }
        assert_eq!(env.answer(&task, &response), Some(answer.to_string()));
    }
    assert_eq!(env.answer(&task(TaskType::Deduction, 5, 17), "24"), Some("7".to_owned()));
}

/// A response is graded by its own task's type, whatever stands before or after it: only one of the three numbers is
/// right, the one that this task leaves out.
#[test]
fn the_task_decides_what_is_right_and_not_its_place() {
    for set in SETS {
        let env = env(set);
        for rotation in 0..TYPES.len() {
            let mut order = TYPES;
            order.rotate_left(rotation);
            for task_type in order {
                let right = ANSWERS
                    .map(|(_, _, it)| grade(&env, &task(task_type, 5, 17), &set.solution_text(it)).correct);
                assert_eq!(right, ANSWERS.map(|it| it.0 == task_type), "{task_type}");
            }
        }
    }
}

#[test]
fn prompts_read_as_they_should() {
    let full = |settings: Settings| {
        let env = with(settings);
        let mut text = String::new();
        for task_type in TYPES {
            let tasks = [task(task_type, 5, 17), task(task_type, 2, 29)];
            let prompts =
                [env.propose_prompt(task_type, Given::references(&tasks)), env.solve_prompt(&tasks[0])];
            for prompt in prompts {
                text += &format!("--- {task_type}\n{prompt}");
            }
        }
        text
    };
    insta::assert_snapshot!("full", full(Settings::default()));
    let original = Settings {
        induction: kelvin_env::prime_inversion::InductionRule::AnyPrime,
        trivial_allowed: true,
        task_types: vec![TaskType::Induction],
        ..Settings::default()
    };
    insta::assert_snapshot!("full_any_prime", full(original));
}

/// The embedded base model was trained on these bytes.
#[test]
fn compact_prompts_keep_their_bytes() {
    let env = env(PromptSet::Compact);
    for (task_type, letter, equation, other) in [
        (TaskType::Deduction, "y", "5 * y = 1 mod 17", "2 * y = 1 mod 29"),
        (TaskType::Abduction, "x", "x * 7 = 1 mod 17", "x * 15 = 1 mod 29"),
        (TaskType::Induction, "p", "5 * 7 = 1 mod p", "2 * 15 = 1 mod p"),
    ] {
        let tasks = [task(task_type, 5, 17), task(task_type, 2, 29)];
        assert_eq!(env.solve_prompt(&tasks[0]), format!("### inversion\n{equation}\n### {letter}\n"));
        assert_eq!(
            env.propose_prompt(task_type, Given::references(&tasks)),
            format!("### propose inversion {letter}\n{equation}\n{other}\n### task\n")
        );
        assert_eq!(env.identity(&tasks[0]), equation);
        assert_eq!(tasks[0].payload.with(blank(task_type)), equation);
    }
}
