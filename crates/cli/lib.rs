//! What the five programs share: exit codes and messages, progress, stopping, and the small table of devices.
//!
//! Only here do `clap`, `indicatif` and `anyhow` live, and only here is a concrete backend named.
#![forbid(unsafe_code)]

pub mod bench;
pub mod curves;
mod data;
pub mod device;
pub mod evaluate;
pub mod filters;
mod forecast;
pub mod initial;
pub mod input;
mod memory;
pub mod messages;
pub mod pack;
pub mod pca;
pub mod profile;
pub mod progress;
pub mod records;
pub mod replicas;
pub mod sample;
pub mod stop;
pub mod summary;
pub mod table;
pub mod train;
pub mod watch;
