//! Reads a formula from signs, as people write it: products without a sign, `\frac12`, mixed numbers, functions
//! without brackets. `1/2x` is read from the left. What is no formula to the last sign is none.

use super::{
    latex::{Kind, Token},
    names,
    tree::{Expr, Function},
    units,
};
use crate::grading::number::Number;

/// The most brackets inside one another (docs/grading.md).
pub(super) const NESTING_MAX: usize = 64;
/// The most levels of a formula: what is inside of brackets is a factor of a term more often than not.
const LEVELS_MAX: usize = 2 * NESTING_MAX;
/// The most marks behind one factor, and the most fractions of one product: each is a level more.
const CHAIN_MAX: usize = NESTING_MAX;

/// The formula that the signs are, all of them.
pub(super) fn formula(tokens: &[Token]) -> Option<Expr> {
    whole(&split_letters(tokens), 0)
}

/// The formula that the signs are, which stand so deep inside of another.
fn whole(tokens: &[Token], depth: usize) -> Option<Expr> {
    let mut parser = Parser { tokens, at: 0, depth, n_bars: 0 };
    let sum = parser.sum()?;
    (parser.at == tokens.len() && sum.is_within(LEVELS_MAX)).then_some(sum)
}

/// Runs of letters as single letters: `2RC` is a product. Signs of money are left out.
fn split_letters(tokens: &[Token]) -> Vec<Token> {
    let mut split = Vec::with_capacity(tokens.len());
    // Money is no part of a formula.
    for token in tokens.iter().filter(|it| !it.is_any(units::MONEY)) {
        if token.kind != Kind::Word
            || token.text.len() == 1
            || names::SCALES.iter().any(|it| it.0 == token.text)
        {
            split.push(token.clone());
            continue;
        }
        for (at, letter) in token.text.chars().enumerate() {
            let spaced = at == 0 && token.spaced;
            split.push(Token { kind: Kind::Word, text: letter.into(), spaced, is_upright: false });
        }
    }
    split
}

pub(super) struct Parser<'tokens> {
    pub(super) tokens: &'tokens [Token],
    pub(super) at: usize,
    depth: usize,
    /// How many absolute values are open.
    n_bars: usize,
}

impl<'tokens> Parser<'tokens> {
    pub(super) fn peek(&self) -> Option<&'tokens Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn next(&mut self) -> Option<&'tokens Token> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    pub(super) fn eat(&mut self, sign: char) -> bool {
        let eats = self.peek().is_some_and(|it| it.is(sign));
        self.at += usize::from(eats);
        eats
    }

    /// Reads something inside of something; none where that goes too deep.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if NESTING_MAX <= self.depth {
            return None;
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// The formula that other signs are, as a part of this one.
    pub(super) fn part(&self, tokens: &[Token]) -> Option<Expr> {
        whole(tokens, self.depth)
    }

    pub(super) fn sum(&mut self) -> Option<Expr> {
        self.nested(|it| it.terms())
    }

    fn terms(&mut self) -> Option<Expr> {
        let mut terms = vec![self.signed(Self::product)?];
        while self.peek().is_some_and(|it| it.is_any("+-±∓")) {
            terms.push(self.signed(Self::product)?);
        }
        Some(if terms.len() == 1 { terms.swap_remove(0) } else { Expr::Sum(terms) })
    }

    /// What `read` reads, behind any signs.
    fn signed(&mut self, read: fn(&mut Self) -> Option<Expr>) -> Option<Expr> {
        let mut is_negative = false;
        let mut both = None;
        while let Some(sign) = self.peek().filter(|it| it.is_any("+-±∓")) {
            self.at += 1;
            match sign.text.as_str() {
                "-" => is_negative = !is_negative,
                "±" => both = Some(false),
                "∓" => both = Some(true),
                _ => {}
            }
        }
        let mut expr = read(self)?;
        if is_negative {
            expr = Expr::Negative(Box::new(expr));
        }
        Some(match both {
            Some(is_lower) => Expr::PlusMinus(Box::new(expr), is_lower),
            None => expr,
        })
    }

