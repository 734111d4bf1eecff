//! No text makes any function panic, overflow the stack or disagree with itself.

use kelvin_python::{
    Equality, MAX_BRACKETS, MAX_DEPTH, MAX_INDENTS, MAX_SOURCE_BYTES, Policy, Value, contains_program,
    parse_arguments, parse_literal, prepare,
};
use proptest::prelude::*;

const POLICIES: [Policy; 2] = [Policy::Kelvin, Policy::Code];

/// Reads the text in every way there is, and checks what must hold of anything that is read.
fn read(text: &str) {
    if let Ok(value) = parse_literal(text) {
        round_trip(&value);
    }
    if let Ok(arguments) = parse_arguments(text) {
        let line = arguments.canonical();
        assert!(!line.contains('\n'));
        assert_eq!(parse_arguments(&line).as_ref().map(|again| again.canonical()), Ok(line.clone()));
    }
    for policy in POLICIES {
        if let Ok(program) = prepare(text, &policy) {
            let again = prepare(&program.source, &policy).expect("a prepared program is a program");
            assert_eq!(again, program);
        }
    }
    contains_program(text);
}

fn round_trip(value: &Value) {
    let text = value.canonical();
    assert!(!text.contains('\n'), "{text}");
    let again = parse_literal(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert!(again.equals(value, Equality::Strict), "{text}");
    assert!(again.equals(value, Equality::Python), "{text}");
    assert_eq!(again.canonical(), text);
}

/// Ways to nest: what opens a level, what stands inside, what closes a level.
const NESTS: [(&str, &str, &str); 24] = [
    ("(", "1", ")"),
    ("[", "1", "]"),
    ("{1: ", "1", "}"),
    ("(", "1", ",)"),
    ("[", "", ""),
    ("(]", "", ""),
    ("-", "1", ""),
    ("not ", "1", ""),
    ("1 + ", "1", ""),
    ("1 ** ", "1", ""),
    ("a.", "b", ""),
    ("f", "", "()"),
    ("f", "", "[0]"),
    ("lambda: ", "1", ""),
    ("lambda a, b: ", "1", ""),
    ("1 if 1 else ", "1", ""),
    ("[x for x in ", "y", "]"),
    ("f'{", "1", "}'"),
    ("f(", "", ")"),
    ("await ", "x", ""),
    ("yield a, ", "x", ""),
    ("if 1: ", "x", ""),
    ("* ", "x", ""),
    ("x = ", "1", ""),
];

fn nested(n_levels: usize, (open, inside, close): (&str, &str, &str)) -> String {
    format!("{}{inside}{}", open.repeat(n_levels), close.repeat(n_levels))
}

#[test]
fn a_hundred_thousand_levels_are_refused_and_not_a_crash() {
    for nest in NESTS {
        let text = nested(100_000, nest);
        parse_literal(&text).expect_err(nest.0);
        parse_arguments(&text).expect_err(nest.0);
        for source in
            [text.clone(), format!("def f(x):\n    return {text}"), format!("def f(x):\n    {text}")]
        {
            let refusal = prepare(&source, &Policy::Kelvin).expect_err(nest.0);
            assert_eq!(refusal.as_str(), "parse_error", "{nest:?}");
            contains_program(&source);
        }
    }
    let blocks: String = (0..1_000).map(|level| format!("{}if x:\n", " ".repeat(level))).collect();
    prepare(&blocks, &Policy::Kelvin).expect_err("blocks");
}

#[test]
fn what_stays_within_the_limits_is_read_on_a_small_stack() {
    let read_on_small_stack = || {
        for nest in NESTS {
            for n_levels in [MAX_BRACKETS - 1, MAX_BRACKETS, MAX_DEPTH / 2, MAX_DEPTH - 1, MAX_DEPTH] {
                let text = nested(n_levels, nest);
                read(&text);
                read(&format!("def f(x):\n    return {text}"));
            }
        }
        let brackets = nested(MAX_BRACKETS, ("[", "1", "]"));
        assert_eq!(parse_literal(&brackets).expect("as CPython").canonical(), brackets);
        let sum = format!("def f(x):\n    return {}", nested(MAX_DEPTH - 10, ("x + ", "1", "")));
        assert_eq!(prepare(&sum, &Policy::Kelvin).expect("a sum").source, sum);
        let blocks = |n_levels: usize| {
            let lines = (1..n_levels).map(|level| format!("{}if x:\n", " ".repeat(level)));
            format!("def f(x):\n{}{}return x", lines.collect::<String>(), " ".repeat(n_levels))
        };
        prepare(&blocks(MAX_INDENTS), &Policy::Kelvin).expect("as CPython");
        prepare(&blocks(MAX_INDENTS + 1), &Policy::Kelvin).expect_err("as CPython");
    };
    std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(read_on_small_stack)
        .expect("a thread")
        .join()
        .expect("no overflow and no panic");
}

#[test]
fn long_flat_text_is_read() {
    let list = format!("[{}]", vec!["-1"; 100_000].join(", "));
    assert_eq!(parse_literal(&list).expect("a list").canonical(), list);
    let set = format!("{{{}}}", (0..50_000).map(|i| i.to_string()).collect::<Vec<_>>().join(", "));
    assert_eq!(parse_literal(&set).expect("a set").canonical(), set);
    let lines = format!("def f(x):\n{}    return x", "    x = x + 1 if x else -x\n".repeat(5_000));
    assert_eq!(prepare(&lines, &Policy::Kelvin).expect("a program").source.lines().count(), 5_002);
    let table = format!("T = [{}]\ndef f(x):\n    return T", vec!["x if x else not x"; 5_000].join(", "));
    prepare(&table, &Policy::Kelvin).expect("a table");
    let long = "1".repeat(MAX_SOURCE_BYTES + 1);
    assert_eq!(parse_literal(&long).expect_err("too long").as_str(), "unparsable");
    assert_eq!(prepare(&long, &Policy::Kelvin).expect_err("too long").as_str(), "parse_error");
}

/// What programs, literals and broken text are made of.
#[rustfmt::skip]
const TOKENS: &[&str] = &[
    "def ", "f", "g", "(", ")", "[", "]", "{", "}", ":", ",", "=", ":=", "\n", "\n    ", "\n  ", "\t", "\r\n", " ",
    "return ", "lambda ", "if ", "else ", "for x in ", "class ", "global ", "nonlocal ", "import ", "from ", "as ", "*",
    "**", "+", "-", ".", "1", "0x", "1.5", "1e", "2j", "'", "\"", "'''", "f'", "f\"{", "b'", "r'", "\\", "\\u",
    "\\ud800", "\\N{", "#", "set", "frozenset", "dict", "None", "True", "async ", "await ", "match ", "case ", "try:",
    "except ", "with ", "yield ", "@", ";", "!", "`", "~", "not ", "__x__", "é", "\u{feff}", "\0", "\u{7f}",
    "\u{2028}", "🙂", "g(x)", "x", "pass", "def f(x):\n    return x\n", "def g(f):\n    return g\n",
];

fn tokens() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(TOKENS), 0..60).prop_map(|tokens| tokens.concat())
}

