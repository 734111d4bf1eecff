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

/// What a step does, in the words of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Tag {
    Add,
    Branch,
    Build,
    Case,
    Compare,
    Count,
    Divide,
    Extreme,
    Filter,
    Glue,
    Helper,
    Join,
    Length,
    Loop,
    Map,
    Multiply,
    Pick,
    Remainder,
    Repeat,
    Replace,
    Reverse,
    Slice,
    Sort,
    Subtract,
    Total,
}

impl Tag {
    /// The phrase in a message.
    pub(crate) fn phrase(self) -> &'static str {
        match self {
            Tag::Add => "adds a number",
            Tag::Branch => "has a condition",
            Tag::Build => "builds a value",
            Tag::Case => "changes the case",
            Tag::Compare => "compares",
            Tag::Count => "counts",
            Tag::Divide => "divides",
            Tag::Extreme => "takes an extreme",
            Tag::Filter => "keeps some items",
            Tag::Glue => "adds to an end",
            Tag::Helper => "uses a helper",
            Tag::Join => "joins",
            Tag::Length => "uses the length",
            Tag::Loop => "uses a loop",
            Tag::Map => "changes each item",
            Tag::Multiply => "multiplies",
            Tag::Pick => "picks an item",
            Tag::Remainder => "uses a remainder",
            Tag::Repeat => "repeats",
            Tag::Replace => "replaces letters",
            Tag::Reverse => "reverses",
            Tag::Slice => "takes a part",
            Tag::Sort => "sorts",
            Tag::Subtract => "subtracts",
            Tag::Total => "sums",
        }
    }
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
    /// What it does.
    pub(crate) tag: Tag,
    /// Emptiness.
    pub(crate) flow: Flow,
}

const fn r(weight: u32, from: Type, to: Type, form: &'static str, binds: Binds, tag: Tag) -> Rule {
    Rule { weight, from, to, form, binds, tag, flow: Flow::Any }
}

const fn needs(rule: Rule) -> Rule {
    Rule { flow: Flow::NeedsItems, ..rule }
}

use Binds::{Compare, Post, Sum, Term};

/// All transformations of one operand.
pub(crate) const RULES: &[Rule] = &[
    // int
    r(12, Int, Int, "{x+} + {1~9}", Sum, Tag::Add),
    r(10, Int, Int, "{x+} - {1~9}", Sum, Tag::Subtract),
    r(10, Int, Int, "{x*} * {2-5}", Term, Tag::Multiply),
    r(4, Int, Int, "{x*} // {2-5}", Term, Tag::Divide),
    r(5, Int, Int, "{x*} % {2-7}", Term, Tag::Remainder),
    r(4, Int, Int, "{5-20} - {x*}", Sum, Tag::Subtract),
    r(3, Int, Int, "{x} * {x}", Term, Tag::Multiply),
    r(3, Int, Int, "abs({x+} - {2~9})", Post, Tag::Subtract),
    r(2, Int, Int, "max({x}, {2~9})", Post, Tag::Extreme),
    r(2, Int, Int, "min({x}, {2~9})", Post, Tag::Extreme),
    r(5, Int, Bool, "{x<} > {0~9}", Compare, Tag::Compare),
    r(4, Int, Bool, "{x<} < {2~12}", Compare, Tag::Compare),
    r(4, Int, Bool, "{x*} % {2-3} == 0", Compare, Tag::Remainder),
    r(4, Int, Str, "str({x})", Post, Tag::Build),
    r(2, Int, Str, "str({x}) * {2-3}", Term, Tag::Repeat),
    r(3, Int, Ints, "[{x}, {1-9}]", Post, Tag::Build),
    r(3, Int, Ints, "[{x}, {x} + {1-5}]", Post, Tag::Build),
    r(2, Int, Ints, "[{x}] * {2-4}", Term, Tag::Repeat),
    r(2, Int, Ints, "list(range({x}, {x} + {2-4}))", Post, Tag::Build),
    // list[int]
    r(5, Ints, Int, "sum({x})", Post, Tag::Total),
    r(5, Ints, Int, "len({x})", Post, Tag::Length),
    needs(r(5, Ints, Int, "max({x})", Post, Tag::Extreme)),
    needs(r(5, Ints, Int, "min({x})", Post, Tag::Extreme)),
    needs(r(5, Ints, Int, "{x.}[0]", Post, Tag::Pick)),
    needs(r(5, Ints, Int, "{x.}[-1]", Post, Tag::Pick)),
    r(3, Ints, Int, "{x.}.count({1~5})", Post, Tag::Count),
    needs(r(3, Ints, Int, "max({x}) - min({x})", Sum, Tag::Extreme)),
    needs(r(3, Ints, Int, "{x}[0] + {x}[-1]", Sum, Tag::Pick)),
    r(3, Ints, Int, "sum({x.}[1:])", Post, Tag::Total),
    r(3, Ints, Bool, "{1~9} in {x<}", Compare, Tag::Compare),
    r(3, Ints, Bool, "sum({x}) > {8~20}", Compare, Tag::Total),
    r(3, Ints, Bool, "len({x}) > {2-4}", Compare, Tag::Length),
    needs(r(3, Ints, Bool, "{x}[0] < {x}[-1]", Compare, Tag::Compare)),
    r(4, Ints, Ints, "sorted({x})", Post, Tag::Sort),
    r(3, Ints, Ints, "sorted({x}, reverse=True)", Post, Tag::Sort),
    r(5, Ints, Ints, "{x.}[::-1]", Post, Tag::Reverse),
    r(5, Ints, Ints, "{x.}[1:]", Post, Tag::Slice),
    r(5, Ints, Ints, "{x.}[:-1]", Post, Tag::Slice),
    r(4, Ints, Ints, "{x.}[:2]", Post, Tag::Slice),
    r(4, Ints, Ints, "{x+} + [{0~9}]", Sum, Tag::Glue),
    r(4, Ints, Ints, "[{0~9}] + {x+}", Sum, Tag::Glue),
    r(3, Ints, Ints, "{x}[1:] + {x}[:1]", Sum, Tag::Slice),
    needs(r(2, Ints, Ints, "[min({x}), max({x})]", Post, Tag::Extreme)),
    needs(r(2, Ints, Ints, "[{x}[0], {x}[-1]]", Post, Tag::Pick)),
    // str
    r(5, Str, Str, "{x.}.upper()", Post, Tag::Case),
    r(5, Str, Str, "{x.}[::-1]", Post, Tag::Reverse),
    r(5, Str, Str, "{x.}[1:]", Post, Tag::Slice),
    r(5, Str, Str, "{x.}[:-1]", Post, Tag::Slice),
    r(4, Str, Str, "{x.}[:2]", Post, Tag::Slice),
    r(4, Str, Str, "{x*} * {2-3}", Term, Tag::Repeat),
    r(5, Str, Str, "{x+} + {w}", Sum, Tag::Glue),
    r(4, Str, Str, "{w} + {x+}", Sum, Tag::Glue),
    r(5, Str, Str, "{x.}.replace({c}, {d})", Post, Tag::Replace),
    needs(r(3, Str, Str, "{x}[0] + {x}[-1]", Sum, Tag::Pick)),
    r(3, Str, Str, "{x}[1:] + {x}[:1]", Sum, Tag::Slice),
    r(3, Str, Str, "{x}[2:] + {x}[:2]", Sum, Tag::Slice),
    r(2, Str, Str, "''.join(sorted({x}))", Post, Tag::Sort),
    needs(r(4, Str, Char, "{x.}[0]", Post, Tag::Pick)),
    needs(r(4, Str, Char, "{x.}[-1]", Post, Tag::Pick)),
    r(5, Str, Int, "len({x})", Post, Tag::Length),
    r(4, Str, Int, "{x.}.count({c})", Post, Tag::Count),
    r(3, Str, Bool, "{c} in {x<}", Compare, Tag::Compare),
    r(3, Str, Bool, "len({x}) > {2-4}", Compare, Tag::Length),
    r(3, Str, Bool, "{x.}.startswith({c})", Post, Tag::Compare),
    // one character
    r(3, Char, Str, "{x.}.upper()", Post, Tag::Case),
    r(3, Char, Str, "{x*} * {2-3}", Term, Tag::Repeat),
    r(3, Char, Str, "{x+} + {w}", Sum, Tag::Glue),
    r(4, Char, Bool, "{x<} == {c}", Compare, Tag::Compare),
    r(3, Char, Bool, "{x<} != {c}", Compare, Tag::Compare),
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
    /// What it does.
    pub(crate) tag: Tag,
}

