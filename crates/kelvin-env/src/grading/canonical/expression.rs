//! Sums of terms such as `3/2*\sqrt{2}*x^2`: rational factors, one square root, powers of names. Sums, products and
//! quotients by one term are worked out; what cannot be is no expression.

use std::collections::BTreeMap;
use std::fmt;

use super::super::number::{Number, RADICAND_MAX, Surd};

/// The most terms of a sum, and with the length of an answer the bound on the work it makes.
const TERMS_MAX: usize = 24;
/// The highest power that a sum of several terms is raised to.
const SUM_POWER_MAX: u64 = 8;
/// The highest power of a name.
const NAME_POWER_MAX: u64 = 1000;
/// The longest name, in bytes: roots inside roots would grow without bound.
const NAME_BYTES_MAX: usize = 256;

/// What a term is a multiple of: names with their powers, and a number without square factors under a root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Monomial {
    /// In text form; no power is 0.
    powers: BTreeMap<String, i64>,
    /// 1 where there is no root.
    radicand: u64,
}

/// A sum of terms, none of which is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expression {
    terms: BTreeMap<Monomial, Number>,
}

impl Expression {
    pub(super) fn number(value: Number) -> Expression {
        Expression::surd(Surd { factor: value, radicand: 1 })
    }

    /// A name, which stands for an unknown or for a number such as pi.
    pub(super) fn name(name: String) -> Expression {
        let monomial = Monomial { powers: BTreeMap::from([(name, 1)]), radicand: 1 };
        Expression { terms: BTreeMap::from([(monomial, Number::from(1))]) }
    }

    fn surd(Surd { factor, radicand }: Surd) -> Expression {
        let terms = (!factor.is_zero()).then(|| (Monomial { powers: BTreeMap::new(), radicand }, factor));
        Expression { terms: terms.into_iter().collect() }
    }

    /// The value of an expression that is a rational number.
    pub(super) fn as_number(&self) -> Option<Number> {
        let mut terms = self.terms.iter();
        match (terms.next(), terms.next()) {
            (None, _) => Some(Number::from(0)),
            (Some((monomial, factor)), None) if monomial.powers.is_empty() && monomial.radicand == 1 => {
                Some(factor.clone())
            }
            (Some(_), _) => None,
        }
    }

    pub(super) fn plus(mut self, other: Expression) -> Option<Expression> {
        for (monomial, factor) in other.terms {
            let sum = match self.terms.remove(&monomial) {
                Some(before) => before.plus(&factor)?,
                None => factor,
            };
            if !sum.is_zero() {
                self.terms.insert(monomial, sum);
            }
        }
        (self.terms.len() <= TERMS_MAX).then_some(self)
    }

    pub(super) fn negated(self) -> Expression {
        let negated = |(monomial, factor): (Monomial, Number)| (monomial, factor.negated());
        Expression { terms: self.terms.into_iter().map(negated).collect() }
    }

    pub(super) fn times(&self, other: &Expression) -> Option<Expression> {
        let mut product = Expression { terms: BTreeMap::new() };
        for (left, left_factor) in &self.terms {
            for (right, right_factor) in &other.terms {
                let (monomial, outside) = left.times(right)?;
                let factor = left_factor.times(right_factor)?.times(&Number::from(outside))?;
                product = product.plus(Expression { terms: BTreeMap::from([(monomial, factor)]) })?;
            }
        }
        Some(product)
    }

    /// The quotient by one term, or by two square roots, which their difference makes rational.
    pub(super) fn over(&self, other: &Expression) -> Option<Expression> {
        let mut terms = other.terms.iter();
        match (terms.next(), terms.next(), terms.next()) {
            (Some((monomial, factor)), None, None) => {
                // 1 / (q sqrt(n)) is sqrt(n) / (q n).
                let powers = monomial.powers.iter().map(|(name, power)| (name.clone(), -power)).collect();
                let root = Number::from(monomial.radicand);
                let reciprocal =
                    (Monomial { powers, radicand: monomial.radicand }, factor.times(&root)?.reciprocal()?);
                self.times(&Expression { terms: BTreeMap::from([reciprocal]) })
            }
            (Some(first), Some(second), None) => {
                let is_root = |(monomial, _): &(&Monomial, &Number)| monomial.powers.is_empty();
                if !is_root(&first) || !is_root(&second) {
                    return None;
                }
                let term = |(monomial, factor): (&Monomial, &Number)| Expression {
                    terms: BTreeMap::from([(monomial.clone(), factor.clone())]),
                };
                let conjugate = term(first).plus(term(second).negated())?;
                let below = other.times(&conjugate)?;
                below.as_number()?;
                self.times(&conjugate)?.over(&below)
            }
            (_, _, _) => None,
        }
    }

