//! The entry function: which definition it is, and its renaming to `f` on the syntax tree.

use ruff_python_ast::{Expr, Stmt};

use super::scopes::{Binding, MentionRole, Scopes};

/// The name every program's entry function has.
pub(super) const ENTRY: &str = "f";

/// The source with its entry function called `f`: unchanged if there is a top-level `def f`, else with the last
/// top-level `def` renamed wherever a name refers to it. Formatting and comments stay as they are.
///
/// Where renaming would change what the program does (a local `f` in reach of a reference, `f"{name=}"`), the
/// definition keeps its name and a last line `f = name` is added; a source that ends so is left as it is. `None`
/// without a top-level `def`, or where the module uses `f` for something else.
pub(super) fn with_entry(source: &str, body: &[Stmt], scopes: &Scopes<'_>) -> Option<String> {
    let definitions: Vec<&str> = body
        .iter()
        .filter_map(|stmt| match stmt {
            Stmt::FunctionDef(function) if !function.is_async => Some(function.name.as_str()),
            _ => None,
        })
        .collect();
    if definitions.contains(&ENTRY) {
        return Some(source.to_owned());
    }
    if body.last().is_some_and(|stmt| is_alias(stmt, &definitions)) {
        return Some(source.to_owned());
    }
    let entry = *definitions.last()?;
    if scopes.module_binds(ENTRY) {
        return None;
    }
    Some(renamed(source, entry, ENTRY, scopes).unwrap_or_else(|| format!("{source}\n{ENTRY} = {entry}")))
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
