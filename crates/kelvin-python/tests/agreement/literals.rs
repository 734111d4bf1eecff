//! Whether a text is a literal or a list of arguments, and which value it has.

use std::collections::BTreeSet;

use kelvin_python::{parse_arguments, parse_literal};
use serde_json::{Value as Json, json};

use crate::interpreter::ask;
use crate::mutants::with_tokens_changed;
use crate::{Draw, n_texts};

/// A question is a text and what is read here, or null where it is refused here. The answer is null, or what
/// CPython finds wrong with that.
const JUDGE: &str = r"
import ast
NAMES = {'__builtins__': {}, 'set': set, 'frozenset': frozenset, 'dict': dict, 'list_of': lambda *a, **k: (a, k)}

def judge(question):
    text, canonical = question
    if canonical is None:
        try:
            return f'is {read(text)}'
        except (SyntaxError, ValueError, TypeError, OverflowError):
            return None
    try:
        ours, theirs = eval(canonical, NAMES), eval(text, NAMES)
    except Exception as error:
        return f'{type(error).__name__}: {error}'
    if render(ours) != render(theirs):
        return f'is {render(theirs)}'
    # The order of a set is its own, and the sign of a complex number belongs to its parts.
    is_other = any(part in canonical for part in ('list_of(', '{', 'set(', 'j'))
    return None if is_other or repr(theirs) == canonical else f'is written {theirs!r}'

def read(text):
    tree = ast.parse(text, mode='eval').body
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    if not all(map(is_supported, constants)):
        raise ValueError
    if not text.startswith('list_of('):
        return repr(ast.literal_eval(text))
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        raise ValueError
    names = [keyword.arg for keyword in tree.keywords]
    if None in names or len(set(names)) < len(names):
        raise ValueError
    return repr([ast.literal_eval(node) for node in tree.args + [keyword.value for keyword in tree.keywords]])

def is_supported(value):
    if isinstance(value, str):
        return not any('\ud800' <= c <= '\udfff' for c in value)
    return value is not ... and 'inf' not in repr(value)

def render(value):
    if isinstance(value, (set, frozenset)):
        return type(value).__name__ + str(sorted(map(render, value)))
    if isinstance(value, (list, tuple)):
        return type(value).__name__ + str(list(map(render, value)))
    if isinstance(value, dict):
        return 'dict' + str([(render(k), render(v)) for k, v in value.items()])
    if isinstance(value, complex):
        value = complex(value.real + 0.0, value.imag + 0.0)
    return repr(value)
";

const SEED: u64 = 33;

fn agree(texts: BTreeSet<String>, read: impl Fn(&str) -> Option<String>, asked: impl Fn(&str) -> String) {
    let read_here: Vec<_> = texts.iter().map(|text| read(text).map(|canonical| asked(&canonical))).collect();
    let pairs = texts.iter().zip(&read_here);
    let questions: Vec<Json> = pairs.map(|(text, canonical)| json!([asked(text), canonical])).collect();
    let told = ask(JUDGE, &questions);
    let rows = texts.iter().zip(&read_here).zip(&told.answers);
    let wrong: Vec<String> = rows
        .filter(|(_, answer)| !answer.is_null())
        .map(|((text, here), answer)| format!("{text:?}\n  here: {here:?}\n  CPython: {answer}"))
        .collect();
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    let n_read = read_here.iter().flatten().count();
    eprintln!("{} texts, {n_read} read alike by Python 3.{} and here", texts.len(), told.minor);
    assert!(n_read > texts.len() / 10 && n_read < texts.len() / 2, "both verdicts are common");
}

fn drawn(n_texts: usize, text: impl Fn(&mut Draw) -> String) -> BTreeSet<String> {
    let mut draw = Draw(SEED);
    let mut texts = BTreeSet::new();
    while texts.len() < n_texts {
        let mut text = text(&mut draw);
        let n_changes = draw.below(4).saturating_sub(1);
        for _ in 0..n_changes {
            if !text.is_empty() {
                text = with_tokens_changed(&text, PIECES, &mut draw);
            }
        }
        texts.insert(text.trim().to_owned());
    }
    texts
}

#[test]
fn a_literal_has_the_value_that_cpython_reads() {
    let read = |text: &str| parse_literal(text).ok().map(|value| value.canonical());
    agree(drawn(n_texts(500, 100_000), |draw| literal(draw, 3)), read, str::to_owned);
}

#[test]
fn a_list_of_arguments_has_the_values_that_cpython_reads() {
    let read = |text: &str| parse_arguments(text).ok().map(|arguments| arguments.canonical());
    agree(drawn(n_texts(500, 100_000), arguments), read, |list| format!("list_of({list}\n)"));
}

fn arguments(draw: &mut Draw) -> String {
    let item = |draw: &mut Draw| match draw.below(4) {
        0 => format!("{}={}", draw.of(&["a", "b", "k1", "é", "ﬁ", "match", "_"]), literal(draw, 1)),
        _ => literal(draw, 2),
    };
    let items: Vec<String> = (0..draw.below(4)).map(|_| item(draw)).collect();
    items.join(draw.of(&[", ", ",", ",\n", " , "]))
}

