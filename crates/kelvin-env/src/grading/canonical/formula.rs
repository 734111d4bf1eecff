//! Reads an expression from the signs of an answer. What is ambiguous is refused: `1/2x`, `x2`, a run of letters.

use super::{
    super::number::Number,
    expression::Expression,
    token::{Kind, Token},
};

/// Letters of which a short run is a product where there is more than the run: `2xy`.
const FACTORS: &str = "abcxyz";

/// The expression that the signs are, all of them.
pub(super) fn expression(tokens: &[Token]) -> Option<Expression> {
    let mut formula = Formula { tokens, at: 0, is_word: tokens.len() == 1 };
    let sum = formula.sum()?;
    (formula.at == tokens.len()).then_some(sum)
}

struct Formula<'tokens> {
    tokens: &'tokens [Token],
    at: usize,
    /// The answer is one word, which is not a product of its letters.
    is_word: bool,
}

impl<'tokens> Formula<'tokens> {
    fn peek(&self) -> Option<&'tokens Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<&'tokens Token> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let eats = self.peek().is_some_and(|it| it.is_symbol(symbol));
        self.at += usize::from(eats);
        eats
    }

    fn sum(&mut self) -> Option<Expression> {
        let mut sum = self.signed_product()?;
        while self.peek().is_some_and(|it| it.is_symbol("+") || it.is_symbol("-")) {
            sum = sum.plus(self.signed_product()?)?;
        }
        Some(sum)
    }

    fn signed_product(&mut self) -> Option<Expression> {
        let mut is_negative = false;
        loop {
            match self.eat("-") {
                true => is_negative = !is_negative,
                false if self.eat("+") => {}
                false => break,
            }
        }
        let product = self.product()?;
        Some(if is_negative { product.negated() } else { product })
    }

    fn product(&mut self) -> Option<Expression> {
        let mut product = self.factor()?;
        let mut divides = false;
        loop {
            if self.eat("*") {
                product = product.times(&self.signed_factor()?)?;
                divides = false;
            } else if self.eat("/") {
                product = product.over(&self.signed_factor()?)?;
                divides = true;
            } else if self.peek().is_some_and(begins_factor) {
                // Nobody agrees on what `1/2x` is.
                if divides {
                    return None;
                }
                product = product.times(&self.factor()?)?;
            } else {
                return Some(product);
            }
        }
    }

    fn signed_factor(&mut self) -> Option<Expression> {
        match self.eat("-") {
            true => Some(self.factor()?.negated()),
            false => self.factor(),
        }
    }

    /// What binds closest, with its power.
    fn factor(&mut self) -> Option<Expression> {
        let base = self.base()?;
        match self.peek().map(|it| it.text.as_str()) {
            Some("²") => {
                self.at += 1;
                base.power(2)
            }
            Some("³") => {
                self.at += 1;
                base.power(3)
            }
            Some("^") => {
                self.at += 1;
                let exponent = self.exponent()?.as_number()?;
                match exponent.as_i64() {
                    Some(exponent) => base.power(exponent),
                    None if exponent == Number::from(2).reciprocal()? => base.square_root(),
                    None => None,
                }
            }
            _ => Some(base),
        }
    }

    fn exponent(&mut self) -> Option<Expression> {
        let is_negative = self.eat("-");
        let exponent = match self.peek()?.kind {
            Kind::Number => Expression::number(Number::literal(&self.next()?.text)?),
            Kind::Word | Kind::Command => return None,
            Kind::Symbol => self.group()?,
        };
        Some(if is_negative { exponent.negated() } else { exponent })
    }

    fn base(&mut self) -> Option<Expression> {
        let token = self.peek()?;
        match token.kind {
            Kind::Number => self.number(),
            Kind::Word => self.word(),
            Kind::Symbol => self.group(),
            Kind::Command => {
                self.at += 1;
                match token.text.as_str() {
                    "frac" => {
                        let (above, below) = self.fraction()?;
                        above.over(&below)
                    }
                    "sqrt" => self.root(),
                    name if GREEK.contains(&name) => self.subscripted(format!("\\{name}")),
                    _ => None,
                }
            }
        }
    }

    /// What stands between round or curly brackets.
    fn group(&mut self) -> Option<Expression> {
        let closing = match self.next()?.text.as_str() {
            "(" => ")",
            "{" => "}",
            _ => return None,
        };
        let sum = self.sum()?;
        self.eat(closing).then_some(sum)
    }

    /// A decimal, also one that repeats, a number in groups of three digits, a mixed number, or one of millions.
    fn number(&mut self) -> Option<Expression> {
        let token = self.next()?;
        let mut digits = token.text.clone();
        if digits.len() <= 3 && is_integer(token) {
            while let Some(group) = self.peek().filter(|it| it.spaced && is_integer(it) && it.text.len() == 3)
            {
                digits.push_str(&group.text);
                self.at += 1;
            }
        }
        if let Some(period) = self.period(digits.contains('.')) {
            return Some(Expression::number(Number::repeating(&digits, &period)?));
        }
        let mut number = Number::literal(&digits)?;
        if is_integer(token)
            && let Some(part) = self.proper_fraction()
        {
            number = number.plus(&part)?;
        }
        let scale = |word: &Token| match (word.kind, word.text.as_str()) {
            (Kind::Word, "thousand") => Some("1e3"),
            (Kind::Word, "million") => Some("1e6"),
            (Kind::Word, "billion") => Some("1e9"),
            (Kind::Word, "trillion") => Some("1e12"),
            _ => None,
        };
        if let Some(scale) = self.peek().and_then(scale) {
            self.at += 1;
            number = number.times(&Number::literal(scale)?)?;
        }
        // Two numbers side by side are no product.
        let is_apart = self.peek().is_none_or(|it| it.kind != Kind::Number);
        is_apart.then(|| Expression::number(number))
    }

    /// The digits under the bar of `0.1\overline{6}`.
    fn period(&mut self, has_point: bool) -> Option<String> {
        let rest = match &self.tokens[self.at..] {
            [point, rest @ ..] if point.is_symbol(".") && !has_point => rest,
            rest if has_point => rest,
            _ => return None,
        };
        let [bar, open, period, close, ..] = rest else { return None };
        if !(bar.is_command("overline") && open.is_symbol("{") && is_integer(period) && close.is_symbol("}"))
        {
            return None;
        }
        self.at = self.tokens.len() - rest.len() + 4;
        Some(period.text.clone())
    }

    /// The fraction of a mixed number: `\frac{3}{4}`, or `3/4` after a blank.
    fn proper_fraction(&mut self) -> Option<Number> {
        let rest = &self.tokens[self.at..];
        let digits = |token: &Token| is_integer(token).then(|| Number::literal(&token.text))?;
        let (above, below, length) = match rest {
            [above, slash, below, ..] if above.spaced && slash.is_symbol("/") => {
                (digits(above)?, digits(below)?, 3)
            }
            [frac, open, above, close, open_below, below, close_below, ..]
                if frac.is_command("frac")
                    && open.is_symbol("{")
                    && close.is_symbol("}")
                    && open_below.is_symbol("{")
                    && close_below.is_symbol("}") =>
            {
                (digits(above)?, digits(below)?, 7)
            }
            [frac, both, ..] if frac.is_command("frac") && both.text.len() == 2 => {
                digits(both)?;
                let (above, below) = both.text.split_at(1);
                (Number::literal(above)?, Number::literal(below)?, 2)
            }
            _ => return None,
        };
        let fraction = above.times(&below.reciprocal()?)?;
        self.at += length;
        Some(fraction)
    }

    /// A letter, with an index if it has one, or a short run of letters as their product.
    fn word(&mut self) -> Option<Expression> {
        let word = &self.next()?.text;
        if word.chars().count() == 1 {
            return self.subscripted(word.clone());
        }
        if self.is_word || 3 < word.len() || !word.chars().all(|it| FACTORS.contains(it)) {
            return None;
        }
        let one = Expression::number(Number::from(1));
        let mut product = one;
        for letter in word.chars() {
            product = product.times(&Expression::name(letter.to_string()))?;
        }
        // A power belongs to the last letter alone, an index too.
        let is_plain = self.peek().is_none_or(|it| !["^", "_", "²", "³"].contains(&it.text.as_str()));
        is_plain.then_some(product)
    }

    fn subscripted(&mut self, name: String) -> Option<Expression> {
        let index = match &self.tokens[self.at..] {
            [bar, index, ..] if bar.is_symbol("_") && matches!(index.kind, Kind::Number | Kind::Word) => {
                self.at += 2;
                index
            }
            [bar, open, index, close, ..]
                if bar.is_symbol("_")
                    && open.is_symbol("{")
                    && matches!(index.kind, Kind::Number | Kind::Word)
                    && close.is_symbol("}") =>
            {
                self.at += 4;
                index
            }
            [bar, ..] if bar.is_symbol("_") => return None,
            // `x2` may be an index or a product.
            [next, ..] if next.kind == Kind::Number => return None,
            _ => return Some(Expression::name(name)),
        };
        Some(Expression::name(format!("{name}_{{{}}}", index.text)))
    }

    /// The two arguments of a fraction: braces, or single digits.
    fn fraction(&mut self) -> Option<(Expression, Expression)> {
        let token = self.peek()?;
        let digit = |text: &str| Some(Expression::number(Number::literal(text)?));
        if token.kind == Kind::Number && token.text.len() == 2 && !token.text.contains('.') {
            self.at += 1;
            let (above, below) = token.text.split_at(1);
            return Some((digit(above)?, digit(below)?));
        }
        Some((self.argument()?, self.argument()?))
    }

    fn argument(&mut self) -> Option<Expression> {
        let token = self.peek()?;
        match token.kind {
            Kind::Number if token.text.len() == 1 => {
                self.at += 1;
                Some(Expression::number(Number::literal(&token.text)?))
            }
            Kind::Symbol if token.is_symbol("{") => self.group(),
            Kind::Number | Kind::Symbol | Kind::Word | Kind::Command => None,
        }
    }

    /// A square root, or one of a higher degree that is rational.
    fn root(&mut self) -> Option<Expression> {
        let mut degree = 2;
        if self.eat("[") {
            degree = Number::literal(&self.next()?.text)?.as_i64()?;
            if !self.eat("]") {
                return None;
            }
        }
        let radicand = match self.peek()? {
            token if token.kind == Kind::Number => {
                self.at += 1;
                Expression::number(Number::literal(&token.text)?)
            }
            _ => self.group()?,
        };
        match degree {
            2 => radicand.square_root(),
            degree => Some(Expression::number(radicand.as_number()?.root(u32::try_from(degree).ok()?)?)),
        }
    }
}

fn is_integer(token: &Token) -> bool {
    token.kind == Kind::Number && token.text.bytes().all(|it| it.is_ascii_digit())
}

fn begins_factor(token: &Token) -> bool {
    match token.kind {
        Kind::Number | Kind::Word | Kind::Command => true,
        Kind::Symbol => ["(", "{"].contains(&token.text.as_str()),
    }
}

/// Commands that are names; infinity is one that no arithmetic is done with, since no answer does any.
const GREEK: &[&str] = &[
    "pi", "alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "mu", "sigma", "phi", "varphi",
    "omega", "rho", "tau", "psi", "infty",
];
