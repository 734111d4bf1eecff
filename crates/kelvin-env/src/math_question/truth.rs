//! The answers of questions that can be computed: for audits of votes, never for a reward.
//!
//! Known are integer expressions, remainders, linear equations in one letter, and the word problems of the corpus with
//! any numbers. Everything else has no truth here, also what has no integer answer.

/// The most brackets inside one another.
const NESTING_MAX: usize = 64;

/// The answer of a question that can be computed, as a decimal integer; none of any other.
pub fn truth(question: &str) -> Option<String> {
    let question = question.split_whitespace().collect::<Vec<_>>().join(" ");
    let answer = remainder(&question)
        .or_else(|| asked_expression(&question))
        .or_else(|| equation(&question))
        .or_else(|| word_problem(&question))?;
    Some(answer.to_string())
}

fn remainder(question: &str) -> Option<i128> {
    let [a, b] = matched("What is the remainder of {0} divided by {1}?", question)?.try_into().ok()?;
    a.checked_rem(b)
}

fn asked_expression(question: &str) -> Option<i128> {
    let expression = question.strip_prefix("What is ")?.strip_suffix('?')?;
    let Linear { slope: 0, constant } = Linear::read(expression, None)? else { return None };
    Some(constant)
}

/// `3 * x = 12. What is x?`
fn equation(question: &str) -> Option<i128> {
    let (sides, letter) = question.strip_suffix('?')?.split_once(". What is ")?;
    let mut letters = letter.chars();
    let (Some(letter), None) = (letters.next().filter(char::is_ascii_lowercase), letters.next()) else {
        return None;
    };
    let (left, right) = sides.split_once('=')?;
    let zero = Linear::read(left, Some(letter))?.plus(Linear::read(right, Some(letter))?.times(-1)?)?;
    exact_quotient(zero.constant.checked_neg()?, zero.slope)
}

/// The forms of word problems, with their answers.
type Form = (&'static str, fn(&[i128]) -> Option<i128>);

const FORMS: &[Form] = &[
    ("{name} has {0} {thing} and gets {1} more. How many {thing} now?", |it| it[0].checked_add(it[1])),
    ("{name} has {0} {thing} and gives away {1}. How many {thing} are left?", |it| left(it[0], it[1])),
    ("There are {0} bags with {1} {thing} each. How many {thing} in all?", |it| it[0].checked_mul(it[1])),
    ("{name} shares {0} {thing} among {1} people. How many {thing} each?", |it| exact_quotient(it[0], it[1])),
    ("{name} buys {0} bags with {1} {thing} each and finds {2} more. How many {thing} now?", |it| {
        it[0].checked_mul(it[1])?.checked_add(it[2])
    }),
    ("{name} has {0} {thing}, gets {1} more and loses {2}. How many {thing} are left?", |it| {
        left(it[0].checked_add(it[1])?, it[2])
    }),
];

fn word_problem(question: &str) -> Option<i128> {
    FORMS.iter().find_map(|(form, answer)| answer(&matched(form, question)?))
}

/// What is left of a number of things; nobody gives away more than there is.
fn left(a: i128, b: i128) -> Option<i128> {
    a.checked_sub(b).filter(|left| 0 <= *left)
}

fn exact_quotient(a: i128, b: i128) -> Option<i128> {
    (a.checked_rem(b)? == 0).then(|| a.checked_div(b))?
}

/// The numbers of a question of this form, word by word. A thing is the same wherever it is named.
fn matched(form: &str, question: &str) -> Option<Vec<i128>> {
    let (mut numbers, mut things) = (Vec::new(), Vec::new());
    let (mut words, mut expected) = (question.split(' '), form.split(' '));
    loop {
        match (expected.next(), words.next()) {
            (None, None) => break,
            (Some(expected), Some(word)) => match expected.split_once('}') {
                None if expected == word => {}
                None => return None,
                Some((slot, suffix)) => {
                    let filler = word.strip_suffix(suffix)?;
                    match slot {
                        "{name" | "{thing" => {
                            let is_word = !filler.is_empty() && filler.chars().all(char::is_alphabetic);
                            is_word.then_some(())?;
                            if slot == "{thing" {
                                things.push(filler);
                            }
                        }
                        _ => numbers.push(natural(filler)?),
                    }
                }
            },
            (Some(_), None) | (None, Some(_)) => return None,
        }
    }
    things.windows(2).all(|pair| pair[0] == pair[1]).then_some(numbers)
}

fn natural(digits: &str) -> Option<i128> {
    digits.bytes().all(|it| it.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// `slope * x + constant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Linear {
    slope: i128,
    constant: i128,
}

impl Linear {
    /// Reads sums, products, exact quotients and brackets of integers and one letter.
    fn read(text: &str, letter: Option<char>) -> Option<Linear> {
        let mut reader = Reader { rest: text, letter, depth: 0 };
        let sum = reader.sum()?;
        reader.rest.trim_start().is_empty().then_some(sum)
    }

    fn plus(self, other: Linear) -> Option<Linear> {
        Some(Linear {
            slope: self.slope.checked_add(other.slope)?,
            constant: self.constant.checked_add(other.constant)?,
        })
    }

    fn times(self, factor: i128) -> Option<Linear> {
        Some(Linear { slope: self.slope.checked_mul(factor)?, constant: self.constant.checked_mul(factor)? })
    }
}

struct Reader<'text> {
    rest: &'text str,
    letter: Option<char>,
    depth: usize,
}

impl Reader<'_> {
    fn eat(&mut self, sign: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn sum(&mut self) -> Option<Linear> {
        let mut sum = self.product()?;
        loop {
            if self.eat('+') {
                sum = sum.plus(self.product()?)?;
            } else if self.eat('-') {
                sum = sum.plus(self.product()?.times(-1)?)?;
            } else {
                return Some(sum);
            }
        }
    }

    fn product(&mut self) -> Option<Linear> {
        let mut product = self.atom()?;
        loop {
            if self.eat('*') {
                let factor = self.atom()?;
                product = match (product.slope, factor.slope) {
                    (_, 0) => product.times(factor.constant)?,
                    (0, _) => factor.times(product.constant)?,
                    (_, _) => return None,
                };
            } else if self.eat('/') {
                let Linear { slope: 0, constant: divisor } = self.atom()? else { return None };
                product = Linear {
                    slope: exact_quotient(product.slope, divisor)?,
                    constant: exact_quotient(product.constant, divisor)?,
                };
            } else {
                return Some(product);
            }
        }
    }

    fn atom(&mut self) -> Option<Linear> {
        if self.eat('-') {
            return self.positive_atom()?.times(-1);
        }
        self.positive_atom()
    }

    fn positive_atom(&mut self) -> Option<Linear> {
        if self.eat('(') {
            self.depth += 1;
            if NESTING_MAX < self.depth {
                return None;
            }
            let sum = self.sum()?;
            self.depth -= 1;
            return self.eat(')').then_some(sum);
        }
        if let Some(letter) = self.letter
            && self.eat(letter)
        {
            return Some(Linear { slope: 1, constant: 0 });
        }
        let n_digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(n_digits);
        self.rest = rest;
        (0 < n_digits).then(|| Some(Linear { slope: 0, constant: natural(digits)? }))?
    }
}
