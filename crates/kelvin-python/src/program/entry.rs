//! The entry function: which definition it is, and its renaming to `f` on the syntax tree.

use ruff_python_ast::{Expr, Stmt};
use serde::{Deserialize, Serialize};

use super::Refusal;
use super::scopes::{Binding, MentionRole, Scopes};
use crate::syntax;

/// The name every program's entry function has.
pub(super) const ENTRY: &str = "f";

/// Which of a program's top-level functions is its entry (`f_replace_location`; azr.md section 1.2, step 7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// `f`, else the last.
    #[default]
    AnyLast,
    /// `f`, else the first.
    AnyFirst,
    /// The first, also where another is called `f`.
    NotFirst,
    /// The last, also where another is called `f`.
    NotLast,
}

/// The program with the entry that `which` chooses called `f`; an `f` that is not chosen gets another name wherever it
/// is meant. [`Entry::AnyLast`], which is what [`super::prepare`] chooses, changes nothing here.
///
/// # Errors
/// [`Refusal::ParseError`]; [`Refusal::NoEntry`] without a top-level function, or where `f` cannot be given away.
pub fn name_entry(source: &str, which: Entry) -> Result<String, Refusal> {
    if which == Entry::AnyLast {
        return Ok(source.to_owned());
    }
    let source = syntax::normalise(source);
    let parsed = syntax::parse_module(&source).map_err(Refusal::ParseError)?;
    let body = &parsed.syntax().body;
    let definitions = functions(body);
    let has_entry = definitions.contains(&ENTRY);
    let chosen = match which {
        Entry::AnyFirst | Entry::AnyLast if has_entry => Some(&ENTRY),
        Entry::AnyFirst | Entry::NotFirst => definitions.first(),
        Entry::AnyLast | Entry::NotLast => definitions.last(),
    };
    let chosen = *chosen.ok_or(Refusal::NoEntry)?;
    if chosen == ENTRY {
        return Ok(source.into_owned());
    }
    let scopes = Scopes::of(body);
    if !has_entry {
        return called_entry(&source, chosen, &scopes).ok_or(Refusal::NoEntry);
    }
    let is_free = |name: &String| scopes.mentions.iter().all(|mention| mention.name != name);
    let free =
        (0..).map(|n| format!("{ENTRY}_{n}")).find(is_free).expect("a program has finitely many names");
    let freed = renamed(&source, ENTRY, &free, &scopes).ok_or(Refusal::NoEntry)?;
    let parsed = syntax::parse_module(&freed).map_err(Refusal::ParseError)?;
    called_entry(&freed, chosen, &Scopes::of(&parsed.syntax().body)).ok_or(Refusal::NoEntry)
}

/// The source with its entry function called `f`: unchanged if there is a top-level `def f`, else with the last
/// top-level `def` renamed wherever a name refers to it. Formatting and comments stay as they are.
///
/// Where renaming would change what the program does (a local `f` in reach of a reference, `f"{name=}"`), the
/// definition keeps its name and a last line `f = name` is added; a source that ends so is left as it is. `None`
/// without a top-level `def`, or where the module uses `f` for something else.
pub(super) fn with_entry(source: &str, body: &[Stmt], scopes: &Scopes<'_>) -> Option<String> {
    let definitions = functions(body);
    if definitions.contains(&ENTRY) {
        return Some(source.to_owned());
    }
    if body.last().is_some_and(|stmt| is_alias(stmt, &definitions)) {
        return Some(source.to_owned());
    }
    called_entry(source, definitions.last()?, scopes)
}

/// The names of the top-level functions that can be called.
fn functions(body: &[Stmt]) -> Vec<&str> {
    body.iter()
        .filter_map(|stmt| match stmt {
            Stmt::FunctionDef(function) if !function.is_async => Some(function.name.as_str()),
            _ => None,
        })
        .collect()
}

/// `None` where the module uses `f` for something else.
fn called_entry(source: &str, function: &str, scopes: &Scopes<'_>) -> Option<String> {
    if scopes.module_binds(ENTRY) {
        return None;
    }
    let alias = || format!("{source}\n{ENTRY} = {function}");
    Some(renamed(source, function, ENTRY, scopes).unwrap_or_else(alias))
}

