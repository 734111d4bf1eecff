//! The table of one-step transformations that generated programs are made of: one line each, so that what the
//! base model has seen can be read off.
//!
//! In a form, `{x}` is the operand; `{x+}`, `{x*}`, `{x<}` and `{x.}` add parentheses where the operand binds
//! less tightly than a sum, a product, a comparison or a call. `{2-9}` is an integer in that range, `{2~9}` one
//! that may be another integer in scope instead, `{c}` a letter that inputs have, `{d}` one that they have not,
//! `{w}` either.

use super::types::Type::{self, Bool, Char, Int, Ints, Str};

/// How tightly an expression binds, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Binds {
    /// `a if c else b`
    Choice,
    /// `a < b`
    Compare,
    /// `a + b`
    Sum,
    /// `a * b`
    Term,
    /// Names, literals, calls, subscripts.
    Post,
}

/// What a step needs and leaves, of emptiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Takes anything; what is not empty stays so.
    Any,
    /// Raises on an empty operand.
    NeedsItems,
}

/// One transformation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Relative frequency among the rules with the same operand type.
    pub(crate) weight: u32,
    /// Operand type.
    pub(crate) from: Type,
    /// Result type.
    pub(crate) to: Type,
    /// See the module documentation.
    pub(crate) form: &'static str,
    /// How tightly the result binds.
    pub(crate) binds: Binds,
    /// What it does, in the words of a message.
    pub(crate) does: &'static str,
    /// Emptiness.
    pub(crate) flow: Flow,
}

const fn r(weight: u32, from: Type, to: Type, form: &'static str, binds: Binds, does: &'static str) -> Rule {
    Rule { weight, from, to, form, binds, does, flow: Flow::Any }
}

const fn needs(rule: Rule) -> Rule {
    Rule { flow: Flow::NeedsItems, ..rule }
}

use Binds::{Compare, Post, Sum, Term};

/// All transformations of one operand.
pub(crate) const RULES: &[Rule] = &[
    // int
    r(12, Int, Int, "{x+} + {1~9}", Sum, "adds a number"),
    r(10, Int, Int, "{x+} - {1~9}", Sum, "subtracts"),
    r(10, Int, Int, "{x*} * {2-5}", Term, "multiplies"),
    r(4, Int, Int, "{x*} // {2-5}", Term, "divides"),
    r(5, Int, Int, "{x*} % {2-7}", Term, "takes a remainder"),
    r(4, Int, Int, "{5-20} - {x*}", Sum, "subtracts from a number"),
    r(3, Int, Int, "{x} * {x}", Term, "squares"),
    r(3, Int, Int, "abs({x+} - {2~9})", Post, "takes a distance"),
    r(2, Int, Int, "max({x}, {2~9})", Post, "limits from below"),
    r(2, Int, Int, "min({x}, {2~9})", Post, "limits from above"),
    r(5, Int, Bool, "{x<} > {0~9}", Compare, "checks for more"),
    r(4, Int, Bool, "{x<} < {2~12}", Compare, "checks for less"),
    r(4, Int, Bool, "{x*} % {2-3} == 0", Compare, "checks divisibility"),
    r(4, Int, Str, "str({x})", Post, "makes text"),
    r(2, Int, Str, "str({x}) * {2-3}", Term, "repeats text"),
    r(3, Int, Ints, "[{x}, {1-9}]", Post, "makes a pair"),
    r(3, Int, Ints, "[{x}, {x} + {1-5}]", Post, "pairs with a sum"),
    r(2, Int, Ints, "[{x}] * {2-4}", Term, "repeats an item"),
    r(2, Int, Ints, "list(range({x}, {x} + {2-4}))", Post, "counts on"),
    // list[int]
    r(5, Ints, Int, "sum({x})", Post, "sums"),
    r(5, Ints, Int, "len({x})", Post, "takes the length"),
    needs(r(5, Ints, Int, "max({x})", Post, "takes the largest")),
    needs(r(5, Ints, Int, "min({x})", Post, "takes the smallest")),
    needs(r(5, Ints, Int, "{x.}[0]", Post, "takes the first")),
    needs(r(5, Ints, Int, "{x.}[-1]", Post, "takes the last")),
    r(3, Ints, Int, "{x.}.count({1~5})", Post, "counts"),
    needs(r(3, Ints, Int, "max({x}) - min({x})", Sum, "takes the spread")),
    needs(r(3, Ints, Int, "{x}[0] + {x}[-1]", Sum, "adds both ends")),
    r(3, Ints, Int, "sum({x.}[1:])", Post, "sums the rest"),
    r(3, Ints, Bool, "{1~9} in {x<}", Compare, "looks for a member"),
    r(3, Ints, Bool, "sum({x}) > {8~20}", Compare, "compares the sum"),
    r(3, Ints, Bool, "len({x}) > {2-4}", Compare, "compares the length"),
    needs(r(3, Ints, Bool, "{x}[0] < {x}[-1]", Compare, "compares both ends")),
    r(4, Ints, Ints, "sorted({x})", Post, "sorts"),
    r(3, Ints, Ints, "sorted({x}, reverse=True)", Post, "sorts downwards"),
    r(5, Ints, Ints, "{x.}[::-1]", Post, "reverses"),
    r(5, Ints, Ints, "{x.}[1:]", Post, "drops the first"),
    r(5, Ints, Ints, "{x.}[:-1]", Post, "drops the last"),
    r(4, Ints, Ints, "{x.}[:2]", Post, "keeps the first two"),
    r(4, Ints, Ints, "{x+} + [{0~9}]", Sum, "adds to the end"),
    r(4, Ints, Ints, "[{0~9}] + {x+}", Sum, "adds to the front"),
    r(3, Ints, Ints, "{x}[1:] + {x}[:1]", Sum, "moves the first to the end"),
    needs(r(2, Ints, Ints, "[min({x}), max({x})]", Post, "takes both extremes")),
    needs(r(2, Ints, Ints, "[{x}[0], {x}[-1]]", Post, "takes both ends")),
    // str
    r(5, Str, Str, "{x.}.upper()", Post, "makes upper case"),
    r(5, Str, Str, "{x.}[::-1]", Post, "reverses"),
    r(5, Str, Str, "{x.}[1:]", Post, "drops the first"),
    r(5, Str, Str, "{x.}[:-1]", Post, "drops the last"),
    r(4, Str, Str, "{x.}[:2]", Post, "keeps the first two"),
    r(4, Str, Str, "{x*} * {2-3}", Term, "repeats"),
    r(5, Str, Str, "{x+} + {w}", Sum, "adds to the end"),
    r(4, Str, Str, "{w} + {x+}", Sum, "adds to the front"),
    r(5, Str, Str, "{x.}.replace({c}, {d})", Post, "replaces a letter"),
    needs(r(3, Str, Str, "{x}[0] + {x}[-1]", Sum, "joins both ends")),
    r(3, Str, Str, "{x}[1:] + {x}[:1]", Sum, "moves the first to the end"),
    r(3, Str, Str, "{x}[2:] + {x}[:2]", Sum, "moves the first two to the end"),
    r(2, Str, Str, "''.join(sorted({x}))", Post, "sorts"),
    needs(r(4, Str, Char, "{x.}[0]", Post, "takes the first")),
    needs(r(4, Str, Char, "{x.}[-1]", Post, "takes the last")),
    r(5, Str, Int, "len({x})", Post, "takes the length"),
    r(4, Str, Int, "{x.}.count({c})", Post, "counts"),
    r(3, Str, Bool, "{c} in {x<}", Compare, "looks for a letter"),
    r(3, Str, Bool, "len({x}) > {2-4}", Compare, "compares the length"),
    r(3, Str, Bool, "{x.}.startswith({c})", Post, "checks the first"),
    // one character
    r(3, Char, Str, "{x.}.upper()", Post, "makes upper case"),
    r(3, Char, Str, "{x*} * {2-3}", Term, "repeats"),
    r(3, Char, Str, "{x+} + {w}", Sum, "adds to the end"),
    r(4, Char, Bool, "{x<} == {c}", Compare, "checks for a letter"),
    r(3, Char, Bool, "{x<} != {c}", Compare, "checks for other letters"),
];

