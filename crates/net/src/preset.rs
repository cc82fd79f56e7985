//! The presets by name.

use crate::error::Error;
use crate::layer::Net;

const NAMES: [&str; 6] = ["paper", "original", "one-column", "conv6", "cifar", "modern"];

impl Net {
    /// Names of the presets.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter()
    }

    /// The number of columns a preset has unless another is asked for.
    pub fn usual_columns(preset: &str) -> usize {
        if ["one-column", "cifar", "modern"].contains(&preset) { 1 } else { 2 }
    }

    /// A preset by its name.
    ///
    /// # Errors
    /// [`Error::Net`] for any other name, or for several columns of a net that has one.
    pub fn preset(name: &str, columns: usize, classes: usize) -> Result<Net, Error> {
        let fail = |problem: String| Err(Error::Net { preset: name.to_owned(), problem });
        let net = match name {
            "paper" => Net::paper(columns, classes),
            "original" => Net::original(columns, classes),
            "conv6" => Net::conv6(columns, classes),
            "modern" => Net::modern(columns, classes),
            "one-column" => Net::one_column(classes),
            "cifar" => Net::cifar(classes),
            _ => return fail(format!("no such preset; there are {}", NAMES.join(", "))),
        };
        if net.columns != columns {
            return fail(format!("it has {} column, not {columns}", net.columns));
        }
        Ok(net)
    }
}
