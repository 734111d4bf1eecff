//! What a run shows while it goes, on standard error: the dashboard on a terminal, else a line a step; and at the end a
//! table of before and after. Where a terminal has no dashboard (any more), the step's line is overwritten by the next one
//! and evaluations stay; without a terminal every line stays.

use std::io::{Write, stderr};

use kelvin_core::{metrics::Metrics, task::Step, task::TaskType};
use kelvin_selfplay::{
    clock::Stopwatch,
    r_zero::phase::{Phase, Place},
    run::Event,
    settings::{Recipe, RunSettings},
};

use crate::{
    dashboard::{self, Dashboard, Excerpt, State, Update},
    interrupt::Interrupt,
};

/// Steps that the estimate of the time left is averaged over.
const RECENT_STEPS: usize = 8;

/// How a run is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watching {
    /// On the dashboard, if there is a terminal.
    Dashboard,
    /// By lines, of which every one stays.
    Plain,
}

/// Turns events into pictures or lines.
pub(crate) struct Progress<'run> {
    settings: &'run RunSettings,
    overwrite: bool,
    watch: Stopwatch,
    recent_s: Vec<f64>,
    dashboard: Option<Dashboard>,
    /// What would stay on a terminal that had no dashboard.
    kept: Vec<String>,
}

impl<'run> Progress<'run> {
    /// Progress of a run that begins, or goes on after the rows of `history`.
    pub(crate) fn new(
        settings: &'run RunSettings,
        watching: Watching,
        history: Vec<Metrics>,
        interrupt: &Interrupt,
    ) -> Progress<'run> {
        let overwrite = watching == Watching::Dashboard && dashboard::is_terminal();
        // Where the terminal refuses, there are lines.
        let dashboard =
            overwrite.then(|| Dashboard::start(State::new(settings, history), interrupt).ok()).flatten();
        Progress {
            settings,
            overwrite,
            watch: Stopwatch::start(),
            recent_s: Vec::new(),
            dashboard,
            kept: Vec::new(),
        }
    }

    /// Shows an event.
    pub(crate) fn show(&mut self, event: Event<'_>) {
        match event {
            Event::Between { save } => {
                if let Some(dashboard) = &self.dashboard {
                    *save |= dashboard.between();
                    // A pause is no part of a step.
                    self.watch.lap();
                }
            }
            Event::Seeding => self.transient("seeding the task buffer ..."),
            Event::Loaded(file) => self.lasting(&file.line()),
            Event::Recorded { step: 0, metrics, .. } => {
                self.watch.lap();
                let sizes = self.per_type(metrics, |it| format!("buffer/{it}/size"), |it| format!("{it:.0}"));
                self.row(0, metrics, Excerpt::default(), (0.0, 0.0));
                self.lasting(&format!("seeded  {sizes}"));
                self.evaluation(0, metrics);
            }
            Event::Recorded { step, metrics, report } => {
                let pace = self.pace(step);
                if self.dashboard.is_some() {
                    self.row(step, metrics, report.map(Excerpt::of).unwrap_or_default(), pace);
                }
                // The dashboard may just have ended.
                if self.dashboard.is_none() {
                    let line = self.step_line(step, metrics, pace);
                    self.transient(&line);
                }
                self.evaluation(step, metrics);
            }
            Event::Saved { path } => {
                self.tell(|| Update::Saved(path.display().to_string()));
            }
        }
    }

    /// Gives the terminal back and prints what stays, or ends the line that is still open.
    pub(crate) fn close(&mut self) {
        if self.dashboard.is_some() {
            self.end_dashboard();
        } else if self.overwrite {
            print(&clear());
        }
    }

    /// Tells the dashboard, if there is one that somebody still looks at.
    fn tell(&mut self, update: impl FnOnce() -> Update) -> bool {
        match &self.dashboard {
            Some(dashboard) if dashboard.show(update()) => true,
            Some(_) => {
                self.end_dashboard();
                false
            }
            None => false,
        }
    }

    fn end_dashboard(&mut self) {
        drop(self.dashboard.take());
        for line in std::mem::take(&mut self.kept) {
            print(&format!("{line}\n"));
        }
    }

    fn row(&mut self, step: Step, metrics: &Metrics, excerpt: Excerpt, (step_s, left_s): (f64, f64)) {
        self.tell(|| Update::Row { step, metrics: metrics.clone(), excerpt, step_s, left_s });
    }

    /// Seconds per step lately, and those that the steps to come take at that pace.
    fn pace(&mut self, step: Step) -> (f64, f64) {
        self.recent_s.push(self.watch.lap());
        let recent = &self.recent_s[self.recent_s.len().saturating_sub(RECENT_STEPS)..];
        let step_s = recent.iter().sum::<f64>() / recent.len() as f64;
        (step_s, step_s * f64::from(self.settings.steps.saturating_sub(step)))
    }

    fn step_line(&self, step: Step, metrics: &Metrics, (step_s, left): (f64, f64)) -> String {
        let did = match self.settings.recipe {
            Recipe::Azr => self.absolute_zero(metrics),
            Recipe::RZero => self.r_zero(step, metrics),
        };
        format!("step {step:>3}/{}  {did} | {step_s:.1} s/step, {} left", self.settings.steps, duration(left))
    }

    fn absolute_zero(&self, metrics: &Metrics) -> String {
        let solved = self.per_type(metrics, |it| format!("solver/{it}/accuracy"), percent);
        let valid = self.mean(metrics, "proposer", "valid");
        let learnable = self.mean(metrics, "proposer", "learnability");
        format!("{solved} | valid {valid:.2} learn {learnable:.2}")
    }

    fn r_zero(&self, step: Step, metrics: &Metrics) -> String {
        let Place { iteration, phase, .. } = Place::of(step, &self.settings.r_zero);
        let of = |key: &str| metrics.get(key).copied().unwrap_or_default();
        let did = match phase {
            Phase::Challenge => format!(
                "challenger  valid {:.2} unsure {:.2} repeats {:.2}",
                self.mean(metrics, "proposer", "valid"),
                of("challenger/uncertainty"),
                of("challenger/repetition")
            ),
            Phase::Curriculum => {
                let right = metrics.get("curriculum/label_accuracy");
                let right = right.map_or(String::new(), |it| format!(", labels {} right", percent(*it)));
                format!("curriculum  {:.0} questions{right}", of("curriculum/size"))
            }
            Phase::Solve => {
                let solved = self.per_type(metrics, |it| format!("solver/{it}/accuracy"), percent);
                let by_vote = self.settings.task_types.contains(&TaskType::Question);
                format!("solver  {}: {solved}", if by_vote { "as voted" } else { "right" })
            }
        };
        format!("{iteration}: {did}")
    }

    fn evaluation(&mut self, step: Step, metrics: &Metrics) {
        if let Some(mean) = metrics.get("eval/mean/accuracy") {
            let solved = self.per_type(metrics, |it| format!("eval/{it}/accuracy"), percent);
            let greedy = metrics.get("eval/mean/greedy").copied().unwrap_or_default();
            let withheld = metrics.get("eval/mean/withheld");
            let what = if withheld.is_some() { "evaluated" } else { "held-out" };
            let withheld = withheld.map_or(String::new(), |it| format!(" withheld {}", percent(*it)));
            self.lasting(&format!(
                "{what} at step {step:>3}  {solved} | mean {} greedy {}{withheld}",
                percent(*mean),
                percent(greedy)
            ));
        }
    }

    fn per_type(
        &self,
        metrics: &Metrics,
        name: impl Fn(TaskType) -> String,
        show: impl Fn(f64) -> String,
    ) -> String {
        let part = |&it: &TaskType| {
            let value = metrics.get(&name(it)).map_or("-".to_owned(), |&it| show(it));
            format!("{} {value:>3}", &it.as_str()[..3])
        };
        self.settings.task_types.iter().map(part).collect::<Vec<_>>().join(" ")
    }

    fn mean(&self, metrics: &Metrics, role: &str, key: &str) -> f64 {
        let values: Vec<f64> = self
            .settings
            .task_types
            .iter()
            .filter_map(|it| metrics.get(&format!("{role}/{it}/{key}")).copied())
            .collect();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    }

    fn transient(&mut self, line: &str) {
        if self.tell(|| Update::Said(line.to_owned())) {
            return;
        }
        match self.overwrite {
            true => print(&format!("{}{line}", clear())),
            false => print(&format!("{line}\n")),
        }
    }

    pub(crate) fn lasting(&mut self, line: &str) {
        if self.tell(|| Update::Said(line.to_owned())) {
            self.kept.push(line.to_owned());
            return;
        }
        match self.overwrite {
            true => print(&format!("{}{line}\n", clear())),
            false => print(&format!("{line}\n")),
        }
    }
}

