//! Training and drawing over the Tinker protocol: adapters on a server learn, kelvin computes the advantages.
//!
//! [`settings`] says what can be chosen; `proto`, `wire` and `answers` what goes over the wire, in both dialects; `engine` how a
//! request becomes an answer; `model` adapters on the server and their session, `kept` what is on its disk; `lost` what ends a run there for a while; `losses` how an objective becomes a
//! server's loss; `sampler`, `scores` and `trainer` the seams of kelvin-core, `stored` what a checkpoint says; `export` and `archive` how learnt weights come here;
//! `examine` what a server says of itself.
//! docs/engines/tinker.md has the picture.

mod answers;
mod archive;
mod engine;
mod examine;
mod export;
mod kept;
mod losses;
mod lost;
mod model;
mod proto;
mod reference;
mod sampler;
mod scores;
pub mod settings;
mod stored;
mod trainer;
mod wire;

pub use engine::Engine;
pub use examine::Examined;
pub use losses::{Refusal, refusal};
pub use lost::Lost;
pub use reference::BaseModel;
pub use settings::{Dialect, Entropy, Gradient, Losses, SamplerWeights, TinkerSettings};
pub use trainer::{Adapters, TinkerPolicy};
pub use wire::Spoken;
