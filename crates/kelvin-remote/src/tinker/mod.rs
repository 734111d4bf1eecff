//! Training and drawing over the Tinker protocol: adapters on a server learn, kelvin computes the advantages.
//!
//! [`settings`] says what can be chosen; `proto`, `wire` and `answers` what goes over the wire, in both dialects; `engine` how a
//! request becomes an answer; `model` adapters on the server and their session; `losses` how an objective becomes a
//! server's loss; `sampler`, `scores` and `trainer` the seams of kelvin-core; `export` and `archive` how learnt weights come here;
//! `examine` what a server says of itself.
//! docs/engines/tinker.md has the picture.

mod answers;
mod archive;
mod engine;
mod examine;
mod export;
mod losses;
mod model;
mod proto;
mod reference;
mod sampler;
mod scores;
pub mod settings;
mod trainer;
mod wire;

pub use engine::{Engine, Forgotten};
pub use examine::Examined;
pub use losses::{Refusal, refusal};
pub use reference::BaseModel;
pub use settings::{Dialect, Entropy, Gradient, Losses, SamplerWeights, TinkerSettings};
pub use trainer::{Adapters, TinkerPolicy};
pub use wire::Spoken;
