//! Composite programs (azr.md section 10): earlier programs become helpers `g_0`, `g_1` and so on, a new program has to
//! call them, and what runs is their imports, their definitions and then the program.

use std::collections::HashMap;
use std::fmt;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Alias, Expr, ExprCall, Stmt, StmtFunctionDef};
use ruff_text_size::{Ranged, TextSize};

use super::entry::{ENTRY, renamed};
use super::render_import;
use super::scopes::{Binding, MentionRole, Scopes};
use crate::syntax;

/// An earlier program as a function that another can call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helper {
    /// `g_0`, `g_1` and so on.
    pub name: String,
    /// What its function needs, a statement each.
    pub imports: Vec<String>,
    /// Its function, under its new name.
    pub definition: String,
    /// What the imports bind, and to what.
    bound: Vec<(String, String)>,
}

/// A program that calls all of its helpers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composite {
    /// Imports and definitions of the helpers, then the program.
    pub source: String,
    /// The entry does nothing but return what a helper makes of names and constants.
    pub is_wrapper: bool,
}

/// Why a program is no composite of its helpers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// It binds a name that belongs to a helper.
    Redefined(String),
    /// Its entry does not call this helper.
    NotCalled(String),
    /// It hands a helper a name that nothing binds.
    OutOfScope(String),
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misuse::Redefined(name) => write!(f, "`{name}` belongs to a helper and is defined anew"),
            Misuse::NotCalled(name) => write!(f, "`{name}` is not called inside `f`"),
            Misuse::OutOfScope(name) => write!(f, "`{name}`, an argument of a helper, is bound nowhere"),
        }
    }
}

impl Helper {
    /// The program as helper number `index`. `None` where more stands at its top level than imports and one function,
    /// which would meet the names of whatever calls it, or where the function cannot be renamed.
    pub fn new(program: &str, index: usize) -> Option<Helper> {
        let name = format!("g_{index}");
        let source = syntax::normalise(program);
        let source = {
            let parsed = syntax::parse_module(&source).ok()?;
            let body = &parsed.syntax().body;
            let scopes = Scopes::of(body);
            let mut own = import_bindings(body)?;
            own.push((ENTRY.to_owned(), String::new()));
            let is_plain = scopes.module_names().all(|it| own.iter().any(|(name, _)| name == it));
            let n_functions = body.iter().filter(|it| matches!(it, Stmt::FunctionDef(_))).count();
            if !is_plain || n_functions != 1 || entry_of(body)?.is_async || scopes.module_binds(&name) {
                return None;
            }
            renamed(&source, ENTRY, &name, &scopes)?
        };
        let parsed = syntax::parse_module(&source).ok()?;
        let body = &parsed.syntax().body;
        let mut helper =
            Helper { name, imports: Vec::new(), definition: String::new(), bound: import_bindings(body)? };
        for stmt in body {
            match stmt {
                Stmt::Import(_) | Stmt::ImportFrom(_) => helper.imports.push(render_import(stmt)),
                Stmt::FunctionDef(_) => helper.definition = source[stmt.range()].to_owned(),
                _ => return None,
            }
        }
        let is_reserved = |it: &str| it == ENTRY || is_helper_name(it);
        (!helper.bound.iter().any(|(bound, _)| is_reserved(bound))).then_some(helper)
    }

    /// Whether both can stand in one program: no name is imported as two things.
    pub fn goes_with(&self, other: &Helper) -> bool {
        let differs = |(name, what): &(String, String)| {
            other.bound.iter().any(|(other_name, other_what)| name == other_name && what != other_what)
        };
        !self.bound.iter().any(differs)
    }

