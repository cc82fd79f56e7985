//! The training loop: recipes, schedules, evaluation, the folder of a run, checkpoints, resume.
//!
//! A run is a pure function of (data, network, recipe, seed, length): stopped anywhere and started again, on any number
//! of threads, it ends in the same checkpoint bytes. The crate sees devices only through `alexnet_net::Backend`.
#![forbid(unsafe_code)]

mod agreement;
mod curve;
mod error;
mod evaluation;
mod feed;
mod folder;
mod frame;
mod input;
mod lifeline;
mod log;
mod recipe;
mod rendezvous;
mod saved;
mod schedule;
mod state;
mod training;
mod world;

pub use error::Error;
pub use evaluation::{Evaluation, Photos, evaluate, evaluate_ten_views};
pub use folder::{Description, Folder};
pub use input::Colour;
pub use lifeline::Lifeline;
pub use log::{Record, read as read_log};
pub use recipe::{Input, LightingKind, MeanKind, Recipe, ViewKind};
pub use rendezvous::meet;
pub use saved::Saved;
pub use schedule::{Decay, LayerRates, Phase, Rates, Schedule, Stall};
pub use state::{Length, State};
pub use training::{Ending, Job, Watcher, train};
pub use world::{Launcher, Local, World};
