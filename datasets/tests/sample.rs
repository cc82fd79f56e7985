//! The sample as its readers see it: three archives in the official layout, read with other people's code.

#[path = "sample/archives.rs"]
mod archives;
#[path = "sample/folder.rs"]
mod folder;
#[path = "sample/layout.rs"]
mod layout;
#[path = "sample/linear.rs"]
mod linear;
#[path = "sample/meta.rs"]
mod meta;