    fn product(&mut self) -> Option<Expr> {
        let mut factors = vec![self.factor()?];
        let mut n_fractions = 0;
        loop {
            if self.eat('*') {
                let factor = self.signed(Self::factor)?;
                factors.push(factor);
            } else if self.eat('/') {
                n_fractions += 1;
                (n_fractions <= CHAIN_MAX).then_some(())?;
                let below = self.signed(Self::factor)?;
                let above = product_of(std::mem::take(&mut factors));
                factors.push(Expr::Quotient(Box::new(above), Box::new(below)));
            } else if self.begins_factor() {
                factors.push(self.factor()?);
            } else {
                return Some(product_of(factors));
            }
        }
    }

    /// Whether a factor follows without a sign between. A number does so only behind a bracket.
    fn begins_factor(&self) -> bool {
        let Some(token) = self.peek() else { return false };
        match token.kind {
            Kind::Number => self.at.checked_sub(1).is_some_and(|it| self.tokens[it].is_any(")}")),
            Kind::Word | Kind::Command => {
                !matches!(token.text.as_str(), "end" | "mod" | "bmod" | "pmod" | "over" | "ldots")
            }
            Kind::Text => false,
            Kind::Sign => token.is_any("({[⌊⌈") || token.is('|') && self.n_bars == 0,
        }
    }

    /// What binds closest, with its powers.
    fn factor(&mut self) -> Option<Expr> {
        let base = self.base()?;
        self.powers(base)
    }

    fn powers(&mut self, mut base: Expr) -> Option<Expr> {
        for _ in 0..=CHAIN_MAX {
            if self.eat('°') {
                base = Expr::Degrees(Box::new(base));
            } else if self.eat('!') {
                let function = if self.eat('!') { Function::DoubleFactorial } else { Function::Factorial };
                base = Expr::Call(function, vec![base]);
            } else if self.eat('\'') {
                base = renamed(base, "'")?;
            } else if self.peek().is_some_and(|it| it.is('_')) {
                // `v^2_0` is the square of `v_0`.
                let Expr::Power(symbol, exponent) = base else { return None };
                self.at += 1;
                let index = self.index()?;
                base = Expr::Power(Box::new(renamed(*symbol, &format!("_{index}"))?), exponent);
            } else if self.eat('^') {
                let rest = &self.tokens[self.at..];
                let inside = if rest.first()?.is('{') { &rest[1..] } else { rest };
                let n_braces = rest.len() - inside.len();
                let mark = inside.first()?;
                let is_mark = mark.is_any("°'") || mark.is_command("circ");
                if is_mark && (n_braces == 0 || inside.get(1)?.is('}')) {
                    self.at += 1 + 2 * n_braces;
                    base = if mark.is('\'') { renamed(base, "'")? } else { Expr::Degrees(Box::new(base)) };
                } else {
                    base = Expr::Power(Box::new(base), Box::new(self.exponent()?));
                }
            } else {
                return Some(base);
            }
        }
        None
    }

    fn exponent(&mut self) -> Option<Expr> {
        let mut is_negative = false;
        while let Some(sign) = self.peek().filter(|it| it.is_any("+-")) {
            self.at += 1;
            is_negative ^= sign.is('-');
        }
        let exponent = self.tower()?;
        Some(if is_negative { Expr::Negative(Box::new(exponent)) } else { exponent })
    }

    /// An exponent without its sign, with the exponents on it.
    fn tower(&mut self) -> Option<Expr> {
        let token = self.peek()?;
        // In `v^2_0` the index belongs to the letter, in `2^10_3` to nothing.
        let exponent = match token.kind {
            Kind::Number => {
                self.at += 1;
                Expr::Number(Number::literal(token.text.trim_end_matches('.'))?)
            }
            _ => self.nested(Self::base)?,
        };
        // A tower without braces grows upwards.
        match self.peek() {
            Some(it) if it.is('^') => {
                self.at += 1;
                Some(Expr::Power(Box::new(exponent), Box::new(self.nested(Self::exponent)?)))
            }
            _ => Some(exponent),
        }
    }

    fn base(&mut self) -> Option<Expr> {
        let token = self.peek()?;
        match token.kind {
            Kind::Number => self.number(),
            Kind::Word => self.word(),
            Kind::Command => {
                self.at += 1;
                self.nested(|it| it.command(&token.text))
            }
            Kind::Text => None,
            Kind::Sign => self.bracketed(),
        }
    }

