//! The canonical form of a short mathematical answer. Two answers are equal if and only if their canonical forms are
//! the same text, so that equality is symmetric and transitive by construction, and votes need no comparisons in pairs.
//!
//! Read are expressions (`expression.rs`), tuples and intervals, sets, unions, and a name before an equals sign;
//! anything else is compared as the text of its signs. Units, percent and degree signs are dropped. A list without
//! brackets is a set, and a set of one thing is that thing: they are the solutions of an equation.

mod expression;
mod formula;
mod token;

use std::collections::BTreeSet;

use self::{
    expression::Expression,
    formula::expression,
    token::{Kind, Token},
};

/// The longest text, in bytes, that is read as an answer; beyond it only blanks are normalised.
const ANSWER_BYTES_MAX: usize = 1024;
/// The most brackets inside one another.
const NESTING_MAX: usize = 32;

/// The canonical form of an answer; empty where there is none. It is its own canonical form. Takes any text, and time
/// that is bounded for answers of more than 1,024 bytes by reading them once.
pub fn canonical_answer(text: &str) -> String {
    match read(text) {
        Ok(form) => form.text(),
        Err(text) => text,
    }
}

/// The form of an answer; of what is too long or unbalanced, its text.
fn read(text: &str) -> Result<Form, String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if ANSWER_BYTES_MAX < text.len() {
        return Err(text);
    }
    let tokens = token::tokens(&text);
    if is_balanced(&tokens) { Ok(form(&tokens)) } else { Err(token::text(&tokens)) }
}

/// What an answer is.
enum Form {
    Expression(Expression),
    Text(String),
    /// A tuple or an interval, with its brackets.
    Sequence {
        open: String,
        members: Vec<Form>,
        close: String,
    },
    Set(Vec<String>),
    Union(Vec<String>),
    /// A value in a list of values with different names.
    Named(String, Box<Form>),
}

impl Form {
    fn text(&self) -> String {
        match self {
            Form::Expression(expression) => expression.to_string(),
            Form::Text(text) => text.clone(),
            Form::Sequence { open, members, close } => {
                let members: Vec<String> = members.iter().map(Form::text).collect();
                format!("{open}{}{close}", members.join(","))
            }
            Form::Set(members) => format!("\\{{{}\\}}", members.join(",")),
            Form::Union(parts) => parts.join("\\cup "),
            Form::Named(name, value) => format!("{name}={}", value.text()),
        }
    }
}

fn form(tokens: &[Token]) -> Form {
    let tokens = bare(tokens);
    if let Some(members) = separated(tokens) {
        return set(members);
    }
    if let Some((_, value)) = named(tokens) {
        return form(value);
    }
    let parts = split(tokens, |it| it.is_command("cup"));
    if 1 < parts.len()
        && let Some(union) = union(&parts)
    {
        return union;
    }
    if let Some(inside) = enclosed(tokens) {
        let (open, close) = (&tokens[0], &tokens[tokens.len() - 1]);
        if open.is_command("{") && (inside.is_empty() || says_something(inside)) {
            return set(separated(inside).unwrap_or_else(|| vec![inside]));
        }
        let members = split(inside, |it| it.is_symbol(","));
        if members.iter().all(|member| !member.is_empty()) {
            return Form::Sequence {
                open: open.text.clone(),
                members: listed(&members),
                close: close.text.clone(),
            };
        }
    }
    match tokens {
        [empty] if empty.is_command("emptyset") => Form::Set(Vec::new()),
        tokens => expression(tokens).map_or_else(|| Form::Text(token::text(tokens)), Form::Expression),
    }
}

/// The members of a list without brackets; none where nothing separates.
fn separated(tokens: &[Token]) -> Option<Vec<&[Token]>> {
    let parts = split(tokens, separates);
    let n_parts = parts.len();
    let members: Vec<&[Token]> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    (1 < n_parts && !members.is_empty()).then_some(members)
}

fn separates(it: &Token) -> bool {
    it.is_symbol(",") || it.is(Kind::Word, "or") || it.is(Kind::Word, "and")
}

/// A set, or its member if it has one.
fn set(members: Vec<&[Token]>) -> Form {
    let members: Vec<&[Token]> = members.into_iter().filter(|member| !member.is_empty()).collect();
    let mut forms: Vec<(String, Form)> = listed(&members).into_iter().map(|it| (it.text(), it)).collect();
    forms.sort_by(|left, right| left.0.cmp(&right.0));
    forms.dedup_by(|left, right| left.0 == right.0);
    match forms.len() {
        1 => forms.swap_remove(0).1,
        _ => Form::Set(forms.into_iter().map(|it| it.0).collect()),
    }
}

