//! What is evaluated, and what answers that look at nothing get right of it: counted, not sampled.

use kelvin_core::environment::Floors;

use super::{
    Blank, InductionRule, Inversion,
    equation::{P_CAP, primes},
};

/// All equations of the primes from `low` to `high`, in order, that have an answer for `blank` under `rule`: of
/// 1 * 1 = 1, which every prime makes true, an induction has none that is unique.
pub fn evaluation(low: u32, high: u32, blank: Blank, rule: InductionRule) -> Vec<Inversion> {
    let has_answer = |it: &Inversion| match (blank, rule) {
        (Blank::P, InductionRule::Unique) => it.x * it.y != 1,
        (Blank::P, InductionRule::AnyPrime) | (Blank::X | Blank::Y, _) => true,
    };
    primes(low, high).flat_map(Inversion::all_of).filter(has_answer).collect()
}

/// Whether `answer` stands for what `blank` leaves out: x and y modulo p, p by the rule.
pub fn is_right(inversion: &Inversion, blank: Blank, rule: InductionRule, answer: u32) -> bool {
    let Inversion { x, y, p } = *inversion;
    match blank {
        Blank::X => answer % p == x,
        Blank::Y => answer % p == y,
        Blank::P => rule.fits(x, y, answer),
    }
}

/// The floors over these equations. A question leaves open the numbers below its prime, or those primes of the
/// equations that its rule allows beside x and y.
pub fn floors(equations: &[Inversion], blank: Blank, rule: InductionRule) -> Floors {
    let mut of_range: Vec<u32> = equations.iter().map(|it| it.p).collect();
    of_range.dedup();
    let is_open = |it: &Inversion, p: u32| match rule {
        InductionRule::Unique => it.x.max(it.y) < p,
        InductionRule::AnyPrime => true,
    };
    let open = |it: &Inversion| -> Vec<u32> {
        match blank {
            Blank::X | Blank::Y => (1..it.p).collect(),
            Blank::P => of_range.iter().copied().filter(|&p| is_open(it, p)).collect(),
        }
    };
    let guessed = |it: &Inversion| {
        let open = open(it);
        let n_right = open.iter().filter(|&&answer| is_right(it, blank, rule, answer)).count();
        n_right as f64 / open.len() as f64
    };
    let constants: Vec<u32> = match blank {
        Blank::X | Blank::Y => (1..P_CAP).collect(),
        Blank::P => primes(2, P_CAP).collect(),
    };
    let n_right = |answer: u32| equations.iter().filter(|it| is_right(it, blank, rule, answer)).count();
    let best = constants.into_iter().map(n_right).max().unwrap_or_default();
    let n = equations.len() as f64;
    Floors { uniform: equations.iter().map(guessed).sum::<f64>() / n, constant: best as f64 / n }
}
