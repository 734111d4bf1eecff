//! Numbers as they are written: decimals, also repeating ones, mixed numbers, millions, numerals in other bases.

use super::{latex::Token, names, parse::Parser, tree::Expr};
use crate::grading::number::Number;

impl Parser<'_> {
    /// A decimal, also one that repeats, a mixed number, or one of millions.
    pub(super) fn number(&mut self) -> Option<Expr> {
        let token = self.next()?;
        let rest = &self.tokens[self.at..];
        if let [bar, index, ..] = rest
            && bar.is('_')
            && token.is_integer()
        {
            let base = match index {
                it if it.is('{') => rest.get(2).filter(|_| rest.get(3).is_some_and(|it| it.is('}')))?,
                it => it,
            };
            self.at += if index.is('{') { 4 } else { 2 };
            let (digits, base) = (token.text.clone(), base.text.to_lowercase());
            return Some(Expr::Based { digits, base });
        }
        if let [bar, open, period, close, ..] = rest
            && (bar.is_command("overline") || bar.is_command("dot"))
            && (open.is('{') && period.is_integer() && close.is('}') && token.text.contains('.'))
        {
            self.at += 4;
            let start = token.text.trim_end_matches('.');
            return Some(Expr::Number(Number::repeating(start, &period.text)?));
        }
        let mut number = Number::literal(token.text.trim_end_matches('.'))?;
        let n_decimals = token.text.split_once('.').map_or(0, |it| it.1.len());
        if token.is_integer()
            && let Some(part) = self.proper_fraction()
        {
            return Some(Expr::Number(number.plus(&part)?));
        }
        let scale =
            |it: &&Token| names::SCALES.iter().find(|scale| scale.0 == it.text.trim()).map(|scale| scale.1);
        if let Some(scale) = self.peek().as_ref().and_then(scale) {
            self.at += 1;
            number = number.times(&Number::literal(scale)?)?;
        }
        Some(match u32::try_from(n_decimals).ok()? {
            0 => Expr::Number(number),
            n if token.text.contains('e') => Expr::Decimal(number, n.min(1)),
            n => Expr::Decimal(number, n),
        })
    }

    /// The fraction of a mixed number: `\frac{3}{4}`, or `3/4` after a blank. It is less than 1.
    fn proper_fraction(&mut self) -> Option<Number> {
        let (above, below, length) = match &self.tokens[self.at..] {
            [above, slash, below, ..] if above.spaced && slash.is('/') && above.is_integer() => {
                (above.text.as_str(), below.text.as_str(), 3)
            }
            [frac, open, above, close, open_below, below, close_below, ..]
                if frac.is_command("frac")
                    && (open.is('{') && close.is('}') && open_below.is('{') && close_below.is('}')) =>
            {
                (above.text.as_str(), below.text.as_str(), 7)
            }
            [frac, above, open, below, close, ..]
                if frac.is_command("frac") && above.text.len() == 1 && open.is('{') && close.is('}') =>
            {
                (above.text.as_str(), below.text.as_str(), 5)
            }
            [frac, both, ..] if frac.is_command("frac") && both.is_integer() && both.text.len() == 2 => {
                let (above, below) = both.text.split_at(1);
                (above, below, 2)
            }
            [frac, above, below, ..]
                if frac.is_command("frac") && above.is_integer() && above.text.len() == 1 =>
            {
                (above.text.as_str(), below.text.as_str(), 3)
            }
            _ => return None,
        };
        let (above, below) = (above.parse::<u64>().ok()?, below.parse::<u64>().ok()?);
        if below <= above {
            return None;
        }
        self.at += length;
        Number::from(above).times(&Number::from(below).reciprocal()?)
    }
}
