//! Tests through the public interface, on small generated sets.

/// Makes the sets.
mod sample;

/// What is written is what is read, whatever the size, the counts and the access.
mod round_trip;

/// Every flipped byte is found and named; every truncation is an error.
mod damage;

/// Bytes with valid checksums and senseless content do not panic.
mod hostile;

/// States of an output folder, its lock, and going on after a kill.
mod folder;
