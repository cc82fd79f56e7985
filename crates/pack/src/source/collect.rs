//! Which members are photos, and what they are filed under.

use std::collections::HashMap;
use std::path::Path;

use alexnet_shard::Split;

use super::file::Stamp;
use super::{Photo, folder, tar};
use crate::error::Error;

/// What a walk has found so far.
#[derive(Default)]
pub(super) struct Collector {
    pub groups: Vec<String>,
    by_name: HashMap<String, u32>,
    pub photos: Vec<Photo>,
    pub stamps: Vec<Stamp>,
    /// In a folder source, the class folders with the number of their first photo. Before the first lie the root's own.
    pub folders: Vec<(usize, String)>,
    pub ignored: u64,
    pub first_ignored: Option<String>,
    /// The first member that is a photo or a tar of photos by its name, and no file that could be read.
    pub lost: Option<Lost>,
}

/// A photo that is not where it seems to be.
pub(super) struct Lost {
    pub name: String,
    pub offset: u64,
    /// What is there instead.
    pub what: &'static str,
}

impl Collector {
    /// A member of archive `number`.
    pub(super) fn member(&mut self, member: tar::Member, number: u32) {
        let mut parts = member.path.rsplit('/');
        let name = parts.next().unwrap_or_default();
        let folder = parts.next().filter(|f| !f.is_empty() && *f != ".");
        let is_photos = is_photo(name) || (member.other.is_some() && tar::inner_tar(name).is_some());
        if !is_photos || member.path.split('/').any(is_junk_folder) {
            return self.ignore(&member.path);
        }
        if let Some(what) = member.other {
            self.lost.get_or_insert(Lost { name: member.path, offset: member.offset, what });
            return;
        }
        let group = group(name, member.tars.last().map(String::as_str), folder);
        self.photo(name, group, Some(number), member.offset, member.length);
    }

    /// Holds an archive, when it is walked, to having no photo that would be left out without a word.
    pub(super) fn none_lost(&self, archive: &Path) -> Result<(), Error> {
        let Some(Lost { name, offset, what }) = &self.lost else { return Ok(()) };
        Err(Error::Lost { path: archive.to_path_buf(), offset: *offset, name: name.clone(), what })
    }

    /// A member of a class tar in a folder source.
    pub(super) fn class_tar(&mut self, member: tar::Member, number: u32) {
        let before = self.photos.len();
        self.member(member, number);
        if self.photos.len() > before {
            self.stamps.push(Stamp::none());
        }
    }

    /// A file of its own in a folder source.
    pub(super) fn file(&mut self, found: folder::File) {
        let folder = found.folder.as_deref();
        if !is_photo(&found.name) {
            let path = folder.map(|f| format!("{f}/{}", found.name));
            return self.ignore(path.as_deref().unwrap_or(&found.name));
        }
        if let Some(folder) = folder.filter(|f| self.folders.last().is_none_or(|(_, last)| last != f)) {
            self.folders.push((self.photos.len(), folder.to_owned()));
        }
        self.photo(&found.name, group(&found.name, None, folder), None, 0, found.stamp.length);
        self.stamps.push(found.stamp);
    }

    fn photo(&mut self, name: &str, group: Option<&str>, archive: Option<u32>, offset: u64, length: u64) {
        let group = group.map(|group| match self.by_name.get(group) {
            Some(&known) => known,
            None => {
                let number = self.groups.len() as u32;
                self.groups.push(group.to_owned());
                self.by_name.insert(group.to_owned(), number);
                number
            }
        });
        self.photos.push(Photo { name: name.into(), group, archive, offset, length });
    }

    /// Something that is no photo.
    pub(super) fn ignore(&mut self, path: &str) {
        self.ignored += 1;
        self.first_ignored.get_or_insert_with(|| path.to_owned());
    }
}

/// Whether a file of this name is a photo.
pub(super) fn is_photo(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let jpeg = extension.is_some_and(|e| e.eq_ignore_ascii_case("jpeg") || e.eq_ignore_ascii_case("jpg"));
    jpeg && !name.starts_with('.')
}

/// Folders that archivers and desktops leave behind, holding files that look like photos and are not.
pub(super) fn is_junk_folder(part: &str) -> bool {
    let hidden = part.starts_with('.') && !matches!(part, "." | "..");
    hidden || matches!(part, "__MACOSX" | "@eaDir") || part.starts_with("PaxHeader")
}

fn group<'a>(name: &'a str, tar: Option<&'a str>, folder: Option<&'a str>) -> Option<&'a str> {
    let prefix = name.split_once('_').map(|(prefix, _)| prefix);
    let wnid = [folder, tar, prefix].into_iter().flatten().find(|g| is_wnid(g));
    // Other data sets have classes that are no WNIDs; around official names such a folder only collects.
    wnid.or_else(|| tar.or(folder).filter(|_| official_number(name).is_none()))
}

/// Whether this is a WordNet id as ImageNet writes it: `n` and eight digits.
pub fn is_wnid(text: &str) -> bool {
    text.len() == 9 && text.starts_with('n') && text[1..].bytes().all(|b| b.is_ascii_digit())
}

/// Split and number of an official name of validation or test: (val, 347) of `ILSVRC2012_val_00000347.JPEG`. The
/// number is the line of the split's ground truth that holds the photo's class, counted from 1.
pub fn official_number(name: &str) -> Option<(Split, u64)> {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let (front, digits) = stem.rsplit_once('_')?;
    let split = match front.strip_prefix("ILSVRC")?.rsplit_once('_')?.1 {
        "val" => Split::Val,
        "test" => Split::Test,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((split, digits.parse().ok()?))
}

/// The challenge's year in an official name of a photo or a ground truth: 2012 of `ILSVRC2012_val_00000347.JPEG`.
pub fn official_year(name: &str) -> Option<u32> {
    name.strip_prefix("ILSVRC")?.split_once('_')?.0.parse().ok()
}

/// The number in an official validation name: 347 in `ILSVRC2012_val_00000347.JPEG`.
pub fn val_number(name: &str) -> Option<u64> {
    official_number(name).filter(|&(split, _)| split == Split::Val).map(|(_, number)| number)
}
