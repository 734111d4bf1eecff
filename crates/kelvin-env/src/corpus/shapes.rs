//! Programs without loops: chains of steps, branches, helpers.

use super::{
    draft::{Draft, Value},
    rules::{Binds, RULES, Tag},
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
    // A flag joins nothing; it decides.
    if y.of == Type::Bool {
        return branch(draft, x, Some(y));
    }
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
        Some(y) if y.of == Type::Bool => {
            let negated = Value { binds: Binds::Logic, ..Value::atom(format!("not {}", y.text), Type::Bool) };
            Some(if draft.draws.chance(0.7) { y.clone() } else { negated })
        }
        Some(y) if draft.draws.chance(0.5) => match (x.of, y.of) {
            (Type::Int, Type::Int) => {
                let sign = *draft.draws.pick(&[">", "<", "=="]);
                let text = format!("{} {sign} {}", x.text, y.text);
                Some(Value { binds: Binds::Compare, ..Value::atom(text, Type::Bool) })
            }
            _ => draft.join(x, y, Some(Type::Bool), 0),
        },
        Some(_) | None => draft.step(x, Some(Type::Bool), 0),
    }
}

/// What one side of a branch gives: mostly one step from `x`, sometimes `x` itself or a literal.
fn side(draft: &mut Draft, x: &Value, y: Option<&Value>, to: Type) -> Option<Value> {
    let joined = y.filter(|y| y.of != Type::Bool && draft.draws.chance(0.4));
    let choice = draft.draws.unit();
    if let Some(value) = joined.and_then(|y| draft.join(x, y, Some(to), 0)) {
        return Some(value);
    }
    if choice < 0.2 && x.of == to {
        return Some(x.clone());
    }
    if choice < 0.35
        && let Some(literal) = draft.literal(to)
    {
        return Some(literal);
    }
    draft.step(x, Some(to), 0)
}

/// A type that one step from `from` can give, and `from` itself more often than not.
fn side_type(draft: &mut Draft, from: Type) -> Type {
    let steps: Vec<Type> = RULES
        .iter()
        .filter(|rule| {
            rule.from == from && !matches!(rule.to, Type::Bool | Type::Pair | Type::Dict | Type::Char)
        })
        .map(|rule| rule.to)
        .collect();
    if draft.draws.chance(0.5) && steps.contains(&from) { from } else { *draft.draws.pick(&steps) }
}

/// `if`, `elif` and `else` in the forms that people write them.
pub(crate) fn branch(draft: &mut Draft, x: &Value, y: Option<&Value>) -> Option<Type> {
    draft.count_step(Tag::Branch);
    let to = side_type(draft, x.of);
    let test = condition(draft, x, y)?;
    let (yes, no) = two_sides(draft, x, y, to)?;
    match draft.draws.below(10) {
        0..=3 => {
            draft.say(&format!("if {}:", test.text));
            draft.nested(|draft| draft.say(&format!("return {}", yes.text)));
            Some(give_back(draft, &no))
        }
        4 => {
            draft.say(&format!("if {}:", test.text));
            draft.nested(|draft| draft.say(&format!("return {}", yes.text)));
            let test = draft.step(x, Some(Type::Bool), 0)?;
            let other = side(draft, x, y, to).filter(|it| it.text != yes.text && it.text != no.text)?;
            draft.say(&format!("elif {}:", test.text));
            draft.nested(|draft| draft.say(&format!("return {}", other.text)));
            Some(give_back(draft, &no))
        }
        5 => {
            draft.say(&format!("if {}:", test.text));
            draft.nested(|draft| draft.say(&format!("return {}", yes.text)));
            draft.say("else:");
            draft.nested(|draft| draft.say(&format!("return {}", no.text)));
            Some(to)
        }
        6..=7 => {
            let name = draft.free_name(to);
            draft.say(&format!("if {}:", test.text));
            draft.nested(|draft| draft.say(&format!("{name} = {}", yes.text)));
            draft.say("else:");
            draft.nested(|draft| draft.say(&format!("{name} = {}", no.text)));
            let value = Value { has_items: false, ..Value::name(&name, to) };
            let value = draft.chain(value, 1, None)?;
            Some(give_back(draft, &value))
        }
        _ => {
            let choice = format!("{} if {} else {}", yes.text, test.text, no.text);
            Some(give_back(draft, &Value { binds: Binds::Choice, ..Value::atom(choice, to) }))
        }
    }
}

