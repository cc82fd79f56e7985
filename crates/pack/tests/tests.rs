//! Tests of the packer through its public interface.

/// Archives in the official layout, made here; where fixtures and real data are.
mod archive;

/// What fuzzing tries, as ordinary tests.
mod corpus;
#[path = "../../../fuzz/surfaces.rs"]
mod surfaces;

/// Photos that end too early, and those that something follows.
mod cuts;

/// The formats photos come in, against what Pillow made of the same files.
mod decode;

/// The devkit: a small one made here, and the real one.
mod devkit;

/// Each official distribution in a small archive of exactly its layout.
mod layouts;

/// Folders of unpacked archives, torchvision's and Kaggle's; splits that are not whole.
mod folders;

/// MAT files written by SciPy, by hand, and hostile ones.
mod matfile;

/// Members of archives that are no plain files, folders below class folders.
mod members;

/// How much memory a plan takes.
mod memory;

/// From archives to a folder of shards: labels, order, report, pictures.
mod pack;

/// Parts for several machines, merged; the first photos only.
mod parts;

/// The real archives, packed whole.
mod real;

/// The same bytes for any threads and after any stop; folders of others are left alone.
mod resume;

/// Filters and geometry against Pillow and OpenCV.
mod resize;

/// Sources that change, disks that are full.
mod safety;

/// Header walks of sound, odd and broken archives, and of folders.
mod source;

/// Contact sheets: every record where it belongs.
mod sheet;

/// A small ImageNet for the tests above.
mod world;
