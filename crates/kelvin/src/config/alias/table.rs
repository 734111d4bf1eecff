//! Every setting of the original that a user may bring along, and what it is here.

mod environment;
mod recipe;
mod rewards;
mod run;

use super::{Alias, Means};

/// See the module. The first that fits counts, so that whole sections come last.
pub(super) fn every_alias() -> impl Iterator<Item = &'static Alias> {
    [recipe::TABLE, rewards::TABLE, environment::TABLE, run::TABLE].into_iter().flatten()
}

fn minus_one_is_zero(theirs: i64) -> i64 {
    if theirs == -1 { 0 } else { theirs }
}

const fn named(names: &'static [&'static str], means: Means) -> Alias {
    Alias { names, means }
}
