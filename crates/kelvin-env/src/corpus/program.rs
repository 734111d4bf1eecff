//! One generated program: its signature, its shape, where its inputs come from, and the line that hints at it.

use kelvin_core::seed::{Draws, Seed};

use super::{
    draft::{Draft, Value, pick_weighted},
    loops, shapes,
    types::{Domain, Type},
};

/// Longest program, in bytes.
pub(crate) const MAX_PROGRAM_LEN: usize = 220;

/// A generated program that has not run yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// Python source that defines `f`, without a newline at its end.
    pub(crate) text: String,
    /// How many transformations, conditions and loops it is made of.
    pub(crate) n_steps: usize,
    domains: Vec<Domain>,
    result: Type,
    phrases: Vec<&'static str>,
}

impl Program {
    /// The program at `seed`. Draws that lead nowhere or grow too long are drawn again.
    pub(crate) fn draw(seed: Seed) -> Program {
        (0..)
            .filter_map(|attempt| draw_once(&mut seed.nth(attempt).draws()))
            .find(|program| program.text.len() <= MAX_PROGRAM_LEN)
            .expect("the attempts have no end")
    }

    /// An argument list such as `[3, 1], 2`.
    pub(crate) fn input(&self, seed: Seed) -> String {
        let mut draws = seed.draws();
        let literals: Vec<String> = self.domains.iter().map(|domain| domain.literal(&mut draws)).collect();
        literals.join(", ")
    }

    /// One line that says what the program does without showing it: its types, its steps, seldom
    /// less than all of them. The numbers and letters are left to the pairs.
    pub(crate) fn message(&self, seed: Seed) -> String {
        let mut draws = seed.draws();
        let from: Vec<&str> = self.domains.iter().map(|domain| domain.argument_type().word()).collect();
        let types = format!("{} to {}", from.join(" and "), self.result.word());
        let mut phrases = self.phrases.clone();
        phrases.dedup();
        phrases.truncate(4);
        match draws.below(10) {
            0 => types,
            1 => format!("{types}, {}", draws.pick(&phrases)),
            2..=5 => format!("{types}, {}", phrases.join(", ")),
            _ => phrases.join(", "),
        }
    }
}

/// Signatures and how often they occur.
const SIGNATURES: &[(u32, &[Domain])] = &[
    (28, &[Domain::Int]),
    (30, &[Domain::Ints]),
    (28, &[Domain::Str]),
    (4, &[Domain::Int, Domain::Int]),
    (4, &[Domain::Ints, Domain::Size]),
    (4, &[Domain::Str, Domain::Size]),
    (2, &[Domain::Str, Domain::Str]),
];

/// How the lines of a program are laid out.
#[derive(Clone, Copy)]
enum Shape {
    Chain(usize),
    Branch,
    Loop,
    Comprehension,
    Helper,
}

/// Shapes and how often they occur. One-step chains are the vocabulary that all the others reuse.
const SHAPES: &[(u32, Shape)] = &[
    (48, Shape::Chain(1)),
    (22, Shape::Chain(2)),
    (2, Shape::Chain(3)),
    (9, Shape::Branch),
    (7, Shape::Loop),
    (8, Shape::Comprehension),
    (4, Shape::Helper),
];

fn draw_once(draws: &mut Draws) -> Option<Program> {
    let (_, domains) = SIGNATURES[pick_weighted(draws, SIGNATURES.iter().map(|it| it.0))?];
    let (_, shape) = SHAPES[pick_weighted(draws, SHAPES.iter().map(|it| it.0))?];
    let names = &["x", "y"][..domains.len()];
    let mut draft = Draft::new(draws, names);
    draft.domains = domains.to_vec();
    let x = Value::name("x", domains[0].argument_type());
    let y = domains.get(1).map(|domain| Value::name("y", domain.argument_type()));
    let result = match (shape, &y) {
        (Shape::Chain(n_steps), None) => {
            draft.may_mutate = draft.draws.chance(0.4);
            shapes::chain(&mut draft, x, n_steps)?
        }
        (Shape::Chain(n_steps), Some(y)) => shapes::join_chain(&mut draft, &x, y, n_steps)?,
        (Shape::Branch, y) => shapes::branch(&mut draft, &x, y.as_ref())?,
        (Shape::Loop, y) => {
            draft.spare.clone_from(y);
            loops::accumulate(&mut draft, &x)?
        }
        (Shape::Comprehension, y) => {
            draft.spare.clone_from(y);
            loops::comprehend(&mut draft, &x)?
        }
        (Shape::Helper, None) => shapes::helper(&mut draft, &x)?,
        (Shape::Helper, Some(_)) => return None,
    };
    let Draft { lines, phrases, n_steps, head, domains, .. } = draft;
    let body = lines.join("\n");
    names.iter().all(|name| mentions(&body, name)).then(|| Program {
        text: format!("{head}def f({}):\n{body}", names.join(", ")),
        n_steps,
        domains,
        result,
        phrases,
    })
}

/// Whether `name` stands in the source as a whole word.
fn mentions(source: &str, name: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '\'');
    source.match_indices(name).any(|(at, found)| {
        !is_word(source[..at].chars().next_back()) && !is_word(source[at + found.len()..].chars().next())
    })
}
