//! Digits in groups of three: which commas and blanks are part of a number.

use super::latex::{Commas, Kind, Token};

/// The signs with numbers in groups of three digits made one: `7,425,000`, `10{,}000`, `1\,234`. Not in tuples, and
/// commas only if no other comma stands as close, since `1,234,5` is a list.
pub(super) fn grouped(tokens: Vec<Token>, glued: &[usize], commas: Commas) -> Vec<Token> {
    let is_head = |it: &Token| it.is_integer() && it.text.len() <= 3;
    let is_group = |it: Option<&Token>| {
        it.is_some_and(|it| {
            it.kind == Kind::Number
                && it.text.split('.').next().is_some_and(|whole| whole.len() == 3)
                && !it.text.contains('e')
        })
    };
    let mut depth = 0usize;
    let separates: Vec<bool> = tokens
        .iter()
        .enumerate()
        .map(|(at, token)| {
            depth = match token {
                it if it.is_any("([⦃") => depth + 1,
                it if it.is_any(")]⦄") => depth.saturating_sub(1),
                _ => depth,
            };
            let next = tokens.get(at + 1);
            token.is(',')
                && is_group(next)
                && (glued.contains(&at) || depth == 0 && next.is_some_and(|it| !it.spaced) && !token.spaced)
        })
        .collect();
    let is_close = |at: usize| {
        let is_tight = tokens.get(at + 1).is_some_and(|it| !it.spaced && it.kind == Kind::Number);
        tokens[at].is(',') && is_tight && !separates[at]
    };
    let mut joins = separates.clone();
    if (0..tokens.len()).any(is_close) || commas == Commas::List {
        joins.iter_mut().enumerate().for_each(|(at, it)| *it &= glued.contains(&at));
    }
    let mut merged: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let mut token = tokens[at].clone();
        at += 1;
        let may_begin = is_head(&token) && (token.text.len() == 1 || !token.text.starts_with('0'));
        while may_begin && at < tokens.len() && !token.text.contains('.') {
            let is_fraction = tokens.get(at + 1).is_some_and(|it| it.is_any("/_"));
            if joins[at] && is_group(tokens.get(at + 1)) {
                token.text.push_str(&tokens[at + 1].text);
                at += 2;
            } else if tokens[at].spaced && is_group(Some(&tokens[at])) && !is_fraction && token.text != "0" {
                token.text.push_str(&tokens[at].text);
                at += 1;
            } else {
                break;
            }
        }
        merged.push(token);
    }
    merged
}
