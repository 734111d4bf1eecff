//! Programs with loops: accumulators and comprehensions.

use super::{
    draft::{Draft, Value},
    shapes::give_back,
    types::{Domain, Type},
};

/// Closes a loop: the accumulator as it is, or after one more step.
fn finish(draft: &mut Draft, name: &str, of: Type) -> Option<Type> {
    let value = Value { has_items: false, ..Value::name(name, of) };
    let value = if draft.draws.chance(0.15) { draft.chain(value, 1, None)? } else { value };
    Some(give_back(draft, &value))
}

/// What a loop over `x` runs through: the text after `in`, the item's name and type.
fn items(draft: &mut Draft, x: &Value) -> Option<(String, Value)> {
    let (over, name, of) = match x.of {
        Type::Int => {
            draft.domains[0] = Domain::Size;
            let from_one = draft.draws.chance(0.3);
            let over =
                if from_one { format!("range(1, {} + 1)", x.text) } else { format!("range({})", x.text) };
            (over, "i", Type::Int)
        }
        Type::Ints => (x.text.clone(), "v", Type::Int),
        Type::Str => (x.text.clone(), "c", Type::Char),
        Type::Bool | Type::Char => return None,
    };
    draft.take(name);
    Some((over, Value::name(name, of)))
}

/// A condition on the item for a `share` of the loops; `None` if the draw leads nowhere.
fn guard(draft: &mut Draft, item: &Value, share: f64) -> Option<Option<Value>> {
    if !draft.draws.chance(share) {
        return Some(None);
    }
    draft.count_step("keeps some items");
    draft.step(item, Some(Type::Bool), 0).map(Some)
}

/// A `for` loop that gathers something.
pub(crate) fn accumulate(draft: &mut Draft, x: &Value) -> Option<Type> {
    draft.count_step("uses a loop");
    let (over, item) = items(draft, x)?;
    let choice = draft.draws.below(10);
    let counts = choice < 2;
    let guard = guard(draft, &item, if counts { 1.0 } else { 0.4 })?;
    let plain = draft.draws.chance(if guard.is_some() { 0.6 } else { 0.3 });
    let piece = |draft: &mut Draft, to: Type| match plain {
        true => Some(item.clone()),
        false => draft.step(&item, Some(to), 0),
    };
    let (start, name, of, line) = match (item.of, choice) {
        (_, 0..=1) => {
            draft.phrases.push("counts");
            ("0", "n", Type::Int, "n += 1".to_string())
        }
        (Type::Int, 2..=3) => {
            let piece = piece(draft, Type::Int)?;
            ("[]", "out", Type::Ints, format!("out.append({})", piece.text))
        }
        (Type::Int, _) => {
            draft.phrases.push("sums");
            let piece = piece(draft, Type::Int)?;
            ("0", "s", Type::Int, format!("s += {}", piece.text))
        }
        (Type::Char, _) => {
            draft.phrases.push("joins");
            let piece = piece(draft, Type::Str)?;
            let before = draft.draws.chance(0.3);
            let line =
                if before { format!("s = {} + s", piece.text) } else { format!("s += {}", piece.text) };
            ("''", "s", Type::Str, line)
        }
        (Type::Bool | Type::Str | Type::Ints, _) => return None,
    };
    draft.say(&format!("{name} = {start}"));
    for_each(draft, &over, &item.text, guard.as_ref(), &line);
    finish(draft, name, of)
}

/// Writes a loop's header and the line that it repeats, under the guard if there is one.
fn for_each(draft: &mut Draft, over: &str, item: &str, guard: Option<&Value>, line: &str) {
    draft.say(&format!("for {item} in {over}:"));
    draft.nested(|draft| match guard {
        Some(guard) => {
            draft.say(&format!("if {}:", guard.text));
            draft.nested(|draft| draft.say(line));
        }
        None => draft.say(line),
    });
}

/// A comprehension, alone or inside a call.
pub(crate) fn comprehend(draft: &mut Draft, x: &Value) -> Option<Type> {
    let (over, item) = items(draft, x)?;
    let guard = guard(draft, &item, 0.5)?;
    let piece = match (guard.is_some() && draft.draws.chance(0.6), item.of) {
        (true, _) => item.clone(),
        (false, of) => {
            draft.phrases.push("changes each item");
            draft.step(&item, Some(if of == Type::Char { Type::Str } else { of }), 0)?
        }
    };
    let condition = guard.map(|it| format!(" if {}", it.text)).unwrap_or_default();
    let inner = format!("{} for {} in {over}{condition}", piece.text, item.text);
    let (text, of) = if item.of == Type::Char {
        draft.phrases.push("joins");
        (format!("''.join({inner})"), Type::Str)
    } else if draft.draws.chance(0.25) {
        draft.count_step("sums");
        (format!("sum({inner})"), Type::Int)
    } else {
        (format!("[{inner}]"), Type::Ints)
    };
    Some(give_back(draft, &Value::atom(text, of)))
}