/// Two sides that differ.
pub(crate) fn two_sides(draft: &mut Draft, x: &Value, y: Option<&Value>, to: Type) -> Option<(Value, Value)> {
    let yes = side(draft, x, y, to)?;
    let no = side(draft, x, y, to)?;
    (yes.text != no.text).then_some((yes, no))
}

/// A function `g` before `f`, which `f` calls in one of several ways.
pub(crate) fn helper(draft: &mut Draft, x: &Value, y: Option<&Value>) -> Option<Type> {
    draft.count_step(Tag::Helper);
    let over_items = x.of.element().filter(|_| draft.draws.chance(0.5));
    let of = over_items.unwrap_or(x.of);
    let parameter = match of {
        Type::Int => "n",
        Type::Str | Type::Text => "s",
        Type::Char => "c",
        Type::Ints | Type::Strs => "xs",
        Type::Bool | Type::Pair | Type::Dict => "a",
    };
    let mut inner = Draft::new(draft.draws, &[parameter]);
    let argument = Value::name(parameter, of);
    let to = match inner.draws.below(10) {
        0..=5 => chain(&mut inner, argument, 1)?,
        6..=7 => chain(&mut inner, argument, 2)?,
        _ => branch(&mut inner, &argument, None)?,
    };
    let Draft { lines, tags, n_steps, .. } = inner;
    draft.head = format!("def g({parameter}):\n{}\n\n\n", lines.join("\n"));
    draft.tags.extend(tags);
    draft.n_steps += n_steps;
    let call = |argument: &str| Value::atom(format!("g({argument})"), to);
    if over_items.is_some() {
        return map_helper(draft, x, to);
    }
    if let Some(y) = y.filter(|y| y.of == x.of && to == Type::Int) {
        let sign = *draft.draws.pick(&["+", "-", "*"]);
        let text = format!("{} {sign} {}", call(&x.text).text, call(&y.text).text);
        draft.count_step(Tag::Arithmetic);
        return Some(give_back(draft, &Value::atom(text, Type::Int)));
    }
    match draft.draws.below(10) {
        0..=2 if to == x.of => Some(give_back(draft, &call(&call(&x.text).text))),
        3..=4 if to == x.of && matches!(to, Type::Int | Type::Str | Type::Ints) => {
            draft.count_step(Tag::Join);
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
    let item = match x.of {
        Type::Str => "c",
        Type::Strs => "w",
        Type::Int | Type::Bool | Type::Char | Type::Text | Type::Ints | Type::Pair | Type::Dict => "v",
    };
    let calls = format!("g({item}) for {item} in {}", x.text);
    draft.count_step(Tag::Map);
    let (text, of) = match to {
        Type::Bool => (format!("[{item} for {item} in {} if g({item})]", x.text), list_of(x.of.element()?)?),
        Type::Int if draft.draws.chance(0.5) => (format!("sum({calls})"), Type::Int),
        Type::Str | Type::Char if draft.draws.chance(0.5) => (format!("''.join({calls})"), Type::Str),
        Type::Int | Type::Str | Type::Char => (format!("[{calls}]"), list_of(to)?),
        Type::Text | Type::Ints | Type::Strs | Type::Pair | Type::Dict => return None,
    };
    let value = Value::atom(text, of);
    let value = if draft.draws.chance(0.2) { draft.chain(value, 1, None)? } else { value };
    Some(give_back(draft, &value))
}

/// The type of a list of such items.
pub(crate) fn list_of(item: Type) -> Option<Type> {
    match item {
        Type::Int => Some(Type::Ints),
        Type::Str | Type::Char => Some(Type::Strs),
        Type::Bool | Type::Text | Type::Ints | Type::Strs | Type::Pair | Type::Dict => None,
    }
}
