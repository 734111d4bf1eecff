//! Names that mean something: functions, symbols, words for scales, and what stands left of an equals sign.

use super::{
    latex::{Kind, Token},
    parse,
    tree::{Expr, Function, Name},
};

/// The function that a command names.
pub(super) fn function(name: &str) -> Option<Function> {
    Some(match name {
        "sin" => Function::Sin,
        "cos" => Function::Cos,
        "tan" => Function::Tan,
        "cot" => Function::Cot,
        "sec" => Function::Sec,
        "csc" => Function::Csc,
        "arcsin" => Function::Arcsin,
        "arccos" => Function::Arccos,
        "arctan" => Function::Arctan,
        "sinh" => Function::Sinh,
        "cosh" => Function::Cosh,
        "tanh" => Function::Tanh,
        "ln" => Function::Ln,
        "log" | "lg" => Function::Log,
        "exp" => Function::Exp,
        "abs" => Function::Abs,
        "sgn" => Function::Sign,
        "floor" => Function::Floor,
        "ceil" => Function::Ceiling,
        "gcd" => Function::Gcd,
        "lcm" => Function::Lcm,
        "max" => Function::Max,
        "min" => Function::Min,
        _ => return None,
    })
}

/// Commands that are names of unknowns or constants.
pub(super) const SYMBOLS: &[&str] = &[
    "pi", "infty", "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
    "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma",
    "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega", "hbar", "ell", "partial",
    "aleph", "mho", "Re", "Im", "emptyset",
];

/// Environments with rows and columns.
pub(super) const MATRICES: &[&str] = &[
    "begin:pmatrix",
    "begin:bmatrix",
    "begin:Bmatrix",
    "begin:vmatrix",
    "begin:Vmatrix",
    "begin:matrix",
    "begin:array",
    "begin:smallmatrix",
];

/// Words behind a number that multiply it.
pub(super) const SCALES: &[(&str, &str)] =
    &[("thousand", "1e3"), ("million", "1e6"), ("billion", "1e9"), ("trillion", "1e12")];

/// Words in small letters that name a quantity; any other run of small letters is a product.
const QUANTITIES: &[&str] = &[
    "ans",
    "answer",
    "area",
    "volume",
    "perimeter",
    "total",
    "sum",
    "probability",
    "length",
    "width",
    "height",
    "distance",
];

/// The name that the signs are, if they are one: a letter with its index, a function with its arguments, a tuple of
/// letters, a word, a ratio of names.
pub(super) fn name(tokens: &[Token]) -> Option<Name> {
    name_within(tokens, parse::NESTING_MAX)
}

/// A name with at most so many brackets and bars inside one another.
fn name_within(tokens: &[Token], n_levels: usize) -> Option<Name> {
    if tokens.is_empty() {
        return None;
    }
    let inner = n_levels.checked_sub(1)?;
    let name = |tokens: &[Token]| name_within(tokens, inner);
    if let [open, inside @ .., close] = tokens
        && (open.is('(') && close.is(')'))
    {
        let members =
            inside.split(|it| it.is(',')).map(|it| Some(name(it)?.text)).collect::<Option<Vec<_>>>()?;
        let text = format!("({})", members.join(","));
        return (1 < members.len()).then_some(Name { text, arguments: Vec::new(), members, symbol: None });
    }
    // The length of a segment.
    if let [bar, inside @ .., other] = tokens
        && (bar.is('|') && other.is('|'))
    {
        let inside = name(inside)?;
        return Some(Name { text: format!("|{}|", inside.text), ..inside });
    }
    if tokens.iter().any(|it| it.is(':')) {
        let parts =
            tokens.split(|it| it.is(':')).map(|it| Some(name(it)?.text)).collect::<Option<Vec<_>>>()?;
        return Some(Name {
            text: parts.join(":"),
            arguments: Vec::new(),
            members: Vec::new(),
            symbol: None,
        });
    }
    let (text, n_read) = head(tokens)?;
    let arguments = match &tokens[n_read..] {
        [] => Vec::new(),
        [open, inside @ .., close] if open.is('(') && close.is(')') => {
            inside.split(|it| it.is(',')).map(argument).collect::<Option<Vec<_>>>()?
        }
        _ => return None,
    };
    let symbol = if arguments.is_empty() { parse::formula(tokens) } else { None };
    Some(Name { text, arguments, members: Vec::new(), symbol })
}

