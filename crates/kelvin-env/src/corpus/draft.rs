//! A program while it is written: lines so far, names taken, and the one-step transformations applied to
//! expressions.

use kelvin_core::seed::Draws;

use super::{
    rules::{Binds, Flow, JUNCTIONS, RULES, Rule},
    types::{Domain, Type, letter, other_letter, quoted},
};

/// An expression.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) text: String,
    pub(crate) binds: Binds,
    pub(crate) of: Type,
    /// It has items, where its type can have none.
    pub(crate) has_items: bool,
}

impl Value {
    /// A variable that holds a value with items.
    pub(crate) fn name(name: &str, of: Type) -> Value {
        Value { text: name.to_string(), binds: Binds::Post, of, has_items: true }
    }

    /// A call, a literal or another expression that binds as tightly.
    pub(crate) fn atom(text: String, of: Type) -> Value {
        Value { text, binds: Binds::Post, of, has_items: false }
    }

    pub(crate) fn is_name(&self) -> bool {
        self.text.bytes().all(|byte| byte.is_ascii_lowercase())
    }

    /// The text, in parentheses if it binds less tightly than `least`.
    pub(crate) fn at(&self, least: Binds) -> String {
        if self.binds < least { format!("({})", self.text) } else { self.text.clone() }
    }
}

/// Longest expression that another step still builds on without naming it first, in bytes.
const MAX_OPERAND_LEN: usize = 24;

/// A program in the making.
pub(crate) struct Draft<'draws> {
    pub(crate) draws: &'draws mut Draws,
    pub(crate) lines: Vec<String>,
    pub(crate) depth: usize,
    taken: Vec<String>,
    /// A second argument that stands in for literals.
    pub(crate) spare: Option<Value>,
    /// Whether arguments may be assigned to, and steps written as `x += 1`.
    pub(crate) may_mutate: bool,
    pub(crate) phrases: Vec<&'static str>,
    pub(crate) n_steps: usize,
    /// Where the arguments' values come from; a shape may narrow them.
    pub(crate) domains: Vec<Domain>,
    /// Source that stands before `f`.
    pub(crate) head: String,
}

