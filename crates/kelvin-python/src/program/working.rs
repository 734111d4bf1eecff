//! A program that says how it came to its result: every operation is written down with the values that it had.

use ruff_python_ast::{
    Expr, ExprAttribute, ExprBinOp, ExprCall, ExprCompare, ExprIf, ExprListComp, ExprSubscript, ExprUnaryOp,
    Stmt,
};
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::syntax;

/// Stands before a program that says how it works.
const HEAD: &str = "\
_lines = []
def _done(text, operation, *values):
    result = operation(*values)
    _lines.append(text.format(*map(repr, values)) + ' = ' + repr(result))
    return result
def _named(text, value):
    _lines.append(text + repr(value))
    return value
";

/// Stands behind it.
const TAIL: &str = "
def f(*values):
    _lines.clear()
    result = _f(*values)
    return result, list(_lines)
";

/// Builtins whose results are no values that a line could show.
const LAZY: &[&str] = &["range", "enumerate", "zip", "reversed", "map", "filter"];

/// A program whose `f` returns the result of `source`'s `f` and the list of lines that lead to it, such as
/// `5 + 3 = 8`: operations, comparisons, calls, subscripts and comprehensions in the order in which they are evaluated, with
/// values in place of names. Statements it does not know run as they are. `None` where `source` does not parse.
///
/// It is meant for programs of plain values, as the corpus has them: `x += y` becomes `x = x + y`, and the names `_f`,
/// `_lines`, `_done` and `_named` are taken.
pub fn with_working(source: &str) -> Option<String> {
    let parsed = syntax::parse_module(source).ok()?;
    let writer = Writer { source };
    let body = writer.body(TextRange::up_to(TextSize::of(source)), &parsed.syntax().body);
    Some(format!("{HEAD}{body}{TAIL}"))
}

/// Where a value goes in a line, until the line is a pattern of Python's `format`.
const VALUE: &str = "\0";

/// A pattern for `format` that keeps the braces of the source.
fn pattern(prefix: &str, text: &str) -> String {
    format!("{prefix}{}", text.replace('{', "{{").replace('}', "}}").replace(VALUE, "{}"))
}

struct Writer<'a> {
    source: &'a str,
}

/// What stands instead of a range.
type Edit = (TextRange, String);

