//! The commands that stand in formulas: fractions, roots, functions, matrices, sums over an index.

use super::{
    latex::{Kind, Token},
    names,
    parse::Parser,
    tree::{Expr, Function},
};
use crate::grading::number::Number;

/// The most entries of a matrix.
const ENTRIES_MAX: usize = 400;

impl Parser<'_> {
    /// What the command begins, which has been read.
    pub(super) fn command(&mut self, name: &str) -> Option<Expr> {
        if let Some(function) = names::function(name) {
            return self.function(function);
        }
        match name {
            "frac" => {
                let (above, below) = self.fraction()?;
                Some(Expr::Quotient(Box::new(above), Box::new(below)))
            }
            "binom" => {
                let (above, below) = self.fraction()?;
                Some(Expr::Call(Function::Binomial, vec![above, below]))
            }
            "sqrt" => self.root(),
            "overline" | "vec" | "hat" | "tilde" | "dot" => {
                let inside = self.index()?;
                self.subscripted(format!("{name}:{inside}"))
            }
            "sum" | "prod" => self.series(name == "prod"),
            "Delta" | "nabla" | "angle" | "triangle" => {
                // A mark on the name that follows.
                let mark = format!("{name}:");
                match self.peek() {
                    Some(it) if matches!(it.kind, Kind::Word) => {
                        self.at += 1;
                        self.subscripted(mark + &it.text)
                    }
                    _ => self.subscripted(name.to_owned()),
                }
            }
            _ if names::MATRICES.contains(&name) => self.matrix(),
            _ if names::SYMBOLS.contains(&name) => self.subscripted(name.to_owned()),
            _ => None,
        }
    }

    /// The two arguments of a fraction: braces, or single digits.
    fn fraction(&mut self) -> Option<(Expr, Expr)> {
        let digit = |text: &str| Some(Expr::Number(Number::literal(text)?));
        match self.peek()? {
            // `\frac12`, and `\frac12x` is x over 2 no more than one half of x.
            token if token.is_integer() && 2 <= token.text.len() => {
                let (above, below) = token.text.split_at(1);
                self.at += 1;
                Some((digit(above)?, digit(below)?))
            }
            // Plain text writes `binom(n, k)`.
            token if token.is('(') => match <[Expr; 2]>::try_from(self.arguments()?) {
                Ok([above, below]) => Some((above, below)),
                Err(_) => None,
            },
            _ => Some((self.argument()?, self.argument()?)),
        }
    }

    fn root(&mut self) -> Option<Expr> {
        let mut degree = Expr::integer(2);
        if self.eat('[') {
            degree = self.sum()?;
            self.eat(']').then_some(())?;
        }
        let radicand = self.argument()?;
        Some(Expr::Root(Box::new(degree), Box::new(radicand)))
    }

    /// A function with a power or a base on its name, and its argument with or without brackets.
    fn function(&mut self, function: Function) -> Option<Expr> {
        let (mut power, mut base) = (None, None);
        loop {
            if power.is_none() && self.eat('^') {
                power = Some(self.argument_or_negative()?);
            } else if base.is_none() && function == Function::Log && self.eat('_') {
                base = Some(self.argument()?);
            } else {
                break;
            }
        }
        let mut arguments = match self.peek()? {
            it if it.is('(') => self.arguments()?,
            it if it.is('{') => vec![self.bracketed()?],
            it if it.is('[') => vec![self.bracketed()?],
            _ => vec![self.bare_argument()?],
        };
        let n_arguments = arguments.len();
        let takes_many = matches!(function, Function::Max | Function::Min | Function::Gcd | Function::Lcm);
        if let Some(base) = base {
            arguments.push(base);
        }
        let is_binary = matches!(function, Function::Log | Function::Binomial);
        (takes_many || n_arguments == 1 || is_binary && n_arguments == 2).then_some(())?;
        let inverse = match function {
            Function::Sin => Some(Function::Arcsin),
            Function::Cos => Some(Function::Arccos),
            Function::Tan => Some(Function::Arctan),
            _ => None,
        };
        let minus_one = Expr::Negative(Box::new(Expr::integer(1)));
        Some(match (power, inverse) {
            (Some(power), Some(inverse)) if power == minus_one => Expr::Call(inverse, arguments),
            (Some(power), _) => Expr::Power(Box::new(Expr::Call(function, arguments)), Box::new(power)),
            (None, _) => Expr::Call(function, arguments),
        })
    }

    fn argument_or_negative(&mut self) -> Option<Expr> {
        match self.eat('-') {
            true => Some(Expr::Negative(Box::new(self.argument()?))),
            false => self.argument(),
        }
    }

    /// `\sum_{k=1}^{n} k^2`, whose body goes to the next plus or minus.
    fn series(&mut self, is_product: bool) -> Option<Expr> {
        let (mut from, mut high) = (None, None);
        while from.is_none() || high.is_none() {
            if self.eat('_') {
                from = Some(self.group()?);
            } else {
                self.eat('^').then_some(())?;
                high = Some(self.argument()?);
            }
        }
        let (from, high) = (from?, high?);
        let equals = from.iter().position(|it| it.is('='))?;
        let [index] = &from[..equals] else { return None };
        let low = self.part(&from[equals + 1..])?;
        let body = self.bare_argument()?;
        let (low, high, body) = (Box::new(low), Box::new(high), Box::new(body));
        Some(Expr::Series { is_product, index: index.text.clone(), low, high, body })
    }

    /// The signs of a group in braces.
    fn group(&mut self) -> Option<Vec<Token>> {
        self.eat('{').then_some(())?;
        let (start, mut depth) = (self.at, 1);
        while 0 < depth {
            let token = self.peek()?;
            self.at += 1;
            depth = match token {
                it if it.is('{') => depth + 1,
                it if it.is('}') => depth - 1,
                _ => depth,
            };
        }
        Some(self.tokens[start..self.at - 1].to_vec())
    }

    /// The rows up to the end of the environment.
    fn matrix(&mut self) -> Option<Expr> {
        let mut rows: Vec<Vec<Expr>> = vec![Vec::new()];
        let mut n_entries = 0;
        loop {
            if self.peek()?.is_command("end") {
                self.at += 1;
                break;
            }
            if self.eat('\\') {
                rows.push(Vec::new());
                continue;
            }
            if self.eat('&') || self.peek()?.is_command("hline") {
                continue;
            }
            rows.last_mut()?.push(self.sum()?);
            n_entries += 1;
            (n_entries <= ENTRIES_MAX).then_some(())?;
        }
        rows.retain(|row| !row.is_empty());
        let width = rows.first()?.len();
        let matrix = rows.iter().all(|row| row.len() == width).then_some(Expr::Matrix(rows))?;
        // Bars around the entries are a determinant, which nobody writes as an answer.
        Some(matrix)
    }
}
