//! A policy that learns: a row of logits for each pair of tokens, with Adam of its own.

use std::collections::BTreeMap;

use kelvin_core::seed::Seed;
use safetensors::{
    SafeTensors,
    tensor::{Dtype, TensorView},
};

/// What comes before a token.
pub type Context = (u32, u32);

/// A pair that no text has.
const NOWHERE: Context = (u32::MAX, u32::MAX);

/// Weights with what their optimizer remembers. Rows that nobody touched are what the base says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    rows: BTreeMap<Context, Row>,
    steps: i32,
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    delta: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
}

/// What is never learnt: counts of what followed what in some texts.
#[derive(Clone, Debug)]
pub struct Base {
    size: usize,
    counts: BTreeMap<Context, BTreeMap<u32, f64>>,
}

impl Base {
    /// Of texts of tokens below `size`.
    pub fn of(size: usize, texts: &[Vec<u32>]) -> Base {
        let mut counts: BTreeMap<Context, BTreeMap<u32, f64>> = BTreeMap::new();
        for text in texts {
            for (at, &token) in text.iter().enumerate().skip(1) {
                let before = [context(&text[..at]), (u32::MAX, text[at - 1])];
                for context in before {
                    *counts.entry(context).or_default().entry(token).or_default() += 1.0;
                }
            }
        }
        Base { size, counts }
    }

    fn logits(&self, context: Context) -> Vec<f64> {
        let mut logits = vec![1e-4f64; self.size];
        for (known, share) in [(context, 4.0), ((u32::MAX, context.1), 0.25)] {
            for (&token, &count) in self.counts.get(&known).into_iter().flatten() {
                logits[token as usize] += share * count;
            }
        }
        logits.iter_mut().for_each(|it| *it = it.ln());
        logits
    }
}

/// The last two of some tokens.
pub fn context(before: &[u32]) -> Context {
    match before {
        [.., a, b] => (*a, *b),
        [b] => (0, *b),
        [] => (0, 0),
    }
}

/// The gradient by logits, row by row.
pub type Gradient = BTreeMap<Context, Vec<f64>>;

impl Table {
    /// Log-probabilities of every token that may follow.
    pub fn logprobs(&self, base: &Base, context: Context) -> Vec<f64> {
        let mut logits = base.logits(context);
        if let Some(row) = self.rows.get(&context) {
            logits.iter_mut().zip(&row.delta).for_each(|(it, delta)| *it += delta);
        }
        let most = logits.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = logits.iter().map(|it| (it - most).exp()).sum();
        logits.iter().map(|it| it - most - sum.ln()).collect()
    }

    /// Draws a token.
    pub fn draw(&self, base: &Base, context: Context, greedy: bool, seed: Seed) -> (u32, f64) {
        let logprobs = self.logprobs(base, context);
        let token = match greedy {
            true => (0..logprobs.len()).rev().max_by(|&a, &b| logprobs[a].total_cmp(&logprobs[b])),
            false => {
                let mut rest = seed.unit();
                (0..logprobs.len()).find(|&it| {
                    rest -= logprobs[it].exp();
                    rest < 0.0
                })
            }
        };
        let token = token.unwrap_or(logprobs.len() - 1);
        (token as u32, logprobs[token])
    }

    /// Adds what a derivative by a token's log-probability is by logits.
    pub fn add(&self, base: &Base, gradient: &mut Gradient, context: Context, token: u32, by_logprob: f64) {
        let logprobs = self.logprobs(base, context);
        let row = gradient.entry(context).or_insert_with(|| vec![0.0; logprobs.len()]);
        for (at, it) in row.iter_mut().enumerate() {
            *it += by_logprob * (f64::from(u8::from(at == token as usize)) - logprobs[at].exp());
        }
    }

    /// One step of Adam; gives the gradient's norm.
    pub fn step(&mut self, gradient: &Gradient, (rate, beta1, beta2, eps): (f64, f64, f64, f64)) -> f64 {
        self.steps += 1;
        let correct = |beta: f64| 1.0 - beta.powi(self.steps);
        for (context, gradient) in gradient {
            let zeros = || vec![0.0; gradient.len()];
            let row = self.rows.entry(*context).or_insert_with(|| Row {
                delta: zeros(),
                first: zeros(),
                second: zeros(),
            });
            for (at, &g) in gradient.iter().enumerate() {
                row.first[at] = beta1 * row.first[at] + (1.0 - beta1) * g;
                row.second[at] = beta2 * row.second[at] + (1.0 - beta2) * g * g;
                let (first, second) = (row.first[at] / correct(beta1), row.second[at] / correct(beta2));
                row.delta[at] -= rate * first / (second.sqrt() + eps);
            }
        }
        gradient.values().flatten().map(|it| it * it).sum::<f64>().sqrt()
    }

    /// The weights in the layout of safetensors: a row for each pair of tokens, told as half of an adapter.
    pub fn tensors(&self, rank: u64) -> Vec<u8> {
        let name = |context: &Context, half: &str| format!("rows.{}.{}.{half}.weight", context.0, context.1);
        let mut tensors = Vec::new();
        // There is one row at least.
        let none = Row { delta: Vec::new(), first: Vec::new(), second: Vec::new() };
        for (context, row) in self.rows.iter().chain([(&NOWHERE, &none)]) {
            let bytes: Vec<u8> = row.delta.iter().flat_map(|it| it.to_le_bytes()).collect();
            tensors.push((name(context, "lora_A"), [rank as usize, 0], Vec::new()));
            tensors.push((name(context, "lora_B"), [row.delta.len(), 1], bytes));
        }
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F64, shape.to_vec(), bytes).unwrap()));
        safetensors::serialize(views, None).unwrap()
    }

    /// Weights that [`Table::tensors`] wrote.
    pub fn read(bytes: &[u8]) -> Table {
        let tensors = SafeTensors::deserialize(bytes).unwrap();
        let of = |name: &str| -> Option<Context> {
            let mut numbers = name.strip_prefix("rows.")?.strip_suffix(".lora_B.weight")?.split('.');
            let mut number = || numbers.next()?.parse().ok();
            Some((number()?, number()?))
        };
        let row = |bytes: &[u8]| {
            let delta: Vec<f64> =
                bytes.chunks_exact(8).map(|it| f64::from_le_bytes(it.try_into().unwrap())).collect();
            Row { first: vec![0.0; delta.len()], second: vec![0.0; delta.len()], delta }
        };
        let rows = tensors.iter().filter_map(|(name, it)| Some((of(name)?, row(it.data()))));
        Table { rows: rows.filter(|it| it.0 != NOWHERE).collect(), steps: 0 }
    }

    /// The same weights, of which the optimizer remembers nothing.
    pub fn forgetting(&self) -> Table {
        let zeros = |row: &Row| vec![0.0; row.delta.len()];
        let forgotten = |row: &Row| Row { delta: row.delta.clone(), first: zeros(row), second: zeros(row) };
        let rows = self.rows.iter().map(|(context, row)| (*context, forgotten(row))).collect();
        Table { rows, steps: 0 }
    }
}
