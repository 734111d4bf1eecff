//! Settings of a run: as written (`raw`), with every value filled in and checked (`resolved`), and the sets of
//! values that have a name (`preset`).

mod alias;
mod check;
mod going_on;
mod lora;
mod preset;
mod preset_r_zero;
mod python;
mod raw;
mod resolved;

pub(crate) use check::{check_lora, check_threads};
pub(crate) use going_on::{BEGINNING, require_same};
pub(crate) use lora::{LoraSettings, settings_with_lora};
pub(crate) use preset::Preset;
pub(crate) use python::PythonSettings;
pub(crate) use raw::Raw;
use raw::settings;
pub(crate) use resolved::{
    Backend, Config, EnvironmentName, PolicySettings, Resolved, require_whole, resolve, resolve_run,
    threads_or_cores,
};

#[cfg(test)]
mod preset_r_zero_tests;
#[cfg(test)]
mod preset_tests;
#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod tests;