/// Held-out accuracies of a row of metrics that has them.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// The step.
    pub(crate) step: Step,
    /// All its metrics.
    pub(crate) metrics: Metrics,
}

/// The table of before and after, at most 80 columns wide, and below it what withheld tasks come to where others of the
/// evaluation may be trained on, and what guesses would get where that was counted.
pub(crate) fn before_and_after(first: &Held, last: &Held, n_samples: usize, temperature: f32) -> String {
    let pass = format!("pass_at_{n_samples}");
    let was_asked = |it: &&TaskType| last.metrics.contains_key(&format!("eval/{it}/accuracy"));
    let mut rows: Vec<&str> = TaskType::ALL.iter().filter(was_asked).map(|it| it.as_str()).collect();
    rows.push("mean");
    let is_recorded = |key: &str| first.metrics.keys().any(|it| it.starts_with("eval/") && it.ends_with(key));
    let has_withheld = is_recorded("/withheld");
    let mut text = format!(
        "{} in %, 95 % intervals over tasks: step {} -> step {}\n\n{:<11}{:^25}{:^19}{:^19}\n",
        if has_withheld { "solve rate of all tasks" } else { "held-out solve rate" },
        first.step,
        last.step,
        "",
        format!("temperature {temperature}"),
        "greedy",
        format!("pass@{n_samples}"),
    );
    for row in &rows {
        let pair = |key: &str| format!("{} -> {}", cell(first, row, key), cell(last, row, key));
        text.push_str(&format!(
            "{row:<11}{:^25}{:^19}{:^19}\n",
            with_intervals(first, last, row, "accuracy"),
            pair("greedy"),
            pair(&pass)
        ));
    }
    if has_withheld || is_recorded("/floor_uniform") {
        text.push_str(&format!(
            "\n{:<11}{:^25}{:^19}{:^19}\n",
            "", "withheld", "uniform guess", "best constant"
        ));
        for row in &rows {
            text.push_str(&format!(
                "{row:<11}{:^25}{:^19}{:^19}\n",
                if has_withheld { with_intervals(first, last, row, "withheld") } else { String::new() },
                cell(first, row, "floor_uniform"),
                cell(first, row, "floor_constant"),
            ));
        }
    }
    text.lines().map(|it| format!("{}\n", it.trim_end())).collect()
}

