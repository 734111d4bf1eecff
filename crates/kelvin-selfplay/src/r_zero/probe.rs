//! The probe: held-out accuracy at the end of each iteration, and what follows from its fall.

use kelvin_core::task::Step;

use super::{Memory, phase::end_of};
use crate::settings::RZeroSettings;

/// What an iteration's probe leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// On with what was learnt.
    GoOn,
    /// Back to the policies of this step, the best so far.
    PutBack(Step),
}

/// Remembers the accuracy of the start or of an iteration that ended, and says what follows. The run is over where no
/// iteration has been the best for as long as the settings allow.
pub fn judge(memory: &mut Memory, accuracy: f32, rules: &RZeroSettings) -> Verdict {
    memory.probes.push(accuracy);
    let best = best(&memory.probes);
    let since_best = memory.probes.len() - 1 - best;
    if 0 < rules.patience && rules.patience as usize <= since_best {
        memory.ended = true;
    }
    match memory.probes[best] - accuracy {
        fall if rules.rollback_below < 1.0 && rules.rollback_below < fall => {
            Verdict::PutBack(end_of(best as u32, rules))
        }
        _ => Verdict::GoOn,
    }
}

/// The first of the highest.
fn best(probes: &[f32]) -> usize {
    let higher = |best: usize, at: usize| if probes[best] < probes[at] { at } else { best };
    (0..probes.len()).reduce(higher).expect("a probe was just remembered")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fall_is_put_back_and_ends_a_run_that_waited_enough() {
        let rules = RZeroSettings {
            challenger_steps: 1,
            curriculum_steps: 1,
            solver_steps: 2,
            rollback_below: 0.05,
            patience: 2,
            ..RZeroSettings::default()
        };
        let mut memory = Memory::default();
        let mut verdicts = Vec::new();
        for accuracy in [0.3, 0.5, 0.46, 0.40] {
            verdicts.push((judge(&mut memory, accuracy, &rules), memory.ended));
        }
        let best = Verdict::PutBack(4);
        assert_eq!(
            verdicts,
            [(Verdict::GoOn, false), (Verdict::GoOn, false), (Verdict::GoOn, false), (best, true)]
        );
    }

    #[test]
    fn by_default_a_run_goes_on_whatever_the_probe_says() {
        let mut memory = Memory::default();
        for accuracy in [0.5, 0.1, 0.0, 0.0] {
            assert_eq!(judge(&mut memory, accuracy, &RZeroSettings::default()), Verdict::GoOn);
        }
        assert!(!memory.ended);
    }
}
