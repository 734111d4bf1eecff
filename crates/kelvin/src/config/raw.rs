//! Settings as written: any subset of the keys, in a TOML file and in `--set key=value`. What is not written
//! keeps the value of a table of defaults, which is also the list of the keys there are.

use std::{fs, path::Path};

use serde::{Serialize, de::DeserializeOwned};
use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

use super::alias::{Refused, meaning, note};
use crate::error::Usage;

/// Names closer than this share of equal letters are offered as what was meant.
const SIMILAR: f64 = 0.6;

/// The written keys of one file, and where they stand in it.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    /// What messages call the source: a path or `--set`.
    name: String,
    /// Dotted keys with their values and, in a file, their lines.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    key: Vec<String>,
    value: Value,
    /// The key as written, where that was a name of the original.
    alias: Option<String>,
    /// Counted from 1.
    line: Option<usize>,
    /// As typed on the command line, where a word needs no quotes; empty in a file.
    text: String,
}

impl Raw {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read or is not TOML.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Raw> {
        let text = fs::read_to_string(path).map_err(|error| {
            Usage::error(format!(
                "cannot read the configuration {}: {error}\nhint: give the path of a TOML file; \
                 `configs/` in the source has some",
                path.display()
            ))
        })?;
        Raw::parse(&text, &path.display().to_string())
    }

    /// Parses a text that messages call `name`.
    ///
    /// # Errors
    /// If it is not TOML.
    pub(crate) fn parse(text: &str, name: &str) -> anyhow::Result<Raw> {
        let not_toml = |error: toml::de::Error| {
            Usage::error(format!(
                "{name} is not TOML: {}\nhint: mend it at that place",
                error.to_string().trim_end()
            ))
        };
        let table: Table = toml::from_str(text).map_err(not_toml)?;
        let spans = DeTable::parse(text).map_err(not_toml)?;
        let line_of = |key: &[String]| {
            let before = &text[..offset_of(spans.get_ref(), key)?];
            Some(1 + before.bytes().filter(|&byte| byte == b'\n').count())
        };
        let mut raw = Raw { name: name.to_owned(), entries: Vec::new() };
        raw.add(Vec::new(), Value::Table(table), &line_of, "");
        Ok(raw)
    }

    /// This source's keys that `other` does not have.
    pub(crate) fn keys_missing_in(&self, other: &Raw) -> impl Iterator<Item = String> {
        let missing = self.entries.iter().filter(|it| !other.entries.iter().any(|other| other.key == it.key));
        missing.map(|it| it.key.join("."))
    }

    /// Every dotted key that is written.
    pub(super) fn keys(&self) -> impl Iterator<Item = String> {
        self.entries.iter().map(|it| it.key.join("."))
    }

    /// The value written for a dotted key, the last one if several.
    pub(super) fn at(&self, key: &str) -> Option<&Value> {
        self.entries.iter().rev().find(|it| it.key.join(".") == key).map(|it| &it.value)
    }

    /// The assignments of `--set`, each `dotted.key=value`.
    ///
    /// # Errors
    /// If one has no `=` or no key.
    pub(crate) fn from_sets(assignments: &[String]) -> anyhow::Result<Raw> {
        let mut raw = Raw { name: "--set".to_owned(), entries: Vec::new() };
        for assignment in assignments {
            let parts = assignment.split_once('=').filter(|(key, _)| !key.trim().is_empty());
            let Some((key, text)) = parts else {
                return Err(Usage::error(format!(
                    "--set {assignment} has no value\nhint: write --set key=value, such as --set azr.batch_size=8"
                )));
            };
            let text = text.trim();
            let value = toml::from_str::<Table>(&format!("value = {text}"))
                .ok()
                .and_then(|mut table| table.remove("value"))
                .unwrap_or_else(|| Value::String(text.to_owned()));
            let key = key.trim().split('.').map(|part| part.trim().to_owned()).collect();
            raw.add(key, value, &|_| None, text);
        }
        Ok(raw)
    }

