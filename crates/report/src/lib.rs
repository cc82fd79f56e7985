//! What a run looks like: event files for TensorBoard, curves as SVG, the paper's figures as pictures.
//!
//! Everything here is a view of files that a run leaves behind (its log, its checkpoints) and can be made again from
//! them; nothing here decides anything about a run.
#![forbid(unsafe_code)]

mod curves;
mod error;
mod event;
mod events;
mod filters;
mod frame;

pub use curves::curves;
pub use error::Error;
pub use event::{Event, Scalar};
pub use events::{EVENTS, EventFile, events};
pub use filters::{ColourIndex, colour_indices, filters};
pub use frame::frame;
