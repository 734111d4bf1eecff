//! Which programs may share a process with others: those whose syntax tree has no way to change anything that outlives
//! them, and none to reach what is not theirs.
//!
//! A program starts with builtins, which are immutable, in a namespace of its own. What is left are the ways out of it:
//! attributes written, attributes that lead into the interpreter, names that do the same by text, classes and coroutines
//! (whose operators run at other times), and modules. Of modules, only the listed contents of the listed ones may be
//! used, and a module may not be passed on. In doubt the answer is no: a program that runs alone costs time, one that
//! does not costs a wrong reward.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, ExprContext, Pattern, Stmt};

use super::scopes::Scopes;

/// Modules whose contents are pure functions and immutable values, with those contents; a star means all names without
/// an underscore in front.
const PURE_MODULES: &[(&str, &str)] = &[
    ("bisect", "*"),
    ("cmath", "*"),
    ("collections", "Counter OrderedDict defaultdict deque namedtuple"),
    ("copy", "copy deepcopy"),
    ("functools", "cmp_to_key partial reduce cache lru_cache"),
    ("heapq", "*"),
    ("itertools", "*"),
    ("math", "*"),
    (
        "operator",
        "abs add and_ concat contains countOf eq floordiv ge getitem gt index indexOf inv invert itemgetter le lshift \
         lt mod mul ne neg not_ or_ pos pow rshift sub truediv truth xor",
    ),
    (
        "re",
        "compile escape findall finditer fullmatch match search split sub subn A ASCII DOTALL I IGNORECASE M MULTILINE S \
         VERBOSE X",
    ),
    (
        "string",
        "ascii_letters ascii_lowercase ascii_uppercase capwords digits hexdigits octdigits printable punctuation whitespace",
    ),
    (
        "typing",
        "Any Callable Collection Counter DefaultDict Deque Dict Final FrozenSet Generator Hashable Iterable Iterator List \
         Literal Mapping NoReturn Optional OrderedDict Sequence Set Sized Text Tuple Type TypeVar Union",
    ),
];

/// Builtins that reach a namespace, an attribute or code by text, or that tell one process from another.
const TELLING_NAMES: &[&str] = &[
    "breakpoint",
    "compile",
    "delattr",
    "dir",
    "eval",
    "exec",
    "exit",
    "getattr",
    "globals",
    "hasattr",
    "hash",
    "help",
    "id",
    "input",
    "locals",
    "memoryview",
    "open",
    "print",
    "quit",
    "setattr",
    "super",
    "vars",
];

/// Methods that change a registry, and attributes that lead to frames and code.
const TELLING_ATTRIBUTES: &[&str] = &["register", "mro", "with_traceback", "obj"];

/// The modules that the program imports, as one word, if it may share a process; programs of one word are a class, for
/// which sharing is turned off when it proves wrong.
pub(super) fn class_of(body: &[Stmt], scopes: &Scopes<'_>) -> Option<String> {
    let mut check = Check { modules: Vec::new(), keeps_to_itself: true };
    // Before all else: a module may be used above the line that imports it.
    scopes.imports.iter().for_each(|it| check.import(it));
    check.visit_body(body);
    let mut modules: Vec<&str> = check.modules.iter().map(|it| it.0).collect();
    modules.sort_unstable();
    modules.dedup();
    check.keeps_to_itself.then(|| modules.join(","))
}

struct Check<'a> {
    /// Modules imported, with the names that they are bound to; none where only contents are imported.
    modules: Vec<(&'static str, Option<&'a str>)>,
    keeps_to_itself: bool,
}

impl<'a> Check<'a> {
    fn require(&mut self, holds: bool) {
        self.keeps_to_itself &= holds;
    }

    fn import(&mut self, import: &'a Stmt) {
        match import {
            Stmt::Import(import) => {
                for alias in &import.names {
                    let bound = alias.asname.as_ref().unwrap_or(&alias.name);
                    self.module(&alias.name, Some(bound.as_str()));
                }
            }
            Stmt::ImportFrom(import) => {
                let module = import.module.as_ref().map_or("", |it| it.as_str());
                let contents = self.module(module, None).unwrap_or_default();
                self.require(import.level == 0);
                for alias in &import.names {
                    self.require(has(contents, &alias.name));
                }
            }
            _ => unreachable!("only import statements are collected"),
        }
    }

    fn module(&mut self, name: &str, bound: Option<&'a str>) -> Option<&'static str> {
        let found = PURE_MODULES.iter().find(|it| it.0 == name);
        self.require(found.is_some());
        let (name, contents) = found?;
        self.modules.push((name, bound));
        Some(contents)
    }

    /// Whether an expression is a module by its name, and which.
    fn module_named(&self, expr: &Expr) -> Option<&'static str> {
        let Expr::Name(name) = expr else { return None };
        self.modules.iter().find(|it| it.1 == Some(name.id.as_str())).map(|it| it.0)
    }
}

fn has(contents: &str, name: &str) -> bool {
    name != "*"
        && !name.starts_with('_')
        && (contents == "*" || contents.split_whitespace().any(|it| it == name))
}

