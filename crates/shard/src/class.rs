//! The class table: which class a label is. It keeps the table's JSON canonical, so that equal tables have equal
//! digests. Which order the classes stand in is the packer's choice, recorded in the recipe.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};

/// One class; its label is its place in the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// WordNet identifier, such as `n01440764`.
    pub wnid: String,
    /// Synonyms separated by commas; empty if unknown.
    pub words: String,
}

/// The table as it is stored: a JSON array without white space.
pub(crate) fn encode(classes: &[Class]) -> Vec<u8> {
    crate::recipe::canonical_json(&classes)
}

/// SHA-256 of the table as it is stored; goes into [`Recipe::classes`](crate::Recipe::classes).
pub fn class_table_digest(classes: &[Class]) -> Digest {
    Digest::of(&encode(classes))
}
