//! The members of a devkit's archive by name, with long names of either kind (GNU's, pax's) and little memory.
//!
//! The tar crate keeps what precedes a member in memory whatever its length; in a stream that unpacks to a thousand times its
//! bytes that has no bound. So members are taken raw, and the headers before them are read here.

use std::io::{self, Read};

use tar::{Entry, EntryType, PaxExtensions};

/// Long names and pax records above this are no names any more.
const MAX_NAME_BYTES: u64 = 1 << 20;

/// Calls `found` with the path of each regular member and its data.
pub(super) fn each(
    stream: impl Read,
    found: &mut dyn FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let mut long = None;
    for entry in tar::Archive::new(stream).entries()?.raw(true) {
        let mut entry = entry?;
        match entry.header().entry_type() {
            EntryType::GNULongName => {
                let mut name = text(&mut entry)?;
                name.truncate(name.iter().position(|&b| b == 0).unwrap_or(name.len()));
                long = Some(name);
            }
            EntryType::XHeader => {
                for record in PaxExtensions::new(&text(&mut entry)?) {
                    let record = record?;
                    if record.key_bytes() == b"path" {
                        long = Some(record.value_bytes().to_vec());
                    }
                }
            }
            EntryType::GNULongLink | EntryType::XGlobalHeader => {}
            kind => {
                let name = long.take().unwrap_or_else(|| entry.path_bytes().into_owned());
                if matches!(kind, EntryType::Regular | EntryType::Continuous) {
                    found(&String::from_utf8_lossy(&name), &mut entry)?;
                }
            }
        }
    }
    Ok(())
}

fn text(entry: &mut Entry<'_, impl Read>) -> io::Result<Vec<u8>> {
    let size = entry.size();
    if size > MAX_NAME_BYTES {
        return Err(io::Error::other(format!("a name of {size} bytes")));
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text)?;
    Ok(text)
}