/// Text that begins like a literal: numbers of any length, strings with any escapes, deep brackets, a part cut off.
fn almost_literal() -> impl Strategy<Value = String> {
    let starts = ["", "0x", "-", "1_", "1.", "0b1", "1e", "1e-"];
    let long_number = (prop::sample::select(starts.to_vec()), 1usize..6000)
        .prop_map(|(start, n_digits)| format!("{start}{}", "7".repeat(n_digits)));
    let leaf = prop_oneof![
        4 => "[-+0-9_.eEjJxXoObB]{1,20}",
        4 => r#"[bBrRuUfF]{0,2}['"]{1,3}(\\[\\'"abfnrtvxuUN0-7{} ]|[0-9a-fA-F{}é\n]){0,9}['"]{0,3}"#,
        4 => r"[bur]?'(\\(u[0-9a-dA-F]{1,5}|U[01][0-9a-f]{5,8}|x[0-9a-g]{2}|N\{[A-Z ]*\}?|[0-9]{3})){1,4}'",
        4 => r"(None|True|\.{3}|nan|set|frozenset|dict|\*{1,2}|k=|[a-z]|#|\n|\\|\x00|\u{2028}| ){1,3}",
        1 => long_number,
    ];
    let brackets =
        [("(", ")"), ("[", "]"), ("{", "}"), ("{1:", "}"), ("set([", "])"), ("dict(k=", ")"), ("-", "")];
    let nested = leaf.prop_recursive(3, 12, 3, move |inner| {
        let bracket = prop::sample::select(brackets.to_vec());
        let separator = prop::sample::select(vec![", ", ",", "\n", " "]);
        let n_levels = prop_oneof![9 => 1usize..3, 1 => 100usize..300];
        (bracket, prop::collection::vec(inner, 0..4), separator, n_levels).prop_map(
            |((open, close), items, separator, n_levels)| {
                format!("{}{}{}", open.repeat(n_levels), items.join(separator), close.repeat(n_levels))
            },
        )
    });
    (nested, prop_oneof![2 => Just(1.0), 1 => 0.0..1.0f64]).prop_map(|(text, share)| {
        let n_bytes = (text.len() as f64 * share) as usize;
        text[..text.floor_char_boundary(n_bytes)].to_owned()
    })
}