/// An argument of a function that is named: a letter or a number.
fn argument(tokens: &[Token]) -> Option<String> {
    match tokens {
        [one] if one.kind == Kind::Number || one.kind == Kind::Word && one.text.chars().count() == 1 => {
            Some(one.text.clone())
        }
        [one] if SYMBOLS.contains(&one.text.as_str()) => Some(one.text.clone()),
        [first, bar, rest @ ..] if first.kind == Kind::Word && bar.is('_') && rest.len() <= 3 => {
            let index: String =
                rest.iter().filter(|it| !it.is_any("{}")).map(|it| it.text.as_str()).collect();
            Some(format!("{}_{index}", first.text))
        }
        _ => None,
    }
}

/// The text of a name without arguments, and how many signs it takes.
fn head(tokens: &[Token]) -> Option<(String, usize)> {
    let (mut text, mut at, mut n_heads) = (String::new(), 0, 0);
    while let Some(token) = tokens.get(at) {
        let is_mark = token.kind == Kind::Command
            && [
                "angle",
                "triangle",
                "overline",
                "vec",
                "hat",
                "tilde",
                "Delta",
                "nabla",
                "mathbb:P",
                "mathbb:E",
                "measuredangle",
            ]
            .contains(&token.text.as_str());
        let is_symbol = token.kind == Kind::Command && SYMBOLS.contains(&token.text.as_str());
        match token.kind {
            Kind::Word | Kind::Text => {
                let is_product = 1 < token.text.len()
                    && token.kind == Kind::Word
                    && token.text.bytes().all(|it| it.is_ascii_lowercase())
                    && !QUANTITIES.contains(&token.text.as_str());
                (!is_product && token.text.chars().any(char::is_alphabetic)).then_some(())?;
                n_heads += 1;
            }
            Kind::Command if is_symbol => n_heads += 1,
            Kind::Command if is_mark => {}
            Kind::Sign if token.is('_') && 0 < n_heads => {
                let end = closing(tokens, at + 1)?;
                text.push('_');
                text.extend(
                    tokens[at + 1..end].iter().filter(|it| !it.is_any("{}")).map(|it| it.text.trim()),
                );
                at = end;
                continue;
            }
            Kind::Sign if token.is('\'') => {}
            Kind::Sign if token.is('{') => {
                at = closing(tokens, at)?;
                n_heads += 1;
                continue;
            }
            Kind::Sign if token.is('^') && 0 < n_heads => {
                // `\omega^{\prime}` is a name, `f^{-1}(x)` too, `x^2` is not.
                let end = closing(tokens, at + 1)?;
                let is_prime = tokens[at + 1..end].iter().all(|it| it.is_any("{}'"));
                let is_inverse = tokens.get(end).is_some_and(|it| it.is('('))
                    && tokens[at + 1..end].iter().all(|it| it.is_any("{}-") || it.text == "1");
                (is_prime || is_inverse).then_some(())?;
                text.push('\'');
                at = end;
                continue;
            }
            Kind::Sign if token.is('(') && 0 < n_heads => break,
            _ => return None,
        }
        text.push_str(token.text.trim());
        at += 1;
    }
    // Letters side by side are a product, words are not; a point or an angle has several capital letters.
    let letters: Vec<&Token> =
        tokens[..at].iter().filter(|it| it.kind == Kind::Word && it.text.len() == 1).collect();
    let are_points = letters.iter().all(|it| it.text.chars().all(char::is_uppercase));
    let is_marked = tokens[0].kind == Kind::Command;
    (n_heads == 1 || 1 < n_heads && (are_points || is_marked && n_heads == 2)).then_some((text, at))
}

/// Where the group or the single sign at `at` ends.
fn closing(tokens: &[Token], at: usize) -> Option<usize> {
    if !tokens.get(at)?.is('{') {
        return Some(at + 1);
    }
    let mut depth = 0;
    for (offset, token) in tokens[at..].iter().enumerate() {
        depth = match token {
            it if it.is('{') => depth + 1,
            it if it.is('}') => depth - 1,
            _ => depth,
        };
        if depth == 0 {
            return Some(at + offset + 1);
        }
    }
    None
}

/// The symbols of a formula that stand for something unknown, in the order of their first appearance.
pub(super) fn unknowns(expr: &Expr, found: &mut Vec<String>) {
    if let Expr::Symbol(name) = expr
        && !["pi", "e", "i", "infty", "emptyset"].contains(&name.as_str())
        && !found.contains(name)
    {
        found.push(name.clone());
    }
    let n_before = found.len();
    for part in expr.parts() {
        unknowns(part, found);
    }
    if let Expr::Series { index, .. } = expr
        && let Some(at) = found[n_before..].iter().position(|it| it == index)
    {
        found.remove(n_before + at);
    }
}
