//! Python programs and values as data: nothing here runs a program, reads a file or knows a clock.
//!
//! Reading order: [`value`] (literals, their canonical text, equality), [`arguments`] (what `f` is called with),
//! [`program`] (what defines `f`, and what a program may not do), `syntax` (how hostile text is read at all).

pub mod arguments;
pub mod program;
mod syntax;
pub mod value;

pub use arguments::{Arguments, parse_arguments};
pub use program::{
    Complexity, Entry, ErrorKeyword, Halstead, Policy, Program, Refusal, Strip, compat_distance, complexity,
    contains_program, distance, n_functions, name_entry, prepare, sanitize, shingles, strip, test_input_sign,
    with_working,
};
pub use syntax::{MAX_BRACKETS, MAX_DEPTH, MAX_INDENTS, MAX_SOURCE_BYTES, syntax_error};
pub use value::{Equality, LiteralError, MAX_INT_DIGITS, Value, parse_literal};