impl Writer<'_> {
    fn text(&self, range: TextRange) -> &str {
        &self.source[range.start().to_usize()..range.end().to_usize()]
    }

    /// The text of `range` with the edits made, which do not overlap and are in order.
    fn splice(&self, range: TextRange, edits: &[Edit]) -> String {
        let mut text = String::new();
        let mut at = range.start();
        for (edited, with) in edits {
            text.push_str(self.text(TextRange::new(at, edited.start())));
            text.push_str(with);
            at = edited.end();
        }
        text.push_str(self.text(TextRange::new(at, range.end())));
        text
    }

    fn body(&self, range: TextRange, body: &[Stmt]) -> String {
        let edits: Vec<Edit> = body.iter().map(|it| (it.range(), self.statement(it))).collect();
        self.splice(range, &edits)
    }

    fn statement(&self, statement: &Stmt) -> String {
        let range = statement.range();
        let mut edits: Vec<Edit> = Vec::new();
        let inner =
            |body: &[Stmt]| -> Vec<Edit> { body.iter().map(|it| (it.range(), self.statement(it))).collect() };
        match statement {
            Stmt::FunctionDef(function) => {
                if function.name.as_str() == "f" {
                    edits.push((function.name.range(), "_f".to_owned()));
                }
                edits.extend(inner(&function.body));
            }
            Stmt::Assign(assign) => {
                if let [Expr::Name(target)] = assign.targets.as_slice() {
                    edits.push((assign.value.range(), self.named(target.id.as_str(), &assign.value)));
                }
            }
            Stmt::AugAssign(assign) => {
                let name = self.text(assign.target.range()).to_owned();
                let operator = assign.op.as_str();
                let value = self.expression(&assign.value, "");
                return format!(
                    "{name} = _done({:?}, lambda a, b: a {operator} b, {name}, {value})",
                    format!("{name} = {{}} {operator} {{}}")
                );
            }
            Stmt::Return(returned) => {
                edits.extend(returned.value.as_deref().map(|it| (it.range(), self.expression(it, ""))));
            }
            Stmt::Expr(expression) => {
                let Expr::Call(call) = expression.value.as_ref() else { return self.text(range).to_owned() };
                let Expr::Attribute(ExprAttribute { value, .. }) = call.func.as_ref() else {
                    return self.text(range).to_owned();
                };
                let arguments = call.arguments.args.iter().map(|it| (it.range(), self.expression(it, "")));
                let receiver = self.text(value.range());
                let call = self.splice(range, &arguments.collect::<Vec<_>>());
                return format!("{call}; _named({:?}, {receiver})", format!("{receiver} = "));
            }
            Stmt::For(each) => {
                edits.push((each.iter.range(), self.expression(&each.iter, "")));
                edits.extend(inner(&each.body));
            }
            Stmt::If(branch) => {
                edits.push((branch.test.range(), self.expression(&branch.test, "")));
                edits.extend(inner(&branch.body));
                for clause in &branch.elif_else_clauses {
                    edits.extend(clause.test.as_ref().map(|it| (it.range(), self.expression(it, ""))));
                    edits.extend(inner(&clause.body));
                }
            }
            _ => {}
        }
        self.splice(range, &edits)
    }

    /// A value that gets a name: the line begins with it.
    fn named(&self, name: &str, value: &Expr) -> String {
        match value {
            _ if value.is_literal_expr() => self.text(value.range()).to_owned(),
            Expr::BinOp(_) | Expr::Compare(_) | Expr::Call(_) | Expr::Subscript(_) | Expr::ListComp(_) => {
                self.expression(value, &format!("{name} = "))
            }
            _ => format!("_named({:?}, {})", format!("{name} = "), self.expression(value, "")),
        }
    }

    /// An expression that writes down what it does; `prefix` stands before its own line.
    fn expression(&self, expr: &Expr, prefix: &str) -> String {
        let operands: Vec<(&Expr, bool)> = match expr {
            Expr::BinOp(ExprBinOp { left, right, .. }) => vec![(left, true), (right, true)],
            Expr::Compare(ExprCompare { left, comparators, .. }) if comparators.len() == 1 => {
                vec![(left, true), (&comparators[0], true)]
            }
            Expr::UnaryOp(ExprUnaryOp { operand, .. }) if !operand.is_literal_expr() => vec![(operand, true)],
            Expr::Subscript(ExprSubscript { value, slice, .. }) => {
                let mut operands = vec![(value.as_ref(), true)];
                match slice.as_ref() {
                    Expr::Slice(slice) => {
                        let ends = [&slice.lower, &slice.upper, &slice.step];
                        operands.extend(ends.into_iter().flatten().map(|it| (it.as_ref(), false)));
                    }
                    index => operands.push((index, false)),
                }
                operands
            }
            Expr::Call(call) => return self.call(call, prefix),
            Expr::ListComp(comprehension) => {
                let made =
                    self.comprehension(comprehension.range(), &comprehension.elt, &comprehension.generators);
                return self.comprehended(comprehension, made, prefix);
            }
            Expr::If(ExprIf { test, body, orelse, .. }) => {
                let edits = [body, test, orelse].map(|it| (it.range(), self.expression(it, "")));
                return self.splice(expr.range(), &edits);
            }
            Expr::List(list) => {
                let edits: Vec<Edit> =
                    list.elts.iter().map(|it| (it.range(), self.expression(it, ""))).collect();
                return self.splice(expr.range(), &edits);
            }
            _ => return self.text(expr.range()).to_owned(),
        };
        self.done(expr.range(), &operands, prefix)
    }

    fn call(&self, call: &ExprCall, prefix: &str) -> String {
        let mut operands: Vec<(&Expr, bool)> = Vec::new();
        if let Expr::Attribute(ExprAttribute { value, .. }) = call.func.as_ref() {
            operands.push((value, true));
        }
        operands.extend(call.arguments.args.iter().map(|it| (it, false)));
        let is_lazy = matches!(call.func.as_ref(), Expr::Name(name) if LAZY.contains(&name.id.as_str()));
        if is_lazy {
            let edits: Vec<Edit> =
                operands.iter().map(|(it, _)| (it.range(), self.expression(it, ""))).collect();
            return self.splice(call.range(), &edits);
        }
        self.done(call.range(), &operands, prefix)
    }

    /// The iterable is worked out first, and each item as it comes.
    fn comprehension(
        &self,
        range: TextRange,
        element: &Expr,
        generators: &[ruff_python_ast::Comprehension],
    ) -> String {
        let mut edits = vec![(element.range(), self.expression(element, ""))];
        for generator in generators {
            edits.push((generator.iter.range(), self.expression(&generator.iter, "")));
            edits.extend(generator.ifs.iter().map(|it| (it.range(), self.expression(it, ""))));
        }
        self.splice(range, &edits)
    }

    fn comprehended(&self, comprehension: &ExprListComp, made: String, prefix: &str) -> String {
        let iterable = &comprehension.generators[0].iter;
        let text = match iterable {
            Expr::Name(name) => {
                let shown = self.splice(comprehension.range(), &[(iterable.range(), VALUE.to_owned())]);
                return format!("_done({:?}, lambda a: {made}, {})", pattern(prefix, &shown), name.id);
            }
            _ => self.text(comprehension.range()),
        };
        format!("_named({:?}, {made})", format!("{prefix}{text} = "))
    }

    /// `_done` with the operation on its operands. Literals stay where they are; parentheses around an operand, where it may
    /// have some of its own, go when it has become a value.
    fn done(&self, range: TextRange, operands: &[(&Expr, bool)], prefix: &str) -> String {
        let (mut shown, mut computed, mut names, mut values) = (vec![], vec![], vec![], vec![]);
        for (operand, may_be_enclosed) in operands.iter().filter(|(it, _)| !it.is_literal_expr()) {
            let name = ((b'a' + names.len() as u8) as char).to_string();
            let own = if *may_be_enclosed { self.enclosed(operand.range(), range) } else { operand.range() };
            shown.push((own, VALUE.to_owned()));
            computed.push((own, name.clone()));
            names.push(name);
            values.push(match operand {
                // What is shown has to be a value, so a list.
                Expr::Generator(it) => {
                    let made = self.comprehension(it.range(), &it.elt, &it.generators);
                    format!(
                        "[{}]",
                        made.strip_prefix('(').and_then(|it| it.strip_suffix(')')).unwrap_or(&made)
                    )
                }
                _ => self.expression(operand, ""),
            });
        }
        let text = self.splice(range, &shown);
        let operation = self.splice(range, &computed);
        let values: String = values.iter().map(|it| format!(", {it}")).collect();
        format!("_done({:?}, lambda {}: {operation}{values})", pattern(prefix, &text), names.join(", "))
    }

    /// The range with the parentheses around it, inside of `outer`.
    fn enclosed(&self, range: TextRange, outer: TextRange) -> TextRange {
        let one = TextSize::from(1);
        let before = self.source[..range.start().to_usize()].ends_with('(');
        let after = self.source[range.end().to_usize()..].starts_with(')');
        let inside = outer.start() < range.start() && range.end() < outer.end();
        match before && after && inside {
            true => TextRange::new(range.start() - one, range.end() + one),
            false => range,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_written_with_their_values() {
        let source = "def f(x):\n    y = (x + 3) * 2\n    return y > 4";
        let program = with_working(source).unwrap();
        let body = program.strip_prefix(HEAD).unwrap().strip_suffix(TAIL).unwrap();
        assert_eq!(
            body,
            "def _f(x):\n    y = _done(\"y = {} * 2\", lambda a: a * 2, _done(\"{} + 3\", lambda a: a + 3, x))\n    \
             return _done(\"{} > 4\", lambda a: a > 4, y)"
        );
        assert_eq!(with_working("def f(x:\n"), None);
    }
}
