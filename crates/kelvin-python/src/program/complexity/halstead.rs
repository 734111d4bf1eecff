//! Halstead's measures: operators and what they are applied to, by the rules of radon 6.0.1. Arithmetic,
//! comparisons, `and`, `or`, `not` and augmented assignments are operators; calls, subscripts and plain
//! assignments are none.

use std::collections::HashSet;

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{BoolOp, CmpOp, Expr, Operator, Stmt, UnaryOp};
use ruff_text_size::Ranged;

use crate::value::{Equality, Value, value_of};

/// Counts of operators and operands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Halstead {
    /// Distinct operators, Halstead's η₁. `x + 1` and `x += 1` use the same one.
    pub n_distinct_operators: u32,
    /// Distinct operands, Halstead's η₂. One name or number counts anew in each function, by the function's name.
    pub n_distinct_operands: u32,
    /// Operators, Halstead's N₁.
    pub n_operators: u32,
    /// Operands, Halstead's N₂.
    pub n_operands: u32,
}

impl Halstead {
    /// Bits to write the program down with, `(N₁ + N₂)·log₂(η₁ + η₂)`; 0 without operators.
    pub fn volume(&self) -> f64 {
        let vocabulary = f64::from(self.n_distinct_operators) + f64::from(self.n_distinct_operands);
        let length = f64::from(self.n_operators) + f64::from(self.n_operands);
        // A quotient of logarithms, as radon computes it, may differ in the last bit from a logarithm of base 2.
        if vocabulary == 0.0 { 0.0 } else { length * (vocabulary.ln() / std::f64::consts::LN_2) }
    }

    /// `η₁/2 · N₂/η₂`; 0 without operands.
    pub fn difficulty(&self) -> f64 {
        if self.n_distinct_operands == 0 {
            return 0.0;
        }
        let uses = f64::from(self.n_distinct_operators) * f64::from(self.n_operands);
        uses / (2.0 * f64::from(self.n_distinct_operands))
    }

    /// Difficulty times volume.
    pub fn effort(&self) -> f64 {
        self.difficulty() * self.volume()
    }
}

/// The counts over a whole file, which is `source` and parses as `body`.
pub(super) fn of_file(source: &str, body: &[Stmt]) -> Halstead {
    let mut tally = Tally::new(source);
    tally.visit_body(body);
    tally.counts()
}

#[derive(PartialEq, Eq, Hash)]
enum Symbol {
    Binary(Operator),
    Unary(UnaryOp),
    Chain(BoolOp),
    Comparison(CmpOp),
}

/// The name of the innermost function around an operand, if any. Functions of one name share their operands.
type Context<'a> = Option<&'a str>;

struct Tally<'a> {
    source: &'a str,
    context: Context<'a>,
    operators: HashSet<Symbol>,
    n_operators: usize,
    n_operands: usize,
    /// Names, attributes (by their last part) and literals. A name and a string of the same text are one operand.
    values: Vec<(Context<'a>, Value)>,
    /// Literals without a [`Value`], by their text: `...`, lone surrogates, numbers out of range.
    spellings: HashSet<(Context<'a>, &'a str)>,
    /// All other operands. No two of them are the same one.
    n_compounds: usize,
}

impl<'a> Tally<'a> {
    fn new(source: &'a str) -> Tally<'a> {
        Tally {
            source,
            context: None,
            operators: HashSet::new(),
            n_operators: 0,
            n_operands: 0,
            values: Vec::new(),
            spellings: HashSet::new(),
            n_compounds: 0,
        }
    }

    fn counts(&self) -> Halstead {
        let small = |n: usize| u32::try_from(n).expect("the source has fewer than 2^32 bytes");
        let keys = self.values.iter().map(|(context, value)| (context, value.key(Equality::Python)));
        let n_values = keys.collect::<HashSet<_>>().len();
        Halstead {
            n_distinct_operators: small(self.operators.len()),
            n_distinct_operands: small(n_values + self.spellings.len() + self.n_compounds),
            n_operators: small(self.n_operators),
            n_operands: small(self.n_operands),
        }
    }

    fn operator(&mut self, symbol: Symbol) {
        self.n_operators += 1;
        self.operators.insert(symbol);
    }

    fn operand(&mut self, expr: &'a Expr) {
        self.n_operands += 1;
        match expr {
            Expr::Name(name) => self.word(&name.id),
            Expr::Attribute(attribute) => self.word(&attribute.attr),
            _ if expr.is_literal_expr() => match value_of(self.source, expr) {
                Ok(value) => self.values.push((self.context, value)),
                Err(_) => {
                    self.spellings.insert((self.context, &self.source[expr.range()]));
                }
            },
            _ => self.n_compounds += 1,
        }
    }

    fn word(&mut self, word: &str) {
        self.values.push((self.context, Value::Str(word.to_owned())));
    }
}

impl<'a> Visitor<'a> for Tally<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            // Decorators, defaults and annotations are left out.
            Stmt::FunctionDef(def) => {
                let outer = self.context.replace(&def.name);
                self.visit_body(&def.body);
                self.context = outer;
            }
            Stmt::AugAssign(assign) => {
                self.operator(Symbol::Binary(assign.op));
                self.operand(&assign.target);
                self.operand(&assign.value);
                visitor::walk_stmt(self, stmt);
            }
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::BinOp(binary) => {
                self.operator(Symbol::Binary(binary.op));
                self.operand(&binary.left);
                self.operand(&binary.right);
            }
            Expr::UnaryOp(unary) => {
                self.operator(Symbol::Unary(unary.op));
                self.operand(&unary.operand);
            }
            Expr::BoolOp(chain) => {
                self.operator(Symbol::Chain(chain.op));
                chain.values.iter().for_each(|value| self.operand(value));
            }
            Expr::Compare(compare) => {
                compare.ops.iter().for_each(|op| self.operator(Symbol::Comparison(*op)));
                self.operand(&compare.left);
                compare.comparators.iter().for_each(|value| self.operand(value));
            }
            _ => {}
        }
        visitor::walk_expr(self, expr);
    }
}