    /// What stands between brackets.
    pub(super) fn bracketed(&mut self) -> Option<Expr> {
        let open = self.next()?;
        if open.is('|') {
            self.n_bars += 1;
            let inside = self.sum()?;
            self.n_bars -= 1;
            return self.eat('|').then(|| Expr::Call(Function::Abs, vec![inside]));
        }
        let (close, function) = match open.text.as_str() {
            "(" => (')', None),
            "{" => ('}', None),
            "[" => (']', None),
            "⌊" => ('⌋', Some(Function::Floor)),
            "⌈" => ('⌉', Some(Function::Ceiling)),
            _ => return None,
        };
        let n_bars = std::mem::take(&mut self.n_bars);
        let inside = self.sum()?;
        self.n_bars = n_bars;
        let inside = self.eat(close).then_some(inside)?;
        Some(match function {
            Some(function) => Expr::Call(function, vec![inside]),
            None => inside,
        })
    }

    fn word(&mut self) -> Option<Expr> {
        let name = &self.next()?.text;
        let is_function = ["f", "g", "h", "F", "G", "H"].contains(&name.as_str());
        let symbol = self.subscripted(name.clone())?;
        if is_function
            && self.peek().is_some_and(|it| it.is('('))
            && let Expr::Symbol(name) = &symbol
        {
            return Some(Expr::Applied(name.clone(), self.arguments()?));
        }
        Some(symbol)
    }

    /// A name with its index and primes.
    pub(super) fn subscripted(&mut self, mut name: String) -> Option<Expr> {
        loop {
            if self.eat('_') {
                name = format!("{name}_{}", self.index()?);
            } else if self.eat('\'') {
                name.push('\'');
            } else {
                return Some(Expr::Symbol(name));
            }
        }
    }

    /// The text of an index: `a_{n}` is `a_n`.
    pub(super) fn index(&mut self) -> Option<String> {
        let first = self.next()?;
        if !first.is('{') {
            return Some(first.text.clone());
        }
        let (mut index, mut depth) = (String::new(), 1);
        loop {
            let token = self.next()?;
            depth = match token {
                it if it.is('{') => depth + 1,
                it if it.is('}') => depth - 1,
                _ => depth,
            };
            if depth == 0 {
                return Some(index);
            }
            index.push_str(token.text.trim());
        }
    }

    /// What stands between round brackets, between commas.
    pub(super) fn arguments(&mut self) -> Option<Vec<Expr>> {
        self.eat('(').then_some(())?;
        let mut arguments = vec![self.sum()?];
        while self.eat(',') {
            arguments.push(self.sum()?);
        }
        self.eat(')').then_some(arguments)
    }

    /// The argument of a command: a group, or one digit, letter or command.
    pub(super) fn argument(&mut self) -> Option<Expr> {
        let token = self.peek()?;
        match token.kind {
            Kind::Number | Kind::Word => {
                self.at += 1;
                match token.kind {
                    Kind::Number => Some(Expr::Number(Number::literal(&token.text)?)),
                    _ => Some(Expr::Symbol(token.text.clone())),
                }
            }
            Kind::Command => self.base(),
            Kind::Sign => self.bracketed(),
            Kind::Text => None,
        }
    }

    /// The function's argument where it has no brackets: `2x` in `\sin 2x \cos x`.
    pub(super) fn bare_argument(&mut self) -> Option<Expr> {
        let is_function = |it: &Token| it.kind == Kind::Command && names::function(&it.text).is_some();
        self.nested(|it| {
            let mut factors = vec![it.signed(Self::factor)?];
            while it.begins_factor() && !it.peek().is_some_and(is_function) {
                factors.push(it.factor()?);
            }
            Some(product_of(factors))
        })
    }
}

pub(super) fn product_of(mut factors: Vec<Expr>) -> Expr {
    if factors.len() == 1 { factors.swap_remove(0) } else { Expr::Product(factors) }
}

/// A symbol with a mark behind its name.
fn renamed(symbol: Expr, mark: &str) -> Option<Expr> {
    match symbol {
        Expr::Symbol(name) => Some(Expr::Symbol(name + mark)),
        _ => None,
    }
}