fn number() -> impl Strategy<Value = Value> {
    let float = || any::<f64>().prop_filter("finite", |float| float.is_finite());
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        (-3i64..3).prop_map(|i| Value::Int(i.into())),
        any::<i128>().prop_map(|i| Value::Int(i.into())),
        float().prop_map(Value::Float),
        (-3i8..3).prop_map(|i| Value::Float(i.into())),
        (float(), float()).prop_map(|(re, im)| Value::Complex { re, im }),
    ]
}

fn hashable() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::None),
        number(),
        any::<String>().prop_map(Value::Str),
        "[ab'\"\\\\\n]{0,4}".prop_map(Value::Str),
        any::<Vec<u8>>().prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let items = prop::collection::vec(inner, 0..4);
        prop_oneof![
            items.clone().prop_map(Value::Tuple),
            items.prop_map(|items| Value::FrozenSet(distinct(items)))
        ]
    })
}

fn value() -> impl Strategy<Value = Value> {
    hashable().prop_recursive(4, 32, 4, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..4);
        let pairs = prop::collection::vec((hashable(), inner), 0..4);
        prop_oneof![
            items.clone().prop_map(Value::Tuple),
            items.prop_map(Value::List),
            prop::collection::vec(hashable(), 0..4).prop_map(|items| Value::Set(distinct(items))),
            pairs.prop_map(|mut pairs: Vec<(Value, Value)>| {
                let keys = distinct(pairs.iter().map(|(key, _)| key.clone()).collect());
                pairs.truncate(keys.len());
                Value::Dict(keys.into_iter().zip(pairs.into_iter().map(|(_, value)| value)).collect())
            }),
        ]
    })
}

fn distinct(items: Vec<Value>) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for item in items {
        if kept.iter().all(|other| !other.equals(&item, Equality::Python)) {
            kept.push(item);
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_is_read(text in any::<String>()) {
        read(&text);
    }

    #[test]
    fn any_tokens_are_read(text in tokens()) {
        read(&text);
        read(&format!("def g(x):\n    return x\n{text}"));
    }

    #[test]
    fn any_almost_literal_is_read(text in almost_literal()) {
        read(&text);
    }

    #[test]
    fn canonical_text_reads_back(value in value()) {
        round_trip(&value);
    }

    #[test]
    fn equality_is_an_equivalence_and_strict_implies_python(a in value(), b in value()) {
        for equality in [Equality::Strict, Equality::Python] {
            prop_assert!(a.equals(&a, equality));
            prop_assert_eq!(a.equals(&b, equality), b.equals(&a, equality));
        }
        prop_assert!(!a.equals(&b, Equality::Strict) || a.equals(&b, Equality::Python));
    }

    #[test]
    fn order_of_a_set_is_no_part_of_it(items in prop::collection::vec(hashable(), 0..6)) {
        let items = distinct(items);
        let backwards: Vec<Value> = items.iter().rev().cloned().collect();
        let (a, b) = (Value::Set(items.clone()), Value::Set(backwards.clone()));
        prop_assert!(a.equals(&b, Equality::Strict));
        prop_assert_eq!(a.canonical(), b.canonical());
        prop_assert!(!Value::List(items.clone()).equals(&a, Equality::Python));
        prop_assert!(Value::FrozenSet(items).equals(&b, Equality::Python));
    }
}
