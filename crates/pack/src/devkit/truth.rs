//! A ground truth: line n is the id of the class of photo number n.

use std::path::Path;

use crate::error::Error;

/// The ids of all lines, each in 1 ..= `classes`. `path` is for errors.
pub(super) fn parse(path: &Path, text: &[u8], classes: usize) -> Result<Vec<u32>, Error> {
    let text = String::from_utf8_lossy(text);
    let parse = |(line, id): (usize, &str)| match id.trim().parse::<u32>() {
        Ok(id) if (1..=classes).contains(&(id as usize)) => Ok(id),
        _ => {
            let shown: String = id.chars().take(20).collect();
            let reason = format!("ground truth line {}: {shown:?} is no id of 1..={classes}", line + 1);
            Err(Error::devkit(path, reason))
        }
    };
    text.trim_end().lines().enumerate().map(parse).collect()
}