fn contents_of(module: &str) -> &'static str {
    PURE_MODULES.iter().find(|it| it.0 == module).map_or("", |it| it.1)
}

fn is_telling(attribute: &str) -> bool {
    let frame = ["ag_", "co_", "cr_", "f_", "func_", "gi_", "tb_"];
    attribute.starts_with("__")
        || TELLING_ATTRIBUTES.contains(&attribute)
        || frame.iter().any(|it| attribute.starts_with(it))
}

impl<'a> Visitor<'a> for Check<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::ClassDef(_) => self.require(false),
            Stmt::FunctionDef(function) => {
                self.require(!function.is_async && !function.name.starts_with("__"));
            }
            Stmt::For(it) => self.require(!it.is_async),
            Stmt::With(it) => self.require(!it.is_async),
            _ => {}
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Attribute(attribute) => {
                let name = attribute.attr.as_str();
                self.require(attribute.ctx == ExprContext::Load && !is_telling(name));
                if let Some(module) = self.module_named(&attribute.value) {
                    self.require(has(contents_of(module), name));
                    return;
                }
            }
            Expr::Name(name) => {
                let id = name.id.as_str();
                self.require(!id.starts_with("__") && !TELLING_NAMES.contains(&id));
                // A module that is passed on, or a name of one that is bound anew.
                self.require(self.module_named(expr).is_none());
            }
            // `type(name, bases, contents)` is a class in other words.
            Expr::Call(call) => {
                let is_type = matches!(call.func.as_ref(), Expr::Name(name) if name.id == "type");
                self.require(!is_type || call.arguments.len() == 1);
            }
            Expr::Await(_) => self.require(false),
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        // `case C(attribute=x)` reads attributes.
        self.require(!matches!(pattern, Pattern::MatchClass(_)));
        visitor::walk_pattern(self, pattern);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::parse_module;

    fn class(program: &str) -> Option<String> {
        {
            let parsed = parse_module(program).unwrap();
            let body = &parsed.syntax().body;
            class_of(body, &Scopes::of(body))
        }
    }

    #[test]
    fn ordinary_programs_share() {
        for (program, modules) in [
            ("def f(x):\n    return sorted(x)[::-1]", ""),
            ("import math\ndef f(x):\n    return math.gcd(x, 6)", "math"),
            (
                "from collections import Counter as C\nimport itertools as i\ndef f(x):\n    return C(i.chain(x, x))",
                "collections,itertools",
            ),
            (
                "from typing import List\ndef f(x: List[int]):\n    seen = {}\n    seen[1] = x\n    return seen",
                "typing",
            ),
            (
                "def f(x):\n    g = lambda y: y.upper()\n    try:\n        return g(x)\n    except AttributeError as e:\n        return str(e)",
                "",
            ),
            (
                "def f(x):\n    match x:\n        case [a, *_]:\n            return a\n        case _:\n            return 0",
                "",
            ),
        ] {
            assert_eq!(class(program).as_deref(), Some(modules), "{program}");
        }
    }

    #[test]
    fn programs_with_a_way_out_run_alone() {
        for program in [
            "import math\nmath.sqrt = 1\ndef f(x): return x",
            "import math as m\ndef f(x):\n    n = m\n    return n",
            "import math\ndef f(x): return [math]",
            "import typing\ndef f(x): return typing.sys.modules.clear()",
            "from typing import sys\ndef f(x): return x",
            "from math import *\ndef f(x): return x",
            "import collections.abc\ndef f(x): return x",
            "import json\ndef f(x): return x",
            "from . import math\ndef f(x): return x",
            "from operator import attrgetter\ndef f(x): return attrgetter('__class__')(x)",
            "from functools import wraps\ndef f(x): return x",
            "def f(x): return x.__class__",
            "def f(x): return (i for i in x).gi_frame",
            "def f(x): return getattr(x, 'a')",
            "def f(x):\n    g = setattr\n    return x",
            "def f(x): return __builtins__",
            "def f(x):\n    x.a = 1\n    return x",
            "def f(x):\n    del x.a",
            "def f(x):\n    for x.a in [1]: pass",
            "class A: pass\ndef f(x): return x",
            "async def g(): pass\ndef f(x): return x",
            "def f(x):\n    match x:\n        case object(__class__=c):\n            return c",
            "def f(x):\n    return f'{x.__class__}'",
            "def f(x): return print(x)",
            "def f(x): return eval('x')",
            "def f(x): return type('A', (), {'__del__': print})()",
            "def f(x):\n    import os\n    return x",
        ] {
            assert_eq!(class(program), None, "{program}");
        }
    }

    /// A module bound after its use in the text is still a module when the function runs.
    #[test]
    fn the_order_of_the_text_does_not_matter() {
        assert_eq!(class("def f(x): return [m]\nimport math as m"), None);
        assert_eq!(class("def f(x): return m.sqrt\nimport math as m"), Some("math".into()));
        assert_eq!(class("def f(x): return t.sys\nimport typing as t"), None);
    }
}
