//! Reads a whole answer: lists, names before an equals sign, relations, sets, intervals, units, words; formulas are
//! `parse.rs`. What cannot be read as mathematics is words.

use super::{
    latex::{self, Commas, Kind, Token},
    names, parse,
    parse::NESTING_MAX,
    tree::{Answer, Expr, Joined, Relation},
    units::{self, Unit},
};

/// The longest text, in bytes, that is read as mathematics. It is longer than any
/// gold answer of the public benchmarks.
const ANSWER_BYTES_MAX: usize = 2000;

/// Whether a text is short enough to be read.
pub(super) fn is_short(text: &str) -> bool {
    text.len() <= ANSWER_BYTES_MAX
}

/// What an answer is; of one that cannot be read, its words.
pub(super) fn read(text: &str, commas: Commas) -> Answer {
    let too_long = || Answer::Text(text.split_whitespace().collect(), None);
    if !is_short(text) {
        return too_long();
    }
    match latex::tokens(text, commas) {
        Some(tokens) if is_shallow(&tokens) => answer(&tokens),
        Some(_) | None => too_long(),
    }
}

/// Whether brackets do not go too deep.
fn is_shallow(tokens: &[Token]) -> bool {
    let mut depth = 0usize;
    tokens.iter().all(|token| {
        depth = match token {
            it if it.is_any("([{⦃⟨⌊⌈") => depth + 1,
            it if it.is_any(")]}⦄⟩⌋⌉") => depth.saturating_sub(1),
            _ => depth,
        };
        depth <= NESTING_MAX
    })
}

fn answer(tokens: &[Token]) -> Answer {
    let tokens = bare(tokens);
    if let [one] = tokens
        && one.kind == Kind::Text
    {
        let inside = latex::tokens(&one.text, Commas::List).unwrap_or_default();
        return match inside.as_slice() {
            [again] if again.kind == Kind::Text => words(tokens),
            inside => answer(inside),
        };
    }
    (reversed_interval(tokens))
        .or_else(|| list(tokens))
        .or_else(|| words_only(tokens))
        .or_else(|| related(tokens))
        .or_else(|| collection(tokens))
        .or_else(|| ratio(tokens))
        .or_else(|| quantity(tokens))
        .unwrap_or_else(|| words(tokens))
}

/// The signs without what an answer is wrapped in: a period at the end, separators around it, braces.
fn bare(tokens: &[Token]) -> &[Token] {
    let mut tokens = tokens;
    loop {
        let before = tokens.len();
        while let [rest @ .., last] = tokens
            && (last.is_any(".,;:") || last.is('\\'))
        {
            tokens = rest;
        }
        while let [first, rest @ ..] = tokens
            && (first.is_any(",;:=≈.") || first.is('∈'))
        {
            tokens = rest;
        }
        if let Some(('{', inside, '}')) = enclosed(tokens) {
            tokens = inside;
        }
        // Round brackets around one thing.
        if let Some(('(', inside, ')')) = enclosed(tokens)
            && split(inside, separates).len() == 1
            && !inside.is_empty()
        {
            tokens = inside;
        }
        if tokens.len() == before {
            return tokens;
        }
    }
}

/// `]0,1[`, which is an open interval to some.
fn reversed_interval(tokens: &[Token]) -> Option<Answer> {
    let [first, inside @ .., last] = tokens else { return None };
    let ends: [&[Token]; 2] = split(inside, |it| it.is(',')).try_into().ok()?;
    let has_brackets = inside.iter().any(|it| it.is_any("[]()"));
    let (open, close) = match (first.text.as_str(), last.text.as_str()) {
        ("]", "[") => ('(', ')'),
        ("]", "]") => ('(', ']'),
        ("[", "[") => ('[', ')'),
        _ => return None,
    };
    (!has_brackets).then(|| Answer::Tuple { open, items: ends.map(answer).into(), close })
}

