//! Inverses modulo a prime (the ARENA reproduction's domain): x * y = 1 (mod p), with one of the three numbers left out.
//! Given x and p it is a deduction, given y and p an abduction, given x and y an induction.

use std::fmt::Write as _;

use kelvin_core::{seed::Seed, task::TaskType};
use serde::{Deserialize, Serialize};

/// Of so many pairs of a number and its inverse one is withheld: no run trains on it, nor does the embedded base model.
const WITHHELD_ONE_IN: usize = 5;

/// A true equation x * y = 1 (mod p), with 1 <= x, y < p.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Inversion {
    /// A number.
    pub x: u32,
    /// Its inverse.
    pub y: u32,
    /// The prime.
    pub p: u32,
}

/// The number that an equation leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blank {
    /// Abduction.
    X,
    /// Deduction.
    Y,
    /// Induction.
    P,
}

impl Blank {
    /// What a task of this type leaves out; `None` for types that are not of this domain.
    pub fn of(task_type: TaskType) -> Option<Blank> {
        match task_type {
            TaskType::Deduction => Some(Blank::Y),
            TaskType::Abduction => Some(Blank::X),
            TaskType::Induction => Some(Blank::P),
            TaskType::Error | TaskType::Question => None,
        }
    }

    /// Its letter.
    pub fn letter(self) -> &'static str {
        match self {
            Blank::X => "x",
            Blank::Y => "y",
            Blank::P => "p",
        }
    }
}

impl Inversion {
    /// The equation of `x` modulo the prime `p`; `None` if `x` is not between 0 and `p`.
    pub fn of(x: u32, p: u32) -> Option<Inversion> {
        let product = |y: &u32| u64::from(x) * u64::from(*y) % u64::from(p);
        if p <= x {
            return None;
        }
        (1..p).find(|y| product(y) == 1).map(|y| Inversion { x, y, p })
    }

    /// The number that `blank` leaves out.
    pub fn value(&self, blank: Blank) -> u32 {
        match blank {
            Blank::X => self.x,
            Blank::Y => self.y,
            Blank::P => self.p,
        }
    }

    /// The equation with a letter for what it leaves out.
    pub fn with(&self, blank: Blank) -> String {
        let slot = |it: Blank| match it == blank {
            true => it.letter().to_owned(),
            false => self.value(it).to_string(),
        };
        format!("{} * {} = 1 mod {}", slot(Blank::X), slot(Blank::Y), slot(Blank::P))
    }

    /// Whether the pair is kept from training, in both its orders: one in five, by a hash of its three numbers.
    pub fn is_withheld(&self) -> bool {
        let (low, high) = (self.x.min(self.y), self.x.max(self.y));
        let path = [self.p, low, high].into_iter().map(u64::from);
        path.fold(Seed::new(0).fork("withheld inversions"), Seed::nth).below(WITHHELD_ONE_IN) == 0
    }
}

/// What the solver reads in the compact form; it answers with the number alone.
pub fn compact_solve_prompt(inversion: &Inversion, blank: Blank) -> String {
    format!("### inversion\n{}\n### {}\n", inversion.with(blank), blank.letter())
}

/// What the proposer reads in the compact form; it answers with an equation that has the same letter.
pub fn compact_propose_prompt(references: &[Inversion], blank: Blank) -> String {
    let mut prompt = format!("### propose inversion {}\n", blank.letter());
    for reference in references {
        writeln!(prompt, "{}", reference.with(blank)).expect("texts take all that is written");
    }
    prompt + "### task\n"
}
