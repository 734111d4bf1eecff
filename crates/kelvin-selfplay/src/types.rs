//! Counts of the values of all tasks that ever entered the buffer, by type (azr.md section 5.4). They follow from the
//! task log, are never decremented, and answer in constant time: the original walked all of them for every value.

use std::collections::HashMap;

use kelvin_core::{
    measures::{TypedText, Values},
    metrics::Metrics,
    task::TaskType,
};
use sha2::{Digest, Sha256};

use crate::settings::Diversity;

/// Which side of a task a value stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Arguments.
    Input,
    /// Results.
    Output,
    /// Names of exceptions.
    Error,
}

impl Side {
    const ALL: [Side; 3] = [Side::Input, Side::Output, Side::Error];

    fn as_str(self) -> &'static str {
        match self {
            Side::Input => "input",
            Side::Output => "output",
            Side::Error => "error",
        }
    }
}

/// The answer's side of a task type that asks for one value.
pub fn answer_side(task_type: TaskType) -> Side {
    match task_type {
        TaskType::Abduction => Side::Input,
        TaskType::Error => Side::Error,
        TaskType::Deduction | TaskType::Induction | TaskType::Question => Side::Output,
    }
}

/// The values of one task on one side.
pub fn on_side(values: &Values, side: Side) -> &[TypedText] {
    match side {
        Side::Input => &values.inputs,
        Side::Output | Side::Error => &values.outputs,
    }
}

/// The counts of all sides.
#[derive(Debug, Default)]
pub struct TypeCounters {
    by_side: [Counter; 3],
}

impl TypeCounters {
    /// Counts a task that enters the buffer: abduction adds its input, deduction its output, induction both of every pair.
    /// A seed stands in the buffers of abduction and of deduction, so that both of its values count once.
    pub fn count(&mut self, task_type: TaskType, values: &Values) {
        let sides: &[Side] = match task_type {
            TaskType::Induction => &[Side::Input, Side::Output],
            TaskType::Deduction | TaskType::Abduction | TaskType::Error | TaskType::Question => {
                &[answer_side(task_type)]
            }
        };
        for &side in sides {
            on_side(values, side).iter().for_each(|value| self.by_side[side as usize].count(value));
        }
    }

    /// From 0, where nothing else was ever there, to 1 for what is new.
    pub fn diversity(&self, side: Side, value: &TypedText, diversity: Diversity) -> f64 {
        self.by_side[side as usize].diversity(value, diversity)
    }

    /// `types/SIDE/...` for each side that has values.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::new();
        for side in Side::ALL {
            let counter = &self.by_side[side as usize];
            if counter.n == 0 {
                continue;
            }
            let n_values: usize = counter.types.values().map(|it| it.values.len()).sum();
            let name = |key: &str| format!("types/{}/{key}", side.as_str());
            metrics.insert(name("distinct_types"), counter.types.len() as f64);
            metrics.insert(name("unique_values"), n_values as f64);
            metrics.insert(name("instances"), counter.n as f64);
            for (type_name, of_type) in &counter.types {
                metrics.insert(name(&format!("{type_name}/unique_values")), of_type.values.len() as f64);
                metrics.insert(name(&format!("{type_name}/instances")), of_type.n as f64);
            }
        }
        metrics
    }
}

#[derive(Debug, Default)]
struct Counter {
    n: u64,
    types: HashMap<&'static str, OfType>,
}

#[derive(Debug, Default)]
struct OfType {
    n: u64,
    /// By a digest: values can be kilobytes long.
    values: HashMap<[u8; 16], u64>,
}

impl Counter {
    fn count(&mut self, value: &TypedText) {
        let of_type = self.types.entry(value.type_name).or_default();
        self.n += 1;
        of_type.n += 1;
        *of_type.values.entry(digest(&value.text)).or_default() += 1;
    }

    fn diversity(&self, value: &TypedText, diversity: Diversity) -> f64 {
        let Some(of_type) = self.types.get(value.type_name) else { return 1.0 };
        let n_value = of_type.values.get(&digest(&value.text)).copied().unwrap_or(0);
        let rarity = |n: u64, of: u64| 1.0 - n as f64 / of as f64;
        match diversity {
            Diversity::Flat => rarity(n_value, self.n),
            Diversity::Hierarchical => 0.5 * (rarity(of_type.n, self.n) + rarity(n_value, of_type.n)),
        }
    }
}

fn digest(text: &str) -> [u8; 16] {
    let whole = Sha256::digest(text.as_bytes());
    whole[..16].try_into().expect("a digest of 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(type_name: &'static str, text: &str) -> TypedText {
        TypedText { type_name, text: text.to_owned() }
    }

    #[test]
    fn rarity_by_hand() {
        let mut counters = TypeCounters::default();
        for text in ["1", "1", "2"] {
            let values = Values { inputs: vec![value("str", "'a'")], outputs: vec![value("int", text)] };
            counters.count(TaskType::Deduction, &values);
        }
        let list = Values { inputs: vec![value("int", "9")], outputs: vec![value("list", "[1]")] };
        counters.count(TaskType::Induction, &list);
        let flat = |it: TypedText| counters.diversity(Side::Output, &it, Diversity::Flat);
        let levels = |it: TypedText| counters.diversity(Side::Output, &it, Diversity::Hierarchical);
        assert_eq!(flat(value("int", "1")), 0.5);
        assert_eq!(flat(value("int", "3")), 1.0);
        assert_eq!(flat(value("dict", "{}")), 1.0);
        // Three of four are integers, two of three of them are 1.
        assert!((levels(value("int", "1")) - 0.5 * (0.25 + 1.0 / 3.0)).abs() < 1e-12);
        assert_eq!(levels(value("int", "3")), 0.5 * (0.25 + 1.0));
        assert_eq!(levels(value("dict", "{}")), 1.0);
        assert_eq!(counters.diversity(Side::Input, &value("str", "'a'"), Diversity::Flat), 1.0, "deduction");
        let metrics = counters.metrics();
        assert_eq!(metrics["types/output/distinct_types"], 2.0);
        assert_eq!(metrics["types/output/unique_values"], 3.0);
        assert_eq!(metrics["types/output/int/instances"], 3.0);
        assert_eq!(metrics["types/input/instances"], 1.0, "induction's alone");
        assert!(!metrics.contains_key("types/error/instances"));
    }
}