/// One transformation of two operands, the second written `{y}`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Junction {
    /// Relative frequency among those with the same operands.
    pub(crate) weight: u32,
    /// Types of `{x}` and `{y}`.
    pub(crate) from: (Type, Type),
    /// Result type.
    pub(crate) to: Type,
    /// As in [`Rule::form`]; both operands are names.
    pub(crate) form: &'static str,
    /// How tightly the result binds.
    pub(crate) binds: Binds,
    /// What it does, in the words of a message.
    pub(crate) does: &'static str,
}

const fn j(
    weight: u32,
    from: (Type, Type),
    to: Type,
    form: &'static str,
    binds: Binds,
    does: &'static str,
) -> Junction {
    Junction { weight, from, to, form, binds, does }
}

/// All transformations of two operands.
pub(crate) const JUNCTIONS: &[Junction] = &[
    j(5, (Int, Int), Int, "{x} + {y}", Sum, "adds both"),
    j(5, (Int, Int), Int, "{x} - {y}", Sum, "takes the difference"),
    j(4, (Int, Int), Int, "{x} * {y}", Term, "takes the product"),
    j(2, (Int, Int), Int, "max({x}, {y})", Post, "takes the larger"),
    j(3, (Int, Int), Int, "{x} * {2-5} + {y}", Sum, "multiplies, adds both"),
    j(2, (Int, Int), Ints, "[{x}, {y}]", Post, "makes a pair"),
    j(2, (Int, Int), Bool, "{x} < {y}", Compare, "compares both"),
    j(3, (Ints, Int), Ints, "{x} + [{y}]", Sum, "adds to the end"),
    j(3, (Ints, Int), Ints, "[v + {y} for v in {x}]", Post, "adds to each item"),
    j(3, (Ints, Int), Ints, "[v for v in {x} if v > {y}]", Post, "keeps larger items"),
    j(2, (Ints, Int), Int, "{x}.count({y})", Post, "counts"),
    j(2, (Ints, Int), Int, "sum({x}) * {y}", Term, "sums, multiplies"),
    j(2, (Ints, Int), Bool, "{y} in {x}", Compare, "looks for a member"),
    j(3, (Str, Int), Str, "{x} * {y}", Term, "takes the product"),
    j(3, (Str, Int), Str, "{x}[{y}:]", Post, "drops the first ones"),
    j(3, (Str, Int), Str, "{x}[:{y}]", Post, "keeps the first ones"),
    j(2, (Str, Int), Str, "{x} + str({y})", Sum, "adds to the end"),
    j(1, (Str, Int), Bool, "len({x}) > {y}", Compare, "compares the length"),
    j(4, (Str, Str), Str, "{x} + {y}", Sum, "joins both"),
    j(3, (Str, Str), Str, "{y} + {x}", Sum, "joins both backwards"),
    j(2, (Str, Str), Str, "{x}[0] + {y}[-1]", Sum, "joins a first and a last"),
    j(2, (Str, Str), Int, "len({x}) + len({y})", Sum, "adds both lengths"),
];