/// What stands between the first and the last sign, where those are a pair of brackets.
fn enclosed(tokens: &[Token]) -> Option<(char, &[Token], char)> {
    let (first, rest) = tokens.split_first()?;
    let (last, inside) = rest.split_last()?;
    let open = first.text.chars().next().filter(|_| first.is_any("([{⦃⟨"))?;
    let close = last.text.chars().next().filter(|_| last.is_any(")]}⦄⟩"))?;
    let closers = match open {
        '{' => "}",
        '⦃' => "⦄",
        '⟨' => "⟩",
        _ => ")]",
    };
    let mut depth = 0usize;
    for token in inside {
        match token {
            it if it.is_any("([{⦃⟨") => depth += 1,
            it if it.is_any(")]}⦄⟩") => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    (depth == 0 && closers.contains(close)).then_some((open, inside, close))
}

/// The parts between separators outside of brackets.
fn split(tokens: &[Token], separates: impl Fn(&Token) -> bool) -> Vec<&[Token]> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            it if it.is_any("([{⦃⟨⌊⌈") => depth += 1,
            it if it.is_any(")]}⦄⟩⌋⌉") => depth = depth.saturating_sub(1),
            it if it.kind == Kind::Command && it.text.starts_with("begin:") => depth += 1,
            it if it.is_command("end") => depth = depth.saturating_sub(1),
            it if depth == 0 && separates(it) => {
                parts.push(&tokens[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tokens[start..]);
    parts
}

fn separates(it: &Token) -> bool {
    it.is_any(",;∨∧") || conjunction(it).is_some()
}

fn conjunction(it: &Token) -> Option<Joined> {
    if !matches!(it.kind, Kind::Text | Kind::Word | Kind::Sign) {
        return None;
    }
    match it.text.trim_matches([' ', ',', ';']) {
        "and" | "And" | "∧" => Some(Joined::And),
        "or" | "Or" | "∨" => Some(Joined::Or),
        _ => None,
    }
}

/// Things between commas, semicolons, "and", "or".
fn list(tokens: &[Token]) -> Option<Answer> {
    let parts: Vec<&[Token]> = split(tokens, separates).into_iter().filter(|it| !it.is_empty()).collect();
    // `k \in \mathbb{Z}` says which numbers a letter runs over.
    let is_range = |part: &&[Token]| {
        let sides = split(bare(part), |it| it.is('∈'));
        matches!(sides[..], [_, [kind]] if kind.text.starts_with("mathbb:"))
    };
    let parts: Vec<&[Token]> = match parts.iter().filter(|it| !is_range(it)).count() {
        0 => parts,
        _ => parts.into_iter().filter(|it| !is_range(it)).collect(),
    };
    if let ([one], true) = (parts.as_slice(), tokens.iter().any(separates)) {
        return (one.len() < tokens.len()).then(|| answer(one));
    }
    if parts.len() < 2 {
        return None;
    }
    let mut depth = 0usize;
    let joints = tokens.iter().filter_map(|it| {
        depth = match it {
            it if it.is_any("([{⦃⟨") => depth + 1,
            it if it.is_any(")]}⦄⟩") => depth.saturating_sub(1),
            _ => depth,
        };
        conjunction(it).filter(|_| depth == 0)
    });
    let joined = joints.last().unwrap_or(Joined::Commas);
    Some(Answer::List(parts.into_iter().map(answer).collect(), joined))
}

/// A word of three letters or more, or several, which no formula is made of.
fn words_only(tokens: &[Token]) -> Option<Answer> {
    let is_word = |it: &Token| matches!(it.kind, Kind::Word | Kind::Text) || it.is_any("-'.,");
    let letters = tokens.iter().filter(|it| it.kind == Kind::Word).map(|it| it.text.chars().count());
    let is_long = letters.clone().any(|n| 3 <= n)
        || tokens.iter().any(|it| ["no", "No", "NO", "up"].contains(&it.text.as_str()));
    (tokens.iter().all(is_word) && is_long && tokens.iter().any(|it| it.kind == Kind::Word))
        .then(|| words(tokens))
}

/// Words of up to four letters that answer a question: they are no products, in whatever letters they are written.
const SHORT_WORDS: &[&str] = &[
    "yes", "no", "true", "none", "odd", "even", "both", "all", "east", "west", "up", "down", "left", "red",
    "blue", "zero", "one", "two", "day", "mon", "tue", "wed", "thu", "fri", "sat", "sun", "dne",
];

/// An answer as words, in small letters, without blanks and marks. A short run of letters may be a product.
fn words(tokens: &[Token]) -> Answer {
    let kept = tokens.iter().filter(|it| !it.is_any(".,;!?\"'{}$€"));
    let folded: String = kept.flat_map(|it| it.text.chars()).filter(|it| !it.is_whitespace()).collect();
    let product = match tokens {
        [one]
            if one.kind == Kind::Word
                && one.text.len() <= 4
                && !SHORT_WORDS.contains(&&*folded.to_lowercase()) =>
        {
            parse::formula(tokens)
        }
        _ => None,
    };
    Answer::Text(folded.to_lowercase(), product)
}

/// Something with a name, an equation, a chain of inequalities.
fn related(tokens: &[Token]) -> Option<Answer> {
    let relates = |it: &Token| it.is_any("=≈≡<>≤≥≠∈");
    let sides = split(tokens, relates);
    if sides.len() < 2 || sides.iter().any(|it| it.is_empty()) {
        return None;
    }
    let mut at = 0;
    let signs: Vec<char> = sides[..sides.len() - 1]
        .iter()
        .map(|side| {
            at += side.len() + 1;
            tokens[at - 1].text.chars().next().expect("a relation is a sign")
        })
        .collect();
    match signs.iter().find(|it| !"=≈≡".contains(**it)) {
        None => equated(&sides, &signs),
        Some('∈') => {
            let [name, set] = sides[..] else { return None };
            Some(Answer::Named(names::name(bare(name))?, Box::new(answer(set))))
        }
        Some(_) => {
            let relation = |sign: &char| {
                Some(match sign {
                    '<' => Relation::Less,
                    '≤' => Relation::LessOrEqual,
                    '>' => Relation::Greater,
                    '≥' => Relation::GreaterOrEqual,
                    '≠' => Relation::Unequal,
                    _ => return None,
                })
            };
            let relations = signs.iter().map(relation).collect::<Option<Vec<_>>>()?;
            // A side may carry a unit, and a function may be named on it.
            let formula = |side: &&[Token]| {
                let side = units::split(side).map_or(*side, |it| it.0);
                parse::formula(side).or_else(|| Some(Expr::symbol(&names::name(side)?.text)))
            };
            let sides = sides.iter().map(formula).collect::<Option<Vec<_>>>()?;
            Some(Answer::Inequality(sides, relations))
        }
    }
}

/// Sides with equals signs between. A chain says its last value, but not what it is near to: a number is said by its
/// first side, a name by what it is near to if there is nothing else.
fn equated(sides: &[&[Token]], signs: &[char]) -> Option<Answer> {
    let n_sides_min = if is_number(units::split(sides[0]).map_or(sides[0], |it| it.0)) { 1 } else { 2 };
    let mut n_sides = sides.len();
    while n_sides_min < n_sides && signs[n_sides - 2] == '≈' {
        n_sides -= 1;
    }
    let (first, last) = (sides[0], sides[n_sides - 1]);
    if n_sides == 1 {
        return Some(answer(first));
    }
    if let Some(name) = names::name(bare(first))
        && !is_number(first)
    {
        return Some(Answer::Named(name, Box::new(answer(last))));
    }
    if n_sides == 2
        && is_number(first)
        && let Some(name) = names::name(bare(last))
        && !is_number(last)
    {
        return Some(Answer::Named(name, Box::new(answer(first))));
    }
    if sides[..n_sides].iter().all(|it| is_number(it)) || 2 < n_sides {
        return Some(answer(last));
    }
    Some(Answer::Equation(parse::formula(first)?, parse::formula(last)?))
}

/// Whether a side has no unknowns.
fn is_number(tokens: &[Token]) -> bool {
    let mut unknowns = Vec::new();
    match parse::formula(tokens) {
        Some(formula) => names::unknowns(&formula, &mut unknowns),
        None => return false,
    }
    unknowns.is_empty()
}

/// Unions, differences, tuples, intervals and sets.
fn collection(tokens: &[Token]) -> Option<Answer> {
    let parts = split(tokens, |it| it.is('∪'));
    if 1 < parts.len() {
        return Some(Answer::Union(parts.into_iter().map(answer).collect()));
    }
    if let [all, without] = split(tokens, |it| it.is('∖'))[..] {
        return Some(Answer::Difference(Box::new(answer(all)), Box::new(answer(without))));
    }
    if let [reals] = tokens
        && (reals.kind == Kind::Command && reals.text.starts_with("mathbb:"))
    {
        return Some(Answer::Value(Expr::Symbol(reals.text.clone())));
    }
    let (open, inside, close) = enclosed(tokens)?;
    // What is inside is read once: twice at every level would double with each.
    let members = |inside: &[Token]| match list(inside) {
        Some(Answer::List(members, _)) => members,
        Some(one) => vec![one],
        None if inside.is_empty() => Vec::new(),
        None => vec![answer(inside)],
    };
    if open == '⦃' {
        // `\{x : x > 2\}`, with a bar or a colon.
        let parts = split(inside, |it| it.is_any("|:"));
        if let [name, condition] = parts[..]
            && parse::formula(inside).is_none()
            && let Some(name) = names::name(name.split(|it| it.is('∈')).next()?)
        {
            return Some(Answer::Named(name, Box::new(answer(condition))));
        }
        return Some(Answer::Set(members(inside)));
    }
    let items = members(inside);
    let (open, close) = match (open, close) {
        ('⟨', '⟩') => ('(', ')'),
        both => both,
    };
    (2 <= items.len()).then_some(Answer::Tuple { open, items, close })
}

/// Numbers between colons.
fn ratio(tokens: &[Token]) -> Option<Answer> {
    let parts = split(tokens, |it| it.is(':'));
    // `3:00 PM` is no ratio, and no product.
    if parts.len() < 2 || tokens.iter().any(|it| it.kind == Kind::Word && units::is_no_unit(&it.text)) {
        return None;
    }
    parts.into_iter().map(quantity).collect::<Option<Vec<_>>>().map(Answer::Ratio)
}

/// A formula, with a unit, a percent sign, a degree sign or money.
fn quantity(tokens: &[Token]) -> Option<Answer> {
    if let [rest @ .., last] = tokens
        && (last.is('%') || matches!(last.kind, Kind::Word | Kind::Text) && last.text == "percent")
        && !rest.is_empty()
    {
        return parse::formula(rest).map(Answer::Percent);
    }
    let money = tokens.iter().find(|it| it.is_any(units::MONEY)).and_then(|it| it.text.chars().next());
    let of_money = |unit| match money {
        Some(sign) => Some(Unit::of_money(unit, sign)),
        None => unit,
    };
    if let Some((value, unit)) = units::split(tokens)
        && let (Some(expr), Some(unit)) = (parse::formula(value), of_money(Some(unit)))
    {
        return Some(Answer::Quantity(expr, unit));
    }
    let expr = parse::formula(tokens)?;
    if let Some(unit) = of_money(None) {
        return Some(Answer::Quantity(expr, unit));
    }
    Some(match expr {
        Expr::Degrees(inside) => Answer::Quantity(*inside, Unit::degree()),
        Expr::Negative(inside) => match *inside {
            Expr::Degrees(inside) => Answer::Quantity(Expr::Negative(inside), Unit::degree()),
            inside => Answer::Value(Expr::Negative(Box::new(inside))),
        },
        expr => Answer::Value(expr),
    })
}
