//! The recipes: who trains on what, and when. Read [`azr`] first, then [`stage`], [`reward`], [`advantage`].

pub mod advantage;
pub mod azr;
pub mod behaviour;
pub mod buffer;
pub mod challenge;
pub mod checkpoint;
pub mod clock;
pub mod eval;
mod helpers;
pub mod intrinsic;
pub mod learnability;
pub mod metrics;
pub mod novelty;
pub mod posed;
pub mod records;
pub mod reference;
pub mod repetition;
pub mod reward;
pub mod run;
pub mod seeding;
pub mod settings;
pub mod stage;
pub mod state;
pub mod transcript;
pub mod types;
