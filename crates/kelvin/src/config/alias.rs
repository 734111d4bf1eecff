//! Names of the original's settings (azr.md sections 1 to 10), read as the settings here that they mean.

mod table;

use toml::Value;

use table::every_alias;

/// Settings of the original under one meaning.
pub(super) struct Alias {
    /// Its spellings: as on the original's command line, then alone. One without a dot is read below `azr` as well.
    pub(super) names: &'static [&'static str],
    /// What it is here.
    pub(super) means: Means,
}

/// What a setting of the original is here.
pub(super) enum Means {
    /// These keys, with its value.
    Same(&'static [&'static str]),
    /// These keys, with its value as a number that has a fraction: 0 and 0.0 are one.
    Real(&'static [&'static str]),
    /// This key, with its word in ours: pairs of both. There are no others.
    Word(&'static str, &'static [(&'static str, &'static str)]),
    /// This key, with how its word begins in ours: pairs of both. There are no others.
    Prefix(&'static str, &'static [(&'static str, &'static str)]),
    /// This key, with each word of its list in ours.
    Words(&'static str, &'static [(&'static str, &'static str)]),
    /// This key, which holds a list, with its one value.
    Listed(&'static str),
    /// These keys, with another number.
    Number(&'static [&'static str], fn(i64) -> i64),
    /// For each of these values, and each in a list of them, what it sets. There are no others, for the reason given.
    Only(&'static [(&'static str, Sets)], &'static str),
    /// No key, whatever its value, for the reason given.
    Unread(&'static str),
    /// Nothing, for the reason given; nor is anything below it.
    Nothing(&'static str),
}

/// What a value of the original sets here: keys, each with its value.
pub(super) type Sets = &'static [(&'static str, Own)];

/// What needs no key, since it is so anyway.
pub(super) const ANYWAY: Sets = &[];

/// A value of ours.
#[derive(Clone, Copy)]
pub(super) enum Own {
    Flag(bool),
    Whole(i64),
    Real(f64),
}

/// Keys and their values.
type Meaning = Vec<(&'static str, Value)>;

/// A name or a value of the original that is not to be had here.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) what: String,
    /// Why, or what to do instead.
    pub(super) why: String,
}

/// What `key` with `value` is here: keys and values, none where it changes nothing, or `None` if the original has no such
/// name.
///
/// # Errors
/// If the name or the value has no counterpart.
pub(super) fn meaning(key: &str, value: &Value) -> Result<Option<Meaning>, Refused> {
    let Some(alias) = written(key) else { return Ok(None) };
    let all = |keys: &[&'static str], value: Value| -> Meaning {
        keys.iter().map(|&key| (key, value.clone())).collect()
    };
    let meaning = match &alias.means {
        Means::Nothing(why) => {
            let what = format!("`{key}` is a setting of the original that has no counterpart here");
            return Err(Refused { what, why: (*why).to_owned() });
        }
        Means::Unread(_) => Vec::new(),
        Means::Only(values, why) => only(key, value, values, why)?,
        Means::Same(keys) => all(keys, plain(value)),
        Means::Real(keys) => match value {
            Value::Integer(whole) => all(keys, Value::Float(*whole as f64)),
            other => all(keys, plain(other)),
        },
        Means::Listed(own) => {
            let one = if is_null(value) { Vec::new() } else { vec![value.clone()] };
            vec![(*own, Value::Array(one))]
        }
        Means::Number(keys, ours) => match value {
            Value::Integer(theirs) => all(keys, Value::Integer(ours(*theirs))),
            other => all(keys, plain(other)),
        },
        Means::Word(own, words) => vec![(*own, translated(key, value, words)?)],
        Means::Prefix(own, starts) => vec![(*own, begun(key, value, starts)?)],
        Means::Words(own, words) => {
            let one = |value| translated(key, value, words);
            let list = match value {
                Value::Array(list) => list.iter().map(one).collect::<Result<Vec<_>, _>>()?,
                alone => vec![one(alone)?],
            };
            vec![(*own, Value::Array(list))]
        }
    };
    Ok(Some(meaning))
}