    /// The value written for a top-level key, the last one if several.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.entries.iter().rev().find(|entry| entry.key == [key]).map(|entry| &entry.value)
    }

    /// The same with names of the original as the keys that they mean, and a note for each that was one. What is in
    /// `own` is left as it is.
    ///
    /// # Errors
    /// If such a name has no counterpart, or a key is written by both names.
    pub(super) fn translated(&self, own: &mut Table) -> anyhow::Result<(Raw, Vec<String>)> {
        let mut raw = Raw { name: self.name.clone(), entries: Vec::new() };
        let mut notes = Vec::new();
        for entry in &self.entries {
            let (written, place) = (entry.key.join("."), self.place(entry));
            let meaning = match slot(own, &entry.key) {
                Some(_) => None,
                None => meaning(&written, &entry.value)
                    .map_err(|Refused { what, why }| Usage::error(format!("{place}: {what}\nhint: {why}")))?,
            };
            let Some(meaning) = meaning else {
                raw.entries.push(entry.clone());
                continue;
            };
            notes.push(format!("{place}: {}", note(&written, &meaning)));
            raw.entries.extend(meaning.into_iter().map(|(key, value)| Entry {
                key: key.split('.').map(str::to_owned).collect(),
                value,
                alias: Some(written.clone()),
                ..entry.clone()
            }));
        }
        raw.require_one_name()?;
        Ok((raw, notes))
    }

    /// # Errors
    /// If a key is written by two names with two values, of which the later would win unseen.
    fn require_one_name(&self) -> anyhow::Result<()> {
        for (idx, entry) in self.entries.iter().enumerate() {
            let before = self.entries[..idx]
                .iter()
                .find(|it| it.key == entry.key && it.alias != entry.alias && it.value != entry.value);
            if let Some(before) = before {
                let key = entry.key.join(".");
                let [first, second] =
                    [before, entry].map(|it| it.alias.clone().unwrap_or_else(|| key.clone()));
                return Err(Usage::error(format!(
                    "{}: `{first}` and `{second}` both set `{key}`\nhint: leave out one of them",
                    self.place(entry)
                )));
            }
        }
        Ok(())
    }

    /// Puts the written values over the defaults.
    ///
    /// # Errors
    /// If a key is not among the defaults: the message names its place and the key that may be meant.
    pub(crate) fn lay_over(&self, defaults: &mut Table) -> anyhow::Result<()> {
        for entry in &self.entries {
            let known = known_keys(defaults);
            let Some(slot) = slot(defaults, &entry.key) else {
                return Err(self.unknown(entry, &known));
            };
            match (&mut *slot, &entry.value) {
                (Value::Table(_), Value::Table(written)) if written.is_empty() => {}
                (Value::Table(_), _) => {
                    let key = entry.key.join(".");
                    return Err(Usage::error(format!(
                        "{}: `{key}` is a section\nhint: set one of its keys, such as `{key}.{}`",
                        self.place(entry),
                        slot.as_table().and_then(|table| table.keys().next()).map_or("", String::as_str)
                    )));
                }
                (Value::String(word), value) if !value.is_str() && !entry.text.is_empty() => {
                    word.clone_from(&entry.text);
                }
                (slot, value) => slot.clone_from(value),
            }
        }
        Ok(())
    }

    /// Adds the leaves of `value`.
    fn add(
        &mut self,
        key: Vec<String>,
        value: Value,
        line_of: &dyn Fn(&[String]) -> Option<usize>,
        text: &str,
    ) {
        match value {
            Value::Table(table) if !table.is_empty() => {
                for (below, value) in table {
                    let key = key.iter().cloned().chain([below]).collect();
                    self.add(key, value, line_of, text);
                }
            }
            value if key.is_empty() => assert!(value.is_table(), "a file is a table"),
            value => {
                let line = line_of(&key);
                self.entries.push(Entry { key, value, alias: None, line, text: text.to_owned() });
            }
        }
    }

    fn place(&self, entry: &Entry) -> String {
        match entry.line {
            Some(line) => format!("{}:{line}", self.name),
            None => self.name.clone(),
        }
    }

    fn unknown(&self, entry: &Entry, known: &[String]) -> anyhow::Error {
        let key = entry.key.join(".");
        let leaf = entry.key.last().map_or("", String::as_str);
        let likeness = |candidate: &String| {
            let candidate_leaf = candidate.rsplit('.').next().unwrap_or(candidate);
            let whole = strsim::normalized_damerau_levenshtein(&key, candidate);
            // A key in the wrong section counts less than a slip in the right one.
            whole.max(0.95 * strsim::normalized_damerau_levenshtein(leaf, candidate_leaf))
        };
        let best = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let hint = match best.filter(|best| SIMILAR < likeness(best)) {
            Some(best) => format!("did you mean `{best}`?"),
            None => {
                let mut top: Vec<&str> = known.iter().filter_map(|key| key.split('.').next()).collect();
                top.dedup();
                format!("the keys and sections there are: {}", top.join(", "))
            }
        };
        Usage::error(format!("{}: unknown key `{key}`\nhint: {hint}", self.place(entry)))
    }
}

