//! Whether a candidate's result is the right one, by EvalPlus' rules: equal as Python compares, floats within a tolerance,
//! and for a few tasks whose text allows more than one answer what they allow.

use kelvin_python::value::{Equality, Value, parse_literal};
use num_traits::ToPrimitive;

use super::raw;
use crate::grading::code::Closeness;

/// How results of a task are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Oracle {
    kind: Kind,
    tolerance: f64,
}

/// What else is right.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Nothing.
    Equal,
    /// Any number at which the polynomial of the test is near 0 (HumanEval/32).
    Root,
    /// Whatever there is (Mbpp/164).
    Anything,
    /// Zero (Mbpp/295).
    OrZero,
    /// The same members, in any order and number.
    SameMembers,
    /// Something where the solution has something, nothing where it has nothing.
    SomeOrNone,
    /// The distance of digits of numbers padded to one length (Mbpp/558).
    OrDigitDistance,
    /// The surface of a pyramid of that upright height (Mbpp/581).
    OrPyramid,
}

impl Oracle {
    /// That of a task of HumanEval+.
    pub(crate) fn of_human_eval(entry: &str, tolerance: f64) -> Oracle {
        let kind = if entry == "find_zero" { Kind::Root } else { Kind::Equal };
        Oracle { kind, tolerance }
    }

    /// That of a task of MBPP+.
    pub(crate) fn of_mbpp(entry: &str, tolerance: f64) -> Oracle {
        let kind = match entry {
            "are_equivalent" => Kind::Anything,
            "sum_div" => Kind::OrZero,
            "digit_distance_nums" => Kind::OrDigitDistance,
            "surface_Area" => Kind::OrPyramid,
            "similar_elements"
            | "find_char_long"
            | "common_in_nested_lists"
            | "extract_singly"
            | "larg_nnum"
            | "intersection_array"
            | "find_dissimilar"
            | "Diff" => Kind::SameMembers,
            "check_str" | "text_match_three" | "text_starta_endb" => Kind::SomeOrNone,
            _ => Kind::Equal,
        };
        Oracle { kind, tolerance }
    }

    /// How close results have to be, for a candidate that begins.
    pub(crate) fn closeness(&self) -> Closeness {
        Closeness::new(self.tolerance)
    }

    /// Whether `answer`, as `harness.py` writes values, is right where the solution gave `gold`. `tests` are all argument
    /// lists, of which `place` is the one in question. `closeness` is as the tests before left it.
    pub(crate) fn accepts(
        &self,
        tests: &str,
        place: usize,
        gold: &str,
        answer: &str,
        closeness: &mut Closeness,
    ) -> bool {
        if self.kind == Kind::Root {
            return root_is_near(tests, place, answer, self.tolerance);
        }
        let same_text = gold == answer && !gold.contains(NAN);
        let may_be_floats = [".", "e+", "e-"].iter().any(|it| gold.contains(it));
        if same_text && self.kind == Kind::Equal && !may_be_floats {
            return true;
        }
        let (Ok(gold), Ok(answer)) = (parse_literal(gold), parse_literal(answer)) else {
            // Longer integers than are read here have only their text.
            return same_text;
        };
        let holds_nan = |it: &Value| it.canonical().contains(NAN);
        // Asked in any case: floats that are expected change what follows.
        let agrees = closeness.agrees(&answer, &gold) && !holds_nan(&gold) && !holds_nan(&answer);
        let near = |surface: f64| number(&answer).is_some_and(|it| (it - surface).abs() <= self.tolerance);
        match self.kind {
            Kind::Equal => agrees,
            Kind::Anything => true,
            Kind::OrZero => agrees || number(&answer) == Some(0.0),
            Kind::SameMembers => same_members(&gold, &answer),
            Kind::SomeOrNone => match answer {
                Value::Bool(said) => said == (gold != Value::None),
                other => (gold != Value::None) == (other != Value::None),
            },
            Kind::OrDigitDistance => {
                agrees || arguments(tests, place).is_some_and(|it| digit_distance(&it) == number(&answer))
            }
            Kind::OrPyramid => agrees || numbers(tests, place).and_then(|it| pyramid(&it)).is_some_and(near),
            Kind::Root => unreachable!("answered above"),
        }
    }
}

/// How a number that is none is written; it equals nothing.
const NAN: &str = r"('\x00float', 'nan')";

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Value::Int(integer) => integer.to_f64(),
        Value::Float(float) => Some(*float),
        _ => None,
    }
}

fn same_members(gold: &Value, answer: &Value) -> bool {
    let members = |value: &Value| match value {
        Value::List(items) | Value::Tuple(items) | Value::Set(items) | Value::FrozenSet(items) => {
            Some(items.clone())
        }
        _ => None,
    };
    let (Some(gold), Some(answer)) = (members(gold), members(answer)) else { return false };
    let within = |some: &[Value], all: &[Value]| {
        some.iter().all(|it| all.iter().any(|other| it.equals(other, Equality::Python)))
    };
    within(&gold, &answer) && within(&answer, &gold)
}

/// The argument list of a test, where it is made of literals.
fn arguments(tests: &str, place: usize) -> Option<Vec<Value>> {
    let Value::List(arguments) = parse_literal(raw::element(tests, place)?).ok()? else { return None };
    Some(arguments)
}