/// A union of sets, intervals and numbers; none of anything else.
fn union(parts: &[&[Token]]) -> Option<Form> {
    let mut texts = BTreeSet::new();
    let mut last = None;
    for part in parts {
        match form(part) {
            Form::Union(inner) => texts.extend(inner),
            Form::Text(_) | Form::Named(..) => return None,
            one @ (Form::Expression(_) | Form::Sequence { .. } | Form::Set(_)) => {
                texts.insert(one.text());
                last = Some(one);
            }
        }
    }
    match last {
        Some(one) if texts.len() == 1 => Some(one),
        Some(_) | None => Some(Form::Union(texts.into_iter().collect())),
    }
}

/// The members of a list, whose names are kept where they differ.
fn listed(members: &[&[Token]]) -> Vec<Form> {
    let named: Vec<(Option<String>, &[Token])> = members
        .iter()
        .map(|member| match named(bare(member)) {
            Some((name, value)) => (Some(token::text(name)), value),
            None => (None, *member),
        })
        .collect();
    let names: BTreeSet<&String> = named.iter().filter_map(|it| it.0.as_ref()).collect();
    let keeps_names = 1 < names.len();
    let member = |(name, value): &(Option<String>, &[Token])| match name {
        Some(name) if keeps_names => Form::Named(name.clone(), Box::new(form(value))),
        Some(_) | None => form(value),
    };
    named.iter().map(member).collect()
}

/// The name and the value of `x = 5`, `\theta = 5`, `(x, y) = (1, 2)`, `x \in [0, 1]`.
fn named(tokens: &[Token]) -> Option<(&[Token], &[Token])> {
    let relates = |it: &Token| it.is_symbol("=") || it.is_command("in");
    let at = tokens.iter().position(relates)?;
    let (name, value) = (&tokens[..at], &tokens[at + 1..]);
    let is_name = |it: &Token| match it.kind {
        Kind::Word => it.text.chars().count() <= 2,
        Kind::Command => it.text.chars().all(|it| it.is_ascii_alphabetic()) && it.text != "text",
        Kind::Number | Kind::Symbol => false,
    };
    let is_index = |it: &Token| matches!(it.kind, Kind::Number | Kind::Word);
    let is_plain = match name {
        [one] => is_name(one),
        [open, inside @ .., close] if open.is_symbol("(") && close.is_symbol(")") => {
            inside.iter().all(|it| is_name(it) || it.is_symbol(","))
        }
        [one, bar, index] => is_name(one) && bar.is_symbol("_") && is_index(index),
        [one, bar, open, index, close] => {
            let in_braces = open.is_symbol("{") && is_index(index) && close.is_symbol("}");
            is_name(one) && bar.is_symbol("_") && in_braces
        }
        _ => false,
    };
    (is_plain && !value.is_empty() && !value.iter().any(relates)).then_some((name, value))
}

/// The signs without what an answer is wrapped in: brackets around one thing, `\text`, units, a final period.
fn bare(mut tokens: &[Token]) -> &[Token] {
    loop {
        let before = tokens.len();
        tokens = unwrapped(tokens);
        if let [rest @ .., last] = tokens
            && !rest.is_empty()
            && (last.is_symbol(".") || last.is_symbol("%") || last.is_command("degree"))
        {
            tokens = rest;
        }
        if let [rest @ .., raised, circle] = tokens
            && (!rest.is_empty() && raised.is_symbol("^") && circle.is_command("circ"))
        {
            tokens = rest;
        }
        if let [rest @ .., raised, open, circle, close] = tokens
            && (!rest.is_empty() && raised.is_symbol("^"))
            && (open.is_symbol("{") && circle.is_command("circ") && close.is_symbol("}"))
        {
            tokens = rest;
        }
        tokens = without_unit(tokens);
        if tokens.len() == before {
            return tokens;
        }
    }
}

fn unwrapped(tokens: &[Token]) -> &[Token] {
    if let [command, rest @ ..] = tokens
        && command.is_command("text")
        && rest.first().is_some_and(|it| it.is_symbol("{"))
        && let Some(inside) = enclosed(rest)
        && says_something(inside)
    {
        return inside;
    }
    match (tokens.first(), enclosed(tokens)) {
        (Some(open), Some(inside)) if open.is_symbol("{") && says_something(inside) => inside,
        (Some(open), Some(inside)) if open.is_symbol("(") && tokens[tokens.len() - 1].is_symbol(")") => {
            let is_tuple = 1 < split(inside, |it| it.is_symbol(",")).len();
            if is_tuple || !says_something(inside) { tokens } else { inside }
        }
        _ => tokens,
    }
}

