//! Reads hostile text as Python. Length and nesting are bounded before the parser sees the text, so that no
//! walk over a tree, and no drop of one, can exhaust the stack.

mod overlooked;

use std::borrow::Cow;

use ruff_python_ast::token::TokenKind;
use ruff_python_ast::{Expr, Mod, ModModule, PythonVersion};
use ruff_python_parser::{Mode, ParseOptions, Parsed, lexer, parse_unchecked};
use ruff_text_size::{Ranged, TextSize};

/// The longest text that is read, in bytes. A completion of 8,096 tokens (azr.md section 5.3) is about 32 KiB;
/// the longest result an executor hands back has its own limit.
pub const MAX_SOURCE_BYTES: usize = 1 << 20;

/// The most brackets open at once: CPython's tokenizer has the same limit (`MAXLEVEL`).
pub const MAX_BRACKETS: usize = 200;

/// The most levels of indentation: CPython's tokenizer has the same limit (`MAXINDENT` less the base level).
pub const MAX_INDENTS: usize = 99;

/// The deepest syntax tree, counted from above: open brackets, indentation, and the operators and keywords that
/// may nest without a bracket (`-` in `--1`, `.` in `a.b.c`, `lambda: lambda: 1`). CPython gives up near 3,000.
pub const MAX_DEPTH: usize = 600;

/// Source text as CPython reads it: trimmed, with every line ending turned into `\n`.
pub(crate) fn normalise(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The version whose syntax programs and literals are held to, whichever newer one runs them.
const OLDEST: PythonVersion = PythonVersion::PY311;

/// Why Python 3.`minor` (11 or newer) cannot parse a program, with its line; `None` where it can. White space
/// around the program is no part of it. What a compiler refuses after the parse (`return` outside a function) is
/// no syntax error here.
pub fn syntax_error(source: &str, minor: u8) -> Option<String> {
    parse_module_as(&normalise(source), PythonVersion { major: 3, minor }).err()
}

/// Parses a program as [`OLDEST`] reads it.
///
/// # Errors
/// The first syntax error, with its line.
pub(crate) fn parse_module(source: &str) -> Result<Parsed<ModModule>, String> {
    parse_module_as(source, OLDEST)
}

fn parse_module_as(source: &str, version: PythonVersion) -> Result<Parsed<ModModule>, String> {
    check(source, Mode::Module)?;
    let parsed = parse_leniently(source, version);
    if let Some(error) = first_error(source, &parsed) {
        return Err(error);
    }
    match overlooked::first_error(source, parsed.tokens(), &parsed.syntax().body, version) {
        Some((offset, what)) => Err(at_line(source, offset, &what)),
        None => Ok(parsed),
    }
}

/// Parses a program whose errors the caller reads from the result; the text has passed [`scan`].
pub(crate) fn parse_module_leniently(source: &str) -> Parsed<ModModule> {
    parse_leniently(source, OLDEST)
}

fn parse_leniently(source: &str, version: PythonVersion) -> Parsed<ModModule> {
    let options = ParseOptions::from(Mode::Module).with_target_version(version);
    parse_unchecked(source, options).try_into_module().expect("module mode gives a module")
}

/// Parses one expression (or tuple without parentheses), as `eval` reads it.
///
/// # Errors
/// The first syntax error, with its line.
pub(crate) fn parse_expression(source: &str) -> Result<Box<Expr>, String> {
    check(source, Mode::Expression)?;
    let options = ParseOptions::from(Mode::Expression).with_target_version(OLDEST);
    let parsed = parse_unchecked(source, options);
    match (first_error(source, &parsed), parsed.into_syntax()) {
        (Some(error), _) => Err(error),
        (None, Mod::Expression(expression)) => Ok(expression.body),
        (None, Mod::Module(_)) => unreachable!("expression mode gives an expression"),
    }
}

fn first_error<T>(source: &str, parsed: &Parsed<T>) -> Option<String> {
    let mut errors = parsed.errors().iter();
    let broken = errors.find(|error| !overlooked::is_no_error(parsed.tokens(), error));
    let broken = broken.map(|error| at_line(source, error.location.start(), &error.error));
    broken.or_else(|| {
        let newer = parsed.unsupported_syntax_errors().first()?;
        Some(at_line(source, newer.range().start(), newer))
    })
}

fn at_line(source: &str, offset: TextSize, what: &dyn std::fmt::Display) -> String {
    let line = source[..offset.to_usize().min(source.len())].matches('\n').count() + 1;
    format!("line {line}: {what}")
}

fn check(source: &str, mode: Mode) -> Result<(), String> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(format!("{} bytes of source, the limit is {MAX_SOURCE_BYTES}", source.len()));
    }
    // The parser reads over both of these; CPython refuses them.
    if source.contains('\0') {
        return Err("source code cannot contain null bytes".to_owned());
    }
    if source.starts_with('\u{feff}') {
        return Err("line 1: invalid non-printable character U+FEFF".to_owned());
    }
    scan(source, mode).map_err(str::to_owned)
}

