//! What is measured and kept beside what training needs. None of it changes what a run learns.

use kelvin_core::task::Step;
use serde::{Deserialize, Serialize};

/// The costlier measurements, and the limits of what they keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiagnosticsSettings {
    /// Steps between measurements of the distance between proposals and their references; 0 for none. Where
    /// `intrinsic.mean_edit_distance` is rewarded, it is measured at every step.
    pub distance_every: Step,
    /// The most text of one alarm that is kept, in characters: the matched words with what stands around them.
    pub alarm_chars_max: usize,
    /// The most alarms of one step that are kept; all are counted.
    pub alarms_max: usize,
}

impl Default for DiagnosticsSettings {
    fn default() -> DiagnosticsSettings {
        DiagnosticsSettings { distance_every: 10, alarm_chars_max: 2000, alarms_max: 64 }
    }
}
