//! Which binding a name refers to. Bindings are collected without regard to control flow, as CPython's symbol table
//! does it.

use std::collections::HashSet;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    Comprehension, ExceptHandler, Expr, ExprContext, Identifier, InterpolatedStringElement, Parameters,
    Pattern, Stmt,
};
use ruff_text_size::TextRange;

/// Every scope of a module and every place that names something.
pub(crate) struct Scopes<'a> {
    scopes: Vec<Scope<'a>>,
    pub(crate) mentions: Vec<Mention<'a>>,
    pub(crate) attributes: Vec<&'a str>,
    pub(crate) imports: Vec<&'a Stmt>,
    pub(crate) calls: Vec<(&'a str, &'a [Expr])>,
}

struct Scope<'a> {
    kind: ScopeKind,
    /// Empty for what has no name.
    name: &'a str,
    parent: usize,
    bound: HashSet<&'a str>,
    global: HashSet<&'a str>,
    nonlocal: HashSet<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ScopeKind {
    Module,
    Class,
    Function,
    Comprehension,
}

/// One place that names something.
pub(crate) struct Mention<'a> {
    pub(crate) name: &'a str,
    pub(crate) range: TextRange,
    pub(crate) scope: usize,
    pub(crate) role: MentionRole,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MentionRole {
    /// Reads the name.
    Load,
    /// Reads it inside `f"{name=}"`, whose output shows the source.
    ShownLoad,
    /// A top-level or nested `def`, an assignment, a loop, a `global` statement: anything whose text is the name.
    Bind,
    /// `import name`, whose text says what is imported.
    Import,
}

/// What a name refers to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    /// A variable of the module.
    Module,
    /// A variable of a function, class or comprehension.
    Local,
    /// Nothing in the program binds it: a builtin, or an error.
    Unbound,
}

const MODULE: usize = 0;

impl<'a> Scopes<'a> {
    pub(crate) fn of(body: &'a [Stmt]) -> Scopes<'a> {
        let module = Scope::new(ScopeKind::Module, "", MODULE);
        let scopes = Scopes {
            scopes: vec![module],
            mentions: Vec::new(),
            attributes: Vec::new(),
            imports: Vec::new(),
            calls: Vec::new(),
        };
        let mut builder = Builder { scopes, current: MODULE, is_shown: false };
        builder.visit_body(body);
        builder.scopes
    }

    /// What `name` refers to in `scope`.
    pub(crate) fn resolve(&self, name: &str, scope: usize) -> Binding {
        match self.home(name, scope) {
            Some(MODULE) => Binding::Module,
            Some(_) => Binding::Local,
            None => Binding::Unbound,
        }
    }

    /// The scope that binds what `name` refers to in `scope`.
    pub(crate) fn home(&self, name: &str, scope: usize) -> Option<usize> {
        let mut current = scope;
        loop {
            let here = &self.scopes[current];
            // A class's names are seen in its body and not in the functions inside it.
            let is_visible = current == scope || here.kind != ScopeKind::Class;
            if here.kind == ScopeKind::Module || here.global.contains(name) {
                return self.scopes[MODULE].bound.contains(name).then_some(MODULE);
            }
            if is_visible && here.bound.contains(name) && !here.nonlocal.contains(name) {
                return Some(current);
            }
            current = here.parent;
        }
    }

    /// How many scopes stand around `scope`.
    pub(crate) fn depth(&self, scope: usize) -> usize {
        let mut current = scope;
        let mut n_outer = 0;
        while current != MODULE {
            current = self.scopes[current].parent;
            n_outer += 1;
        }
        n_outer
    }

    /// Whether the module binds the name.
    pub(crate) fn module_binds(&self, name: &str) -> bool {
        self.scopes[MODULE].bound.contains(name)
    }

    /// All names that the module binds.
    pub(crate) fn module_names(&self) -> impl Iterator<Item = &'a str> {
        self.scopes[MODULE].bound.iter().copied()
    }

    /// Whether `scope` is a class body, where a name may be read before the class binds it.
    pub(crate) fn is_class(&self, scope: usize) -> bool {
        self.scopes[scope].kind == ScopeKind::Class
    }