fn literal(draw: &mut Draw, n_levels: usize) -> String {
    if n_levels == 0 || draw.below(3) == 0 {
        return match draw.below(4) {
            0 => string(draw),
            1 => string(draw) + draw.of(&["", " ", "\t"]) + &string(draw),
            _ => number(draw),
        };
    }
    let pair = |draw: &mut Draw| format!("{}:{}", literal(draw, 0), literal(draw, n_levels - 1));
    let is_dict = draw.below(4) == 0;
    let item = |draw: &mut Draw| if is_dict { pair(draw) } else { literal(draw, n_levels - 1) };
    let items: Vec<String> = (0..draw.below(4)).map(|_| item(draw)).collect();
    let items = items.join(draw.of(&[", ", ",", ",\n ", ", # note\n"])) + draw.of(&["", "", ","]);
    match draw.below(9) {
        _ if is_dict => format!("{{{items}}}"),
        0 | 1 => format!("[{items}]"),
        2 | 3 => format!("({items})"),
        4 => format!("{{{items}}}"),
        5 => format!("set([{items}])"),
        6 => format!("frozenset(({items}))"),
        7 => format!("dict(a={}, b=1)", literal(draw, 0)),
        _ => items,
    }
}

fn number(draw: &mut Draw) -> String {
    let sign = draw.of(&["", "", "", "-", "+", "- "]);
    let digits = |draw: &mut Draw| match draw.below(6) {
        0 => draw.next().to_string(),
        1 => format!("{}_{:03}", draw.below(9), draw.below(999)),
        2 => format!("{0}{0}{0}", draw.next()),
        3 => format!("{}.{}", draw.next() >> draw.below(20), 125 * draw.below(8)),
        _ => draw.below(20).to_string(),
    };
    let exponent = ["e308", "e-324", "E+5", "e22", "e-5", "e16", "e309", "e1_0", "e-400"];
    sign.to_owned()
        + &match draw.below(12) {
            0 => format!("{:#x}", draw.next()),
            1 => format!("{:#b}", draw.below(999)),
            2 => format!("0O{:o}", draw.next()),
            3 => format!("{}.{}", digits(draw), digits(draw)),
            4 => format!("{}{}", digits(draw), draw.of(&exponent)),
            5 => format!("{}.{}{}", draw.below(10), digits(draw), draw.of(&exponent)),
            6 => format!(".{}", digits(draw)),
            7 => format!("{}j", digits(draw)),
            8 => format!("{}{}{}.5J", digits(draw), draw.of(&["+", "-", " - "]), digits(draw)),
            9 => draw.of(&["None", "True", "False", "0", "00", "0.0", "...", "nan", "1."]).to_owned(),
            _ => digits(draw),
        }
}

fn string(draw: &mut Draw) -> String {
    let prefix = draw.of(&["", "", "", "b", "r", "u", "B", "rb", "bR", "R", "U", "br", "f"]);
    let quote = draw.of(&["'", "\"", "'''", "\"\"\""]);
    let content: String = (0..draw.below(4)).map(|_| draw.of(CHARACTERS)).collect();
    format!("{prefix}{quote}{content}{quote}")
}

/// What stands between quotes.
#[rustfmt::skip]
const CHARACTERS: &[&str] = &[
    "a", "b", " ", "7", "'", "\"", "{", "}", "#", "\n", "\t", "\r\n", "\r", "\\\n", "\\\r\n", "\\\\", "\\'",
    "\\\"", "\\n", "\\r", "\\t", "\\a", "\\b", "\\f", "\\v", "\\0", "\\7", "\\08", "\\101", "\\1012",
    "\\377", "\\400", "\\777", "\\x41", "\\x4", "\\xg1", "\\u00e9", "\\u12", "\\U0001f600", "\\U00110000",
    "\\ud800", "\\udfff", "\\ud83d\\ude00", "\\N{DIGIT ONE}", "\\N{digit one}", "\\N{nothing}", "\\N{}",
    "\\N", "\\d", "\\ ", "\\é", "é", "中", "😀", "\u{0}", "\u{1}", "\u{7f}", "\u{85}", "\u{a0}", "\u{ad}",
    "\u{200b}", "\u{2028}", "\u{feff}", "\u{e000}", "\u{378}", "\u{10ffff}",
    "\\N{LATIN SMALL LETTER A WITH ACUTE}", "\u{c}", "\\N{LF}", "\\N{CJK UNIFIED IDEOGRAPH-4E2D}",
    "\\N{HANGUL SYLLABLE GAG}", "\\N{KEYCAP DIGIT ONE}", "\\x00", "\\u0000",
];

/// What mutants of literals are given.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "(", ")", "[", "]", "{", "}", ":", ",", "'", "\"", "'''", "\\", "\n", "\r", " ", "\t", "\u{c}", "\\\n",
    "#", "# x\n", "-", "+", "*", "**", "_", "__", ".", "..", "e", "E5", "j", "J", "0", "00", "01", "0x",
    "0b2", "0o8", "1_", "1__0", "1e", "1e999", "0xg", "08", "09.5", "01j", "1if", "b", "r", "u", "f", "rb",
    "bb", "ur", "set", "frozenset", "dict", "set()", "frozenset()", "dict()", "{}", "()", "None", "True",
    "...", "nan", "x", "x=", "a=1", "*[1]", "**{}", "lambda: 1", "if", "not", "in", "for x in y", ":=", "=",
    ";", "é", "\u{a0}", "\u{2028}", "\u{feff}", "😀", "٣", "\u{0}", "\u{1}", "\u{1c}", "b'a'", "'a'",
    "r'\\'", "-1", "+1", "--1", "~1", "-True", "1+2j", "-0.0-0j", "1j+2",
];