    /// Imports and definition, as a program shows them.
    pub fn source(&self) -> String {
        let lines = self.imports.iter().chain([&self.definition]);
        lines.map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Puts `helpers`, which go with each other, before a program whose entry is called `f`.
///
/// # Errors
/// If the program binds a name of theirs, does not call each of them inside its entry, or hands one a name that nothing
/// binds; first of all if it does not parse, when its helpers count as not called.
pub fn compose(helpers: &[Helper], program: &str) -> Result<Composite, Misuse> {
    let parsed = syntax::parse_module(program).map_err(|_| not_called(helpers))?;
    let body = &parsed.syntax().body;
    let scopes = Scopes::of(body);
    if let Some(name) = redefined(helpers, body, &scopes) {
        return Err(Misuse::Redefined(name));
    }
    let entry = entry_of(body).ok_or_else(|| not_called(helpers))?;
    let places: HashMap<TextSize, usize> =
        scopes.mentions.iter().map(|it| (it.range.start(), it.scope)).collect();
    let mut calls = Calls { helpers, places: &places, scopes: &scopes, made: Vec::new() };
    calls.visit_stmt(body_statement(body, entry));
    let made = calls.made;
    let is_called = |helper: &&Helper| !made.iter().any(|(name, _)| *name == helper.name);
    if let Some(missing) = helpers.iter().find(is_called) {
        return Err(Misuse::NotCalled(missing.name.clone()));
    }
    let mut arguments = Arguments { helpers, places: &places, scopes: &scopes, stray: None };
    made.iter().for_each(|(_, call)| arguments.visit_arguments(&call.arguments));
    if let Some(name) = arguments.stray {
        return Err(Misuse::OutOfScope(name));
    }
    let mut blocks: Vec<String> = Vec::new();
    let mut imports: Vec<&str> = Vec::new();
    for import in helpers.iter().flat_map(|it| &it.imports) {
        if !imports.contains(&import.as_str()) {
            imports.push(import);
        }
    }
    if !imports.is_empty() {
        blocks.push(imports.join("\n"));
    }
    blocks.extend(helpers.iter().map(|it| it.definition.clone()));
    blocks.push(program.to_owned());
    Ok(Composite { source: blocks.join("\n\n"), is_wrapper: is_wrapper(helpers, entry) })
}

fn not_called(helpers: &[Helper]) -> Misuse {
    Misuse::NotCalled(helpers.first().map(|it| it.name.clone()).unwrap_or_default())
}

fn is_helper_name(name: &str) -> bool {
    name.strip_prefix("g_").is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|it| it.is_ascii_digit()))
}

/// What the import statements of a module's top level bind, and to what. `None` where that cannot be said, or where the
/// statement only counts at the top of a file.
fn import_bindings(body: &[Stmt]) -> Option<Vec<(String, String)>> {
    let mut bound = Vec::new();
    for stmt in body {
        match stmt {
            Stmt::Import(import) => bound.extend(import.names.iter().map(plain_binding)),
            Stmt::ImportFrom(import) => {
                let module =
                    import.module.as_deref().filter(|it| import.level == 0 && *it != "__future__")?;
                for alias in &import.names {
                    if alias.name.as_str() == "*" {
                        return None;
                    }
                    let name = alias.asname.as_ref().unwrap_or(&alias.name);
                    bound.push((name.to_string(), format!("{module}:{}", alias.name)));
                }
            }
            _ => {}
        }
    }
    Some(bound)
}

/// `import a.b` binds `a` to the package, `import a.b as c` binds `c` to the module.
fn plain_binding(alias: &Alias) -> (String, String) {
    let whole = alias.name.as_str();
    let top = whole.split('.').next().unwrap_or(whole);
    match &alias.asname {
        Some(name) => (name.to_string(), whole.to_owned()),
        None => (top.to_owned(), top.to_owned()),
    }
}

/// The name of a helper, or one that a helper imports, that the program binds to something else.
fn redefined(helpers: &[Helper], body: &[Stmt], scopes: &Scopes<'_>) -> Option<String> {
    let own = import_bindings(body);
    let is_same = |name: &str, what: &str| {
        // What cannot be said of all imports can be said of none.
        let Some(own) = &own else { return false };
        let imports = own.iter().filter(|(own_name, _)| own_name == name);
        let n_bindings = scopes
            .mentions
            .iter()
            .filter(|it| matches!(it.role, MentionRole::Bind | MentionRole::Import))
            .filter(|it| it.name == name && scopes.resolve(name, it.scope) == Binding::Module)
            .count();
        imports.clone().all(|(_, own_what)| own_what == what) && imports.count() == n_bindings
    };
    helpers.iter().find_map(|helper| {
        if scopes.module_binds(&helper.name) {
            return Some(helper.name.clone());
        }
        let clash = |(name, what): &&(String, String)| scopes.module_binds(name) && !is_same(name, what);
        helper.bound.iter().find(clash).map(|(name, _)| name.clone())
    })
}

/// The function called `f`, or the one that a last line `f = name` names.
fn entry_of(body: &[Stmt]) -> Option<&StmtFunctionDef> {
    let named = |name: &str| {
        let functions = body.iter().rev().filter_map(|stmt| stmt.as_function_def_stmt());
        functions.into_iter().find(|it| it.name.as_str() == name)
    };
    named(ENTRY).or_else(|| match body.last()? {
        Stmt::Assign(assign) => named(assign.value.as_name_expr()?.id.as_str()),
        _ => None,
    })
}

fn body_statement<'a>(body: &'a [Stmt], entry: &StmtFunctionDef) -> &'a Stmt {
    body.iter().find(|it| it.range() == entry.range).expect("the entry is a statement of the body")
}