/// Whether there is more than separators, which without their brackets would separate something else.
fn says_something(tokens: &[Token]) -> bool {
    tokens.iter().any(|it| !separates(it))
}

/// A number without the unit behind it: a word of the list, or any words in `\text`, with or without a power.
fn without_unit(tokens: &[Token]) -> &[Token] {
    let mut rest = tokens;
    if let [before @ .., raised, power] = rest
        && raised.is_symbol("^")
        && power.kind == Kind::Number
    {
        rest = before;
    } else if let [before @ .., raised, open, power, close] = rest
        && (raised.is_symbol("^")
            && open.is_symbol("{")
            && power.kind == Kind::Number
            && close.is_symbol("}"))
    {
        rest = before;
    } else if let [before @ .., raised] = rest
        && (raised.is_symbol("²") || raised.is_symbol("³"))
    {
        rest = before;
    }
    let before = match rest {
        [before @ .., last] if last.kind == Kind::Word && UNITS.contains(&last.text.as_str()) => before,
        [.., last] if last.is_symbol("}") => {
            let words = rest[..rest.len() - 1].iter().rev().take_while(|it| it.kind == Kind::Word);
            let n_words = words.clone().count();
            if words.clone().any(|it| NOT_UNITS.contains(&it.text.as_str())) {
                return tokens;
            }
            match rest.split_at(rest.len() - 1 - n_words).0 {
                [before @ .., command, open] if command.is_command("text") && open.is_symbol("{") => before,
                _ => return tokens,
            }
        }
        _ => return tokens,
    };
    if before.iter().any(|it| it.kind == Kind::Number) { before } else { tokens }
}

/// What stands between the first and the last sign, where those are a pair of brackets.
fn enclosed(tokens: &[Token]) -> Option<&[Token]> {
    let (first, inside) = tokens.split_first()?;
    first.closers()?;
    let mut depth = 1;
    for (at, token) in inside.iter().enumerate() {
        depth = depth_after(depth, token);
        if depth == 0 {
            return (at + 1 == inside.len()).then(|| &inside[..at]);
        }
    }
    None
}

/// The parts between separators outside of brackets.
fn split(tokens: &[Token], separates: impl Fn(&Token) -> bool) -> Vec<&[Token]> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (at, token) in tokens.iter().enumerate() {
        depth = depth_after(depth, token);
        if depth == 0 && separates(token) {
            parts.push(&tokens[start..at]);
            start = at + 1;
        }
    }
    parts.push(&tokens[start..]);
    parts
}

fn depth_after(depth: usize, token: &Token) -> usize {
    match (token.closers(), token.closing()) {
        (Some(_), _) => depth + 1,
        (None, Some(_)) => depth - 1,
        (None, None) => depth,
    }
}

/// Whether each bracket has its counterpart, which for intervals may be of the other shape, not too deep.
fn is_balanced(tokens: &[Token]) -> bool {
    let mut open: Vec<&'static [&'static str]> = Vec::new();
    for token in tokens {
        match (token.closers(), token.closing()) {
            (Some(closers), _) => open.push(closers),
            (None, Some(name)) => match open.pop() {
                Some(closers) if closers.contains(&name) => {}
                Some(_) | None => return false,
            },
            (None, None) => {}
        }
        if NESTING_MAX < open.len() {
            return false;
        }
    }
    open.is_empty()
}

/// Words behind a number that change no number (the looser form of the MATH graders).
const UNITS: &[&str] = &[
    "percent",
    "degree",
    "degrees",
    "cm",
    "mm",
    "km",
    "kg",
    "ml",
    "centimeter",
    "centimeters",
    "meter",
    "meters",
    "mile",
    "miles",
    "second",
    "seconds",
    "minute",
    "minutes",
    "hour",
    "hours",
    "day",
    "days",
    "week",
    "weeks",
    "month",
    "months",
    "year",
    "years",
    "foot",
    "feet",
    "inch",
    "inches",
    "yard",
    "yards",
    "unit",
    "units",
    "square",
    "sq",
    "cubic",
    "dollar",
    "dollars",
    "cent",
    "cents",
];

/// Words behind a number that change what it says.
const NOT_UNITS: &[&str] = &["am", "pm", "thousand", "million", "billion", "trillion"];
