//! Programs with loops: accumulators, comprehensions, `while` and counting.

use super::{
    draft::{Draft, Value},
    rules::Tag,
    shapes::{give_back, list_of, two_sides},
    types::{Domain, Type},
};

/// Closes a loop: the accumulator as it is, or after one more step.
fn finish(draft: &mut Draft, value: Value, p_more: f64) -> Option<Type> {
    let value = if draft.draws.chance(p_more) { draft.chain(value, 1, None)? } else { value };
    Some(give_back(draft, &value))
}

/// An accumulator, empty or not.
fn accumulator(name: &str, of: Type) -> Value {
    Value { has_items: false, ..Value::name(name, of) }
}

/// What a loop over `x` runs through: the text after `in`, the item's name and type.
fn items(draft: &mut Draft, x: &Value) -> Option<(String, Value)> {
    if x.of == Type::Int {
        draft.domains[0] = Domain::Size;
        let text = match draft.draws.below(4) {
            0..=1 => format!("range({})", x.text),
            2 => format!("range(1, {} + 1)", x.text),
            _ => format!("range({}, {} + {})", x.text, x.text, draft.draws.between(2, 4)),
        };
        return Some((text, Value::name("i", Type::Int)));
    }
    let of = x.of.element()?;
    let name = match of {
        Type::Char => "c",
        Type::Str => "w",
        Type::Int | Type::Bool | Type::Text | Type::Ints | Type::Strs | Type::Pair | Type::Dict => "v",
    };
    let text = match draft.draws.below(8) {
        0 => format!("{}[1:]", x.text),
        1 => format!("{}[::-1]", x.text),
        _ => x.text.clone(),
    };
    draft.take(name);
    Some((text, Value::name(name, of)))
}

/// A `for` loop that gathers something.
pub(crate) fn accumulate(draft: &mut Draft, x: &Value) -> Option<Type> {
    draft.count_step(Tag::Loop);
    if x.of == Type::Int && draft.draws.chance(0.3) {
        return iterate(draft, x);
    }
    let (over, item) = items(draft, x)?;
    let guard = match draft.draws.chance(0.4) {
        true => {
            draft.count_step(Tag::Filter);
            Some(draft.step(&item, Some(Type::Bool), 0)?)
        }
        false => None,
    };
    match (item.of, draft.draws.below(10)) {
        (_, 0) => count(draft, &over, &item, guard),
        (_, 1..=2) => gather(draft, &over, &item, guard),
        (Type::Int, 3) => running(draft, &over, &item),
        (Type::Int, 4) => alternate(draft, &over),
        (Type::Int, 5) => extreme(draft, x),
        (Type::Int, _) => total(draft, &over, &item, guard),
        (Type::Char | Type::Str, 3..=4) => total(draft, &over, &item, guard),
        (Type::Char | Type::Str, _) => spell(draft, &over, &item, guard),
        (Type::Bool | Type::Text | Type::Ints | Type::Strs | Type::Pair | Type::Dict, _) => None,
    }
}

/// Writes a loop's header and its body, under the guard if there is one.
fn for_each(draft: &mut Draft, over: &str, item: &str, guard: Option<Value>, write: impl FnOnce(&mut Draft)) {
    draft.say(&format!("for {item} in {over}:"));
    draft.nested(|draft| match guard {
        Some(guard) => {
            draft.say(&format!("if {}:", guard.text));
            draft.nested(write);
        }
        None => write(draft),
    });
}

/// `n += 1`
fn count(draft: &mut Draft, over: &str, item: &Value, guard: Option<Value>) -> Option<Type> {
    let guard = match guard {
        Some(guard) => guard,
        None => draft.step(item, Some(Type::Bool), 0)?,
    };
    draft.count_step(Tag::Count);
    draft.say("n = 0");
    for_each(draft, over, &item.text, Some(guard), |draft| draft.say("n += 1"));
    finish(draft, accumulator("n", Type::Int), 0.2)
}

/// `out.append(v)`
fn gather(draft: &mut Draft, over: &str, item: &Value, guard: Option<Value>) -> Option<Type> {
    let plain = guard.is_some() && draft.draws.chance(0.4);
    let to = match item.of {
        Type::Str if draft.draws.chance(0.4) => Type::Int,
        Type::Char => Type::Str,
        of => of,
    };
    let piece = if plain { item.clone() } else { draft.step(item, Some(to), 0)? };
    let of = list_of(piece.of)?;
    draft.say("out = []");
    for_each(draft, over, &item.text, guard, |draft| draft.say(&format!("out.append({})", piece.text)));
    finish(draft, accumulator("out", of), 0.2)
}

/// `s += v`
fn total(draft: &mut Draft, over: &str, item: &Value, guard: Option<Value>) -> Option<Type> {
    let plain = item.of == Type::Int && draft.draws.chance(0.5);
    let piece = if plain { item.clone() } else { draft.step(item, Some(Type::Int), 0)? };
    draft.tags.push(Tag::Total);
    let start = if draft.draws.chance(0.75) { 0 } else { draft.draws.between(1, 9) };
    draft.say(&format!("s = {start}"));
    let sign = *draft.draws.pick(&["+", "+", "+", "+", "-"]);
    for_each(draft, over, &item.text, guard, |draft| draft.say(&format!("s {sign}= {}", piece.text)));
    finish(draft, accumulator("s", Type::Int), 0.25)
}