/// `return g_0(a, 2)`, whatever names its argument and its result were given on the way: nothing is computed but by one
/// call of a helper. Docstrings and `pass` are nothing.
fn is_wrapper(helpers: &[Helper], entry: &StmtFunctionDef) -> bool {
    let mut n_calls = 0;
    let mut is_plain = |expr: &Expr| match expr {
        Expr::Call(call) => {
            n_calls += 1;
            is_plain_call(helpers, call)
        }
        it => is_operand(it),
    };
    let names = |targets: &[Expr]| targets.iter().all(Expr::is_name_expr);
    let is_thin = entry.body.iter().all(|stmt| match stmt {
        Stmt::Pass(_) => true,
        Stmt::Expr(it) => it.value.is_string_literal_expr(),
        Stmt::Assign(it) => names(&it.targets) && is_plain(&it.value),
        Stmt::AnnAssign(it) => it.target.is_name_expr() && it.value.as_deref().is_none_or(&mut is_plain),
        Stmt::Return(it) => it.value.as_deref().is_some_and(&mut is_plain),
        _ => false,
    });
    is_thin && n_calls == 1
}

/// A call of a helper with names and constants.
fn is_plain_call(helpers: &[Helper], call: &ExprCall) -> bool {
    let Expr::Name(name) = call.func.as_ref() else { return false };
    let is_plain = |expr: &Expr| match expr {
        Expr::Starred(it) => it.value.is_name_expr(),
        it => is_operand(it),
    };
    helpers.iter().any(|it| it.name == name.id.as_str())
        && call.arguments.args.iter().all(is_plain)
        && call.arguments.keywords.iter().all(|it| is_plain(&it.value))
}

fn is_operand(expr: &Expr) -> bool {
    expr.is_name_expr() || expr.is_literal_expr()
}

/// Calls of helpers, wherever they stand in a function.
struct Calls<'a, 'b> {
    helpers: &'b [Helper],
    places: &'b HashMap<TextSize, usize>,
    scopes: &'b Scopes<'a>,
    made: Vec<(&'a str, &'a ExprCall)>,
}

impl<'a> Visitor<'a> for Calls<'a, '_> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Call(call) = expr
            && let Expr::Name(name) = call.func.as_ref()
            && self.helpers.iter().any(|it| it.name == name.id.as_str())
        {
            // A parameter of the same name is another function.
            let scope = self.places.get(&name.start());
            if scope.is_some_and(|&it| self.scopes.resolve(&name.id, it) == Binding::Unbound) {
                self.made.push((&name.id, call));
            }
        }
        visitor::walk_expr(self, expr);
    }
}

/// Names in the arguments of helpers.
struct Arguments<'a, 'b> {
    helpers: &'b [Helper],
    places: &'b HashMap<TextSize, usize>,
    scopes: &'b Scopes<'a>,
    stray: Option<String>,
}

impl<'a> Visitor<'a> for Arguments<'a, '_> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::Name(name) = expr {
            let id = name.id.as_str();
            let scope = self.places.get(&name.start());
            let is_bound = scope.is_some_and(|&it| self.scopes.resolve(id, it) != Binding::Unbound);
            let is_helpers = self.helpers.iter().any(|helper| helper.name == id);
            if !is_bound && !is_helpers && !BUILTINS.split(' ').any(|it| it == id) && self.stray.is_none() {
                self.stray = Some(id.to_owned());
            }
        }
        visitor::walk_expr(self, expr);
    }
}

/// Functions and types that every program can name (Python's documentation, "Built-in Functions"), without what
/// [`super::Policy::Kelvin`] forbids.
const BUILTINS: &str = "abs all any ascii bin bool bytearray bytes callable chr classmethod complex delattr dict dir divmod \
     enumerate filter float format frozenset getattr hasattr hex int isinstance issubclass iter len list \
     map max memoryview min next object oct ord pow print property range repr reversed round set setattr \
     slice sorted staticmethod str sum super tuple type zip";

#[cfg(test)]
mod tests {
    use super::*;

    fn helper(program: &str, index: usize) -> Helper {
        Helper::new(program, index).unwrap_or_else(|| panic!("no helper: {program}"))
    }

    fn two() -> Vec<Helper> {
        vec![
            helper(
                "import math\n# a comment\ndef f(n):\n    return n * f(n - 1) if n > 1 else math.floor(1.5)",
                0,
            ),
            helper("from functools import lru_cache\n@lru_cache\ndef f(a, b=2):\n    return a + b\n", 1),
        ]
    }

    #[test]
    fn a_program_becomes_a_helper_under_another_name() {
        let [first, second] = two().try_into().unwrap();
        assert_eq!(
            first.source(),
            "import math\ndef g_0(n):\n    return n * g_0(n - 1) if n > 1 else math.floor(1.5)"
        );
        assert_eq!(
            second.source(),
            "from functools import lru_cache\n@lru_cache\ndef g_1(a, b=2):\n    return a + b"
        );
    }

