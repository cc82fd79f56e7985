//! What is known of each data set, and the generator of the built-in sample.
//!
//! [`archive`] finds official archives by name and checksum, [`ilsvrc2012`] and [`ilsvrc2010`] hold their facts (sizes,
//! counts, files that break decoders), [`statistics`] the colour statistics that others published, [`sample`] writes a small labelled data
//! set of generated photos in the official archives' layout, so that the whole road can be walked without ImageNet.
//!
//! Facts carry their source. The crate leaves reading and packing of archives to `alexnet-pack`.
#![forbid(unsafe_code)]

pub mod archive;
pub mod ilsvrc2010;
pub mod ilsvrc2012;
pub mod sample;
pub mod statistics;
