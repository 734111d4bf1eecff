//! Records of seed files in the original's fields (azr.md section 2.1). What they say their programs do is not believed:
//! every record is validated as a proposal is, and keeps the outputs that come of it. Fields that can be computed
//! (`imports`, `original_snippet`, `composite_functions`, names of types) are not read.

use kelvin_core::{
    environment::SeedRecord,
    task::{Reason, Rejection, TaskType},
};
use serde_json::Value;

use super::{Problem, PythonTriplet};

/// Fewest pairs of an induction record: one is shown, one is hidden.
const PAIRS_MIN: usize = 2;

/// Reads a record as one of `task_type`.
///
/// # Errors
/// If the executor is broken, or no file holds tasks of this type.
pub(super) fn read(
    environment: &PythonTriplet,
    task_type: TaskType,
    record: &Value,
) -> anyhow::Result<SeedRecord<Problem>> {
    let refused =
        |reason, detail: &str| Ok(SeedRecord::Refused(Rejection::new(reason, format!("no {detail}"))));
    let has_pairs = record.get("inputs").is_some();
    let text = |field: &str| record.get(field).and_then(Value::as_str);
    let is_induction = match task_type {
        TaskType::Deduction | TaskType::Abduction | TaskType::Error => false,
        TaskType::Induction => true,
        TaskType::Question => {
            anyhow::bail!("no seed file holds {task_type} tasks\nhint: leave out its seed files")
        }
    };
    if has_pairs != is_induction {
        return Ok(SeedRecord::OtherType);
    }
    let Some(program) = text("snippet") else { return refused(Reason::NoCode, "text `snippet`") };
    let outcome = if is_induction {
        let inputs: Option<Vec<String>> = record["inputs"]
            .as_array()
            .and_then(|inputs| inputs.iter().map(|it| it.as_str().map(str::to_owned)).collect());
        let Some(inputs) = inputs.filter(|inputs| PAIRS_MIN <= inputs.len()) else {
            return refused(Reason::TooFewInputs, "list `inputs` of two texts or more");
        };
        let Some(message) = text("message") else { return refused(Reason::NoMessage, "text `message`") };
        environment.validate_induction(program, &inputs, message.to_owned())?
    } else {
        let Some(input) = text("input") else { return refused(Reason::NoInput, "text `input`") };
        environment.validate_triplet(task_type, &[], program, input.to_owned())?
    };
    Ok(match outcome {
        Ok(problem) => SeedRecord::Valid(problem),
        Err(rejection) => SeedRecord::Refused(rejection),
    })
}