const fn j(
    weight: u32,
    from: (Type, Type),
    to: Type,
    form: &'static str,
    binds: Binds,
    tag: Tag,
) -> Junction {
    Junction { weight, from, to, form, binds, tag }
}

/// All transformations of two operands.
pub(crate) const JUNCTIONS: &[Junction] = &[
    j(5, (Int, Int), Int, "{x} + {y}", Sum, Tag::Add),
    j(5, (Int, Int), Int, "{x} - {y}", Sum, Tag::Subtract),
    j(4, (Int, Int), Int, "{x} * {y}", Term, Tag::Multiply),
    j(2, (Int, Int), Int, "max({x}, {y})", Post, Tag::Extreme),
    j(3, (Int, Int), Int, "{x} * {2-5} + {y}", Sum, Tag::Multiply),
    j(2, (Int, Int), Ints, "[{x}, {y}]", Post, Tag::Build),
    j(2, (Int, Int), Bool, "{x} < {y}", Compare, Tag::Compare),
    j(3, (Ints, Int), Ints, "{x} + [{y}]", Sum, Tag::Glue),
    j(3, (Ints, Int), Ints, "[v + {y} for v in {x}]", Post, Tag::Map),
    j(3, (Ints, Int), Ints, "[v for v in {x} if v > {y}]", Post, Tag::Filter),
    j(2, (Ints, Int), Int, "{x}.count({y})", Post, Tag::Count),
    j(2, (Ints, Int), Int, "sum({x}) * {y}", Term, Tag::Total),
    j(2, (Ints, Int), Bool, "{y} in {x}", Compare, Tag::Compare),
    j(3, (Str, Int), Str, "{x} * {y}", Term, Tag::Repeat),
    j(3, (Str, Int), Str, "{x}[{y}:]", Post, Tag::Slice),
    j(3, (Str, Int), Str, "{x}[:{y}]", Post, Tag::Slice),
    j(2, (Str, Int), Str, "{x} + str({y})", Sum, Tag::Glue),
    j(1, (Str, Int), Bool, "len({x}) > {y}", Compare, Tag::Length),
    j(4, (Str, Str), Str, "{x} + {y}", Sum, Tag::Glue),
    j(3, (Str, Str), Str, "{y} + {x}", Sum, Tag::Glue),
    j(2, (Str, Str), Str, "{x}[0] + {y}[-1]", Sum, Tag::Pick),
    j(2, (Str, Str), Int, "len({x}) + len({y})", Sum, Tag::Length),
];