impl<'draws> Draft<'draws> {
    pub(crate) fn new(draws: &'draws mut Draws, arguments: &[&str]) -> Draft<'draws> {
        Draft {
            draws,
            lines: Vec::new(),
            depth: 1,
            taken: arguments.iter().map(|it| (*it).to_string()).collect(),
            spare: None,
            may_mutate: false,
            phrases: Vec::new(),
            n_steps: 0,
            domains: Vec::new(),
            head: String::new(),
        }
    }

    /// Writes one line at the present depth.
    pub(crate) fn say(&mut self, line: &str) {
        self.lines.push(format!("{}{line}", "    ".repeat(self.depth)));
    }

    /// Writes lines one level deeper.
    pub(crate) fn nested(&mut self, write: impl FnOnce(&mut Self)) {
        self.depth += 1;
        write(self);
        self.depth -= 1;
    }

    pub(crate) fn count_step(&mut self, phrase: &'static str) {
        self.phrases.push(phrase);
        self.n_steps += 1;
    }

    /// A name that is free, and the usual one for the type more often than not.
    pub(crate) fn free_name(&mut self, of: Type) -> String {
        let usual: &[&str] = match of {
            Type::Int => &["y", "n", "z", "k"],
            Type::Bool => &["ok", "yes"],
            Type::Str | Type::Char => &["s", "t", "y"],
            Type::Ints => &["y", "z", "r"],
        };
        let free: Vec<&str> =
            usual.iter().copied().filter(|it| !self.taken.iter().any(|t| t == it)).collect();
        let name = match free.as_slice() {
            [] => format!("v{}", ["a", "b", "c", "d"][self.taken.len() % 4]),
            [only] => (*only).to_string(),
            [first, ..] if self.draws.chance(0.6) => (*first).to_string(),
            [_, rest @ ..] => (*self.draws.pick(rest)).to_string(),
        };
        self.take(&name);
        name
    }

    pub(crate) fn take(&mut self, name: &str) {
        self.taken.push(name.to_string());
    }

    /// Names a value.
    pub(crate) fn assign(&mut self, value: &Value) -> Value {
        let name = match self.may_mutate && self.draws.chance(0.3) {
            true => "x".to_string(),
            false => self.free_name(value.of),
        };
        self.say(&format!("{name} = {}", value.text));
        Value { has_items: value.has_items, ..Value::name(&name, value.of) }
    }

    /// One transformation of `value` to type `to`, or to any type from which `n_left` more steps lead there.
    /// `None` if the table has none.
    pub(crate) fn step(&mut self, value: &Value, to: Option<Type>, n_left: usize) -> Option<Value> {
        let fits = |rule: &&Rule| {
            rule.from == value.of
                && (value.has_items || rule.flow != Flow::NeedsItems)
                && leads(rule.to, to, n_left)
        };
        let rules: Vec<&Rule> = RULES.iter().filter(fits).collect();
        let rule = rules[pick_weighted(self.draws, rules.iter().map(|rule| rule.weight))?];
        self.count_step(rule.does);
        let n_uses = rule.form.matches("{x").count();
        let named = if 1 < n_uses && !value.is_name() || MAX_OPERAND_LEN < value.text.len() {
            self.assign(value)
        } else {
            value.clone()
        };
        if let Some(mutated) = self.mutate(&named, rule) {
            return Some(mutated);
        }
        let text = self.fill(rule.form, &named, None);
        let has_items = match rule.flow {
            Flow::Any => value.has_items || rule.from == Type::Int,
            Flow::NeedsItems => true,
        };
        Some(Value { text, binds: rule.binds, of: rule.to, has_items })
    }

    /// Writes the step as `x += 1`, where it can be and chance wants it.
    fn mutate(&mut self, operand: &Value, rule: &Rule) -> Option<Value> {
        let fits = self.may_mutate && operand.is_name() && rule.to == rule.from;
        if !fits || !matches!(rule.from, Type::Int | Type::Str) || !self.draws.chance(0.3) {
            return None;
        }
        let (_, rest) = rule.form.split_once("} ").filter(|(x, _)| matches!(*x, "{x+" | "{x*"))?;
        let (operator, right) = rest.split_once(' ')?;
        let right = self.fill(right, operand, None);
        self.say(&format!("{} {operator}= {right}", operand.text));
        Some(operand.clone())
    }

    /// `n` steps in a row, some of them named.
    pub(crate) fn chain(&mut self, value: Value, n: usize, to: Option<Type>) -> Option<Value> {
        let mut value = value;
        for at in 0..n {
            if 0 < at && !value.is_name() && self.draws.chance(0.45) {
                value = self.assign(&value);
            }
            value = self.step(&value, to, n - 1 - at)?;
        }
        Some(value)
    }

    /// One transformation of two names.
    pub(crate) fn join(&mut self, x: &Value, y: &Value, to: Option<Type>, n_left: usize) -> Option<Value> {
        let fits = JUNCTIONS.iter().filter(|it| it.from == (x.of, y.of) && leads(it.to, to, n_left));
        let fits: Vec<_> = fits.collect();
        let junction = fits[pick_weighted(self.draws, fits.iter().map(|it| it.weight))?];
        self.count_step(junction.does);
        let text = self.fill(junction.form, x, Some(y));
        Some(Value { text, binds: junction.binds, of: junction.to, has_items: false })
    }

    /// A literal of the type, where short ones exist.
    pub(crate) fn literal(&mut self, of: Type) -> Option<Value> {
        let text = match of {
            Type::Int => self.draws.between(0, 9).to_string(),
            Type::Str | Type::Char => quoted(other_letter(self.draws)),
            Type::Ints => "[]".to_string(),
            Type::Bool => return None,
        };
        Some(Value::atom(text, of))
    }

    /// The text of a form; the module documentation of the rules says what stands in one.
    pub(crate) fn fill(&mut self, form: &str, x: &Value, y: Option<&Value>) -> String {
        let mut text = String::new();
        let mut rest = form;
        while let Some(at) = rest.find('{') {
            text.push_str(&rest[..at]);
            let end = at + rest[at..].find('}').expect("forms close their braces");
            let filled = match &rest[at + 1..end] {
                "x" => x.text.clone(),
                "x+" => x.at(Binds::Sum),
                "x*" => x.at(Binds::Term),
                "x<" => x.at(Binds::Sum),
                "x." => x.at(Binds::Post),
                "y" => y.expect("only junctions have a second operand").text.clone(),
                key => self.literal_for(key),
            };
            text.push_str(&filled);
            rest = &rest[end + 1..];
        }
        text + rest
    }

    fn literal_for(&mut self, key: &str) -> String {
        match key {
            "c" => quoted(letter(self.draws)),
            "d" => quoted(other_letter(self.draws)),
            "w" if self.draws.chance(0.5) => quoted(letter(self.draws)),
            "w" => quoted(other_letter(self.draws)),
            range => {
                let free = range.contains('~');
                if free && self.spare_is(Type::Int) {
                    return self.spare_text();
                }
                let (low, high) = range.split_once(['-', '~']).expect("a range has two ends");
                let end = |text: &str| text.parse().expect("a range is of integers");
                self.draws.between(end(low), end(high)).to_string()
            }
        }
    }

    /// Whether the second argument stands in for the next literal of type `of`.
    fn spare_is(&mut self, of: Type) -> bool {
        self.spare.as_ref().is_some_and(|spare| spare.of == of) && self.draws.chance(0.7)
    }

    fn spare_text(&self) -> String {
        self.spare.as_ref().expect("spare_is said so").text.clone()
    }
}

/// Whether `n_left` steps can lead from `from` to `to`; to anything but a truth value on the way, if `to` is
/// open.
fn leads(from: Type, to: Option<Type>, n_left: usize) -> bool {
    match (n_left, to) {
        (0, None) => true,
        (0, Some(to)) => from == to,
        (_, to) => {
            from != Type::Bool
                && RULES
                    .iter()
                    .any(|rule| rule.from == from && (1 < n_left || to.is_none_or(|to| rule.to == to)))
        }
    }
}

/// An index, chosen in proportion to the weights; `None` if they sum to nothing.
pub(crate) fn pick_weighted(draws: &mut Draws, weights: impl Iterator<Item = u32> + Clone) -> Option<usize> {
    let total: u32 = weights.clone().sum();
    if total == 0 {
        return None;
    }
    let mut left = draws.below(total as usize) as u32;
    weights.into_iter().position(|weight| match left.checked_sub(weight) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    })
}
