//! NeMo Gym's `/aggregate_metrics`: means and spreads of all that responses of `/verify` say in numbers, for each task and over all,
//! under the names that its own resources servers give them (`nemo_gym/reward_profile.py`, 0.4.0 and 0.7.0). Left out are its
//! statistics across repeats and those of its own instrumentation, which its client takes as absent.

use std::collections::{BTreeMap, BTreeSet};

use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    app::Desk,
    gate::Room,
    given::Given,
    refusal::{Refusal, ok},
};

/// Which task a response is to, and which of its tries.
const TASK: &str = "_ng_task_index";
const ROLLOUT: &str = "_ng_rollout_index";
/// Says that a response's reward measures nothing.
const MASK: &str = "mask_sample";

/// What a collection of rollouts sends at its end: responses of `/verify` without their texts.
#[derive(Debug, Deserialize)]
pub(crate) struct Collected {
    verify_responses: Vec<Map<String, Value>>,
}

/// `POST /aggregate_metrics`.
pub(crate) async fn aggregate_metrics(
    State(desk): State<Desk>,
    room: Room,
    Given(call): Given<Collected>,
) -> Result<Response, Refusal> {
    // A collection may be as long as a body, and takes its seat as programs do.
    desk.gate.work(room, move || Ok(answer(&call))).await?
}

fn answer(call: &Collected) -> Result<Response, Refusal> {
    let rollouts: Vec<Rollout> = call.verify_responses.iter().map(Rollout::read).collect::<Result<_, _>>()?;
    let distinct: BTreeSet<_> = rollouts.iter().map(|it| (it.task, it.number)).collect();
    if distinct.len() < rollouts.len() {
        let why = format!("verify_responses: two are of the same {TASK} and {ROLLOUT}");
        return Err(Refusal::malformed(why));
    }
    Ok(ok(&aggregated(&rollouts)))
}

/// A response, as far as it is counted.
#[derive(Debug)]
struct Rollout {
    task: i64,
    number: i64,
    is_masked: bool,
    numbers: BTreeMap<String, f64>,
}

impl Rollout {
    fn read(response: &Map<String, Value>) -> Result<Rollout, Refusal> {
        let index = |name: &str| match response.get(name) {
            None => Ok(0),
            Some(value) => {
                value.as_i64().ok_or_else(|| Refusal::malformed(format!("{name}: not an integer")))
            }
        };
        // What the model used is beside what the verdict says.
        let usage = response.get("response").and_then(|it| it.get("usage")?.as_object());
        let all = response.iter().chain(usage.into_iter().flatten());
        let numbers = all.filter(|it| !it.0.starts_with('_') && it.0 != MASK);
        Ok(Rollout {
            task: index(TASK)?,
            number: index(ROLLOUT)?,
            is_masked: response.get(MASK) == Some(&Value::Bool(true)),
            numbers: numbers.filter_map(|(name, value)| Some((name.clone(), number(value)?))).collect(),
        })
    }

