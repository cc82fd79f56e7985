//! The network as data, and the program that runs it on any backend.
//!
//! A [`Net`] is a table of layers; [`Net::paper`] and [`Net::original`] are the two readings of the 2012 network, other
//! presets its relatives, and [`Ablation`] takes a claim of the paper away from any of them. A
//! [`Network`] walks that table forward and backward on whatever implements [`Backend`], with the net's columns
//! spread over the backend's devices and every exchange between them spelled out. The crate also holds what a net
//! needs in order to travel: [`Parameters`], their first values, and [`Checkpoint`]. Each operation has an obvious
//! float64 twin in [`oracle`], which every backend is held against through [`conformance`].
//!
//! ```
//! use alexnet_net::Net;
//!
//! let summary = Net::paper(2, 1000).summary().unwrap();
//! assert_eq!(summary.parameters, 60_965_224);
//! assert_eq!(summary.macs, 724_406_816);
//! ```
//!
//! It leaves speed to the backends, and schedules, data and the run to their own crates.
#![forbid(unsafe_code)]

mod ablation;
mod adoption;
mod advance;
mod alexnet;
mod backend;
mod backward;
mod checkpoint;
mod cifar;
pub mod conformance;
mod error;
mod exchange;
mod finite;
mod forward;
mod frozen;
mod fused;
mod fusion;
mod hosted;
mod init;
mod input;
mod layer;
mod network;
mod operation;
pub mod oracle;
mod parameters;
mod placement;
mod preset;
mod program;
mod replay;
mod replica;
mod shape;
mod summary;
mod timing;
mod update;
mod views;

pub use ablation::{Ablation, Activation};
pub use adoption::Adoption;
pub use backend::Backend;
pub use checkpoint::{Checkpoint, ClassName, MeanImage, Position};
pub use error::{DeviceError, Error, OutOfMemory};
pub use exchange::{Exchange, ExchangeSite};
pub use fused::{DenseUpdate, Fused, FusedOf, ResponsePool, Updating};
pub use input::{Augmentation, Draw, HostMemory, Mean, RawBatch, STAGED};
pub use layer::{DropoutConvention, DropoutLayer, Layer, Net, Normalisation, Reads};
pub use network::{BatchScore, DropoutKey, Network, SCORES, Traffic};
pub use operation::{
    AveragePool, Convolution, Dense, Dropout, LocalResponse, MaxPool, SoftmaxSlice, WithinMap,
};
pub use parameters::{Parameter, ParameterKind, Parameters};
pub use placement::{ParameterRange, Placement};
pub use replay::Replays;
pub use replica::{BUCKET_BYTES, LostReplica, Replica, Replicas};
pub use shape::Shape;
pub use summary::{LayerSummary, Summary};
pub use timing::{Pass, Timing};
pub use update::{Rate, Segment, UpdateRule};
pub use views::{Gradients, Weights};
