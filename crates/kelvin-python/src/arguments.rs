//! What the entry function is called with: an argument list without parentheses, made of literals (azr.md
//! section 1.2).

use ruff_python_ast::Expr;
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::syntax;
use crate::value::{LiteralError, Value, keyword_values, value_of};

/// The arguments of one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments {
    /// Positional arguments, in order.
    pub positional: Vec<Value>,
    /// Keyword arguments, in order; no name is there twice.
    pub keywords: Vec<(String, Value)>,
}

impl Arguments {
    /// The list on one line, as it stands between the parentheses of a call.
    pub fn canonical(&self) -> String {
        let positional = self.positional.iter().map(Value::canonical);
        let keywords = self.keywords.iter().map(|(name, value)| format!("{name}={}", value.canonical()));
        positional.chain(keywords).collect::<Vec<_>>().join(", ")
    }
}

/// Reads an argument list such as `[3, 1], k=2`; an empty text is the empty list. Line breaks and comments are fine.
///
/// # Errors
/// [`LiteralError::Unparsable`] where `f(...)` around the text is no single call of `f`, so also for a text that
/// closes the parenthesis itself (`0) or (1`); [`LiteralError::NotLiteral`] for `*args`, `**kwargs` and anything
/// [`crate::parse_literal`] refuses.
pub fn parse_arguments(text: &str) -> Result<Arguments, LiteralError> {
    // The line break ends a comment that would otherwise take the parenthesis with it.
    let source = format!("f({}\n)", syntax::normalise(text));
    let expr = syntax::parse_expression(&source).map_err(LiteralError::Unparsable)?;
    let name_range = TextRange::up_to(TextSize::new(1));
    let list_range = TextRange::new(TextSize::new(1), TextSize::of(&source));
    let arguments = match expr.as_ref() {
        Expr::Call(call) if call.func.range() == name_range && call.arguments.range == list_range => {
            &call.arguments
        }
        _ => return Err(LiteralError::Unparsable("not one argument list".to_owned())),
    };
    Ok(Arguments {
        positional: arguments
            .args
            .iter()
            .map(|arg| value_of(&source, arg))
            .collect::<Result<_, LiteralError>>()?,
        keywords: keyword_values(&source, &arguments.keywords)?,
    })
}