    pub(super) fn power(&self, exponent: i64) -> Option<Expression> {
        if let Some(number) = self.as_number() {
            return Some(Expression::number(number.power(exponent)?));
        }
        if let Some((monomial, factor)) = self.terms.first_key_value()
            && (self.terms.len() == 1 && monomial.radicand == 1)
        {
            let raised = |(name, power): (&String, &i64)| Some((name.clone(), power.checked_mul(exponent)?));
            let powers = monomial.powers.iter().map(raised).collect::<Option<_>>()?;
            let monomial = Monomial { powers, radicand: 1 }.checked()?;
            return Some(Expression { terms: BTreeMap::from([(monomial, factor.power(exponent)?)]) });
        }
        let n = exponent.unsigned_abs();
        if SUM_POWER_MAX < n {
            return None;
        }
        let one = Expression::number(Number::from(1));
        let magnitude = (0..n).try_fold(one.clone(), |power, _| power.times(self))?;
        if exponent < 0 { one.over(&magnitude) } else { Some(magnitude) }
    }

    /// The square root: of a number worked out, of anything else a name of its own.
    pub(super) fn square_root(&self) -> Option<Expression> {
        match self.as_number() {
            Some(number) => Some(Expression::surd(number.square_root()?)),
            None => {
                let name = format!("\\sqrt{{{self}}}");
                (name.len() <= NAME_BYTES_MAX).then(|| Expression::name(name))
            }
        }
    }
}

impl Monomial {
    /// The product, and the whole number that comes out of the root.
    fn times(&self, other: &Monomial) -> Option<(Monomial, u64)> {
        let mut powers = self.powers.clone();
        for (name, power) in &other.powers {
            let sum = powers.remove(name).unwrap_or(0) + power;
            if sum != 0 {
                powers.insert(name.clone(), sum);
            }
        }
        // Both are free of squares, so what they share is all that comes out.
        let shared = common_divisor(self.radicand, other.radicand);
        let radicand = (self.radicand / shared).checked_mul(other.radicand / shared)?;
        // A larger radicand would not be read again.
        (radicand <= RADICAND_MAX).then_some(())?;
        Some((Monomial { powers, radicand }.checked()?, shared))
    }

    fn checked(mut self) -> Option<Monomial> {
        self.powers.retain(|_, power| *power != 0);
        self.powers.values().all(|power| power.unsigned_abs() <= NAME_POWER_MAX).then_some(self)
    }
}

fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl fmt::Display for Expression {
    /// In the form that an answer is read in.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.terms.is_empty() {
            return write!(f, "0");
        }
        for (at, (monomial, factor)) in self.terms.iter().enumerate() {
            let magnitude = if factor.is_negative() { factor.clone().negated() } else { factor.clone() };
            match (factor.is_negative(), at) {
                (true, _) => write!(f, "-")?,
                (false, 0) => {}
                (false, _) => write!(f, "+")?,
            }
            let mut factors = Vec::new();
            if magnitude != Number::from(1) || (monomial.powers.is_empty() && monomial.radicand == 1) {
                factors.push(magnitude.to_string());
            }
            if monomial.radicand != 1 {
                factors.push(format!("\\sqrt{{{}}}", monomial.radicand));
            }
            factors.extend(monomial.powers.iter().map(|(name, power)| match power {
                1 => name.clone(),
                power => format!("{name}^{{{power}}}"),
            }));
            write!(f, "{}", factors.join("*"))?;
        }
        Ok(())
    }
}
