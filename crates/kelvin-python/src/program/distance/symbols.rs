//! A program as the symbols that are compared.
//!
//! A variable is a symbol of two numbers: how many scopes stand around the one that binds it, and how many
//! variables of that scope appear before it. Names that nothing in the program binds, and those that an import
//! binds, stay as they are, as do attributes and keyword arguments.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use ruff_python_ast::token::TokenKind;
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{BytesLiteral, Expr, InterpolatedStringElement, ModModule, StringLiteral};
use ruff_python_parser::Parsed;
use ruff_text_size::{Ranged, TextSize};

use crate::program::scopes::{MentionRole, Scopes};
use crate::syntax;

/// One thing that two programs have in common or not.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) enum Symbol<'a> {
    /// A keyword, an operator, a bracket, the end of a line or of a block.
    Mark(TokenKind),
    /// A name that is kept.
    Name(&'a str),
    /// A variable.
    Variable { depth: usize, nth: usize },
    /// A number: its type and value.
    Number(String),
    /// One part of a string, or the text between the braces of an f-string.
    Text(&'a str),
    /// One part of a bytes literal.
    Bytes(&'a [u8]),
    /// A line of a text that is no program.
    Line(&'a str),
}

/// A text and its parse.
pub(super) struct Text<'a> {
    source: Cow<'a, str>,
    parsed: Option<Parsed<ModModule>>,
}

impl<'a> Text<'a> {
    pub(super) fn read(text: &'a str) -> Text<'a> {
        let source = syntax::normalise(text);
        let parsed = syntax::parse_module(&source).ok();
        Text { source, parsed }
    }

    pub(super) fn symbols(&self) -> Vec<Symbol<'_>> {
        let Some(parsed) = &self.parsed else { return self.source.lines().map(Symbol::Line).collect() };
        let mut literals = Literals::default();
        literals.visit_body(&parsed.syntax().body);
        let mut by_start = literals.by_start;
        by_start.extend(variables(&Scopes::of(&parsed.syntax().body)));
        let mut symbols: Vec<Symbol<'_>> = Vec::new();
        for token in parsed.tokens() {
            let symbol = match token.kind() {
                TokenKind::Comment | TokenKind::NonLogicalNewline | TokenKind::EndOfFile => continue,
                TokenKind::Semi | TokenKind::Newline => Symbol::Mark(TokenKind::Newline),
                kind => by_start.remove(&token.start()).unwrap_or_else(|| match kind {
                    TokenKind::Name => Symbol::Name(&self.source[token.range()]),
                    kind => Symbol::Mark(kind),
                }),
            };
            // A semicolon may stand at the end of a line.
            if symbol != Symbol::Mark(TokenKind::Newline) || symbols.last() != Some(&symbol) {
                symbols.push(symbol);
            }
        }
        symbols
    }
}

/// Where variables stand.
fn variables<'a>(scopes: &Scopes<'a>) -> Vec<(TextSize, Symbol<'a>)> {
    let mut found = Vec::with_capacity(scopes.mentions.len());
    let mut imported: HashSet<(usize, &str)> = HashSet::new();
    for mention in &scopes.mentions {
        let Some(home) = scopes.home(mention.name, mention.scope) else { continue };
        if mention.role == MentionRole::Import {
            imported.insert((home, mention.name));
        }
        found.push((mention.range.start(), home, mention.name));
    }
    found.retain(|(_, home, name)| !imported.contains(&(*home, *name)));
    // Mentions come in the order in which scopes are walked: a default before the name of its function.
    found.sort_unstable();
    let mut known: HashMap<usize, HashMap<&str, usize>> = HashMap::new();
    let symbols = found.into_iter().map(|(start, home, name)| {
        let of_scope = known.entry(home).or_default();
        let n_known = of_scope.len();
        let nth = *of_scope.entry(name).or_insert(n_known);
        (start, Symbol::Variable { depth: scopes.depth(home), nth })
    });
    symbols.collect()
}

/// Where literals stand that are more than their token's kind.
#[derive(Default)]
struct Literals<'a> {
    by_start: HashMap<TextSize, Symbol<'a>>,
}

impl<'a> Visitor<'a> for Literals<'a> {
    fn visit_expr(&mut self, expr: &'a Expr) {
        if let Expr::NumberLiteral(literal) = expr {
            self.by_start.insert(literal.start(), Symbol::Number(format!("{:?}", literal.value)));
        }
        visitor::walk_expr(self, expr);
    }

    fn visit_string_literal(&mut self, literal: &'a StringLiteral) {
        self.by_start.insert(literal.start(), Symbol::Text(&literal.value));
    }

    fn visit_bytes_literal(&mut self, literal: &'a BytesLiteral) {
        self.by_start.insert(literal.start(), Symbol::Bytes(&literal.value));
    }

    fn visit_interpolated_string_element(&mut self, element: &'a InterpolatedStringElement) {
        if let InterpolatedStringElement::Literal(literal) = element {
            self.by_start.insert(literal.start(), Symbol::Text(&literal.value));
        }
        visitor::walk_interpolated_string_element(self, element);
    }
}
