//! What CPython refuses and the parser reads over: found by comparing the two on mutated programs.

use ruff_python_ast::token::{TokenKind, Tokens};
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{
    Expr, FString, InterpolatedStringElement, Operator, Pattern, PythonVersion, Stmt, UnaryOp,
};
use ruff_python_parser::{ParseError, ParseErrorType};
use ruff_text_size::{Ranged, TextRange, TextSize};

/// Where the first such error stands, and what is wrong.
pub(super) fn first_error<'a>(
    source: &str,
    tokens: &'a Tokens,
    body: &'a [Stmt],
    version: PythonVersion,
) -> Option<(TextSize, &'static str)> {
    let by_tokens =
        || inconsistent_indentation(source, tokens).or_else(|| broken_pair(source, tokens, version));
    let by_tree = || {
        let mut walk = Walk { tokens, version, n_specs_around: 0, error: None };
        walk.visit_body(body);
        walk.error
    };
    by_tokens().or_else(by_tree)
}

/// Whether the parser complains about what Python reads: a semicolon after a `raise` without an exception, and the
/// names `match`, `case` and `type` after a semicolon.
pub(super) fn is_no_error(tokens: &Tokens, error: &ParseError) -> bool {
    let is_statement = matches!(error.error, ParseErrorType::SimpleAndCompoundStatementOnSameLine);
    let mut pairs = tokens.windows(2);
    pairs.any(|pair| {
        pair[1].start() == error.location.start()
            && match (pair[0].kind(), pair[1].kind()) {
                (TokenKind::Raise, TokenKind::Semi) => true,
                (TokenKind::Semi, TokenKind::Name) => is_statement,
                _ => false,
            }
    })
}

/// One level of indentation, measured with tabs that reach to the next multiple of eight, and of one. CPython
/// wants both to say the same.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Indentation {
    wide: usize,
    narrow: usize,
}

fn inconsistent_indentation(source: &str, tokens: &Tokens) -> Option<(TextSize, &'static str)> {
    let mut levels = vec![Indentation { wide: 0, narrow: 0 }];
    let mut line_start = TextSize::new(0);
    let mut is_first = true;
    for token in tokens {
        match token.kind() {
            TokenKind::Comment | TokenKind::Indent | TokenKind::Dedent | TokenKind::EndOfFile => continue,
            TokenKind::Newline => {
                is_first = true;
                line_start = token.end();
                continue;
            }
            TokenKind::NonLogicalNewline => {
                line_start = token.end();
                continue;
            }
            _ if !is_first => continue,
            _ => is_first = false,
        }
        let here = indentation(&source[TextRange::new(line_start, token.start())]);
        let n_levels = levels.len();
        while levels.len() > 1 && levels.last().is_some_and(|level| here.wide < level.wide) {
            levels.pop();
        }
        let level = *levels.last().expect("the outermost level is never popped");
        if here == level {
            continue;
        }
        if levels.len() < n_levels && here.wide != level.wide {
            return Some((token.start(), "unindent does not match any outer indentation level"));
        }
        if here.wide <= level.wide || here.narrow <= level.narrow {
            return Some((token.start(), "inconsistent use of tabs and spaces in indentation"));
        }
        levels.push(here);
    }
    None
}

fn indentation(blank: &str) -> Indentation {
    let (mut wide, mut narrow, mut continued) = (0, 0, 0);
    for c in blank.chars() {
        match c {
            ' ' => (wide, narrow) = (wide + 1, narrow + 1),
            '\t' => (wide, narrow) = ((wide / 8 + 1) * 8, narrow + 1),
            '\u{c}' => (wide, narrow) = (0, 0),
            '\\' if continued == 0 => continued = wide,
            _ => {}
        }
    }
    // Of lines joined by a backslash, the first that is indented counts.
    if continued > 0 {
        Indentation { wide: continued, narrow: continued }
    } else {
        Indentation { wide, narrow }
    }
}

/// The words that may follow a number without a space.
const AFTER_NUMBERS: [&str; 8] = ["and", "else", "for", "if", "in", "is", "not", "or"];

/// Two tokens that never follow one another.
fn broken_pair(source: &str, tokens: &Tokens, version: PythonVersion) -> Option<(TextSize, &'static str)> {
    let seen: Vec<_> = tokens.iter().filter(|token| !token.kind().is_trivia()).collect();
    seen.windows(2).enumerate().find_map(|(idx, pair)| match (pair[0].kind(), pair[1].kind()) {
        (TokenKind::Yield, second) if needs_left_side(second) => {
            Some((pair[1].start(), "an operator after `yield`"))
        }
        (TokenKind::Rpar, TokenKind::ColonEqual) => {
            Some((pair[1].start(), "`:=` after a bracket: its target is a name"))
        }
        (TokenKind::Int | TokenKind::Float | TokenKind::Complex, _) if pair[0].end() == pair[1].start() => {
            let rest = &source[pair[1].start().to_usize()..];
            let is_word = rest.starts_with(|c: char| c.is_alphabetic() || c == '_');
            let is_error = is_word && !AFTER_NUMBERS.iter().any(|word| rest.starts_with(word));
            is_error.then(|| (pair[1].start(), "invalid decimal literal"))
        }
        (TokenKind::Exclamation, TokenKind::Name) if version < PythonVersion::PY312 => {
            let is_apart = seen.get(idx + 2).is_some_and(|next| next.start() != pair[1].end());
            is_apart.then(|| (pair[1].end(), "f-string: expecting '}'"))
        }
        _ => None,
    })
}

