//! Composite proposals against a scripted executor: which tasks help, what the prompt shows, and what is accepted.

use kelvin_core::{
    environment::{Environment, Given},
    task::{
        Reason, Rejection, Task,
        TaskType::{Abduction, Deduction, Error, Induction},
    },
};
use kelvin_env::python_triplet::{Composition, Problem, PromptSet, Settings};

use super::{
    compact, doubling, environment,
    scripted::{Scripted, value},
    squares, task,
};

fn importing(module: &str) -> Task<Problem> {
    let program = format!("import {module} as m\ndef f(x):\n    return m.sqrt(x)");
    task(Deduction, Problem::triplet(program, "4".into(), "2.0".into()))
}

fn lent() -> Vec<Task<Problem>> {
    vec![task(Deduction, doubling()), importing("math")]
}

fn verdict(settings: Settings, helpers: &[Task<Problem>], program: &str) -> Result<Problem, Rejection> {
    let environment = environment(&Scripted::always(value("4")), settings);
    let given = Given { references: &[], helpers };
    environment.validate(Deduction, given, &format!("{program}\ninput: 4")).unwrap()
}

#[test]
fn programs_that_stand_by_themselves_can_help() {
    let environment = environment(&Scripted::broken(), compact());
    let composite = Problem::Triplet {
        program: "def g_0(a):\n    return a\n\ndef f(x):\n    return g_0(x) + 1".into(),
        input: "1".into(),
        output: "2".into(),
        composition: Some(Composition {
            original_snippet: "def f(x):\n    return g_0(x) + 1".into(),
            composite_functions: vec!["def g_0(a):\n    return a".into()],
        }),
    };
    assert!([Deduction, Abduction, Error].iter().all(|&it| environment.can_help(it, &task(it, doubling()))));
    assert!(!environment.can_help(Induction, &task(Deduction, doubling())));
    assert!(!environment.can_help(Deduction, &task(Induction, squares())));
    assert!(!environment.can_help(Deduction, &task(Deduction, composite)), "no composites of composites");
}

#[test]
fn a_composite_keeps_what_it_is_made_of() {
    let program = "def main(x):\n    y = g_1(x)\n    return g_0(y) + 0 * x";
    let problem = verdict(compact(), &lent(), program).unwrap();
    let Problem::Triplet { program, composition: Some(composition), .. } = problem else {
        panic!("not a composite")
    };
    let doubled = "def g_0(a):\n    return a * 2";
    let root = "def g_1(x):\n    return m.sqrt(x)";
    let own = "def f(x):\n    y = g_1(x)\n    return g_0(y) + 0 * x";
    assert_eq!(program, format!("import math as m\n\n{doubled}\n\n{root}\n\n{own}"));
    assert_eq!(composition.original_snippet, own);
    assert_eq!(composition.composite_functions, [doubled.to_owned(), format!("import math as m\n{root}")]);
}

#[test]
fn every_way_to_be_none() {
    for (program, reason) in [
        ("def g_0(a):\n    return a\ndef f(x):\n    return g_0(x) + g_1(x)", Reason::HelperMisused),
        ("def f(x):\n    return g_0(x) + 1", Reason::HelperMisused),
        ("def f(x):\n    return g_0(y) + g_1(x)", Reason::HelperMisused),
        ("import random\ndef f(x):\n    return g_0(x) + g_1(x)", Reason::BannedImport),
        ("x = g_0(g_1(1))", Reason::NoEntry),
    ] {
        assert_eq!(verdict(compact(), &lent(), program).unwrap_err().reason, reason, "{program}");
    }
    let wrapper = "def f(x):\n    return g_0(x)";
    let one = &lent()[..1];
    assert_eq!(verdict(compact(), one, wrapper).unwrap_err().reason, Reason::OnlyWrapsHelper);
    let allowed = Settings { composite_wrappers_allowed: true, ..compact() };
    assert!(verdict(allowed, one, wrapper).is_ok());
    assert!(verdict(compact(), &[], "def f(x):\n    return x").is_ok(), "without helpers nothing is asked");
}

#[test]
fn prompt_and_validation_leave_the_same_helpers_out() {
    let clashing = [importing("math"), importing("cmath"), task(Deduction, doubling())];
    for prompt_set in [PromptSet::Full, PromptSet::Compact] {
        let settings = Settings { prompt_set, ..Settings::default() };
        let environment = environment(&Scripted::broken(), settings);
        let prompt = environment.propose_prompt(Abduction, Given { references: &[], helpers: &clashing });
        assert!(prompt.contains("import math as m\ndef g_0(x):\n    return m.sqrt(x)"), "{prompt}");
        assert!(prompt.contains("def g_1(a):\n    return a * 2"), "{prompt}");
        assert!(!prompt.contains("cmath as m") && !prompt.contains("g_2"), "{prompt}");
    }
    assert!(verdict(compact(), &clashing, "def f(x):\n    return g_1(g_0(x))").is_ok());
}
