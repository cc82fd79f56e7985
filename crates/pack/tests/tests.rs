//! Tests of the packer through its public interface.

/// Archives in the official layout, made here; where fixtures and real data are.
mod archive;

/// The formats photos come in, against what Pillow made of the same files.
mod decode;

/// The devkit: a small one made here, and the real one.
mod devkit;

/// MAT files written by SciPy, by hand, and hostile ones.
mod matfile;

/// From archives to a folder of shards: labels, order, report, resuming, the same bytes always.
mod pack;

/// The real archives, packed whole.
mod real;

/// Filters and geometry against Pillow and OpenCV.
mod resize;

/// Header walks of sound, odd and broken archives, and of folders.
mod source;
