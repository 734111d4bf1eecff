//! The table of one-step transformations that generated programs are made of: one line each, so that what the
//! base model has seen can be read off.
//!
//! In a form, `{x}` is the operand; `{x+}`, `{x*}`, `{x<}` and `{x.}` add parentheses where the operand binds
//! less tightly than a sum, a product, a comparison or a call. `{2-9}` is an integer in that range, `{2~9}` one
//! that may be another integer in scope instead, `{=}` the literal drawn last, `{c}` and `{d}` two letters,
//! `{j}` a separator, `{w}` one or two letters.

use super::types::Type::{self, Bool, Char, Dict, Int, Ints, Pair, Str, Strs, Text};

/// How tightly an expression binds, loosest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Binds {
    /// `a if c else b`
    Choice,
    /// `a or b`, `a and b`, `not a`
    Logic,
    /// `a < b`
    Compare,
    /// `a + b`
    Sum,
    /// `a * b`
    Term,
    /// `-a`, `a ** b`
    Sign,
    /// Names, literals, calls, subscripts.
    Post,
}

/// What a step does, in the words of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Tag {
    Add,
    Arithmetic,
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
    Split,
    Square,
    Subtract,
    Total,
}

impl Tag {
    /// The phrase in a message.
    pub(crate) fn phrase(self) -> &'static str {
        match self {
            Tag::Add => "adds a number",
            Tag::Arithmetic => "calculates",
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
            Tag::Split => "splits",
            Tag::Square => "squares",
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
    /// Can leave nothing.
    MayEmpty,
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

const fn empties(rule: Rule) -> Rule {
    Rule { flow: Flow::MayEmpty, ..rule }
}

use Binds::{Compare, Logic, Post, Sign, Sum, Term};

/// All transformations of one operand.
pub(crate) const RULES: &[Rule] = &[
    // int
    r(12, Int, Int, "{x+} + {1~9}", Sum, Tag::Add),
    r(10, Int, Int, "{x+} - {1~9}", Sum, Tag::Subtract),
    r(10, Int, Int, "{x*} * {2-5}", Term, Tag::Multiply),
    r(3, Int, Int, "{x*} // {2-5}", Term, Tag::Divide),
    r(2, Int, Int, "{x*} // 2", Term, Tag::Divide),
    r(5, Int, Int, "{x*} % {2-7}", Term, Tag::Remainder),
    r(1, Int, Int, "{x*} % 10", Term, Tag::Remainder),
    r(4, Int, Int, "{5-20} - {x*}", Sum, Tag::Subtract),
    r(2, Int, Int, "{x} * {x}", Term, Tag::Square),
    r(1, Int, Int, "{x.} ** 2", Sign, Tag::Square),
    r(1, Int, Int, "{x} * ({x} + 1)", Term, Tag::Square),
    r(1, Int, Int, "-{x.}", Sign, Tag::Subtract),
    r(2, Int, Int, "abs({x})", Post, Tag::Arithmetic),
    r(3, Int, Int, "abs({x+} - {2~9})", Post, Tag::Arithmetic),
    r(2, Int, Int, "max({x}, {2~9})", Post, Tag::Extreme),
    r(2, Int, Int, "min({x}, {2~9})", Post, Tag::Extreme),
    r(1, Int, Int, "len(str({x}))", Post, Tag::Length),
    r(4, Int, Bool, "{x<} > {0~9}", Compare, Tag::Compare),
    r(3, Int, Bool, "{x<} < {2~12}", Compare, Tag::Compare),
    r(1, Int, Bool, "{x<} >= {2~9}", Compare, Tag::Compare),
    r(1, Int, Bool, "{x<} <= {2~9}", Compare, Tag::Compare),
    r(3, Int, Bool, "{x*} % 2 == 0", Compare, Tag::Remainder),
    r(1, Int, Bool, "{x*} % 2 == 1", Compare, Tag::Remainder),
    r(2, Int, Bool, "{x*} % {2-4} == 0", Compare, Tag::Remainder),
    r(1, Int, Bool, "{0-4} < {x<} < {7-12}", Compare, Tag::Compare),
    r(1, Int, Bool, "{x} > {0-3} and {x} % 2 == 0", Logic, Tag::Compare),
    r(1, Int, Bool, "{x} < {0-3} or {x} > {6-9}", Logic, Tag::Compare),
    r(3, Int, Str, "str({x})", Post, Tag::Build),
    r(2, Int, Str, "str({x}) + {c}", Sum, Tag::Glue),
    r(1, Int, Str, "{c} + str({x})", Sum, Tag::Glue),
    r(1, Int, Str, "str({x}) * {2-3}", Term, Tag::Repeat),
    r(1, Int, Str, "str({x})[::-1]", Post, Tag::Reverse),
    empties(r(1, Int, Str, "{c} * ({x*} % {3-5})", Term, Tag::Repeat)),
    r(1, Int, Str, "'abc'[{x*} % 3]", Post, Tag::Pick),
    r(2, Int, Ints, "[{x}, {1-9}]", Post, Tag::Build),
    r(2, Int, Ints, "[{x}] * {2-4}", Term, Tag::Repeat),
    r(2, Int, Ints, "[{x}, {x} + {1-5}]", Post, Tag::Build),
    r(1, Int, Ints, "[{x}, {x} * {2-3}]", Post, Tag::Build),
    r(1, Int, Ints, "[{x+} + i for i in range({2-4})]", Post, Tag::Build),
    r(1, Int, Ints, "[i * {x*} for i in range({2-4})]", Post, Tag::Build),
    r(1, Int, Ints, "list(range({x}, {x} + {2-4}))", Post, Tag::Build),
    r(1, Int, Ints, "[int(c) for c in str(abs({x}))]", Post, Tag::Split),
    r(1, Int, Pair, "({x}, {x} + {1-9})", Post, Tag::Build),
    r(1, Int, Pair, "({x} // {2-5}, {x} % {=})", Post, Tag::Remainder),
    r(1, Int, Pair, "({x} - {1-5}, {x} + {=})", Post, Tag::Build),
    // list[int]
    r(5, Ints, Int, "sum({x})", Post, Tag::Total),
    r(4, Ints, Int, "len({x})", Post, Tag::Length),
    needs(r(5, Ints, Int, "max({x})", Post, Tag::Extreme)),
    needs(r(5, Ints, Int, "min({x})", Post, Tag::Extreme)),
    needs(r(4, Ints, Int, "{x.}[0]", Post, Tag::Pick)),
    needs(r(3, Ints, Int, "{x.}[-1]", Post, Tag::Pick)),
    needs(r(1, Ints, Int, "{x.}[1]", Post, Tag::Pick)),
    r(3, Ints, Int, "{x.}.count({1~5})", Post, Tag::Count),
    needs(r(2, Ints, Int, "max({x}) - min({x})", Sum, Tag::Extreme)),
    needs(r(2, Ints, Int, "{x}[0] + {x}[-1]", Sum, Tag::Pick)),
    needs(r(1, Ints, Int, "{x}[0] * {x}[-1]", Term, Tag::Pick)),
    needs(r(1, Ints, Int, "sorted({x})[-2]", Post, Tag::Sort)),
    needs(r(1, Ints, Int, "sum({x}) // len({x})", Term, Tag::Total)),
    needs(r(1, Ints, Int, "{x}.index(max({x}))", Post, Tag::Extreme)),
    r(2, Ints, Int, "sum({x.}[1:])", Post, Tag::Total),
    r(1, Ints, Int, "sum({x.}[:{2-3}])", Post, Tag::Total),
    r(1, Ints, Int, "len(set({x}))", Post, Tag::Length),
    r(1, Ints, Int, "sum({x}) + len({x})", Sum, Tag::Total),
    r(2, Ints, Bool, "{1~9} in {x<}", Compare, Tag::Compare),
    r(2, Ints, Bool, "sum({x}) > {8~20}", Compare, Tag::Total),
    r(2, Ints, Bool, "len({x}) > {2-4}", Compare, Tag::Length),
    r(1, Ints, Bool, "sum({x}) % 2 == 0", Compare, Tag::Remainder),
    needs(r(1, Ints, Bool, "max({x}) > {5~9}", Compare, Tag::Extreme)),
    needs(r(2, Ints, Bool, "{x}[0] < {x}[-1]", Compare, Tag::Compare)),
    r(1, Ints, Bool, "{x} == sorted({x})", Compare, Tag::Sort),
    r(1, Ints, Bool, "any(v > {5~9} for v in {x})", Post, Tag::Compare),
    r(1, Ints, Bool, "all(v > {0~4} for v in {x})", Post, Tag::Compare),
    r(4, Ints, Ints, "sorted({x})", Post, Tag::Sort),
    r(2, Ints, Ints, "sorted({x}, reverse=True)", Post, Tag::Sort),
    r(5, Ints, Ints, "{x.}[::-1]", Post, Tag::Reverse),
    r(1, Ints, Ints, "list(reversed({x}))", Post, Tag::Reverse),
    r(4, Ints, Ints, "{x.}[1:]", Post, Tag::Slice),
    r(4, Ints, Ints, "{x.}[:-1]", Post, Tag::Slice),
    empties(r(2, Ints, Ints, "{x.}[{2-3}:]", Post, Tag::Slice)),
    r(2, Ints, Ints, "{x.}[:{2-3}]", Post, Tag::Slice),
    r(2, Ints, Ints, "{x.}[::2]", Post, Tag::Slice),
    r(3, Ints, Ints, "{x+} + [{0~9}]", Sum, Tag::Glue),
    r(2, Ints, Ints, "[{0~9}] + {x+}", Sum, Tag::Glue),
    r(1, Ints, Ints, "{x*} * 2", Term, Tag::Repeat),
    r(1, Ints, Ints, "{x}[1:] + {x}[:1]", Sum, Tag::Slice),
    r(1, Ints, Ints, "{x}[-1:] + {x}[:-1]", Sum, Tag::Slice),
    r(1, Ints, Ints, "{x} + {x}[::-1]", Sum, Tag::Reverse),
    r(1, Ints, Ints, "sorted(set({x}))", Post, Tag::Sort),
    needs(r(1, Ints, Ints, "[min({x}), max({x})]", Post, Tag::Extreme)),
    needs(r(1, Ints, Ints, "[{x}[0], {x}[-1]]", Post, Tag::Pick)),
    r(1, Ints, Ints, "[len({x}), sum({x})]", Post, Tag::Build),
    r(1, Ints, Ints, "[i * v for i, v in enumerate({x})]", Post, Tag::Map),
    r(1, Ints, Ints, "[i + v for i, v in enumerate({x})]", Post, Tag::Map),
    empties(r(1, Ints, Ints, "[b - a for a, b in zip({x}, {x}[1:])]", Post, Tag::Map)),
    empties(r(1, Ints, Ints, "[a + b for a, b in zip({x}, {x}[1:])]", Post, Tag::Map)),
    empties(r(1, Ints, Ints, "[v for v in {x} if v != {1~5}]", Post, Tag::Filter)),
    r(1, Ints, Str, "''.join(str(v) for v in {x})", Post, Tag::Join),
    r(1, Ints, Str, "{j}.join(str(v) for v in {x})", Post, Tag::Join),
    needs(r(1, Ints, Str, "str({x.}[0])", Post, Tag::Pick)),
    needs(r(1, Ints, Pair, "(min({x}), max({x}))", Post, Tag::Extreme)),
    needs(r(1, Ints, Pair, "({x}[0], {x}[-1])", Post, Tag::Pick)),
    r(1, Ints, Pair, "(len({x}), sum({x}))", Post, Tag::Total),
    // str
    r(5, Str, Str, "{x.}.upper()", Post, Tag::Case),
    r(1, Str, Str, "{x.}.lower()", Post, Tag::Case),
    r(1, Str, Str, "{x.}.capitalize()", Post, Tag::Case),
    r(5, Str, Str, "{x.}[::-1]", Post, Tag::Reverse),
    r(3, Str, Str, "{x.}[1:]", Post, Tag::Slice),
    r(3, Str, Str, "{x.}[:-1]", Post, Tag::Slice),
    empties(r(1, Str, Str, "{x.}[{2-3}:]", Post, Tag::Slice)),
    r(2, Str, Str, "{x.}[:{1-3}]", Post, Tag::Slice),
    r(2, Str, Str, "{x.}[-{1-3}:]", Post, Tag::Slice),
    r(2, Str, Str, "{x.}[::2]", Post, Tag::Slice),
    r(3, Str, Str, "{x*} * {2-3}", Term, Tag::Repeat),
    r(4, Str, Str, "{x+} + {w}", Sum, Tag::Glue),
    r(3, Str, Str, "{w} + {x+}", Sum, Tag::Glue),
    r(1, Str, Str, "{c} + {x+} + {d}", Sum, Tag::Glue),
    r(5, Str, Str, "{x.}.replace({c}, {d})", Post, Tag::Replace),
    empties(r(2, Str, Str, "{x.}.replace({c}, '')", Post, Tag::Replace)),
    needs(r(1, Str, Str, "{x}[0] + {x}[-1]", Sum, Tag::Pick)),
    needs(r(1, Str, Str, "{x}[-1] + {x}[1:]", Sum, Tag::Pick)),
    r(2, Str, Str, "{x}[1:] + {x}[:1]", Sum, Tag::Slice),
    r(1, Str, Str, "{x}[{2-3}:] + {x}[:{=}]", Sum, Tag::Slice),
    r(1, Str, Str, "{x} + {x}[::-1]", Sum, Tag::Reverse),
    r(1, Str, Str, "''.join(sorted({x}))", Post, Tag::Sort),
    r(1, Str, Str, "{j}.join({x})", Post, Tag::Join),
    empties(r(1, Str, Str, "{x.}.strip({c})", Post, Tag::Slice)),
    needs(r(2, Str, Char, "{x.}[0]", Post, Tag::Pick)),
    needs(r(1, Str, Char, "{x.}[-1]", Post, Tag::Pick)),
    needs(r(1, Str, Char, "max({x})", Post, Tag::Extreme)),
    r(5, Str, Int, "len({x})", Post, Tag::Length),
    r(4, Str, Int, "{x.}.count({c})", Post, Tag::Count),
    r(1, Str, Int, "{x.}.find({c})", Post, Tag::Count),
    r(1, Str, Int, "len(set({x}))", Post, Tag::Length),
    r(1, Str, Int, "len({x}) * {2-4}", Term, Tag::Length),
    r(2, Str, Bool, "{c} in {x<}", Compare, Tag::Compare),
    r(1, Str, Bool, "{x.}.startswith({c})", Post, Tag::Compare),
    r(1, Str, Bool, "{x.}.endswith({c})", Post, Tag::Compare),
    r(2, Str, Bool, "len({x}) > {2-4}", Compare, Tag::Length),
    r(1, Str, Bool, "len({x}) % 2 == 0", Compare, Tag::Length),
    needs(r(1, Str, Bool, "{x.}[0] == {c}", Compare, Tag::Compare)),
    needs(r(1, Str, Bool, "{x}[0] == {x}[-1]", Compare, Tag::Compare)),
    r(1, Str, Bool, "{x} == {x}[::-1]", Compare, Tag::Reverse),
    r(2, Str, Strs, "list({x})", Post, Tag::Split),
    r(1, Str, Strs, "sorted({x})", Post, Tag::Sort),
    r(1, Str, Strs, "{x.}.split({c})", Post, Tag::Split),
    r(1, Str, Strs, "[{x}, {x}[::-1]]", Post, Tag::Reverse),
    r(1, Str, Ints, "[{x}.count({c}), len({x})]", Post, Tag::Count),
    empties(r(1, Str, Ints, "[i for i, c in enumerate({x}) if c == {c}]", Post, Tag::Filter)),
    r(1, Str, Pair, "({x}, len({x}))", Post, Tag::Length),
    needs(r(1, Str, Pair, "({x}[0], {x}[1:])", Post, Tag::Slice)),
    r(1, Str, Dict, "{{c: {x}.count(c) for c in {x}}}", Post, Tag::Count),
    // one character
    r(3, Char, Str, "{x.}.upper()", Post, Tag::Case),
    r(3, Char, Str, "{x*} * {2-3}", Term, Tag::Repeat),
    r(3, Char, Str, "{x+} + {c}", Sum, Tag::Glue),
    r(1, Char, Str, "{c} + {x+}", Sum, Tag::Glue),
    r(4, Char, Bool, "{x<} == {c}", Compare, Tag::Compare),
    r(3, Char, Bool, "{x<} != {c}", Compare, Tag::Compare),
    r(2, Char, Bool, "{x<} in 'aeiou'", Compare, Tag::Compare),
    r(1, Char, Bool, "{x<} > {c}", Compare, Tag::Compare),
    r(1, Char, Int, "ord({x}) - ord('a')", Sum, Tag::Arithmetic),
    // words
    r(2, Text, Str, "{x.}.title()", Post, Tag::Case),
    r(1, Text, Str, "{x.}.upper()", Post, Tag::Case),
    r(2, Text, Str, "{x.}.replace(' ', {j})", Post, Tag::Replace),
    r(1, Text, Str, "{x.}.split()[0]", Post, Tag::Pick),
    r(2, Text, Str, "{x.}.split()[-1]", Post, Tag::Pick),
    r(1, Text, Str, "' '.join({x.}.split()[::-1])", Post, Tag::Reverse),
    r(1, Text, Str, "''.join(w[0] for w in {x.}.split())", Post, Tag::Pick),
    r(4, Text, Strs, "{x.}.split()", Post, Tag::Split),
    r(1, Text, Strs, "sorted({x.}.split())", Post, Tag::Sort),
    r(1, Text, Ints, "[len(w) for w in {x.}.split()]", Post, Tag::Length),
    r(1, Text, Int, "len({x.}.split())", Post, Tag::Length),
    r(1, Text, Int, "{x.}.count({c})", Post, Tag::Count),
    // list[str]
    r(3, Strs, Str, "''.join({x})", Post, Tag::Join),
    r(3, Strs, Str, "{j}.join({x})", Post, Tag::Join),
    needs(r(3, Strs, Str, "{x.}[0]", Post, Tag::Pick)),
    needs(r(2, Strs, Str, "{x.}[-1]", Post, Tag::Pick)),
    needs(r(1, Strs, Str, "max({x}, key=len)", Post, Tag::Extreme)),
    needs(r(1, Strs, Str, "min({x})", Post, Tag::Extreme)),
    needs(r(1, Strs, Str, "{x}[0] + {x}[-1]", Sum, Tag::Pick)),
    r(2, Strs, Int, "len({x})", Post, Tag::Length),
    r(1, Strs, Int, "sum(len(w) for w in {x})", Post, Tag::Length),
    needs(r(1, Strs, Int, "len({x.}[0])", Post, Tag::Length)),
    r(2, Strs, Strs, "sorted({x})", Post, Tag::Sort),
    r(1, Strs, Strs, "sorted({x}, key=len)", Post, Tag::Sort),
    r(2, Strs, Strs, "{x.}[::-1]", Post, Tag::Reverse),
    r(1, Strs, Strs, "{x.}[1:]", Post, Tag::Slice),
    r(1, Strs, Strs, "{x.}[:2]", Post, Tag::Slice),
    r(1, Strs, Strs, "{x+} + [{c}]", Sum, Tag::Glue),
    r(1, Strs, Bool, "{w} in {x<}", Compare, Tag::Compare),
    r(1, Strs, Bool, "len({x}) > {2-3}", Compare, Tag::Length),
    // dict[str, int]
    r(3, Dict, Int, "sum({x.}.values())", Post, Tag::Total),
    needs(r(2, Dict, Int, "max({x.}.values())", Post, Tag::Extreme)),
    r(2, Dict, Int, "{x.}.get({c}, 0)", Post, Tag::Pick),
    r(1, Dict, Int, "len({x})", Post, Tag::Length),
    r(2, Dict, Strs, "sorted({x})", Post, Tag::Sort),
    empties(r(1, Dict, Strs, "[k for k in {x} if {x}[k] > {2-6}]", Post, Tag::Filter)),
    r(1, Dict, Ints, "list({x.}.values())", Post, Tag::Build),
    r(1, Dict, Ints, "sorted({x.}.values())", Post, Tag::Sort),
    needs(r(1, Dict, Str, "max({x}, key={x}.get)", Post, Tag::Extreme)),
    r(1, Dict, Bool, "{c} in {x<}", Compare, Tag::Compare),
    r(1, Dict, Dict, "{{k: v + {1-5} for k, v in {x.}.items()}}", Post, Tag::Map),
    // bool, for flags
    r(3, Bool, Bool, "not {x.}", Logic, Tag::Compare),
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
    j(2, (Int, Int), Int, "min({x}, {y})", Post, Tag::Extreme),
    j(2, (Int, Int), Int, "abs({x} - {y})", Post, Tag::Arithmetic),
    j(3, (Int, Int), Int, "{x} * {2-5} + {y}", Sum, Tag::Arithmetic),
    j(2, (Int, Int), Int, "{x} - {y} * {2-4}", Sum, Tag::Arithmetic),
    j(1, (Int, Int), Int, "({x} + {y}) % {3-7}", Term, Tag::Remainder),
    j(1, (Int, Int), Int, "{x} * {x} - {y}", Sum, Tag::Square),
    j(1, (Int, Int), Bool, "{x} + {y} > {8-15}", Compare, Tag::Compare),
    j(1, (Int, Int), Bool, "{x} < {y}", Compare, Tag::Compare),
    j(2, (Int, Int), Ints, "[{x}, {y}]", Post, Tag::Build),
    j(1, (Int, Int), Ints, "[{x} + {y}, {x} - {y}]", Post, Tag::Build),
    j(1, (Int, Int), Pair, "({y}, {x})", Post, Tag::Build),
    j(1, (Int, Int), Str, "str({x}) + str({y})", Sum, Tag::Join),
    j(2, (Ints, Int), Ints, "{x} + [{y}]", Sum, Tag::Glue),
    j(1, (Ints, Int), Ints, "[{y}] + {x}", Sum, Tag::Glue),
    j(2, (Ints, Int), Ints, "{x}[{y}:] + {x}[:{y}]", Sum, Tag::Slice),
    j(3, (Ints, Int), Ints, "[v + {y} for v in {x}]", Post, Tag::Map),
    j(3, (Ints, Int), Ints, "[v * {y} for v in {x}]", Post, Tag::Map),
    j(2, (Ints, Int), Ints, "[v for v in {x} if v > {y}]", Post, Tag::Filter),
    j(1, (Ints, Int), Ints, "[v for v in {x} if v < {y}]", Post, Tag::Filter),
    j(1, (Ints, Int), Ints, "{x}[:{y}]", Post, Tag::Slice),
    j(2, (Ints, Int), Int, "{x}.count({y})", Post, Tag::Count),
    j(2, (Ints, Int), Int, "sum({x}) + {y}", Sum, Tag::Total),
    j(2, (Ints, Int), Int, "sum({x}) * {y}", Term, Tag::Total),
    j(1, (Ints, Int), Int, "max({x}) - {y}", Sum, Tag::Extreme),
    j(1, (Ints, Int), Int, "{x}[{y} % len({x})]", Post, Tag::Pick),
    j(1, (Ints, Int), Bool, "{y} in {x}", Compare, Tag::Compare),
    j(1, (Ints, Int), Bool, "sum({x}) > {y}", Compare, Tag::Total),
    j(3, (Str, Int), Str, "{x} * {y}", Term, Tag::Repeat),
    j(3, (Str, Int), Str, "{x}[{y}:]", Post, Tag::Slice),
    j(3, (Str, Int), Str, "{x}[:{y}]", Post, Tag::Slice),
    j(1, (Str, Int), Str, "{x}[{y}:] + {x}[:{y}]", Sum, Tag::Slice),
    j(2, (Str, Int), Str, "{x} + str({y})", Sum, Tag::Glue),
    j(1, (Str, Int), Str, "{x}[:{y}].upper()", Post, Tag::Case),
    j(1, (Str, Int), Int, "len({x}) + {y}", Sum, Tag::Length),
    j(1, (Str, Int), Int, "len({x}) * {y}", Term, Tag::Length),
    j(1, (Str, Int), Bool, "len({x}) > {y}", Compare, Tag::Length),
    j(1, (Str, Int), Strs, "[{x}] * {y}", Term, Tag::Repeat),
    j(3, (Str, Str), Str, "{x} + {y}", Sum, Tag::Join),
    j(2, (Str, Str), Str, "{y} + {x}", Sum, Tag::Join),
    j(1, (Str, Str), Str, "{x} + {j} + {y}", Sum, Tag::Join),
    j(2, (Str, Str), Str, "{x}[0] + {y}[-1]", Sum, Tag::Pick),
    j(1, (Str, Str), Str, "''.join(a + b for a, b in zip({x}, {y}))", Post, Tag::Join),
    j(1, (Str, Str), Strs, "[{x}, {y}]", Post, Tag::Build),
    j(1, (Str, Str), Strs, "sorted([{x}, {y}])", Post, Tag::Sort),
    j(1, (Str, Str), Int, "len({x}) + len({y})", Sum, Tag::Length),
    j(1, (Str, Str), Bool, "len({x}) > len({y})", Compare, Tag::Length),
    j(3, (Str, Char), Int, "{x}.count({y})", Post, Tag::Count),
    j(2, (Str, Char), Str, "{x}.replace({y}, {w})", Post, Tag::Replace),
    j(1, (Str, Char), Str, "{y} + {x} + {y}", Sum, Tag::Glue),
    j(1, (Str, Char), Str, "{y}.join({x})", Post, Tag::Join),
    j(1, (Str, Char), Strs, "{x}.split({y})", Post, Tag::Split),
    j(1, (Str, Char), Bool, "{y} in {x}", Compare, Tag::Compare),
    j(2, (Ints, Ints), Ints, "{x} + {y}", Sum, Tag::Join),
    j(2, (Ints, Ints), Ints, "[a + b for a, b in zip({x}, {y})]", Post, Tag::Map),
    j(1, (Ints, Ints), Ints, "[v for v in {x} if v in {y}]", Post, Tag::Filter),
    j(1, (Ints, Ints), Ints, "sorted({x} + {y})", Post, Tag::Sort),
    j(1, (Ints, Ints), Int, "sum({x}) - sum({y})", Sum, Tag::Total),
    j(1, (Ints, Ints), Int, "max({x}) + min({y})", Sum, Tag::Extreme),
    j(1, (Ints, Ints), Bool, "len({x}) > len({y})", Compare, Tag::Length),
];