    fn told(&self) -> Value {
        let mut told = json!(self.numbers);
        told["rollout_id"] = json!(format!("{}:{}", self.task, self.number));
        told[TASK] = json!(self.task);
        told[ROLLOUT] = json!(self.number);
        told
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(it) => Some(f64::from(u8::from(*it))),
        Value::Number(it) => it.as_f64(),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn aggregated(rollouts: &[Rollout]) -> Value {
    let measured: Vec<&Rollout> = rollouts.iter().filter(|it| !it.is_masked).collect();
    let coverage = coverage(rollouts, &measured);
    let mut over_all = statistics(&measured);
    let mut key: Map<String, Value> = over_all
        .iter()
        .filter(|it| it.0.starts_with("mean/"))
        .map(|it| (it.0.clone(), it.1.clone()))
        .collect();
    over_all.extend(coverage.clone());
    key.extend(coverage);
    if !measured.is_empty() {
        let repeats: BTreeSet<i64> = rollouts.iter().map(|it| it.number).collect();
        over_all.insert("num_repeats".into(), json!(repeats.len()));
    }
    let mut by_task: BTreeMap<i64, Vec<&Rollout>> = BTreeMap::new();
    measured.into_iter().for_each(|it| by_task.entry(it.task).or_default().push(it));
    json!({
        "group_level_metrics": by_task.into_values().map(of_task).collect::<Vec<_>>(),
        "agent_metrics": over_all,
        "key_metrics": key,
        "perf_summary": null,
        "repeat_level_metrics": [],
    })
}

fn of_task(mut rollouts: Vec<&Rollout>) -> Value {
    rollouts.sort_by_key(|it| it.number);
    let mut told = Value::Object(statistics(&rollouts));
    told[TASK] = json!(rollouts[0].task);
    told["num_rollouts"] = json!(rollouts.len());
    told["rollout_infos"] = rollouts.iter().map(|it| it.told()).collect();
    told
}

/// What the numbers are computed from, if not from all.
fn coverage(all: &[Rollout], measured: &[&Rollout]) -> Map<String, Value> {
    let tasks: BTreeSet<i64> = all.iter().map(|it| it.task).collect();
    let measured_tasks: BTreeSet<i64> = measured.iter().map(|it| it.task).collect();
    let counts = [
        ("measured_rollouts", measured.len()),
        ("masked_rollouts", all.len() - measured.len()),
        ("measured_tasks", measured_tasks.len()),
        ("fully_masked_tasks", tasks.len() - measured_tasks.len()),
    ];
    let is_whole = all.len() == measured.len();
    let counts = counts.into_iter().filter(|_| !is_whole);
    counts.map(|(name, n)| (format!("coverage/{name}"), json!(n))).collect()
}

/// Mean, extremes, median and the standard deviation of a sample, of each number that is said. A single rollout deviates by 0;
/// of a number that only one of several says there is no deviation.
fn statistics(rollouts: &[&Rollout]) -> Map<String, Value> {
    let mut by_name: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, &value) in rollouts.iter().flat_map(|it| &it.numbers) {
        by_name.entry(name).or_default().push(value);
    }
    let mut told = Map::new();
    for (name, mut values) in by_name {
        values.sort_by(f64::total_cmp);
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let mut tell = |statistic: &str, value: f64| told.insert(format!("{statistic}/{name}"), json!(value));
        tell("mean", mean);
        tell("min", values[0]);
        tell("max", values[n - 1]);
        tell("median", f64::midpoint(values[(n - 1) / 2], values[n / 2]));
        let squares: f64 = values.iter().map(|it| (it - mean).powi(2)).sum();
        if 1 < n {
            tell("std", (squares / (n - 1) as f64).sqrt());
        } else if rollouts.len() == 1 {
            tell("std", 0.0);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(responses: Value) -> Value {
        let Collected { verify_responses } =
            serde_json::from_value(json!({ "verify_responses": responses })).unwrap();
        aggregated(&verify_responses.iter().map(|it| Rollout::read(it).unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn numbers_are_summed_up_by_task_and_over_all() {
        let got = of(json!([
            { TASK: 7, ROLLOUT: 1, "reward": 1.0, "correct": true, "miss": null, "label": "x" },
            { TASK: 7, ROLLOUT: 0, "reward": 0.0, "correct": false, "response": { "usage": { "output_tokens": 5 } } },
            { TASK: 3, ROLLOUT: 0, "reward": 0.5, "correct": false, "_hidden": 9 },
        ]));
        let all = &got["agent_metrics"];
        for (name, value) in [
            ("mean/reward", 0.5),
            ("min/reward", 0.0),
            ("max/reward", 1.0),
            ("median/reward", 0.5),
            ("std/reward", 0.5),
            ("mean/correct", 1.0 / 3.0),
            ("mean/output_tokens", 5.0),
            ("num_repeats", 2.0),
        ] {
            assert_eq!(all[name].as_f64(), Some(value), "{name}");
        }
        assert!(all.get("std/output_tokens").is_none() && all.get("mean/_hidden").is_none());
        assert_eq!(
            got["key_metrics"],
            json!({ "mean/reward": 0.5, "mean/correct": 1.0 / 3.0, "mean/output_tokens": 5.0 })
        );
        let groups = got["group_level_metrics"].as_array().unwrap();
        let seen: Vec<_> =
            groups.iter().map(|it| [&it[TASK], &it["num_rollouts"], &it["mean/reward"]]).collect();
        assert_eq!(seen, [[&json!(3), &json!(1), &json!(0.5)], [&json!(7), &json!(2), &json!(0.5)]]);
        assert_eq!(groups[0]["std/reward"], 0.0);
        assert_eq!(groups[1]["std/reward"], 0.5f64.sqrt());
        let infos = groups[1]["rollout_infos"].as_array().unwrap();
        assert_eq!(infos.iter().map(|it| &it["rollout_id"]).collect::<Vec<_>>(), ["7:0", "7:1"]);
    }

    #[test]
    fn what_measures_nothing_is_left_out_and_counted() {
        let got = of(json!([
            { TASK: 0, "reward": 1.0 },
            { TASK: 1, "reward": 0.0, MASK: true },
        ]));
        assert_eq!(got["key_metrics"]["mean/reward"], 1.0);
        let counts = ["measured_rollouts", "masked_rollouts", "measured_tasks", "fully_masked_tasks"];
        for values in [&got["key_metrics"], &got["agent_metrics"]] {
            assert_eq!(counts.map(|it| values[format!("coverage/{it}")].as_u64()), [Some(1); 4]);
        }
        let got = of(json!([{ TASK: 1, "reward": 0.0, MASK: true }]));
        assert!(got["agent_metrics"].get("mean/reward").is_none(), "no measurement is not 0: {got}");
        let nothing = of(json!([]));
        assert_eq!((&nothing["agent_metrics"], &nothing["group_level_metrics"]), (&json!({}), &json!([])));
    }
}
