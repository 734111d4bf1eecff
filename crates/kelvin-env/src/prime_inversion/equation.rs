//! The equation x * y = 1 (mod p), what it leaves out, and the primes there are.

use kelvin_core::{seed::Seed, task::TaskType};
use serde::{Deserialize, Serialize};

/// Of so many pairs of a number and its inverse one is withheld: no run trains on it, nor does the embedded base model.
const WITHHELD_ONE_IN: usize = 5;

/// The largest prime of the domain, the last of the original's table.
pub const P_CAP: u32 = 617;

/// The primes from `low` to `high`, in order.
pub fn primes(low: u32, high: u32) -> impl Iterator<Item = u32> {
    (low..=high).filter(|&it| is_prime(it))
}

/// Whether a number is prime, by trial division.
pub fn is_prime(n: u32) -> bool {
    1 < n
        && (2..)
            .take_while(|it| u64::from(*it) * u64::from(*it) <= u64::from(n))
            .all(|it| !n.is_multiple_of(it))
}

/// A true equation x * y = 1 (mod p), with 1 <= x, y < p. Only induction under [`InductionRule::AnyPrime`] has larger x
/// and y.
///
/// [`InductionRule::AnyPrime`]: super::InductionRule::AnyPrime
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Numbers")]
pub struct Inversion {
    /// A number.
    pub x: u32,
    /// Its inverse.
    pub y: u32,
    /// The prime.
    pub p: u32,
}

/// An equation as it lies on disk, true or not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbers {
    x: u32,
    y: u32,
    p: u32,
}

impl TryFrom<Numbers> for Inversion {
    type Error = String;

    fn try_from(Numbers { x, y, p }: Numbers) -> Result<Inversion, String> {
        match is_prime(p) && u64::from(x) * u64::from(y) % u64::from(p) == 1 {
            true => Ok(Inversion { x, y, p }),
            false => Err(format!("{x} * {y} = 1 (mod {p}) is not true of a prime")),
        }
    }
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

    /// Every number below the prime `p`, with its inverse.
    pub fn all_of(p: u32) -> impl Iterator<Item = Inversion> {
        (1..p).filter_map(move |x| Inversion::of(x, p))
    }

    /// The same with x and y in each other's place.
    pub fn mirrored(self) -> Inversion {
        Inversion { x: self.y, y: self.x, p: self.p }
    }

    /// Whether the answer can be read off: a number is 1 or p - 1, its own inverse.
    pub fn is_trivial(&self) -> bool {
        [self.x, self.y].into_iter().any(|it| it == 1 || Some(it) == self.p.checked_sub(1))
    }

    /// The number that `blank` leaves out.
    pub fn value(&self, blank: Blank) -> u32 {
        match blank {
            Blank::X => self.x,
            Blank::Y => self.y,
            Blank::P => self.p,
        }
    }

    /// Its numbers x, y and p, with a letter for the one that it leaves out.
    pub(super) fn slots(&self, blank: Blank) -> [String; 3] {
        [Blank::X, Blank::Y, Blank::P].map(|it| match it == blank {
            true => it.letter().to_owned(),
            false => self.value(it).to_string(),
        })
    }

    /// The equation with a letter for what it leaves out.
    pub fn with(&self, blank: Blank) -> String {
        let [x, y, p] = self.slots(blank);
        format!("{x} * {y} = 1 mod {p}")
    }

    /// Whether the pair is kept from training, in both its orders: one in five, by a hash of its three numbers.
    pub fn is_withheld(&self) -> bool {
        let (low, high) = (self.x.min(self.y), self.x.max(self.y));
        let path = [self.p, low, high].into_iter().map(u64::from);
        path.fold(Seed::new(0).fork("withheld inversions"), Seed::nth).below(WITHHELD_ONE_IN) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_has_the_size_of_the_table() {
        assert_eq!(primes(0, P_CAP).count(), 113);
        assert_eq!(primes(0, P_CAP).last(), Some(P_CAP));
        assert_eq!(primes(19, 43).collect::<Vec<_>>(), [19, 23, 29, 31, 37, 41, 43]);
        assert_eq!(primes(0, P_CAP).map(|p| Inversion::all_of(p).count()).sum::<usize>(), 31_621);
        assert_eq!(primes(19, 43).flat_map(Inversion::all_of).count(), 216);
        assert!(is_prime(4_294_967_291) && !is_prime(4_294_967_295) && !is_prime(65_521 * 65_521));
    }

    #[test]
    fn a_pair_and_its_mirror_are_withheld_together() {
        let all: Vec<Inversion> = primes(2, P_CAP).flat_map(Inversion::all_of).collect();
        assert!(all.iter().all(|it| it.is_withheld() == it.mirrored().is_withheld()));
        let share = all.iter().filter(|it| it.is_withheld()).count() as f64 / all.len() as f64;
        assert!((share - 0.2).abs() < 0.01, "{share}");
    }

    #[test]
    fn an_untrue_equation_is_not_read() {
        let read = |text: &str| serde_json::from_str::<Inversion>(text).map_err(|it| it.to_string());
        let inversion = Inversion::of(3, 7).unwrap();
        assert_eq!(read(&serde_json::to_string(&inversion).unwrap()), Ok(inversion));
        for text in [
            r#"{"x": 3, "y": 4, "p": 7}"#,
            r#"{"x": 3, "y": 5, "p": 0}"#,
            r#"{"x": 3, "y": 5, "p": 14}"#,
            r#"{"x": 3, "y": 5, "p": 7, "q": 1}"#,
            r#"{"x": -4, "y": 5, "p": 7}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