/// A share in %, empty where it was not recorded.
fn cell(held: &Held, row: &str, key: &str) -> String {
    held.metrics.get(&format!("eval/{row}/{key}")).map_or(String::new(), |it| format!("{:.1}", 100.0 * it))
}

fn with_intervals(first: &Held, last: &Held, row: &str, key: &str) -> String {
    let of = |held: &Held| format!("{} ±{}", cell(held, row, key), cell(held, row, &format!("{key}_ci95")));
    match first.metrics.contains_key(&format!("eval/{row}/{key}")) {
        true => format!("{} -> {}", of(first), of(last)),
        false => String::new(),
    }
}

/// Whether a row has an evaluation.
pub(crate) fn is_evaluated(row: &Metrics) -> bool {
    row.contains_key("eval/mean/accuracy") && row.contains_key("step")
}

/// First and last rows with an evaluation.
pub(crate) fn evaluations<'run>(
    rows: impl DoubleEndedIterator<Item = &'run Metrics>,
) -> Option<(Held, Held)> {
    let held = |row: &Metrics| Held { step: row["step"] as Step, metrics: row.clone() };
    let mut with = rows.filter(|it| is_evaluated(it));
    let first = with.next()?;
    Some((held(first), held(with.next_back().unwrap_or(first))))
}

/// What takes a run its time; the rest of `timing/` are parts of it.
const SECONDS: [&str; 4] = ["timing/seed_s", "timing/step_s", "timing/eval_s", "timing/benchmark_s"];

/// The seconds that a row of metrics is about.
pub(crate) fn seconds(row: &Metrics) -> f64 {
    SECONDS.iter().filter_map(|it| row.get(*it)).sum()
}

/// `1:05` or `2:03:04`.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}

/// To the start of the line, and erase it.
fn clear() -> String {
    "\r\x1b[2K".to_owned()
}

/// Progress that nobody reads any more is dropped; the run goes on.
fn print(text: &str) {
    let mut out = stderr().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(step: Step, values: &[(&str, f64)]) -> Held {
        Held { step, metrics: values.iter().map(|(name, it)| (format!("eval/{name}"), *it)).collect() }
    }

    fn tables(more: &[(&str, f64)]) -> String {
        let at = |step, by: f64| {
            let mut values = Vec::new();
            for row in ["deduction", "induction", "mean"] {
                for key in ["accuracy", "accuracy_ci95", "greedy", "greedy_ci95", "pass_at_8"] {
                    values.push((format!("{row}/{key}"), by));
                }
            }
            let mut values: Vec<(&str, f64)> = values.iter().map(|(name, it)| (name.as_str(), *it)).collect();
            values.extend(more);
            held(step, &values)
        };
        before_and_after(&at(0, 0.125), &at(80, 0.5), 8, 1.0)
    }

    #[test]
    fn withheld_tasks_and_floors_have_a_table_of_their_own() {
        let plain = tables(&[]);
        assert!(plain.starts_with("held-out solve rate in %"), "{plain}");
        assert!(plain.contains("12.5 ±12.5 -> 50.0 ±50.0") && !plain.contains("uniform"), "{plain}");
        let whole = tables(&[
            ("deduction/withheld", 0.25),
            ("deduction/withheld_ci95", 0.01),
            ("deduction/floor_uniform", 0.0324),
            ("induction/floor_constant", 0.196),
        ]);
        insta::assert_snapshot!(whole);
        assert!(whole.lines().all(|it| it.chars().count() <= 80 && it.trim_end() == it));
        assert!(
            !tables(&[("induction/floor_uniform", 0.2), ("mean/floor_uniform", 0.2)])
                .contains("of all tasks")
        );
    }
}