fn numbers(tests: &str, place: usize) -> Option<Vec<f64>> {
    arguments(tests, place)?.iter().map(number).collect()
}

/// Whether the polynomial of the test, its lowest coefficient first, is near 0 at the answer.
fn root_is_near(tests: &str, place: usize, answer: &str, tolerance: f64) -> bool {
    let at = parse_literal(answer).ok().as_ref().and_then(number);
    let coefficients = arguments(tests, place).and_then(|given| match given.as_slice() {
        [Value::List(coefficients)] => coefficients.iter().map(number).collect::<Option<Vec<f64>>>(),
        _ => None,
    });
    let Some((at, coefficients)) = at.zip(coefficients) else { return false };
    // By the C library's `pow`, as there: terms of 1e20 cancel, and other roundings leave more than the tolerance.
    let value: f64 = coefficients.iter().enumerate().map(|(power, it)| it * at.powf(power as f64)).sum();
    value.abs() <= tolerance
}

fn digit_distance(numbers: &[Value]) -> Option<f64> {
    let [first, second] = numbers else { return None };
    let texts = [first, second].map(Value::canonical);
    let width = texts[0].len().max(texts[1].len());
    let [first, second] = texts.map(|it| format!("{it:0>width$}"));
    let digit = |it: char| it.to_digit(10).map(f64::from);
    first.chars().zip(second.chars()).map(|(a, b)| Some((digit(a)? - digit(b)?).abs())).sum()
}

fn pyramid(numbers: &[f64]) -> Option<f64> {
    let [base, height] = numbers else { return None };
    let slant = (base / 2.0).hypot(*height);
    Some((base * base + 2.0 * base * slant).round_ties_even())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(oracle: Oracle, tests: &str, gold: &str, answer: &str) -> bool {
        oracle.accepts(tests, 0, gold, answer, &mut oracle.closeness())
    }

    #[test]
    fn results_compare_as_in_python_and_floats_within_a_tolerance() {
        let plain = Oracle::of_mbpp("f", 0.0);
        for (gold, answer, is_right) in [
            ("1", "True", true),
            ("[1, 2]", "(1, 2, )", false),
            ("{1, 2}", "{2, 1}", true),
            ("0.3", "0.30000000000000004", true),
            ("0.3", "0.31", false),
            ("[0.5, 1.0]", "[0.5000001, 1.0]", true),
            ("[0.5, 1]", "[0.5000001, 1]", false),
            ("2.0", "2", true),
            ("'a'", "'b'", false),
            ("('\\x00float', 'nan')", "('\\x00float', 'nan')", false),
            ("('\\x00float', 'inf')", "('\\x00float', 'inf')", true),
            ("None", "None", true),
        ] {
            assert_eq!(accepts(plain, "[[]]", gold, answer), is_right, "{gold} {answer}");
        }
    }

    /// In the original the tolerance is a variable of the loop over tests.
    #[test]
    fn the_tolerance_stays() {
        let plain = Oracle::of_mbpp("f", 0.0);
        let mut closeness = plain.closeness();
        assert!(!plain.accepts("[[]]", 0, "[1, 0.5]", "[1, 0.5000001]", &mut closeness));
        assert!(plain.accepts("[[]]", 0, "0.5", "0.5", &mut closeness));
        assert!(plain.accepts("[[]]", 0, "[1, 0.5]", "[1, 0.5000001]", &mut closeness));
    }

    #[test]
    fn some_tasks_allow_more() {
        let root = Oracle::of_human_eval("find_zero", 1e-4);
        assert!(accepts(root, "[[[-2, 1]]]", "2.0", "1.99999"));
        assert!(!accepts(root, "[[[-2, 1]]]", "2.0", "1.9"));
        assert!(!accepts(root, "[[[-2, 1]]]", "2.0", "'two'"));
        let mbpp = |entry| Oracle::of_mbpp(entry, 0.0);
        assert!(accepts(mbpp("are_equivalent"), "[[1, 2]]", "1", "2"));
        assert!(accepts(mbpp("sum_div"), "[[1]]", "1", "0") && !accepts(mbpp("sum_div"), "[[1]]", "1", "2"));
        assert!(accepts(mbpp("Diff"), "[[]]", "[1, 2]", "(2, 1, 1, )"));
        assert!(!accepts(mbpp("Diff"), "[[]]", "[1, 2]", "[1]"));
        assert!(accepts(mbpp("check_str"), "[['a']]", "('\\x00object', 'Match')", "True"));
        assert!(accepts(mbpp("check_str"), "[['a']]", "('\\x00object', 'Match')", "'yes'"));
        assert!(!accepts(mbpp("check_str"), "[['a']]", "('\\x00object', 'Match')", "None"));
        assert!(accepts(mbpp("check_str"), "[['a']]", "None", "False"));
        assert!(!accepts(mbpp("check_str"), "[['a']]", "None", "'yes'"));
        // 1 and 23: |0 - 2| + |1 - 3|.
        assert!(accepts(mbpp("digit_distance_nums"), "[[1, 23]]", "22", "4"));
        assert!(accepts(mbpp("digit_distance_nums"), "[[12345678901234567891, 1]]", "0", "90"));
        // A base of 3 and a height of 4.
        assert!(accepts(mbpp("surface_Area"), "[[3, 4]]", "33", "35"));
        assert!(!accepts(mbpp("surface_Area"), "[[3, 4]]", "33", "34"));
    }
}
