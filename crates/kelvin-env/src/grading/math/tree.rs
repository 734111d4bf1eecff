//! What an answer is once it is read.

use crate::grading::number::Number;

/// A number or a formula.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Number(Number),
    /// A decimal as it is written, with the count of digits behind its point: it may stand for what rounds to it.
    Decimal(Number, u32),
    /// A numeral in another base, which is the same only as itself.
    Based {
        digits: String,
        base: String,
    },
    /// An unknown, or one of the constants `pi`, `e`, `i`, `infty`.
    Symbol(String),
    Sum(Vec<Expr>),
    Product(Vec<Expr>),
    Quotient(Box<Expr>, Box<Expr>),
    Negative(Box<Expr>),
    Power(Box<Expr>, Box<Expr>),
    /// The root of a degree.
    Root(Box<Expr>, Box<Expr>),
    Call(Function, Vec<Expr>),
    /// An unknown function of its arguments.
    Applied(String, Vec<Expr>),
    Degrees(Box<Expr>),
    /// Plus or minus what stands inside; `true` for the lower sign first.
    PlusMinus(Box<Expr>, bool),
    Matrix(Vec<Vec<Expr>>),
    /// A sum or a product over an index.
    Series {
        is_product: bool,
        index: String,
        low: Box<Expr>,
        high: Box<Expr>,
        body: Box<Expr>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Arcsin,
    Arccos,
    Arctan,
    Sinh,
    Cosh,
    Tanh,
    Ln,
    /// The logarithm whose base is not written, or is the second argument.
    Log,
    Exp,
    Abs,
    Sign,
    Floor,
    Ceiling,
    Factorial,
    DoubleFactorial,
    Binomial,
    Gcd,
    Lcm,
    Max,
    Min,
}

/// How two sides stand to one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Unequal,
}

impl Relation {
    /// The same relation read from the right.
    pub(super) fn mirrored(self) -> Relation {
        match self {
            Relation::Less => Relation::Greater,
            Relation::LessOrEqual => Relation::GreaterOrEqual,
            Relation::Greater => Relation::Less,
            Relation::GreaterOrEqual => Relation::LessOrEqual,
            Relation::Unequal => Relation::Unequal,
        }
    }
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Value(Expr),
    /// A value with what it is counted in.
    Quantity(Expr, super::units::Unit),
    /// A percentage.
    Percent(Expr),
    /// Words, in folded form; a short run of letters may be their product instead.
    Text(String, Option<Expr>),
    /// Things between commas, without brackets; joined by "or", they are alternatives.
    List(Vec<Answer>, Joined),
    Set(Vec<Answer>),
    /// A tuple, or an interval.
    Tuple {
        open: char,
        items: Vec<Answer>,
        close: char,
    },
    Union(Vec<Answer>),
    /// All numbers of a kind but some: the reals without 3.
    Difference(Box<Answer>, Box<Answer>),
    /// Something that has a name: `x = 5`, `f(x) = 2x`, `x \in [0, 1]`.
    Named(Name, Box<Answer>),
    Equation(Expr, Expr),
    Inequality(Vec<Expr>, Vec<Relation>),
    Ratio(Vec<Answer>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    Commas,
    And,
    Or,
}

/// What stands left of an equals sign.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name {
    /// As it is written, without blanks.
    pub(super) text: String,
    /// The arguments, of a function.
    pub(super) arguments: Vec<String>,
    /// The names between brackets, of a tuple.
    pub(super) members: Vec<String>,
    /// What it is read as in an equation, where it can be.
    pub(super) symbol: Option<Expr>,
}

impl Expr {
    pub(super) fn integer(value: u64) -> Expr {
        Expr::Number(Number::from(value))
    }

    pub(super) fn symbol(name: &str) -> Expr {
        Expr::Symbol(name.to_owned())
    }

    pub(super) fn is_infinite(&self) -> bool {
        matches!(self, Expr::Symbol(name) if name == "infty")
    }

    /// The parts that it is made of.
    pub(super) fn parts(&self) -> Vec<&Expr> {
        match self {
            Expr::Number(_) | Expr::Decimal(..) | Expr::Based { .. } | Expr::Symbol(_) => Vec::new(),
            Expr::Sum(all) | Expr::Product(all) | Expr::Call(_, all) | Expr::Applied(_, all) => {
                all.iter().collect()
            }
            Expr::Quotient(a, b) | Expr::Power(a, b) | Expr::Root(a, b) => vec![a, b],
            Expr::Negative(one) | Expr::Degrees(one) | Expr::PlusMinus(one, _) => vec![one],
            Expr::Matrix(rows) => rows.iter().flatten().collect(),
            Expr::Series { low, high, body, .. } => vec![low, high, body],
        }
    }

    /// How many nodes it has.
    pub(super) fn n_nodes(&self) -> u32 {
        1 + self.parts().into_iter().map(Expr::n_nodes).sum::<u32>()
    }

    /// Whether nothing in it lies deeper than so many levels. Looks no deeper than that.
    pub(super) fn is_within(&self, n_levels: usize) -> bool {
        n_levels.checked_sub(1).is_some_and(|rest| self.parts().iter().all(|part| part.is_within(rest)))
    }

    pub(super) fn any(&self, holds: &dyn Fn(&Expr) -> bool) -> bool {
        holds(self) || self.parts().iter().any(|part| part.any(holds))
    }

    /// The same tree with each node replaced by what `change` makes of it, from below.
    pub(super) fn map(&self, change: &dyn Fn(Expr) -> Expr) -> Expr {
        let all = |parts: &[Expr]| parts.iter().map(|part| part.map(change)).collect::<Vec<_>>();
        let one = |part: &Expr| Box::new(part.map(change));
        change(match self {
            Expr::Number(_) | Expr::Decimal(..) | Expr::Based { .. } | Expr::Symbol(_) => self.clone(),
            Expr::Sum(parts) => Expr::Sum(all(parts)),
            Expr::Product(parts) => Expr::Product(all(parts)),
            Expr::Call(function, parts) => Expr::Call(*function, all(parts)),
            Expr::Applied(name, parts) => Expr::Applied(name.clone(), all(parts)),
            Expr::Quotient(a, b) => Expr::Quotient(one(a), one(b)),
            Expr::Power(a, b) => Expr::Power(one(a), one(b)),
            Expr::Root(a, b) => Expr::Root(one(a), one(b)),
            Expr::Negative(part) => Expr::Negative(one(part)),
            Expr::Degrees(part) => Expr::Degrees(one(part)),
            Expr::PlusMinus(part, is_lower) => Expr::PlusMinus(one(part), *is_lower),
            Expr::Matrix(rows) => Expr::Matrix(rows.iter().map(|row| all(row)).collect()),
            Expr::Series { is_product, index, low, high, body } => Expr::Series {
                is_product: *is_product,
                index: index.clone(),
                low: one(low),
                high: one(high),
                body: one(body),
            },
        })
    }
}
