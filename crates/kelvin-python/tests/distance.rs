//! The distance of programs: what it must be for any two texts, and what counts as a difference.

use kelvin_python::{distance, shingles};
use proptest::prelude::*;

/// A program in which `$n` stands for the nth variable.
#[rustfmt::skip]
const TEMPLATES: &[&str] = &[
    "def $0($1, $2=3, *$3):\n    $4 = [$5 * $2 for $5 in $1]\n    return $4, len($3)",
    "def $0($1):\n    def $2():\n        nonlocal $1\n        $1 += 1\n        return $1\n    return $2() + $2()",
    "import math as $1\ndef $0($2):\n    match $2:\n        case [$3, *$4]:\n            return $4\n        \
     case {'k': $3, **$4}:\n            return $1.pi\n    return f\"{$2!r:>{$1}} x\"",
    "class $1:\n    $2 = 1\n    def m(self, $3):\n        return self.x + $3\ndef $0($3):\n    try:\n        \
     return $1().m($3)\n    except ValueError as $4:\n        raise $4 from None",
    "$1 = 0\ndef $0($2):\n    global $1\n    $1 += 1\n    if ($3 := $2 - $1) > 0: return $0($3)\n    \
     return sorted($2, key=lambda $4: -$4)",
];

const N_VARIABLES: usize = 6;

fn filled(template: &str, names: &[String]) -> String {
    let fill = |text: String, (idx, name): (usize, &String)| text.replace(&format!("${idx}"), name);
    names.iter().enumerate().fold(template.to_owned(), fill)
}

fn names() -> impl Strategy<Value = Vec<String>> {
    let names = ["a", "b1", "list", "match", "_u", "type", "len_", "é", "value", "w"].map(str::to_owned);
    prop::sample::subsequence(names.to_vec(), N_VARIABLES).prop_shuffle()
}

fn text() -> impl Strategy<Value = String> {
    let words =
        ["def f(x):\n    return x", "x", "\n", " ", "(", "1", "'a'", "+", "if x: y", ";", "f'{x}'", "#"];
    let broken =
        prop::collection::vec(prop::sample::select(words.to_vec()), 0..20).prop_map(|words| words.concat());
    let program =
        (prop::sample::select(TEMPLATES), names()).prop_map(|(template, names)| filled(template, &names));
    prop_oneof![broken, program, any::<String>()]
}

proptest! {
    #[test]
    fn it_is_symmetric_and_between_0_and_1(a in text(), b in text()) {
        let there = distance(&a, &b);
        prop_assert!((0.0..=1.0).contains(&there));
        prop_assert_eq!(there.to_bits(), distance(&b, &a).to_bits());
        prop_assert_eq!(distance(&a, &a), 0.0);
    }

    #[test]
    fn names_of_variables_do_not_count(template in prop::sample::select(TEMPLATES), a in names(), b in names()) {
        let (a, b) = (filled(template, &a), filled(template, &b));
        prop_assert_eq!(distance(&a, &b), 0.0, "{}\n{}", a, b);
        prop_assert_eq!(shingles(&a), shingles(&b), "{}\n{}", a, b);
    }
}

#[test]
fn every_template_is_a_program_far_from_the_others() {
    let names: Vec<String> = (0..N_VARIABLES).map(|idx| format!("v{idx}")).collect();
    for (idx, template) in TEMPLATES.iter().enumerate() {
        let program = filled(template, &names);
        kelvin_python::prepare(&program, &kelvin_python::Policy::Kelvin)
            .unwrap_or_else(|refusal| panic!("{refusal}"));
        for other in &TEMPLATES[idx + 1..] {
            let far = distance(&program, &filled(other, &names));
            assert!((0.2..1.0).contains(&far), "{far}: {program}\n{other}");
        }
    }
}

#[test]
fn comments_layout_and_spelling_do_not_count() {
    let pairs = [
        ("x = 1", "x = 1  # one\n\n"),
        ("def f(x):\n    return [x,\n        1]", "def f(a) :\n  # a\n  return[ a, 1 ]"),
        ("a = 1; b = 2;\nc = 3", "a = 1\nb = 2\nc = 3"),
        ("x = 'a' + \"b\" + r'\\n'", "x = \"a\" + '''b''' + '\\\\n'"),
        ("x = 0x10 + 1_0 + 1e1", "y = 16 + 10 + 10.0"),
        ("", "# nothing"),
        ("no python, this", "\nno python, this\r\n"),
    ];
    for (a, b) in pairs {
        assert_eq!(distance(a, b), 0.0, "{a:?} {b:?}");
    }
}

#[test]
fn what_changes_the_meaning_counts() {
    let pairs = [
        ("def f(x): return len(x)", "def f(x): return sum(x)"),
        ("def f(x): return x.a", "def f(x): return x.b"),
        ("def f(x): return x + 1", "def f(x): return x + 2"),
        ("def f(x): return x + 1", "def f(x): return x + 1.0"),
        ("def f(x): return 'a'", "def f(x): return b'a'"),
        ("def f(x): return f'a{x}'", "def f(x): return f'b{x}'"),
        ("def f(x, y): return x", "def f(x, y): return y"),
        ("def f(x): return [x for y in x]", "def f(x): return [y for y in x]"),
        ("import math\ndef f(x): return math", "import heapq\ndef f(x): return heapq"),
        ("if x:\n    a\n    b", "if x:\n    a\nb"),
        ("f(k=1)", "f(l=1)"),
    ];
    for (a, b) in pairs {
        let far = distance(a, b);
        assert!(0.0 < far && far < 0.4, "{far}: {a:?} {b:?}");
    }
    assert_eq!(distance("a", ""), 1.0);
    assert_eq!(distance("pass", "1 + 2"), 4.0 / 6.0);
}
