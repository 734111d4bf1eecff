//! Questions in words with an integer answer, and equations modulo a prime: small shares of the corpus, so that
//! recipes on questions and on prime inversion start from the same base model.

use kelvin_core::seed::Draws;

/// A question, the lines that work it out, and its answer.
pub(crate) struct Question {
    pub(crate) text: String,
    pub(crate) working: Vec<String>,
    pub(crate) answer: i64,
}

/// Names, and things that can be counted.
const NAMES: &[&str] = &["Ann", "Ben", "Eva", "Tom", "Mia", "Sam"];
const THINGS: &[&str] = &["apples", "books", "coins", "pens", "cards", "eggs"];

/// A question of one or two operations.
pub(crate) fn question(draws: &mut Draws) -> Question {
    let name = *draws.pick(NAMES);
    let thing = *draws.pick(THINGS);
    let (a, b, c) = (draws.between(2, 20), draws.between(2, 12), draws.between(2, 9));
    let (more, less) = (a.max(b), a.min(b));
    let small = draws.between(2, 9);
    match draws.below(14) {
        0 => one(format!("What is {a} + {b}?"), a + b),
        1 => one(format!("What is {a} - {b}?"), a - b),
        2 => one(format!("What is {small} * {b}?"), small * b),
        3 => one(format!("What is the remainder of {a} divided by {c}?"), a % c),
        4 => one(format!("x + {less} = {more}. What is x?"), more - less),
        5 => one(format!("{small} * x = {}. What is x?", small * b), b),
        6 => one(format!("{name} has {a} {thing} and gets {b} more. How many {thing} now?"), a + b),
        7 => one(
            format!("{name} has {more} {thing} and gives away {less}. How many {thing} are left?"),
            more - less,
        ),
        8 => {
            one(format!("There are {small} bags with {b} {thing} each. How many {thing} in all?"), small * b)
        }
        9 => one(
            format!("{name} shares {} {thing} among {small} people. How many {thing} each?", small * b),
            b,
        ),
        10 => two(format!("What is {small} * {b} + {c}?"), (small, '*', b), ('+', c)),
        11 => two(format!("What is ({a} + {b}) * {c}?"), (a, '+', b), ('*', c)),
        12 => two(
            format!(
                "{name} buys {small} bags with {b} {thing} each and finds {c} more. How many {thing} now?"
            ),
            (small, '*', b),
            ('+', c),
        ),
        _ => two(
            format!(
                "{name} has {a} {thing}, gets {b} more and loses {}. How many {thing} are left?",
                c.min(a)
            ),
            (a, '+', b),
            ('-', c.min(a)),
        ),
    }
}

fn one(text: String, answer: i64) -> Question {
    Question { text, working: Vec::new(), answer }
}

fn two(text: String, (left, first, right): (i64, char, i64), (second, last): (char, i64)) -> Question {
    let apply = |left: i64, sign: char, right: i64| match sign {
        '+' => left + right,
        '-' => left - right,
        _ => left * right,
    };
    let middle = apply(left, first, right);
    let answer = apply(middle, second, last);
    let working =
        vec![format!("{left} {first} {right} = {middle}"), format!("{middle} {second} {last} = {answer}")];
    Question { text, working, answer }
}

/// `x * y = 1 mod p`.
pub(crate) struct Inversion {
    pub(crate) x: u64,
    pub(crate) y: u64,
    pub(crate) p: u64,
}

/// The primes of the equations.
const PRIMES: &[u64] = &[3, 5, 7, 11, 13, 17, 19, 23];

/// A true equation.
pub(crate) fn inversion(draws: &mut Draws) -> Inversion {
    let p = *draws.pick(PRIMES);
    let x = draws.between(1, p as i64 - 1) as u64;
    let y = (1..p).find(|y| x * y % p == 1).expect("a number below a prime has an inverse");
    Inversion { x, y, p }
}

/// The equation with one of its numbers replaced by its name, that name, and the number.
pub(crate) fn blanked(inversion: &Inversion, draws: &mut Draws) -> (String, &'static str, u64) {
    let Inversion { x, y, p } = inversion;
    match draws.below(3) {
        0 => (format!("x * {y} = 1 mod {p}"), "x", *x),
        1 => (format!("{x} * y = 1 mod {p}"), "y", *y),
        _ => (format!("{x} * {y} = 1 mod p"), "p", *p),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kelvin_core::seed::Seed;

    #[test]
    fn equations_hold() {
        for index in 0..500 {
            let mut draws = Seed::new(3).nth(index).draws();
            let equation = inversion(&mut draws);
            assert_eq!(equation.x * equation.y % equation.p, 1);
            let (text, name, value) = blanked(&equation, &mut draws);
            let whole = format!("{} * {} = 1 mod {}", equation.x, equation.y, equation.p);
            assert_eq!(text.replace(name, &value.to_string()), whole);
        }
    }

    #[test]
    fn workings_end_in_the_answer() {
        let mut n_worked = 0;
        for index in 0..500 {
            let question = question(&mut Seed::new(4).nth(index).draws());
            assert!(question.text.ends_with('?'), "{}", question.text);
            if let Some(last) = question.working.last() {
                n_worked += 1;
                assert!(last.ends_with(&format!("= {}", question.answer)));
            }
        }
        assert!(100 < n_worked);
    }
}