/// What nests between two brackets. `links` ends with a comma, `chained` does not: the comma of `lambda a, b:` ends
/// nothing.
#[derive(Default)]
struct Frame {
    closer: Option<TokenKind>,
    links: usize,
    chained: usize,
}

/// Bounds the depth of the tree that any parse of `source` can give, by its tokens alone.
///
/// # Errors
/// The limit the text goes past. A bracket closed by another kind of bracket is an error too: what a parser makes
/// of it is not bounded by counting.
pub(crate) fn scan(source: &str, mode: Mode) -> Result<(), &'static str> {
    let mut lexer = lexer::lex(source, mode);
    let mut frames = vec![Frame::default()];
    let (mut depth, mut indents) = (0usize, 0usize);
    loop {
        let kind = lexer.next_token();
        let is_outermost = frames.len() == 1;
        let frame = frames.last_mut().expect("the outermost frame is never popped");
        match role(kind, is_outermost) {
            Role::End => return Ok(()),
            Role::Indent => {
                indents += 1;
                depth += 1;
            }
            Role::Dedent => {
                indents -= 1;
                depth -= 1;
            }
            Role::EndOfItem => depth -= std::mem::take(&mut frame.links),
            Role::EndOfStatement => {
                depth -= std::mem::take(&mut frame.links) + std::mem::take(&mut frame.chained);
            }
            Role::Open(closer) => {
                frames.push(Frame { closer: Some(closer), ..Frame::default() });
                depth += 1;
            }
            Role::Close if !is_outermost => {
                if frame.closer != Some(kind) {
                    return Err("closing bracket does not match the opening one");
                }
                // The bracket becomes a link of what stands around it: `f()()()` nests without enclosing.
                depth -= frame.links + frame.chained;
                frames.pop();
                frames.last_mut().expect("a frame with a closer has one outside it").links += 1;
            }
            Role::Chain => {
                frame.chained += std::mem::take(&mut frame.links) + 1;
                depth += 1;
            }
            Role::Close | Role::Link => {
                frame.links += 1;
                depth += 1;
            }
            Role::Leaf => {}
        }
        if frames.len() - 1 > MAX_BRACKETS {
            return Err("too many nested brackets");
        }
        if indents > MAX_INDENTS {
            return Err("too many levels of indentation");
        }
        if depth > MAX_DEPTH {
            return Err("nested too deeply");
        }
    }
}

enum Role {
    End,
    Indent,
    Dedent,
    EndOfItem,
    EndOfStatement,
    Open(TokenKind),
    Close,
    /// Nests until the end of the statement or the closing bracket.
    Chain,
    /// Nests until the next comma.
    Link,
    Leaf,
}

fn role(kind: TokenKind, is_outermost: bool) -> Role {
    use TokenKind as T;
    match kind {
        T::EndOfFile => Role::End,
        T::Indent => Role::Indent,
        T::Dedent => Role::Dedent,
        T::Comma => Role::EndOfItem,
        // Inside brackets neither ends anything; a program that has them there is broken.
        T::Newline | T::Semi if is_outermost => Role::EndOfStatement,
        T::Lpar => Role::Open(T::Rpar),
        T::Lsqb => Role::Open(T::Rsqb),
        T::Lbrace => Role::Open(T::Rbrace),
        T::FStringStart => Role::Open(T::FStringEnd),
        T::TStringStart => Role::Open(T::TStringEnd),
        T::Rpar | T::Rsqb | T::Rbrace | T::FStringEnd | T::TStringEnd => Role::Close,
        T::Name | T::Int | T::Float | T::Complex | T::String | T::FStringMiddle | T::TStringMiddle => {
            Role::Leaf
        }
        T::Comment | T::NonLogicalNewline | T::Newline | T::Colon | T::Ellipsis | T::Unknown => Role::Leaf,
        T::True | T::False | T::None => Role::Leaf,
        // In brackets these are parts of expressions, which a comma ends.
        T::If | T::Else | T::For | T::In | T::And | T::Or | T::Not | T::Is | T::Await | T::Async
            if !is_outermost =>
        {
            Role::Link
        }
        T::Case | T::Lazy | T::Match | T::Type if !is_outermost => Role::Link,
        keyword if keyword.is_keyword() => Role::Chain,
        _ => Role::Link,
    }
}