/// `s += c`
fn spell(draft: &mut Draft, over: &str, item: &Value, guard: Option<Value>) -> Option<Type> {
    draft.tags.push(Tag::Join);
    draft.say("s = ''");
    let choice = draft.draws.below(10);
    if choice < 3
        && let Some(test) = &guard
    {
        let (yes, no) = two_sides(draft, item, None, Type::Str).filter(|_| item.of == Type::Char)?;
        for_each(draft, over, &item.text, None, |draft| {
            draft.say(&format!("if {}:", test.text));
            draft.nested(|draft| draft.say(&format!("s += {}", yes.text)));
            draft.say("else:");
            draft.nested(|draft| draft.say(&format!("s += {}", no.text)));
        });
        return Some(give_back(draft, &accumulator("s", Type::Str)));
    }
    let plain = guard.is_some() && draft.draws.chance(0.4);
    let piece = if plain { item.clone() } else { draft.step(item, Some(Type::Str), 0)? };
    let line = if choice < 5 { format!("s = {} + s", piece.text) } else { format!("s += {}", piece.text) };
    for_each(draft, over, &item.text, guard, |draft| draft.say(&line));
    finish(draft, accumulator("s", Type::Str), 0.2)
}

/// The sums on the way.
fn running(draft: &mut Draft, over: &str, item: &Value) -> Option<Type> {
    draft.count_step(Tag::Total);
    draft.say("s = 0");
    draft.say("out = []");
    for_each(draft, over, &item.text, None, |draft| {
        draft.say(&format!("s += {}", item.text));
        draft.say("out.append(s)");
    });
    finish(draft, accumulator("out", Type::Ints), 0.15)
}

/// Every second item.
fn alternate(draft: &mut Draft, over: &str) -> Option<Type> {
    draft.count_step(Tag::Filter);
    let parity = draft.draws.below(2);
    draft.say("s = 0");
    draft.say(&format!("for i, v in enumerate({over}):"));
    draft.nested(|draft| {
        draft.say(&format!("if i % 2 == {parity}:"));
        draft.nested(|draft| draft.say("s += v"));
    });
    finish(draft, accumulator("s", Type::Int), 0.2)
}

/// The largest or smallest so far.
fn extreme(draft: &mut Draft, x: &Value) -> Option<Type> {
    if x.of != Type::Ints {
        return None;
    }
    draft.count_step(Tag::Extreme);
    let sign = *draft.draws.pick(&[">", "<"]);
    draft.say("m = x[0]");
    draft.say("for v in x:");
    draft.nested(|draft| {
        draft.say(&format!("if v {sign} m:"));
        draft.nested(|draft| draft.say("m = v"));
    });
    finish(draft, accumulator("m", Type::Int), 0.3)
}

/// A state changed again and again.
fn iterate(draft: &mut Draft, x: &Value) -> Option<Type> {
    draft.domains[0] = Domain::Size;
    let start = draft.draws.between(0, 3);
    let name = draft.free_name(Type::Int);
    let state = Value::name(&name, Type::Int);
    let next = draft.step(&state, Some(Type::Int), 0)?;
    let (next, of) = match draft.draws.below(4) {
        0 => (format!("{} + i", next.at(super::rules::Binds::Sum)), "i"),
        _ => (next.text, "_"),
    };
    draft.say(&format!("{name} = {start}"));
    draft.say(&format!("for {of} in range({}):", x.text));
    draft.nested(|draft| draft.say(&format!("{name} = {next}")));
    finish(draft, accumulator(&name, Type::Int), 0.15)
}

/// A comprehension, alone or inside a call.
pub(crate) fn comprehend(draft: &mut Draft, x: &Value) -> Option<Type> {
    let (over, item) = items(draft, x)?;
    let name = item.text.clone();
    let choice = draft.draws.unit();
    let guard = match choice < 0.5 {
        true => {
            draft.count_step(Tag::Filter);
            format!(" if {}", draft.step(&item, Some(Type::Bool), 0)?.text)
        }
        false => String::new(),
    };
    let to = match item.of {
        Type::Str if draft.draws.chance(0.3) => Type::Int,
        Type::Char => Type::Str,
        of => of,
    };
    let piece = if choice < 0.25 {
        item.clone()
    } else if 0.88 < choice {
        draft.count_step(Tag::Branch);
        let test = draft.step(&item, Some(Type::Bool), 0)?;
        let (yes, no) = two_sides(draft, &item, None, to)?;
        Value::atom(format!("{} if {} else {}", yes.text, test.text, no.text), to)
    } else {
        draft.tags.push(Tag::Map);
        draft.step(&item, Some(to), 0)?
    };
    let inner = format!("{} for {name} in {over}{guard}", piece.text);
    let (text, of) = match piece.of {
        Type::Int if draft.draws.chance(0.25) => {
            draft.count_step(Tag::Total);
            (format!("sum({inner})"), Type::Int)
        }
        Type::Str | Type::Char if draft.draws.chance(if item.of == Type::Char { 0.7 } else { 0.2 }) => {
            draft.count_step(Tag::Join);
            (format!("''.join({inner})"), Type::Str)
        }
        of => (format!("[{inner}]"), list_of(of)?),
    };
    let mut value = Value::atom(text, of);
    if draft.draws.chance(0.25) {
        if draft.draws.chance(0.7) {
            value = draft.assign(&value);
            value.has_items = false;
        }
        value = draft.chain(value, 1, None)?;
    }
    Some(give_back(draft, &value))
}