    /// Whether `scope` lies in a function of this name.
    pub(crate) fn is_within_function(&self, scope: usize, name: &str) -> bool {
        let mut current = scope;
        while current != MODULE {
            let here = &self.scopes[current];
            if here.kind == ScopeKind::Function && here.name == name {
                return true;
            }
            current = here.parent;
        }
        false
    }
}

impl<'a> Scope<'a> {
    fn new(kind: ScopeKind, name: &'a str, parent: usize) -> Scope<'a> {
        let none = HashSet::new;
        Scope { kind, name, parent, bound: none(), global: none(), nonlocal: none() }
    }
}

struct Builder<'a> {
    scopes: Scopes<'a>,
    current: usize,
    is_shown: bool,
}

impl<'a> Builder<'a> {
    fn within(&mut self, kind: ScopeKind, name: &'a str, visit: impl FnOnce(&mut Builder<'a>)) {
        let outer = self.current;
        self.scopes.scopes.push(Scope::new(kind, name, outer));
        self.current = self.scopes.scopes.len() - 1;
        visit(self);
        self.current = outer;
    }

    fn mention(&mut self, name: &'a str, range: TextRange, role: MentionRole) {
        self.scopes.mentions.push(Mention { name, range, scope: self.current, role });
    }

    /// Binds in the scope the statement stands in, or where a `global` statement says. Where that statement comes
    /// after the binding, CPython refuses the program.
    fn bind(&mut self, name: &'a str, range: TextRange, role: MentionRole) {
        let scope = &mut self.scopes.scopes[self.current];
        if scope.global.contains(name) {
            self.scopes.scopes[MODULE].bound.insert(name);
        } else {
            scope.bound.insert(name);
        }
        self.mention(name, range, role);
    }

    fn bind_identifier(&mut self, identifier: &'a Identifier) {
        self.bind(identifier.as_str(), identifier.range, MentionRole::Bind);
    }

    fn bind_parameters(&mut self, parameters: &'a Parameters) {
        for parameter in parameters {
            self.bind_identifier(&parameter.as_parameter().name);
        }
    }

    fn comprehension(&mut self, generators: &'a [Comprehension], elements: &[&'a Expr]) {
        let Some(first) = generators.first() else { return };
        self.visit_expr(&first.iter);
        self.within(ScopeKind::Comprehension, "", |inner| {
            for (generator_idx, generator) in generators.iter().enumerate() {
                if generator_idx > 0 {
                    inner.visit_expr(&generator.iter);
                }
                inner.visit_expr(&generator.target);
                generator.ifs.iter().for_each(|test| inner.visit_expr(test));
            }
            elements.iter().for_each(|element| inner.visit_expr(element));
        });
    }

    /// A walrus binds outside the comprehensions around it.
    fn bind_outside_comprehensions(&mut self, target: &'a Expr) {
        let Expr::Name(name) = target else { return };
        let inner = self.current;
        while self.scopes.scopes[self.current].kind == ScopeKind::Comprehension {
            self.current = self.scopes.scopes[self.current].parent;
        }
        self.bind(&name.id, name.range, MentionRole::Bind);
        self.current = inner;
    }

    fn declare(&mut self, names: &'a [Identifier], is_global: bool) {
        for name in names {
            let scope = &mut self.scopes.scopes[self.current];
            if is_global {
                scope.global.insert(name.as_str());
            } else {
                scope.nonlocal.insert(name.as_str());
            }
            self.mention(name.as_str(), name.range, MentionRole::Bind);
        }
    }
}

