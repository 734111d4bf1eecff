//! Programs without loops: chains of steps, branches, helpers.

use super::{
    draft::{Draft, Value},
    rules::{Binds, RULES},
    types::Type,
};

/// Writes `return` and gives the type.
pub(crate) fn give_back(draft: &mut Draft, value: &Value) -> Type {
    draft.say(&format!("return {}", value.text));
    value.of
}

/// Steps one after the other.
pub(crate) fn chain(draft: &mut Draft, x: Value, n_steps: usize) -> Option<Type> {
    let value = draft.chain(x, n_steps, None)?;
    Some(give_back(draft, &value))
}

/// Two arguments joined, then more steps.
pub(crate) fn join_chain(draft: &mut Draft, x: &Value, y: &Value, n_steps: usize) -> Option<Type> {
    let mut value = draft.join(x, y, None, n_steps - 1)?;
    if 1 < n_steps && draft.draws.chance(0.5) {
        value = draft.assign(&value);
    }
    let value = draft.chain(value, n_steps - 1, None)?;
    Some(give_back(draft, &value))
}

/// A condition on `x`, or on `x` and `y`.
fn condition(draft: &mut Draft, x: &Value, y: Option<&Value>) -> Option<Value> {
    match y {
        Some(y) if draft.draws.chance(0.5) => draft.join(x, y, Some(Type::Bool), 0),
        Some(_) | None => draft.step(x, Some(Type::Bool), 0),
    }
}

/// What one side of a branch gives: mostly one step from `x`, sometimes `x` itself or a literal.
fn side(draft: &mut Draft, x: &Value, y: Option<&Value>, to: Type) -> Option<Value> {
    let joined = y.filter(|_| draft.draws.chance(0.4));
    let choice = draft.draws.unit();
    if let Some(value) = joined.and_then(|y| draft.join(x, y, Some(to), 0)) {
        return Some(value);
    }
    if choice < 0.25 && x.of == to {
        return Some(x.clone());
    }
    if choice < 0.35 {
        return draft.literal(to);
    }
    draft.step(x, Some(to), 0)
}

/// A type that one step from `from` can give, and `from` itself more often than not.
fn side_type(draft: &mut Draft, from: Type) -> Type {
    let steps: Vec<Type> = RULES
        .iter()
        .filter(|rule| rule.from == from && !matches!(rule.to, Type::Bool | Type::Char))
        .map(|rule| rule.to)
        .collect();
    if draft.draws.chance(0.7) && steps.contains(&from) { from } else { *draft.draws.pick(&steps) }
}

/// `if` and `else` in the forms that people write them.
pub(crate) fn branch(draft: &mut Draft, x: &Value, y: Option<&Value>) -> Option<Type> {
    draft.count_step("has a condition");
    let to = side_type(draft, x.of);
    let test = condition(draft, x, y)?;
    let yes = side(draft, x, y, to)?;
    let no = side(draft, x, y, to).filter(|no| no.text != yes.text)?;
    let form = draft.draws.below(10);
    if 6 < form {
        let choice = format!("{} if {} else {}", yes.text, test.text, no.text);
        return Some(give_back(draft, &Value { binds: Binds::Choice, ..Value::atom(choice, to) }));
    }
    draft.say(&format!("if {}:", test.text));
    draft.nested(|draft| draft.say(&format!("return {}", yes.text)));
    if form < 5 {
        return Some(give_back(draft, &no));
    }
    draft.say("else:");
    draft.nested(|draft| draft.say(&format!("return {}", no.text)));
    Some(to)
}

/// A function `g` before `f`, which `f` calls in one of several ways.
pub(crate) fn helper(draft: &mut Draft, x: &Value) -> Option<Type> {
    draft.count_step("uses a helper");
    let over_items = x.of.element().filter(|_| draft.draws.chance(0.4));
    let of = over_items.unwrap_or(x.of);
    let parameter = match of {
        Type::Int => "n",
        Type::Str => "s",
        Type::Char => "c",
        Type::Ints => "xs",
        Type::Bool => return None,
    };
    let mut inner = Draft::new(draft.draws, &[parameter]);
    let argument = Value::name(parameter, of);
    let to = match inner.draws.below(10) {
        0..=7 => chain(&mut inner, argument, 1)?,
        _ => branch(&mut inner, &argument, None)?,
    };
    let Draft { lines, phrases, n_steps, .. } = inner;
    draft.head = format!("def g({parameter}):\n{}\n\n\n", lines.join("\n"));
    draft.phrases.extend(phrases);
    draft.n_steps += n_steps;
    if over_items.is_some() {
        return map_helper(draft, x, to);
    }
    let call = |argument: &str| Value::atom(format!("g({argument})"), to);
    match draft.draws.below(10) {
        0..=2 if to == x.of => Some(give_back(draft, &call(&call(&x.text).text))),
        3..=4 if to == x.of => {
            draft.count_step("joins both");
            Some(give_back(draft, &Value::atom(format!("{} + {}", call(&x.text).text, x.text), to)))
        }
        5..=6 => {
            // The helper gets a changed argument.
            let changed = draft.step(x, Some(x.of), 0)?;
            Some(give_back(draft, &call(&changed.text)))
        }
        _ => {
            let value = draft.chain(call(&x.text), 1, None)?;
            Some(give_back(draft, &value))
        }
    }
}

/// A helper applied to the items of `x`.
fn map_helper(draft: &mut Draft, x: &Value, to: Type) -> Option<Type> {
    draft.count_step("changes each item");
    let (text, of) = match (x.of, to) {
        (Type::Ints, Type::Bool) => (format!("[v for v in {} if g(v)]", x.text), Type::Ints),
        (Type::Ints, Type::Int) => (format!("[g(v) for v in {}]", x.text), Type::Ints),
        (Type::Str, Type::Str) => (format!("''.join(g(c) for c in {})", x.text), Type::Str),
        (Type::Str, Type::Bool) => (format!("''.join(c for c in {} if g(c))", x.text), Type::Str),
        (Type::Int | Type::Bool | Type::Str | Type::Char | Type::Ints, _) => return None,
    };
    Some(give_back(draft, &Value::atom(text, of)))
}