/// `T`'s defaults with what `raws` say, the later over the earlier.
///
/// # Errors
/// If a key is unknown or a value does not fit; the message says which.
pub(crate) fn settings<T: Serialize + DeserializeOwned>(
    defaults: &T,
    raws: &[&Raw],
) -> anyhow::Result<(T, Table)> {
    let mut table = Table::try_from(defaults).expect("settings are plain data");
    for raw in raws {
        raw.lay_over(&mut table)?;
    }
    match table.clone().try_into::<T>() {
        Ok(settings) => Ok((settings, table)),
        Err(error) => Err(misfit(&error, &Table::try_from(defaults).expect("they were a table"), raws)),
    }
}

/// A value of the wrong kind, with where it was written and what the default is.
fn misfit(error: &toml::de::Error, defaults: &Table, raws: &[&Raw]) -> anyhow::Error {
    let text = error.to_string().trim_end().replace('\n', " ");
    // The parser says its message, then the key in backquotes.
    let (what, key) = match text.rsplit_once(" in `") {
        Some((what, key)) => (what, key.trim_end_matches('`')),
        None => (text.as_str(), ""),
    };
    let written =
        |raw: &&Raw| raw.entries.iter().rev().find(|it| it.key.join(".") == key).map(|it| raw.place(it));
    let place = raws.iter().rev().find_map(written).unwrap_or_else(|| "the configuration".to_owned());
    let path: Vec<String> = key.split('.').map(str::to_owned).collect();
    let hint = match slot(&mut defaults.clone(), &path) {
        Some(default) => format!("the default is {key} = {default}"),
        None => "the names of all keys stand in the config.toml of every run".to_owned(),
    };
    Usage::error(format!("{place}: `{key}` does not fit: {what}\nhint: {hint}"))
}

fn slot<'table>(table: &'table mut Table, key: &[String]) -> Option<&'table mut Value> {
    let (first, rest) = key.split_first()?;
    let value = table.get_mut(first)?;
    match (rest, value) {
        ([], value) => Some(value),
        (rest, Value::Table(inner)) => slot(inner, rest),
        (_, _) => None,
    }
}

/// Where `key` stands in a parsed text, in bytes.
fn offset_of(table: &DeTable<'_>, key: &[String]) -> Option<usize> {
    let (first, rest) = key.split_first()?;
    let (at, value) = table.iter().find(|(at, _)| at.get_ref() == first.as_str())?;
    match (rest, value.get_ref()) {
        ([], _) => Some(at.span().start),
        (rest, DeValue::Table(inner)) => offset_of(inner, rest),
        (_, _) => None,
    }
}

/// Every dotted key, sections before what they hold.
fn known_keys(table: &Table) -> Vec<String> {
    let mut keys = Vec::new();
    for (key, value) in table {
        keys.push(key.clone());
        if let Value::Table(inner) = value {
            keys.extend(known_keys(inner).into_iter().map(|below| format!("{key}.{below}")));
        }
    }
    keys
}
