//! Modules and statements as the nodes of Python's `ast`.

use ruff_python_ast::{
    Alias, ExceptHandler, MatchCase, Pattern, Singleton, Stmt, StmtClassDef, StmtFor, StmtFunctionDef,
    StmtIf, StmtMatch, StmtTry, StmtWith,
};

use super::expressions::Draft;
use super::json::Json;

/// The whole program. `None` where the original raises an exception.
pub(super) fn module(source: &str, body: &[Stmt]) -> Option<Json> {
    let mut node = Draft::new(source, "Module");
    block(&mut node, "body", body)?;
    node.list("type_ignores", Vec::new())?;
    node.finish()
}

fn block(node: &mut Draft<'_>, field: &'static str, body: &[Stmt]) -> Option<()> {
    let source = node.source;
    node.list(field, body.iter().map(|stmt| statement(source, stmt)).collect::<Option<_>>()?)
}

fn statement(source: &str, stmt: &Stmt) -> Option<Json> {
    match stmt {
        Stmt::FunctionDef(def) => function(source, def),
        Stmt::ClassDef(class) => class_def(source, class),
        Stmt::For(each) => for_loop(source, each),
        Stmt::If(choice) => conditional(source, choice),
        Stmt::With(with) => with_block(source, with),
        Stmt::Match(choice) => match_block(source, choice),
        Stmt::Try(attempt) => try_block(source, attempt),
        Stmt::While(repeat) => {
            let mut node = Draft::new(source, "While");
            node.child("test", &repeat.test)?;
            block(&mut node, "body", &repeat.body)?;
            block(&mut node, "orelse", &repeat.orelse)?;
            node.finish()
        }
        _ => simple(source, stmt),
    }
}

/// A statement without a body.
fn simple(source: &str, stmt: &Stmt) -> Option<Json> {
    let mut node = Draft::new(source, "");
    let kind = match stmt {
        Stmt::Assign(assign) => {
            node.children("targets", &assign.targets)?;
            node.child("value", &assign.value)?;
            "Assign"
        }
        Stmt::AugAssign(assign) => {
            node.child("target", &assign.target)?;
            node.operator("op", &assign.op)?;
            node.child("value", &assign.value)?;
            "AugAssign"
        }
        Stmt::AnnAssign(assign) => {
            node.child("target", &assign.target)?;
            node.child("annotation", &assign.annotation)?;
            node.optional("value", assign.value.as_deref())?;
            node.number("simple", u32::from(assign.simple));
            "AnnAssign"
        }
        Stmt::Import(import) => {
            node.list("names", aliases(source, &import.names)?)?;
            "Import"
        }
        Stmt::ImportFrom(import) => {
            node.optional_text("module", import.module.as_deref());
            node.list("names", aliases(source, &import.names)?)?;
            node.number("level", import.level);
            "ImportFrom"
        }
        _ => small(&mut node, stmt)?,
    };
    node.named(kind).finish()
}

