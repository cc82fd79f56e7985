//! What is known of each data set, and the generator of the built-in sample.
//!
//! [`ilsvrc2012`] holds the facts of the official archives (names, sizes, checksums, counts, files that break
//! decoders), [`statistics`] the colour statistics that others published, [`sample`] writes a small labelled data
//! set of generated photos in the official archives' layout, so that the whole road can be walked without ImageNet.
//!
//! Facts carry their source. The crate leaves reading and packing of archives to `alexnet-pack`.
#![forbid(unsafe_code)]

pub mod ilsvrc2012;
pub mod sample;
pub mod statistics;