/// `f = name`, of a function that the module defines.
fn is_alias(stmt: &Stmt, definitions: &[&str]) -> bool {
    let Stmt::Assign(assign) = stmt else { return false };
    let Expr::Name(value) = assign.value.as_ref() else { return false };
    matches!(assign.targets.as_slice(), [Expr::Name(target)] if target.id == ENTRY)
        && definitions.contains(&value.id.as_str())
}

/// The source with the module's `old` called `new`. `None` where a plain renaming does not keep the program's meaning.
pub(super) fn renamed(source: &str, old: &str, new: &str, scopes: &Scopes<'_>) -> Option<String> {
    // In a class body such a name is mangled, and means something else.
    if old.starts_with("__") && !old.ends_with("__") {
        return None;
    }
    let mut ranges = Vec::new();
    for mention in scopes.mentions.iter().filter(|mention| mention.name == old) {
        let is_ours = scopes.resolve(old, mention.scope) == Binding::Module;
        // A class may read the module's variable first and then bind its own: `g = g`.
        let is_ambiguous = !is_ours && scopes.is_class(mention.scope) && mention.role == MentionRole::Load;
        if is_ambiguous {
            return None;
        }
        if !is_ours {
            continue;
        }
        let is_captured = scopes.resolve(new, mention.scope) == Binding::Local;
        match mention.role {
            MentionRole::Load | MentionRole::Bind if !is_captured => ranges.push(mention.range),
            MentionRole::Load | MentionRole::Bind | MentionRole::ShownLoad | MentionRole::Import => {
                return None;
            }
        }
    }
    ranges.sort_by_key(|range| range.start());
    ranges.dedup();
    let mut text = String::with_capacity(source.len());
    let mut copied = 0;
    for range in ranges {
        text.push_str(&source[copied..range.start().to_usize()]);
        text.push_str(new);
        copied = range.end().to_usize();
    }
    text.push_str(&source[copied..]);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_function_becomes_the_entry_and_the_old_one_keeps_its_callers() {
        use Entry::{AnyFirst, AnyLast, NotFirst, NotLast};
        let with_f = "def a(x):\n    return f(x)\ndef f(x):\n    return 'f(' + x\ndef b(x):\n    return a(x)";
        let first =
            "def f(x):\n    return f_0(x)\ndef f_0(x):\n    return 'f(' + x\ndef b(x):\n    return f(x)";
        let last =
            "def a(x):\n    return f_0(x)\ndef f_0(x):\n    return 'f(' + x\ndef f(x):\n    return a(x)";
        let without = "def a(x):\n    return 1\ndef b(x):\n    return a(x)";
        let a_first = "def f(x):\n    return 1\ndef b(x):\n    return f(x)";
        let b_last = "def a(x):\n    return 1\ndef f(x):\n    return a(x)";
        let methods = "class C:\n    def m(self): return g()\ndef g(): return C().m()";
        let renamed = "class C:\n    def m(self): return f()\ndef f(): return C().m()";
        for (source, which, expected) in [
            (with_f, AnyLast, with_f),
            (with_f, AnyFirst, with_f),
            (with_f, NotFirst, first),
            (with_f, NotLast, last),
            (without, AnyLast, without),
            (without, AnyFirst, a_first),
            (without, NotFirst, a_first),
            (without, NotLast, b_last),
            (methods, NotFirst, renamed),
            ("def f(x): return x\ndef g(x): return x", NotFirst, "def f(x): return x\ndef g(x): return x"),
            ("def g(f): return g(f)", NotFirst, "def g(f): return g(f)\nf = g"),
            (
                "f_0 = 1\ndef g(): return f()\ndef f(): return 2",
                NotFirst,
                "f_0 = 1\ndef f(): return f_1()\ndef f_1(): return 2",
            ),
        ] {
            assert_eq!(name_entry(source, which).as_deref(), Ok(expected), "{which:?} of {source}");
        }
        for source in ["f = 1\ndef g(): pass", "x = 1", "class f: pass\ndef g(): pass"] {
            assert_eq!(name_entry(source, NotFirst), Err(Refusal::NoEntry), "{source}");
        }
        assert!(matches!(name_entry("def", NotLast), Err(Refusal::ParseError(_))));
    }
}
