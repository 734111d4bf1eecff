//! Where a step stands. It follows from the step's number, so that no cursor is stored.

use kelvin_core::{rollout::Role, task::Step};

use crate::settings::RZeroSettings;

/// What an iteration does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The challenger learns against the frozen solver.
    Challenge,
    /// Both are frozen; questions are posed and labelled.
    Curriculum,
    /// The solver learns.
    Solve,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Phase; 3] = [Phase::Challenge, Phase::Curriculum, Phase::Solve];

    /// Who learns.
    pub fn learner(self) -> Option<Role> {
        match self {
            Phase::Challenge => Some(Role::Proposer),
            Phase::Curriculum => None,
            Phase::Solve => Some(Role::Solver),
        }
    }
}

/// A step's place in its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub iteration: u32,
    /// What it does.
    pub phase: Phase,
    /// Which of its phase's steps it is, counted from 1.
    pub at: Step,
    /// How many there are.
    pub of: Step,
}

impl Place {
    /// The place of `step`, which is counted from 1.
    pub fn of(step: Step, settings: &RZeroSettings) -> Place {
        let done = step.checked_sub(1).expect("steps are counted from 1");
        let iteration = done / settings.iteration_steps() + 1;
        let mut at = done % settings.iteration_steps() + 1;
        for phase in Phase::ALL {
            let of = steps(phase, settings);
            if at <= of {
                return Place { iteration, phase, at, of };
            }
            at -= of;
        }
        unreachable!("an iteration is its phases")
    }

    /// Whether it is the first step of its phase.
    pub fn begins(self) -> bool {
        self.at == 1
    }

    /// Whether it is the last step of its phase.
    pub fn ends(self) -> bool {
        self.at == self.of
    }

    /// Whether it is the last step of its iteration.
    pub fn ends_iteration(self) -> bool {
        self.phase == Phase::Solve && self.ends()
    }
}

fn steps(phase: Phase, settings: &RZeroSettings) -> Step {
    match phase {
        Phase::Challenge => settings.challenger_steps,
        Phase::Curriculum => settings.curriculum_steps,
        Phase::Solve => settings.solver_steps,
    }
}

/// The last step of iteration `iteration`, counted from 1; 0 for the start.
pub fn end_of(iteration: u32, settings: &RZeroSettings) -> Step {
    iteration * settings.iteration_steps()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_one_place() {
        let settings = RZeroSettings {
            challenger_steps: 2,
            curriculum_steps: 1,
            solver_steps: 3,
            ..RZeroSettings::default()
        };
        let places: Vec<(u32, Phase, Step)> =
            (1..=12).map(|it| Place::of(it, &settings)).map(|it| (it.iteration, it.phase, it.at)).collect();
        let of_one = |iteration| {
            [
                (iteration, Phase::Challenge, 1),
                (iteration, Phase::Challenge, 2),
                (iteration, Phase::Curriculum, 1),
                (iteration, Phase::Solve, 1),
                (iteration, Phase::Solve, 2),
                (iteration, Phase::Solve, 3),
            ]
        };
        assert_eq!(places, [of_one(1), of_one(2)].concat());
        assert!(Place::of(6, &settings).ends_iteration() && !Place::of(5, &settings).ends_iteration());
        assert_eq!(end_of(2, &settings), 12);
    }

    #[test]
    fn an_untrained_challenger_has_no_phase() {
        let settings = RZeroSettings { challenger_steps: 0, ..RZeroSettings::default() };
        assert_eq!(Place::of(1, &settings).phase, Phase::Curriculum);
        assert!(Place::of(1, &settings).begins());
    }
}
