//! What the dashboard knows: the curves it draws, and the last steps. It grows by a few numbers a step.

use std::collections::{BTreeMap, VecDeque};

use kelvin_core::{
    metrics::Metrics,
    task::{Step, Task, TaskType},
};
use kelvin_selfplay::{
    report::StepReport,
    settings::{Recipe, RunSettings},
};
use serde_json::Value;

/// Steps that the histogram, the validity and the reasons are summed over.
pub(super) const RECENT_STEPS: usize = 8;
/// Characters of a text that are kept for a picture.
const EXCERPT_CHARS: usize = 4000;

/// Something that happened.
pub(crate) enum Update {
    /// A line for the status.
    Said(String),
    /// A row of metrics.
    Row {
        /// The step.
        step: Step,
        /// The row.
        metrics: Metrics,
        /// What was accepted and solved in it.
        excerpt: Excerpt,
        /// Seconds per step, lately.
        step_s: f64,
        /// Seconds that the steps to come will take at that pace.
        left_s: f64,
    },
    /// A checkpoint is complete.
    Saved(String),
}

/// The newest accepted task of a step and one of its right solutions.
#[derive(Default)]
pub(crate) struct Excerpt {
    /// Its type and what it says.
    pub(super) accepted: Option<(TaskType, String)>,
    /// Its type, prompt and response.
    pub(super) solved: Option<(TaskType, String, String)>,
}

impl Excerpt {
    /// From what a step did: the last accepted proposal, and the longest right response, which shows most.
    pub(crate) fn of(report: &StepReport) -> Excerpt {
        let accepted = report.estimated.iter().rev().find_map(|it| it.outcome.as_ref().ok());
        let right = report.solved.iter().filter(|it| it.grade.correct);
        let solved = right.max_by_key(|it| it.rollout.completion.tokens.len());
        Excerpt {
            accepted: accepted.map(|(task, _)| (task.task_type, text_of(task))),
            solved: solved.map(|it| {
                let rollout = &it.rollout;
                (rollout.task_type, first_chars(&rollout.prompt), first_chars(&rollout.completion.text))
            }),
        }
    }
}

/// A task in words: its program or its text, then what else it has.
fn text_of(task: &Task) -> String {
    let mut lines = Vec::new();
    let said = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = task.payload.as_object();
    for key in ["snippet", "text"] {
        lines.extend(fields.and_then(|it| it.get(key)).map(said));
    }
    for (key, value) in
        fields.into_iter().flatten().filter(|(key, _)| !["snippet", "text"].contains(&key.as_str()))
    {
        lines.push(format!("{key}: {}", said(value)));
    }
    first_chars(&lines.join("\n"))
}

fn first_chars(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS).collect()
}

/// See the module.
pub(crate) struct State {
    pub(super) recipe: Recipe,
    pub(super) steps: Step,
    pub(super) task_types: Vec<TaskType>,
    pub(super) step: Step,
    pub(super) step_s: Option<f64>,
    pub(super) left_s: f64,
    pub(super) said: String,
    pub(super) excerpt: Excerpt,
    pub(super) pauses: bool,
    pub(super) waits_for_checkpoint: bool,
    pub(super) shows_help: bool,
    /// First and last held-out accuracy.
    pub(super) held_out: Option<(f64, f64)>,
    pub(super) last: Metrics,
    curves: BTreeMap<String, Vec<(f64, f64)>>,
    recent: VecDeque<Metrics>,
}

impl State {
    /// Of a run that begins, or goes on after the rows of `history`.
    pub(crate) fn new(settings: &RunSettings, history: Vec<Metrics>) -> State {
        let mut state = State {
            recipe: settings.recipe,
            steps: settings.steps,
            task_types: settings.task_types.clone(),
            step: 0,
            step_s: None,
            left_s: 0.0,
            said: "starting".to_owned(),
            excerpt: Excerpt::default(),
            pauses: false,
            waits_for_checkpoint: false,
            shows_help: false,
            held_out: None,
            last: Metrics::new(),
            curves: BTreeMap::new(),
            recent: VecDeque::new(),
        };
        for row in history {
            let step = row.get("step").copied().unwrap_or_default() as Step;
            state.record(step, row);
        }
        state
    }

