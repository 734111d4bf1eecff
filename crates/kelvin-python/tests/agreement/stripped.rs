//! Whether a stripped program is the tree that CPython reads of the whole one, less what was to go.

use std::collections::BTreeSet;

use kelvin_python::{Strip, strip, syntax_error};
use serde_json::{Value as Json, json};

use crate::interpreter::ask;
use crate::programs::PROGRAMS;
use crate::{Draw, mutants::mutant, n_texts};

/// The same three removals on CPython's tree.
const JUDGE: &str = r#"
import ast, io, tokenize
DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

def is_docstring(owner, field, index, stmt):
    is_text = isinstance(stmt, ast.Expr) and isinstance(stmt.value, ast.Constant) and isinstance(stmt.value.value, str)
    return isinstance(owner, DOCUMENTED) and field == 'body' and index == 0 and is_text

def is_global(owner, field, index, stmt):
    return isinstance(owner, ast.Module) and not isinstance(stmt, KEPT)

def is_print(owner, field, index, stmt):
    call = getattr(stmt, 'value', None) if isinstance(stmt, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == 'print'

def binds_print(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == 'print' and not isinstance(node.ctx, ast.Load):
            return True
        names = [getattr(node, it, None) for it in ('name', 'asname', 'arg', 'rest')] + list(getattr(node, 'names', []))
        if not isinstance(node, ast.keyword) and any(it == 'print' or isinstance(it, str) and it.split('.')[0] == 'print' for it in names):
            return True
    return False

def without(tree, is_gone):
    for owner in ast.walk(tree):
        for field, value in ast.iter_fields(owner):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                kept = [stmt for index, stmt in enumerate(value) if not is_gone(owner, field, index, stmt)]
                setattr(owner, field, kept if kept or isinstance(owner, ast.Module) else [ast.Pass()])
    return tree

def judge(texts):
    source, *stripped = texts
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return 'no program'
    if any(it.type == tokenize.COMMENT for it in tokenize.generate_tokens(io.StringIO(stripped[0]).readline)):
        return f'a comment: {stripped[0]!r}'
    rules = [is_docstring, is_global, is_print]
    for rule, text in zip(rules, stripped):
        tree = ast.parse(source)
        if rule is not is_print or not binds_print(tree):
            tree = without(tree, rule)
        if ast.dump(tree) != ast.dump(ast.parse(text)):
            return f'{rule.__name__}: {text!r}'
    return None
"#;

/// What is put on a line of its own, before and behind a line.
const LINES: &[&str] =
    &["# c\n", "'doc'\n", "print(1)\n", "print(\n1,\n);x=1\n", "('d'\n'e')  # c\n", "x = 1\n"];
const HEADS: &[&str] = &["print(x); ", "'doc'; ", "x = 1; print(x); "];
const TAILS: &[&str] = &["  # c", "; print(x)", "; print(x);", "; print(x); y = 1", ";", " \\"];

const SEED: u64 = 31;

#[test]
fn what_is_stripped_is_gone_and_nothing_else_is() {
    let n_mutants = n_texts(500, 50_000);
    let mut draw = Draw(SEED);
    let mut texts = BTreeSet::new();
    while texts.len() < n_mutants {
        let at = draw.below(PROGRAMS.len());
        let text = if draw.below(3) == 0 { mutant(&mut draw) } else { PROGRAMS[at].to_owned() };
        let text = littered(&text, &mut draw).trim().to_owned();
        if syntax_error(&text, 11).is_none() {
            texts.insert(text);
        }
    }
    let none = Strip::default();
    let wanted = [
        Strip { remove_comments: true, ..none },
        Strip { remove_after_return: true, ..none },
        Strip { remove_print: true, ..none },
    ];
    let question = |text: &String| -> Json {
        let stripped = wanted.map(|what| strip(text, what).unwrap());
        json!([text, stripped[0], stripped[1], stripped[2]])
    };
    let questions: Vec<Json> = texts.iter().map(question).collect();
    let told = ask(JUDGE, &questions);
    let is_program = |it: &&Json| **it != "no program";
    let n_judged = told.answers.iter().filter(is_program).count();
    let wrong: Vec<String> = texts
        .iter()
        .zip(&told.answers)
        .filter(|(_, answer)| !answer.is_null() && is_program(answer))
        .map(|(text, answer)| format!("{text:?}\n  {answer}"))
        .collect();
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(n_judged * 10 > texts.len() * 9, "nearly all are programs to CPython too: {n_judged}");
}

/// The text with one to four things added that a removal is about.
fn littered(text: &str, draw: &mut Draw) -> String {
    let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
    for _ in 0..1 + draw.below(4) {
        if lines.is_empty() {
            break;
        }
        let at = draw.below(lines.len());
        let body = lines[at].trim_start_matches([' ', '\t']).to_owned();
        let indent = lines[at][..lines[at].len() - body.len()].to_owned();
        match draw.below(3) {
            0 => lines.insert(at, format!("{indent}{}", draw.of(LINES))),
            1 => lines[at] = format!("{indent}{}{body}", draw.of(HEADS)),
            _ => lines[at] = format!("{}{}\n", lines[at].trim_end_matches('\n'), draw.of(TAILS)),
        }
    }
    lines.concat()
}
