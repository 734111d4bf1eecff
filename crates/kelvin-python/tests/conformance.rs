//! The vectors of azr.md Appendix A that concern parsing and equality, by their names there.

use kelvin_python::{
    Equality, LiteralError, Policy, Refusal, Value, parse_arguments, parse_literal, prepare,
};

fn literal(text: &str) -> Value {
    parse_literal(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn strictly_equal(gold: &str, answer: &str) -> bool {
    literal(gold).equals(&literal(answer), Equality::Strict)
}

fn refusal(source: &str) -> Refusal {
    match prepare(source, &Policy::Kelvin) {
        Ok(program) => panic!("accepted {:?}", program.source),
        Err(refusal) => refusal,
    }
}

#[test]
fn list_of_300_ints_is_exact() {
    let text = format!("[{}]", (0..300).map(|i| i.to_string()).collect::<Vec<_>>().join(", "));
    assert_eq!(literal(&text).canonical(), text);
}

#[test]
fn returns_none() {
    assert_eq!(literal("None").canonical(), "None");
}

#[test]
fn returns_nan() {
    for text in ["nan", "[nan]", "inf", "-inf", "1e999"] {
        assert!(matches!(parse_literal(text), Err(LiteralError::NotLiteral(_))), "{text}");
    }
}

#[test]
fn set_of_words_has_a_canonical_order() {
    assert_eq!(literal("{'pear', 'apple', 'fig'}").canonical(), "{'apple', 'fig', 'pear'}");
    assert_eq!(literal("{'fig', 'pear', 'apple'}").canonical(), "{'apple', 'fig', 'pear'}");
}

#[test]
fn lambda_generator_object_are_not_literal() {
    for text in ["lambda: 1", "(x for x in [1])", "object()"] {
        assert!(matches!(parse_literal(text), Err(LiteralError::NotLiteral(_))), "{text}");
    }
    let text = "<function <lambda> at 0x7f0000000000>";
    assert!(matches!(parse_literal(text), Err(LiteralError::Unparsable(_))));
}

#[test]
fn input_over_two_lines_is_one_line() {
    assert_eq!(parse_arguments("[1,\n2]").expect("an argument list").canonical(), "[1, 2]");
}

#[test]
fn input_of_keywords_keeps_their_order() {
    assert_eq!(parse_arguments("b=1, a=5").expect("an argument list").canonical(), "b=1, a=5");
}

#[test]
fn banned_imports_and_calls() {
    let program = |line: &str| format!("import math\ndef f(x):\n    {line}\n    return x");
    let imports = [
        ("import os", "os"),
        ("import os.path", "os.path"),
        ("import sys", "sys"),
        ("from os import path", "os"),
    ];
    for (line, module) in imports {
        assert_eq!(refusal(&program(line)), Refusal::BannedImport(module.to_owned()));
    }
    for (line, name) in [("open('a').read()", "open"), ("__import__('random')", "__import__")] {
        assert_eq!(refusal(&program(line)), Refusal::BannedCall(name.to_owned()));
    }
}

#[test]
fn function_named_my_input_is_accepted() {
    let source = "def my_input(x):\n    # no input() here\n    return x\ndef f(x):\n    return my_input(x)";
    assert_eq!(prepare(source, &Policy::Kelvin).expect("a program").source, source);
}

#[test]
fn deduction_answers_that_are_the_same_value() {
    assert!(strictly_equal("{1, 2}", "{2,1}"));
    assert!(strictly_equal("(1, 2)", "1, 2"));
}

#[test]
fn true_or_1_0_is_not_1() {
    assert!(!strictly_equal("1", "True"));
    assert!(!strictly_equal("1", "1.0"));
    assert!(!strictly_equal("[{'a': (1,)}]", "[{'a': (True,)}]"));
    assert!(literal("[{'a': (1,)}]").equals(&literal("[{'a': (1.0,)}]"), Equality::Python));
}

#[test]
fn unquoted_string_is_not_literal() {
    assert!(matches!(parse_literal("hello"), Err(LiteralError::NotLiteral(_))));
    assert!(matches!(parse_literal("hello there"), Err(LiteralError::Unparsable(_))));
}

#[test]
fn counter_is_not_literal() {
    assert!(matches!(parse_literal("Counter({'a': 2})"), Err(LiteralError::NotLiteral(_))));
}

#[test]
fn floats_have_no_tolerance() {
    assert!(!strictly_equal("0.30000000000000004", "0.3"));
}

#[test]
fn of_two_shortest_floats_the_even_one_is_written() {
    assert_eq!(literal("-183753284358545.125").canonical(), "-183753284358545.12");
    assert_eq!(literal("2162664108979523.25").canonical(), "2162664108979523.2");
    assert_eq!(literal("5e-324").canonical(), "5e-324");
}

#[test]
fn always_equal_objects_and_closed_parentheses() {
    let answers = [
        "0) or (1",
        "1)(2",
        "1) + f(2",
        "1), f(2",
        "1)\n\n(2",
        "1) # ",
        "(1",
        "[1]) if f(1",
        "type('A', (), {'__eq__': lambda s, o: True})()",
        "*[1]",
        "**{'a': 1}",
        "x for x in [1]",
        "a=1, a=2",
        "a=1, 2",
        "a:=1",
        "#",
    ];
    for answer in answers {
        if let Ok(arguments) = parse_arguments(answer) {
            assert_eq!((answer, arguments.canonical().as_str()), ("#", ""));
        }
    }
}

#[test]
fn input_with_a_trailing_comment() {
    assert_eq!(parse_arguments("1, 'a#b' # two").expect("an argument list").canonical(), "1, 'a#b'");
}

#[test]
fn nested_definitions_and_classes_are_accepted() {
    let source = "class A:\n    def g(self):\n        return 1\ndef f(x):\n    def h():\n        return A().g()\n    return h() + x";
    assert_eq!(prepare(source, &Policy::Kelvin).expect("a program").source, source);
}