    /// Takes an update in.
    pub(super) fn update(&mut self, update: Update) {
        match update {
            Update::Said(line) => self.said = line,
            Update::Saved(path) => {
                self.waits_for_checkpoint = false;
                self.said = format!("checkpoint {path}");
            }
            Update::Row { step, metrics, excerpt, step_s, left_s } => {
                self.record(step, metrics);
                (self.step_s, self.left_s) = ((0 < step).then_some(step_s), left_s);
                self.excerpt.accepted = excerpt.accepted.or(self.excerpt.accepted.take());
                self.excerpt.solved = excerpt.solved.or(self.excerpt.solved.take());
                self.said = "running".to_owned();
            }
        }
    }

    fn record(&mut self, step: Step, metrics: Metrics) {
        self.step = step;
        if let Some(&accuracy) = metrics.get("eval/mean/accuracy") {
            self.held_out = Some((self.held_out.map_or(accuracy, |it| it.0), accuracy));
        }
        for it in &self.task_types {
            for name in [
                format!("solver/{it}/accuracy"),
                format!("solver/{it}/reward"),
                format!("proposer/{it}/reward"),
            ] {
                if let Some(&value) = metrics.get(&name) {
                    self.curves.entry(name).or_default().push((f64::from(step), value));
                }
            }
        }
        if step != 0 {
            if self.recent.len() == RECENT_STEPS {
                self.recent.pop_front();
            }
            self.recent.push_back(metrics.clone());
        }
        self.last = metrics;
    }

    /// A curve that was recorded, or nothing.
    pub(super) fn curve(&self, name: &str) -> &[(f64, f64)] {
        self.curves.get(name).map_or(&[], Vec::as_slice)
    }

    /// The mean over task types of a role's rewards, at the steps at which the first of them has one.
    pub(super) fn rewards(&self, role: &str) -> Vec<(f64, f64)> {
        let curves: Vec<&[(f64, f64)]> =
            self.task_types.iter().map(|it| self.curve(&format!("{role}/{it}/reward"))).collect();
        let longest = curves.iter().copied().max_by_key(|it| it.len()).unwrap_or_default();
        let at = |step: f64| {
            let values = curves.iter().filter_map(|it| {
                it.binary_search_by(|point| point.0.total_cmp(&step)).ok().map(|index| it[index].1)
            });
            let (n, sum) = values.fold((0, 0.0), |(n, sum), it| (n + 1, sum + it));
            sum / f64::from(n)
        };
        longest.iter().map(|&(step, _)| (step, at(step))).collect()
    }

    /// Over the last steps, the sum of what fits a name's beginning and end, by what stands between them.
    pub(super) fn recent_sums(&self, begin: &str, skip: usize) -> Vec<(String, f64)> {
        let mut sums = BTreeMap::<String, f64>::new();
        for (name, value) in self.recent.iter().flatten().filter(|it| it.0.starts_with(begin)) {
            if let Some(key) = name.split('/').nth(skip) {
                *sums.entry(key.to_owned()).or_default() += value;
            }
        }
        sums.into_iter().collect()
    }

    /// The mean over the last steps that have it.
    pub(super) fn recent_mean(&self, name: &str) -> Option<f64> {
        let values: Vec<f64> = self.recent.iter().filter_map(|it| it.get(name).copied()).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// Tokens drawn in a second of the last steps.
    pub(super) fn tokens_per_second(&self) -> Option<f64> {
        let sum = |name: &str| self.recent.iter().filter_map(|it| it.get(name)).sum::<f64>();
        let (tokens, seconds) = (sum("system/tokens_decoded"), sum("timing/step_s"));
        (0.0 < seconds && 0.0 < tokens).then(|| tokens / seconds)
    }

    /// How many tasks of the last steps were solved so many times of their estimates.
    pub(super) fn solved_times(&self) -> Vec<(usize, f64)> {
        let times = |(key, n): (String, f64)| Some((key.strip_prefix("solved_")?.parse().ok()?, n));
        let mut counts: Vec<(usize, f64)> =
            self.recent_sums("estimate/", 2).into_iter().filter_map(times).collect();
        counts.sort_by_key(|it| it.0);
        counts
    }
}
