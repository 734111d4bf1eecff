//! Properties of the parsers: no text breaks them, and they read back what the prompt sets write.

use super::scripted::{Scripted, value};
use kelvin_core::{
    environment::{Environment, Given},
    task::{Grade, Task, TaskType},
};
use kelvin_env::{
    grading,
    python_triplet::{
        AnswerPlace, CodeLocation, Form, Problem, PromptSet, Proposal, PythonTriplet, Settings,
    },
};
use proptest::prelude::*;

const TYPES: [TaskType; 4] = [TaskType::Deduction, TaskType::Abduction, TaskType::Induction, TaskType::Error];

/// Every prompt set with every place of an answer that it knows.
fn styles() -> Vec<(PromptSet, Form)> {
    let place = |answer| (PromptSet::Full, Form { answer, ..Form::default() });
    vec![
        (PromptSet::Compact, Form::default()),
        place(AnswerPlace::Tags),
        place(AnswerPlace::Boxed),
        place(AnswerPlace::Plain),
        (PromptSet::Full, Form { boxed_retry: true, code_location: CodeLocation::Last, ..Form::default() }),
    ]
}

/// Text that is mostly made of the markers which parsers look for.
fn marked() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("</think>"),
        Just("<answer>"),
        Just("</answer>"),
        Just("```"),
        Just("```python\n"),
        Just("```input\n"),
        Just("```OUTPUT "),
        Just("```message"),
        Just("# Input:"),
        Just("# message:"),
        Just("<message>"),
        Just("</message>"),
        Just("input("),
        Just(")"),
        Just("the output is"),
        Just("\n"),
        Just("input: 1\n"),
        Just("message: é\n"),
        Just("def f(a):\n    return a\n"),
        Just("İ"),
        Just("\\boxed{"),
        Just("}"),
        Just(" "),
    ];
    prop_oneof![proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat()), ".{0,40}"]
}

fn literal() -> impl Strategy<Value = String> {
    let leaf =
        prop_oneof![any::<i32>().prop_map(|it| it.to_string()), "'[a-z ]{0,8}'", Just("None".to_owned())];
    leaf.prop_recursive(2, 12, 4, |inner| {
        proptest::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(", ")))
    })
}

fn program() -> impl Strategy<Value = String> {
    ("[a-e]", 0..3usize, any::<u8>()).prop_map(|(name, n_lines, number)| {
        let lines: String =
            (0..n_lines).map(|at| format!("    {name} = ({name}, {number} + {at})\n")).collect();
        format!("def f({name}):\n{lines}    return {name}")
    })
}

fn problem(n_inputs: usize) -> impl Strategy<Value = (Problem, Problem)> {
    let pairs = proptest::collection::vec((literal(), literal()), n_inputs);
    (program(), pairs, "[a-z][a-z ,.]{0,30}[a-z]").prop_map(|(program, pairs, message)| {
        let (input, output) = pairs[0].clone();
        let (inputs, outputs) = pairs.into_iter().unzip();
        let triplet = Problem::triplet(program.clone(), input, output);
        (triplet, Problem::Induction { program, inputs, outputs, message })
    })
}

fn style_and_problems() -> impl Strategy<Value = ((PromptSet, Form), Problem, Problem)> {
    proptest::sample::select(styles()).prop_flat_map(|(set, form)| {
        problem(set.n_induction_inputs())
            .prop_map(move |(triplet, induction)| ((set, form), triplet, induction))
    })
}

