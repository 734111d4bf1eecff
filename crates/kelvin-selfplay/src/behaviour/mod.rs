//! What can be read in a response's words, whatever its domain (azr.md section 9): cues of reflection, letters of other
//! scripts, and phrases that should alarm. What needs the domain stands in its environment.

mod alarm;
mod cues;
mod script;
mod words;

pub use alarm::{Alarm, Hit, Phase, Screen, alarms};
pub use cues::{Cues, cues};
pub use script::mixes_scripts;
