//! The kinds of steps that a run has: with Absolute Zero all are alike, with R-Zero each phase of an iteration has its own.

use kelvin_selfplay::r_zero::phase::{Phase, Place};
use serde::Serialize;

use super::rates::Range;
use crate::config::Config;

/// What is planned of the steps of a run.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Steps<T> {
    /// All are alike.
    Alike {
        #[serde(skip)]
        n_steps: u32,
        #[serde(flatten)]
        step: T,
    },
    /// They are those of the phases of iterations.
    Phases { phases: Vec<OfPhase<T>> },
}

/// What is planned of each step of a phase.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OfPhase<T> {
    pub(crate) phase: &'static str,
    /// Such steps of an iteration, and of the run, which may end within one.
    pub(crate) iteration_steps: u32,
    pub(crate) run_steps: u32,
    #[serde(flatten)]
    pub(crate) step: T,
}

impl<T> Steps<T> {
    /// Makes something else of each kind.
    pub(super) fn map<'it, U>(&'it self, mut of: impl FnMut(&'it T) -> U) -> Steps<U> {
        match self {
            Steps::Alike { n_steps, step } => Steps::Alike { n_steps: *n_steps, step: of(step) },
            Steps::Phases { phases } => {
                let mut phase = |it: &'it OfPhase<T>| OfPhase {
                    phase: it.phase,
                    iteration_steps: it.iteration_steps,
                    run_steps: it.run_steps,
                    step: of(&it.step),
                };
                Steps::Phases { phases: phases.iter().map(&mut phase).collect() }
            }
        }
    }

    /// Each kind.
    pub(crate) fn each(&self) -> Vec<&T> {
        match self {
            Steps::Alike { step, .. } => vec![step],
            Steps::Phases { phases } => phases.iter().map(|it| &it.step).collect(),
        }
    }

    /// What all steps of the run come to.
    pub(super) fn of_run(&self, of: impl Fn(&T) -> Range) -> Range {
        match self {
            Steps::Alike { n_steps, step } => of(step).map(|it| it * f64::from(*n_steps)),
            Steps::Phases { phases } => sum(phases.iter().map(|it| (it.run_steps, of(&it.step)))),
        }
    }

    /// What an iteration comes to, where there are iterations.
    pub(super) fn of_iteration(&self, of: impl Fn(&T) -> Range) -> Option<Range> {
        match self {
            Steps::Alike { .. } => None,
            Steps::Phases { phases } => Some(sum(phases.iter().map(|it| (it.iteration_steps, of(&it.step))))),
        }
    }
}

impl<T> OfPhase<T> {
    /// `step`, with the numbers of such steps.
    pub(super) fn of(config: &Config, phase: Phase, step: T) -> OfPhase<T> {
        let rules = &config.r_zero;
        let among = |n_steps: u32| {
            let n = (1..=n_steps).filter(|it| Place::of(*it, rules).phase == phase).count();
            u32::try_from(n).expect("there are no more than that")
        };
        let (iteration_steps, n_whole) =
            (among(rules.iteration_steps()), config.steps / rules.iteration_steps());
        let run_steps = n_whole * iteration_steps + among(config.steps % rules.iteration_steps());
        OfPhase { phase: name(phase), iteration_steps, run_steps, step }
    }
}

/// How plans call a phase.
fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Challenge => "challenger",
        Phase::Curriculum => "curriculum",
        Phase::Solve => "solver",
    }
}

fn sum(each: impl Iterator<Item = (u32, Range)>) -> Range {
    each.fold([0.0; 2], |so_far, (n, it)| [0, 1].map(|at| so_far[at] + f64::from(n) * it[at]))
}

#[cfg(test)]
mod tests {
    use kelvin_selfplay::settings::Recipe;

    use super::*;
    use crate::config::Preset;

    #[test]
    fn a_run_may_end_within_an_iteration() {
        let mut config = Preset::Kelvin.config(Recipe::RZero);
        (config.r_zero.challenger_steps, config.r_zero.curriculum_steps, config.r_zero.solver_steps) =
            (5, 8, 15);
        config.steps = 2 * 28 + 7;
        let of = |phase| OfPhase::of(&config, phase, [1.0, 2.0]);
        let phases = Phase::ALL.map(of).to_vec();
        let told: Vec<_> = phases.iter().map(|it| (it.iteration_steps, it.run_steps)).collect();
        assert_eq!(told, [(5, 15), (8, 18), (15, 30)]);
        let steps = Steps::Phases { phases };
        assert_eq!(steps.of_run(|it| *it), [63.0, 126.0]);
        assert_eq!(steps.of_iteration(|it| *it), Some([28.0, 56.0]));
    }
}