/// `while` loops whose end is certain. They narrow the first argument's domain.
pub(crate) fn repeat(draft: &mut Draft, x: &Value, y: Option<&Value>) -> Option<Type> {
    draft.count_step(Tag::Loop);
    if let Some(y) = y {
        if (x.of, y.of) != (Type::Int, Type::Int) {
            return None;
        }
        draft.count_step(Tag::Remainder);
        draft.domains = vec![Domain::Positive; 2];
        draft.say("while y:");
        draft.nested(|draft| draft.say("x, y = y, x % y"));
        return finish(draft, x.clone(), 0.2);
    }
    if matches!(x.of, Type::Str | Type::Ints) {
        draft.count_step(Tag::Slice);
        let n_kept = draft.draws.between(1, 3);
        let rest = *draft.draws.pick(&["x[1:]", "x[:-1]"]);
        draft.say(&format!("while len(x) > {n_kept}:"));
        draft.nested(|draft| draft.say(&format!("x = {rest}")));
        return finish(draft, x.clone(), 0.5);
    }
    if x.of != Type::Int {
        return None;
    }
    draft.domains[0] = Domain::Positive;
    draft.count_step(Tag::Arithmetic);
    repeat_on_number(draft, x)
}

fn repeat_on_number(draft: &mut Draft, x: &Value) -> Option<Type> {
    match draft.draws.below(5) {
        0 => {
            let piece = *draft.draws.pick(&["s += x % 10", "s = s * 10 + x % 10"]);
            draft.say("s = 0");
            draft.say("while x > 0:");
            draft.nested(|draft| {
                draft.say(piece);
                draft.say("x //= 10");
            });
            finish(draft, accumulator("s", Type::Int), 0.2)
        }
        1 => {
            let by = draft.draws.between(2, 3);
            draft.say("n = 0");
            draft.say("while x > 1:");
            draft.nested(|draft| {
                draft.say(&format!("x //= {by}"));
                draft.say("n += 1");
            });
            finish(draft, accumulator("n", Type::Int), 0.2)
        }
        2 => {
            let (limit, by) = (draft.draws.between(2, 6) * 5, draft.draws.between(2, 9));
            let line = if draft.draws.chance(0.5) { "x *= 2".to_string() } else { format!("x += {by}") };
            draft.say(&format!("while x < {limit}:"));
            draft.nested(|draft| draft.say(&line));
            finish(draft, x.clone(), 0.2)
        }
        3 => {
            let (by, step) = (draft.draws.between(3, 7), *draft.draws.pick(&["x += 1", "x -= 1"]));
            draft.say(&format!("while x % {by} != 0:"));
            draft.nested(|draft| draft.say(step));
            finish(draft, x.clone(), 0.2)
        }
        _ => {
            let by = draft.draws.between(2, 6);
            draft.say("out = []");
            draft.say("while x > 0:");
            draft.nested(|draft| {
                draft.say("out.append(x)");
                draft.say(&format!("x -= {by}"));
            });
            finish(draft, accumulator("out", Type::Ints), 0.2)
        }
    }
}

/// Counting into a dictionary.
pub(crate) fn tally(draft: &mut Draft, x: &Value) -> Option<Type> {
    draft.count_step(Tag::Loop);
    let name = match x.of {
        Type::Str => "c",
        Type::Ints => "v",
        Type::Strs => "w",
        Type::Int | Type::Bool | Type::Char | Type::Text | Type::Pair | Type::Dict => return None,
    };
    draft.count_step(Tag::Count);
    draft.say("d = {}");
    draft.say(&format!("for {name} in x:"));
    draft.nested(|draft| draft.say(&format!("d[{name}] = d.get({name}, 0) + 1")));
    let value = match draft.draws.below(8) {
        0..=3 => Value::name("d", Type::Dict),
        4 => Value::atom("max(d.values())".to_string(), Type::Int),
        5 => Value::atom("len(d)".to_string(), Type::Int),
        6 => Value::atom("list(d.values())".to_string(), Type::Ints),
        _ => Value::atom(format!("[{name} for {name} in x if d[{name}] > 1]"), list_of(x.of.element()?)?),
    };
    Some(give_back(draft, &value))
}