/// A statement that consists of little but its keyword. Fills in the fields and gives the name of the node.
fn small(node: &mut Draft<'_>, stmt: &Stmt) -> Option<&'static str> {
    let kind = match stmt {
        Stmt::Expr(expr) => {
            node.child("value", &expr.value)?;
            "Expr"
        }
        Stmt::Return(give) => {
            node.optional("value", give.value.as_deref())?;
            "Return"
        }
        Stmt::Delete(delete) => {
            node.children("targets", &delete.targets)?;
            "Delete"
        }
        Stmt::Raise(raise) => {
            node.optional("exc", raise.exc.as_deref())?;
            node.optional("cause", raise.cause.as_deref())?;
            "Raise"
        }
        Stmt::Assert(assert) => {
            node.child("test", &assert.test)?;
            node.optional("msg", assert.msg.as_deref())?;
            "Assert"
        }
        // Names are no nodes, and the original keeps only nodes of a list.
        Stmt::Global(_) => {
            node.list("names", Vec::new())?;
            "Global"
        }
        Stmt::Nonlocal(_) => {
            node.list("names", Vec::new())?;
            "Nonlocal"
        }
        Stmt::Pass(_) => "Pass",
        Stmt::Break(_) => "Break",
        Stmt::Continue(_) => "Continue",
        _ => {
            unreachable!("statements with a body have functions of their own, and Python 3.11 has no others")
        }
    };
    Some(kind)
}

fn function(source: &str, def: &StmtFunctionDef) -> Option<Json> {
    let mut node = Draft::new(source, if def.is_async { "AsyncFunctionDef" } else { "FunctionDef" });
    node.text("name", &def.name);
    node.parameters(Some(&def.parameters))?;
    block(&mut node, "body", &def.body)?;
    node.children("decorator_list", def.decorator_list.iter().map(|it| &it.expression))?;
    node.optional("returns", def.returns.as_deref())?;
    node.finish()
}

fn class_def(source: &str, class: &StmtClassDef) -> Option<Json> {
    let mut node = Draft::new(source, "ClassDef");
    node.text("name", &class.name);
    let arguments = class.arguments.as_deref();
    node.children("bases", arguments.map_or(&[][..], |it| &it.args))?;
    node.keywords(arguments.map_or(&[][..], |it| &it.keywords))?;
    block(&mut node, "body", &class.body)?;
    node.children("decorator_list", class.decorator_list.iter().map(|it| &it.expression))?;
    node.finish()
}

fn for_loop(source: &str, each: &StmtFor) -> Option<Json> {
    let mut node = Draft::new(source, if each.is_async { "AsyncFor" } else { "For" });
    node.child("target", &each.target)?;
    node.child("iter", &each.iter)?;
    block(&mut node, "body", &each.body)?;
    block(&mut node, "orelse", &each.orelse)?;
    node.finish()
}

/// Python has no `elif`: each clause is the only statement in the `else` of the one before. Built from the last
/// one up, since there is no limit on their number.
fn conditional(source: &str, choice: &StmtIf) -> Option<Json> {
    let mut otherwise = Vec::new();
    for clause in choice.elif_else_clauses.iter().rev() {
        otherwise = match &clause.test {
            None => clause.body.iter().map(|stmt| statement(source, stmt)).collect::<Option<_>>()?,
            Some(test) => {
                let mut node = Draft::new(source, "If");
                node.child("test", test)?;
                block(&mut node, "body", &clause.body)?;
                node.list("orelse", otherwise)?;
                vec![node.finish()?]
            }
        };
    }
    let mut node = Draft::new(source, "If");
    node.child("test", &choice.test)?;
    block(&mut node, "body", &choice.body)?;
    node.list("orelse", otherwise)?;
    node.finish()
}

fn with_block(source: &str, with: &StmtWith) -> Option<Json> {
    let mut node = Draft::new(source, if with.is_async { "AsyncWith" } else { "With" });
    let items = with.items.iter().map(|item| {
        let mut node = Draft::new(source, "withitem");
        node.child("context_expr", &item.context_expr)?;
        node.optional("optional_vars", item.optional_vars.as_deref())?;
        node.finish()
    });
    node.list("items", items.collect::<Option<_>>()?)?;
    block(&mut node, "body", &with.body)?;
    node.finish()
}

fn try_block(source: &str, attempt: &StmtTry) -> Option<Json> {
    let mut node = Draft::new(source, if attempt.is_star { "TryStar" } else { "Try" });
    let handlers = attempt.handlers.iter().map(|ExceptHandler::ExceptHandler(handler)| {
        let mut node = Draft::new(source, "ExceptHandler");
        node.optional("type", handler.type_.as_deref())?;
        node.optional_text("name", handler.name.as_deref());
        block(&mut node, "body", &handler.body)?;
        node.finish()
    });
    node.list("handlers", handlers.collect::<Option<_>>()?)?;
    block(&mut node, "body", &attempt.body)?;
    block(&mut node, "orelse", &attempt.orelse)?;
    block(&mut node, "finalbody", &attempt.finalbody)?;
    node.finish()
}

fn aliases(source: &str, names: &[Alias]) -> Option<Vec<Json>> {
    let alias = |alias: &Alias| {
        let mut node = Draft::new(source, "alias");
        node.text("name", &alias.name);
        node.optional_text("asname", alias.asname.as_deref());
        node.finish()
    };
    names.iter().map(alias).collect()
}

fn match_block(source: &str, choice: &StmtMatch) -> Option<Json> {
    let case = |case: &MatchCase| {
        let mut node = Draft::new(source, "match_case");
        node.field("pattern", pattern(source, &case.pattern)?);
        node.optional("guard", case.guard.as_deref())?;
        block(&mut node, "body", &case.body)?;
        node.finish()
    };
    let mut node = Draft::new(source, "Match");
    node.child("subject", &choice.subject)?;
    node.list("cases", choice.cases.iter().map(case).collect::<Option<_>>()?)?;
    node.finish()
}

fn patterns<'p>(source: &str, patterns: impl IntoIterator<Item = &'p Pattern>) -> Option<Vec<Json>> {
    patterns.into_iter().map(|it| pattern(source, it)).collect()
}

fn pattern(source: &str, it: &Pattern) -> Option<Json> {
    let mut node = Draft::new(source, "");
    let kind = match it {
        Pattern::MatchValue(it) => {
            node.child("value", &it.value)?;
            "MatchValue"
        }
        Pattern::MatchSingleton(it) => {
            match it.value {
                Singleton::None => {}
                Singleton::True => node.field("value", Json::bool(true)),
                Singleton::False => node.field("value", Json::bool(false)),
            }
            "MatchSingleton"
        }
        Pattern::MatchSequence(it) => {
            node.list("patterns", patterns(source, &it.patterns)?)?;
            "MatchSequence"
        }
        Pattern::MatchMapping(it) => {
            node.children("keys", &it.keys)?;
            node.list("patterns", patterns(source, &it.patterns)?)?;
            node.optional_text("rest", it.rest.as_deref());
            "MatchMapping"
        }
        Pattern::MatchClass(it) => {
            node.child("cls", &it.cls)?;
            node.list("patterns", patterns(source, &it.arguments.patterns)?)?;
            // Names again: see `global`.
            node.list("kwd_attrs", Vec::new())?;
            let of_keywords = it.arguments.keywords.iter().map(|keyword| &keyword.pattern);
            node.list("kwd_patterns", patterns(source, of_keywords)?)?;
            "MatchClass"
        }
        Pattern::MatchStar(it) => {
            node.optional_text("name", it.name.as_deref());
            "MatchStar"
        }
        Pattern::MatchAs(it) => {
            if let Some(inner) = &it.pattern {
                node.field("pattern", pattern(source, inner)?);
            }
            node.optional_text("name", it.name.as_deref());
            "MatchAs"
        }
        Pattern::MatchOr(it) => {
            node.list("patterns", patterns(source, &it.patterns)?)?;
            "MatchOr"
        }
    };
    node.named(kind).finish()
}