/// Whether nothing that begins with this token is an expression.
fn needs_left_side(kind: TokenKind) -> bool {
    use TokenKind as T;
    let is_sign = matches!(kind, T::Plus | T::Minus | T::Star);
    kind.as_binary_operator().is_some() && !is_sign
        || matches!(kind, T::Comma | T::Dot | T::ColonEqual | T::And | T::Or | T::Is | T::In | T::If)
        || matches!(kind, T::EqEqual | T::NotEqual | T::Less | T::Greater | T::LessEqual | T::GreaterEqual)
}

/// Finds what only the tree shows.
struct Walk<'a> {
    tokens: &'a Tokens,
    version: PythonVersion,
    n_specs_around: usize,
    error: Option<(TextSize, &'static str)>,
}

impl Walk<'_> {
    fn count(&self, kind: TokenKind, start: TextSize, end: TextSize) -> usize {
        let between = self.tokens.in_range(TextRange::new(start, end));
        between.iter().filter(|token| token.kind() == kind).count()
    }

    fn report(&mut self, at: TextSize, what: &'static str) {
        self.error.get_or_insert((at, what));
    }
}

/// Whether a pattern may compare with this: a string, a number with a sign, `1 + 2j`, `a.b`, a singleton as a key.
fn is_pattern_value(value: &Expr) -> bool {
    let number = |expr: &Expr| expr.as_number_literal_expr().map(|literal| literal.value.is_complex());
    match value {
        Expr::StringLiteral(_) | Expr::BytesLiteral(_) | Expr::NumberLiteral(_) => true,
        Expr::NoneLiteral(_) | Expr::BooleanLiteral(_) => true,
        Expr::UnaryOp(unary) => unary.op == UnaryOp::USub && number(&unary.operand).is_some(),
        Expr::BinOp(sum) => {
            let left = match &*sum.left {
                Expr::UnaryOp(unary) if unary.op == UnaryOp::USub => &*unary.operand,
                left => left,
            };
            let is_sum = matches!(sum.op, Operator::Add | Operator::Sub);
            is_sum && number(left) == Some(false) && number(&sum.right) == Some(true)
        }
        Expr::Attribute(attribute) => root(&attribute.value).is_name_expr(),
        _ => false,
    }
}

/// What the first of the dots follows.
fn root(mut dotted: &Expr) -> &Expr {
    while let Expr::Attribute(attribute) = dotted {
        dotted = &attribute.value;
    }
    dotted
}

/// What an operator follows directly.
fn left_operand(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::BinOp(it) => Some(&it.left),
        Expr::Compare(it) => Some(&it.left),
        Expr::BoolOp(it) => it.values.first(),
        _ => None,
    }
}

impl<'a> Visitor<'a> for Walk<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        if let Stmt::Try(it) = stmt
            && it.handlers.is_empty()
            && let Some(first) = it.orelse.first()
        {
            self.report(first.start(), "expected 'except' or 'finally' block");
        }
        visitor::walk_stmt(self, stmt);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        let is_yield = |left: &&Expr| left.is_yield_expr() || left.is_yield_from_expr();
        if let Some(left) = left_operand(expr).filter(is_yield)
            && left.start() == expr.start()
        {
            self.report(expr.start(), "an operator after `yield`");
        }
        if let Expr::Generator(generator) = expr
            && matches!(*generator.elt, Expr::Yield(_) | Expr::YieldFrom(_))
        {
            // The brackets of the generator itself are not those of its element.
            let n_opened = self.count(TokenKind::Lpar, generator.start(), generator.elt.start());
            if n_opened == usize::from(generator.parenthesized) {
                self.report(generator.elt.start(), "`yield` without parentheses in a generator");
            }
        }
        visitor::walk_expr(self, expr);
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let (values, dotted) = match pattern {
            Pattern::MatchValue(value) => (std::slice::from_ref(&*value.value), Some(&*value.value)),
            Pattern::MatchMapping(mapping) => (mapping.keys.as_slice(), None),
            Pattern::MatchClass(class) => ([].as_slice(), Some(&*class.cls)),
            Pattern::MatchSequence(sequence) => {
                if let [first, second, ..] = sequence.patterns.as_slice()
                    && self.count(TokenKind::Comma, first.end(), second.start()) == 0
                {
                    self.report(second.start(), "expected ','");
                }
                ([].as_slice(), None)
            }
            Pattern::MatchSingleton(_)
            | Pattern::MatchStar(_)
            | Pattern::MatchAs(_)
            | Pattern::MatchOr(_) => ([].as_slice(), None),
        };
        if let Some(value) = values.iter().find(|value| !is_pattern_value(value)) {
            self.report(value.start(), "patterns may only match literals and attribute lookups");
        }
        // The wildcard is read first, and nothing may follow it.
        if dotted.is_some_and(|dotted| root(dotted).as_name_expr().is_some_and(|name| name.id == "_")) {
            self.report(pattern.start(), "an attribute or a call of `_` in a pattern");
        }
        visitor::walk_pattern(self, pattern);
    }

    fn visit_f_string(&mut self, f_string: &'a FString) {
        let n_around = std::mem::take(&mut self.n_specs_around);
        visitor::walk_f_string(self, f_string);
        self.n_specs_around = n_around;
    }

    fn visit_interpolated_string_element(&mut self, element: &'a InterpolatedStringElement) {
        let InterpolatedStringElement::Interpolation(interpolation) = element else { return };
        if self.version < PythonVersion::PY312 {
            if self.n_specs_around > 1 {
                self.report(interpolation.start(), "f-string: expressions nested too deeply");
            }
            if interpolation.expression.is_starred_expr() {
                self.report(interpolation.start(), "f-string: cannot use starred expression here");
            }
        }
        self.visit_expr(&interpolation.expression);
        self.n_specs_around += 1;
        let elements = interpolation.format_spec.iter().flat_map(|spec| &spec.elements);
        elements.for_each(|element| self.visit_interpolated_string_element(element));
        self.n_specs_around -= 1;
    }
}