/// What to tell about `key`, a name of the original, and its `meaning`.
pub(super) fn note(key: &str, meaning: &[(&'static str, Value)]) -> String {
    let why = written(key).and_then(Alias::why);
    match (meaning, why) {
        ([], Some(why)) => format!("`{key}` changes nothing here: {why}"),
        (_, _) => {
            let keys: Vec<String> = meaning.iter().map(|(key, _)| format!("`{key}`")).collect();
            format!("`{key}` is {} here", keys.join(", "))
        }
    }
}

/// The one that `key` names.
fn written(key: &str) -> Option<&'static Alias> {
    every_alias().find(|alias| alias.is_written(key))
}

impl Alias {
    fn is_written(&self, key: &str) -> bool {
        let alone = key.strip_prefix("azr.").filter(|rest| !rest.contains('.'));
        self.names.iter().any(|&name| {
            let below = key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
            name == key || alone == Some(name) || (below && matches!(self.means, Means::Nothing(_)))
        })
    }

    /// The reason that goes with it.
    fn why(&self) -> Option<&'static str> {
        match self.means {
            Means::Only(_, why) | Means::Unread(why) | Means::Nothing(why) => Some(why),
            _ => None,
        }
    }
}

impl Own {
    fn value(self) -> Value {
        match self {
            Own::Flag(it) => Value::Boolean(it),
            Own::Whole(it) => Value::Integer(it),
            Own::Real(it) => Value::Float(it),
        }
    }
}

/// Truth as Python writes it is a word to `--set`.
fn plain(value: &Value) -> Value {
    match value.as_str() {
        Some("True") => Value::Boolean(true),
        Some("False") => Value::Boolean(false),
        Some(_) | None => value.clone(),
    }
}

/// TOML has no such value, so that it is a word to `--set`.
fn is_null(value: &Value) -> bool {
    matches!(value.as_str(), Some("null" | "None"))
}

/// A value as tables have it: words without quotes, truth in lower case, 1.0 as 1.
fn said(value: &Value) -> String {
    match plain(value) {
        Value::String(word) => word,
        Value::Float(number) => number.to_string(),
        other => other.to_string(),
    }
}

fn only(
    key: &str,
    value: &Value,
    values: &'static [(&'static str, Sets)],
    why: &str,
) -> Result<Meaning, Refused> {
    let one = |value: &Value| -> Option<Sets> {
        let said = said(value);
        values.iter().find(|(theirs, _)| said == *theirs).map(|(_, sets)| *sets)
    };
    let sets = match value {
        Value::Array(list) => list.iter().map(one).collect::<Option<Vec<_>>>(),
        alone => one(alone).map(|it| vec![it]),
    };
    match sets {
        Some(sets) => Ok(sets.into_iter().flatten().map(|(key, ours)| (*key, ours.value())).collect()),
        None => Err(refused(key, value, format!("{why}; values that have one: {}", listed(values)))),
    }
}

fn translated(key: &str, value: &Value, words: &[(&str, &str)]) -> Result<Value, Refused> {
    let said = said(value);
    match words.iter().find(|(theirs, _)| said == *theirs) {
        Some((_, ours)) => Ok(Value::String((*ours).to_owned())),
        None => Err(refused(key, value, format!("values that have one: {}", listed(words)))),
    }
}

fn begun(key: &str, value: &Value, starts: &[(&str, &str)]) -> Result<Value, Refused> {
    let said = said(value);
    match starts.iter().find(|(theirs, _)| said.starts_with(*theirs)) {
        Some((_, ours)) => Ok(Value::String((*ours).to_owned())),
        None => Err(refused(key, value, format!("values that have one begin with: {}", listed(starts)))),
    }
}

fn refused(key: &str, value: &Value, why: String) -> Refused {
    Refused { what: format!("the original's `{key}` = {value} has no counterpart here"), why }
}

/// The words of the original in a table of them.
fn listed<T>(values: &[(&str, T)]) -> String {
    let theirs: Vec<&str> = values.iter().map(|(theirs, _)| *theirs).collect();
    theirs.join(", ")
}

#[cfg(test)]
mod tests;