impl<'a> Visitor<'a> for Builder<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(function) => {
                function.decorator_list.iter().for_each(|decorator| self.visit_decorator(decorator));
                // Defaults and annotations belong to the scope around the function.
                self.visit_parameters(&function.parameters);
                function.returns.iter().for_each(|returns| self.visit_annotation(returns));
                self.bind_identifier(&function.name);
                self.within(ScopeKind::Function, function.name.as_str(), |inner| {
                    inner.bind_parameters(&function.parameters);
                    inner.visit_body(&function.body);
                });
            }
            Stmt::ClassDef(class) => {
                class.decorator_list.iter().for_each(|decorator| self.visit_decorator(decorator));
                class.arguments.iter().for_each(|arguments| self.visit_arguments(arguments));
                self.bind_identifier(&class.name);
                self.within(ScopeKind::Class, class.name.as_str(), |inner| inner.visit_body(&class.body));
            }
            Stmt::Import(import) => {
                self.scopes.imports.push(stmt);
                for alias in &import.names {
                    let whole = alias.name.as_str();
                    match &alias.asname {
                        Some(name) => self.bind_identifier(name),
                        None => {
                            let top = whole.split('.').next().unwrap_or(whole);
                            self.bind(top, alias.range, MentionRole::Import);
                        }
                    }
                }
            }
            Stmt::ImportFrom(import) => {
                self.scopes.imports.push(stmt);
                for alias in import.names.iter().filter(|alias| alias.name.as_str() != "*") {
                    match &alias.asname {
                        Some(name) => self.bind_identifier(name),
                        None => self.bind(alias.name.as_str(), alias.range, MentionRole::Import),
                    }
                }
            }
            Stmt::Global(global) => self.declare(&global.names, true),
            Stmt::Nonlocal(nonlocal) => self.declare(&nonlocal.names, false),
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) => match name.ctx {
                ExprContext::Load | ExprContext::Invalid if self.is_shown => {
                    self.mention(&name.id, name.range, MentionRole::ShownLoad);
                }
                ExprContext::Load | ExprContext::Invalid => {
                    self.mention(&name.id, name.range, MentionRole::Load);
                }
                ExprContext::Store | ExprContext::Del => self.bind(&name.id, name.range, MentionRole::Bind),
            },
            Expr::Named(named) => {
                self.visit_expr(&named.value);
                self.bind_outside_comprehensions(&named.target);
            }
            Expr::Lambda(lambda) => {
                lambda.parameters.iter().for_each(|parameters| self.visit_parameters(parameters));
                self.within(ScopeKind::Function, "", |inner| {
                    lambda.parameters.iter().for_each(|parameters| inner.bind_parameters(parameters));
                    inner.visit_expr(&lambda.body);
                });
            }
            Expr::ListComp(comp) => self.comprehension(&comp.generators, &[&comp.elt]),
            Expr::SetComp(comp) => self.comprehension(&comp.generators, &[&comp.elt]),
            Expr::Generator(comp) => self.comprehension(&comp.generators, &[&comp.elt]),
            Expr::DictComp(comp) => {
                let elements: Vec<&Expr> =
                    comp.key.iter().map(AsRef::as_ref).chain([comp.value.as_ref()]).collect();
                self.comprehension(&comp.generators, &elements);
            }
            Expr::Attribute(attribute) => {
                self.scopes.attributes.push(attribute.attr.as_str());
                self.visit_expr(&attribute.value);
            }
            Expr::Call(call) => {
                if let Expr::Name(name) = call.func.as_ref() {
                    self.scopes.calls.push((&name.id, &call.arguments.args));
                }
                visitor::walk_expr(self, expr);
            }
            _ => visitor::walk_expr(self, expr),
        }
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(inner) = handler;
        inner.name.iter().for_each(|name| self.bind_identifier(name));
        visitor::walk_except_handler(self, handler);
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let captured = match pattern {
            Pattern::MatchAs(capture) => capture.name.as_ref(),
            Pattern::MatchStar(capture) => capture.name.as_ref(),
            Pattern::MatchMapping(capture) => capture.rest.as_ref(),
            Pattern::MatchValue(_)
            | Pattern::MatchSingleton(_)
            | Pattern::MatchSequence(_)
            | Pattern::MatchClass(_)
            | Pattern::MatchOr(_) => None,
        };
        captured.into_iter().for_each(|name| self.bind_identifier(name));
        visitor::walk_pattern(self, pattern);
    }

    fn visit_interpolated_string_element(&mut self, element: &'a InterpolatedStringElement) {
        let outer = self.is_shown;
        if let InterpolatedStringElement::Interpolation(interpolation) = element {
            self.is_shown |= interpolation.debug_text.is_some();
        }
        visitor::walk_interpolated_string_element(self, element);
        self.is_shown = outer;
    }
}