    #[test]
    fn programs_with_more_than_one_function_are_no_helpers() {
        for program in [
            "def h(x):\n    return x\ndef f(x):\n    return h(x)",
            "class A:\n    pass\ndef f(x):\n    return x",
            "n = 1\ndef f(x):\n    return x",
            "def f(x):\n    global n\n    n = x\n    return n",
            "from __future__ import annotations\ndef f(x):\n    return x",
            "from math import *\ndef f(x):\n    return x",
            "import math as g_1\ndef f(x):\n    return g_1.floor(x)",
            "def f(x):\n    g_0 = x\n    return f(g_0) if x else 0",
            "def h(x):\n    return x\nf = h",
            "async def f(x):\n    return x",
            "def f(x:",
        ] {
            assert_eq!(Helper::new(program, 0), None, "{program}");
        }
    }

    #[test]
    fn helpers_that_import_a_name_as_two_things_do_not_go_together() {
        let of = |line: &str| helper(&format!("{line}\ndef f(x):\n    return m.sqrt(x)"), 0);
        assert!(of("import math as m").goes_with(&of("import math as m")));
        assert!(!of("import math as m").goes_with(&of("import cmath as m")));
        assert!(of("import collections").goes_with(&of("import collections.abc")));
    }

    #[test]
    fn a_composite_has_its_helpers_before_it() {
        let program =
            "import math\ndef f(x):\n    y = [g_0(i) for i in range(x)]\n    return g_1(sum(y), b=math.pi)";
        let composite = compose(&two(), program).unwrap();
        assert!(!composite.is_wrapper);
        assert_eq!(
            composite.source,
            format!(
                "import math\nfrom functools import lru_cache\n\ndef g_0(n):\n    return n * g_0(n - 1) if n > 1 else \
                 math.floor(1.5)\n\n@lru_cache\ndef g_1(a, b=2):\n    return a + b\n\n{program}"
            )
        );
    }

    #[test]
    fn every_misuse() {
        let redefined = |name: &str| Misuse::Redefined(name.into());
        let not_called = |name: &str| Misuse::NotCalled(name.into());
        for (program, misuse) in [
            ("def g_0(x):\n    return x\ndef f(x):\n    return g_1(g_0(x))", redefined("g_0")),
            ("g_1 = len\ndef f(x):\n    return g_1(g_0(x))", redefined("g_1")),
            ("def f(x):\n    global g_1\n    g_1 = len\n    return g_1(g_0(x))", redefined("g_1")),
            ("import cmath as math\ndef f(x):\n    return g_1(g_0(x))", redefined("math")),
            ("import math\nmath = 3\ndef f(x):\n    return g_1(g_0(x))", redefined("math")),
            ("def f(x):\n    return g_0(x)", not_called("g_1")),
            ("def h(x):\n    return g_1(x)\ndef f(x):\n    return g_0(x)", not_called("g_1")),
            ("def f(x, g_1=len):\n    return g_1(g_0(x))", not_called("g_1")),
            ("def f(x):\n    return [g_1, g_0(x)]", not_called("g_1")),
            ("x = 3", not_called("g_0")),
            ("def f(x):\n    return g_1(g_0(z))", Misuse::OutOfScope("z".into())),
            ("def f(x):\n    return g_1(g_0(x), b=[q for p in x])", Misuse::OutOfScope("q".into())),
        ] {
            assert_eq!(compose(&two(), program), Err(misuse), "{program}");
        }
    }

    #[test]
    fn wrappers() {
        let helpers = [helper("def f(a, *rest, k=1):\n    return a", 0)];
        let is_wrapper = |body: &str| {
            compose(&helpers, &format!("def f(x):\n    {body}"))
                .unwrap_or_else(|it| panic!("{it}"))
                .is_wrapper
        };
        assert!(is_wrapper("return g_0(x)"));
        assert!(is_wrapper("'''Calls it.'''\n    return g_0(1, *x, k=None)"));
        assert!(is_wrapper("y = g_0(x)\n    return y"));
        assert!(is_wrapper("y: int = x\n    pass\n    z = w = g_0(y, k=1)\n    return z"));
        assert!(!is_wrapper("y = g_0(x)\n    y += 1\n    return y"));
        assert!(!is_wrapper("y = g_0(x)\n    return [y]"));
        assert!(!is_wrapper("if x:\n        return g_0(x)\n    return x"));
        assert!(!is_wrapper("return g_0(x) + 1"));
        assert!(!is_wrapper("return g_0(g_0(x))"));
        assert!(!is_wrapper("x += 1\n    return g_0(x)"));
    }

    #[test]
    fn a_function_that_another_name_calls_f_is_the_entry_too() {
        let helpers = [helper("def f(a):\n    return a", 0)];
        assert!(compose(&helpers, "def h(x):\n    f = 1\n    return g_0(x) + f\nf = h").is_ok());
    }
}