proptest! {
    #[test]
    fn no_response_breaks_a_parser(response in marked()) {
        let executor = Scripted::always(value("1"));
        let reference = Problem::triplet("def f(a):\n    return a".into(), "1".into(), "1".into());
        let reference = [Task { task_type: TaskType::Deduction, born: 0, label: None, payload: reference }];
        for (prompt_set, form) in styles() {
            let Form { answer, boxed_retry, whole_answer, code_location } = form;
            let settings =
                Settings { prompt_set, answer, boxed_retry, whole_answer, code_location, ..Settings::default() };
            let environment = PythonTriplet::new(executor.clone(), settings).unwrap();
            for task_type in TYPES {
                let given = Given::references(&reference);
                let verdict = environment.validate(task_type, given, &response).unwrap();
                drop(environment.validate_seed(task_type, given, &response).unwrap());
                if prompt_set == PromptSet::Compact && verdict.is_ok() {
                    prop_assert!(environment.proposal_is_formatted(task_type, &response));
                }
                environment.proposal_is_formatted(task_type, &response);
                prompt_set.parse_solution(form, task_type, &response);
                prompt_set.solution_is_formatted(form, task_type, &response);
            }
        }
        grading::grade_math("1", &response);
        grading::grade_error("NoError", &response);
        grading::last_boxed(&response);
    }

    #[test]
    fn proposals_read_back(((set, form), triplet, induction) in style_and_problems()) {
        for task_type in [TaskType::Deduction, TaskType::Abduction, TaskType::Error] {
            let text = set.proposal_text(form.answer, task_type, &triplet);
            prop_assert!(set.proposal_is_formatted(form, task_type, &text));
            let Problem::Triplet { program, input, .. } = triplet.clone() else { unreachable!() };
            prop_assert_eq!(set.parse_proposal(form, task_type, &text), Ok(Proposal::Triplet { program, input }));
        }
        let text = set.proposal_text(form.answer, TaskType::Induction, &induction);
        prop_assert!(set.proposal_is_formatted(form, TaskType::Induction, &text));
        let Problem::Induction { inputs, message, .. } = induction else { unreachable!() };
        prop_assert_eq!(set.parse_proposal(form, TaskType::Induction, &text), Ok(Proposal::Induction { inputs, message }));
    }

    /// Appendix C 1 of azr.md: whatever the order of fences, and whatever is said between them.
    #[test]
    fn fences_are_read_in_any_order(
        (triplet, induction) in problem(PromptSet::Full.n_induction_inputs()),
        is_program_first in any::<bool>(),
        message_at in any::<proptest::sample::Index>(),
        prose in proptest::collection::vec("[A-Za-z ,.!\\n]{0,20}", PromptSet::Full.n_induction_inputs() + 2),
    ) {
        let set = PromptSet::Full;
        let fence = |tag: &str, text: &str| format!("```{tag}\n{text}\n```\n");
        let told = |fences: &[String]| {
            let lines: String = fences.iter().zip(&prose).map(|(fence, prose)| format!("{prose}\n{fence}")).collect();
            format!("thought</think> <answer>{lines}{}</answer>", prose[fences.len()])
        };
        let Problem::Triplet { program, input, .. } = triplet else { unreachable!() };
        let mut fences = [fence("python", &program), fence("input", &input)];
        if !is_program_first {
            fences.reverse();
        }
        for task_type in [TaskType::Deduction, TaskType::Abduction, TaskType::Error] {
            let expected = Proposal::Triplet { program: program.clone(), input: input.clone() };
            prop_assert_eq!(set.parse_proposal(Form::default(), task_type, &told(&fences)), Ok(expected));
        }
        let Problem::Induction { inputs, message, .. } = induction else { unreachable!() };
        let mut fences: Vec<String> = inputs.iter().map(|it| fence("input", it)).collect();
        fences.insert(message_at.index(fences.len() + 1), fence("message", &message));
        let parsed = set.parse_proposal(Form::default(), TaskType::Induction, &told(&fences));
        prop_assert_eq!(parsed, Ok(Proposal::Induction { inputs, message }));
    }

    #[test]
    fn a_tasks_own_solution_is_graded_correct(((set, form), triplet, induction) in style_and_problems()) {
        let known: Vec<(String, String)> = [&triplet, &induction]
            .iter()
            .flat_map(|problem| problem.pairs())
            .map(|(input, output)| (input.to_owned(), output.to_owned()))
            .collect();
        // Equal inputs may come with different outputs here, which no function has: the script counts them off.
        prop_assume!(known.iter().all(|(input, output)| known.iter().all(|other| other.0 != *input || other.1 == *output)));
        let executor = Scripted::new(move |_, input| {
            value(&known.iter().find(|(known, _)| known == input).expect("a canonical input").1)
        });
        let settings = Settings { prompt_set: set, answer: form.answer, ..Settings::default() };
        let environment = PythonTriplet::new(executor, settings).unwrap();
        let typed = [(TaskType::Deduction, &triplet), (TaskType::Abduction, &triplet), (TaskType::Induction, &induction)];
        for (task_type, problem) in typed {
            let task = Task { task_type, born: 0, label: None, payload: problem.clone() };
            let response = set.solution_text(form.answer, task_type, problem, &[]);
            prop_assert_eq!(environment.grade(&task, &response).unwrap(), Grade::correct());
        }
    }
}
