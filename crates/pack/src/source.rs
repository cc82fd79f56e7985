//! Where the photos come from: an archive in the official layout, or class folders on disk.
//!
//! A [`Source`] is the result of one header walk: name, group (the class it was filed under), offset and length of
//! every photo, in a stable order, and a digest of exactly that list. Nothing is unpacked; a photo is read by offset.
//! What a group means, and which photos are packed, is decided by [`crate::Plan`].

mod folder;
mod tar;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::Error;

/// One photo of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    /// Its file name without folders, as stored.
    pub name: Box<str>,
    /// Index into [`Source::groups`]; `None` if it was filed under no class.
    pub group: Option<u32>,
    /// Offset of its first byte in the archive; 0 for a file of its own.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
}

/// All photos of one archive or folder, in archive order (folders: order of names as bytes).
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    /// The open archive; `None` for class folders.
    archive: Option<File>,
    groups: Vec<String>,
    photos: Vec<Photo>,
    /// In a folder source, how many photos lie directly in the root; they come first.
    in_root: usize,
    ignored: u64,
    first_ignored: Option<String>,
    digest: [u8; 32],
}

impl Source {
    /// Walks the headers of a tar archive, or lists a folder of class folders.
    ///
    /// In an archive a photo's group is the WNID that names its folder, its innermost tar (`n01440764.tar`) or begins
    /// its own name (`n01440764_10026.JPEG`), in this order. Without any WNID it is the tar or else the folder,
    /// unless the name is an official validation name (`val/ILSVRC2012_val_00000001.JPEG`), which is in no group.
    /// On disk the class folder is the group whatever its name.
    ///
    /// # Errors
    /// If the path cannot be read, is no tar, is truncated or damaged, or holds no photo.
    pub fn open(path: &Path) -> Result<Source, Error> {
        let metadata = fs::metadata(path).map_err(|e| Error::io(path, e))?;
        let mut walk = Collector::default();
        let archive = if metadata.is_dir() {
            folder::walk(path, &mut |found| walk.file(found))?;
            None
        } else {
            let file = File::open(path).map_err(|e| Error::io(path, e))?;
            tar::walk(path, &file, &mut |member| {
                walk.member(member);
                Ok(())
            })?;
            Some(file)
        };
        let Collector { groups, photos, in_root, ignored, first_ignored, .. } = walk;
        if photos.is_empty() {
            return Err(Error::NoPhotos { path: path.to_path_buf(), ignored, first: first_ignored });
        }
        let digest = digest(&groups, &photos);
        Ok(Source {
            path: path.to_path_buf(),
            archive,
            groups,
            photos,
            in_root,
            ignored,
            first_ignored,
            digest,
        })
    }

    /// The archive or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every photo, in the order of the source.
    pub fn photos(&self) -> &[Photo] {
        &self.photos
    }

    /// Names of the groups photos are filed under, in order of first appearance. In ImageNet they are WNIDs.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// The group of a photo.
    pub fn group_of(&self, photo: &Photo) -> Option<&str> {
        photo.group.and_then(|g| self.groups.get(g as usize)).map(String::as_str)
    }

    /// How many members are no photos (hidden files, `PaxHeader` leftovers, other extensions), and the first one.
    pub fn ignored(&self) -> (u64, Option<&str>) {
        (self.ignored, self.first_ignored.as_deref())
    }

    /// SHA-256 over group, name, offset and length of every photo: what the header walk saw, whatever the path.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The file that holds the bytes of photo `index`.
    ///
    /// # Panics
    /// If there is no such photo.
    pub fn file_of(&self, index: usize) -> PathBuf {
        let photo = &self.photos[index];
        match (&self.archive, self.group_of(photo)) {
            (Some(_), _) => self.path.clone(),
            (None, Some(folder)) if index >= self.in_root => self.path.join(folder).join(&*photo.name),
            (None, _) => self.path.join(&*photo.name),
        }
    }

    /// Reads the encoded bytes of photo `index` into `into`, replacing what was there.
    ///
    /// # Panics
    /// If there is no such photo.
    ///
    /// # Errors
    /// If the bytes cannot be read, or a file on disk is no longer as long as the walk found it.
    pub fn read(&self, index: usize, into: &mut Vec<u8>) -> Result<(), Error> {
        let photo = &self.photos[index];
        into.clear();
        into.resize(photo.length as usize, 0);
        match &self.archive {
            Some(file) => file.read_exact_at(into, photo.offset).map_err(|source| Error::Read {
                path: self.path.clone(),
                offset: photo.offset,
                length: photo.length,
                source,
            }),
            None => {
                let path = self.file_of(index);
                let file = File::open(&path).map_err(|e| Error::io(&path, e))?;
                let length = file.metadata().map_err(|e| Error::io(&path, e))?.len();
                if length != photo.length {
                    let changed = format!("changed while packing: {} bytes, now {length}", photo.length);
                    return Err(Error::io(&path, std::io::Error::other(changed)));
                }
                file.read_exact_at(into, 0).map_err(|source| Error::Read { path, offset: 0, length, source })
            }
        }
    }
}

#[derive(Default)]
struct Collector {
    groups: Vec<String>,
    by_name: std::collections::HashMap<String, u32>,
    photos: Vec<Photo>,
    /// In a folder source, how many photos lie directly in the root; they come first.
    in_root: usize,
    ignored: u64,
    first_ignored: Option<String>,
}

impl Collector {
    fn member(&mut self, member: tar::Member) {
        let mut parts = member.path.rsplit('/');
        let name = parts.next().unwrap_or_default();
        let folder = parts.next().filter(|f| !f.is_empty() && *f != ".");
        if !is_photo(name) || member.path.split('/').any(is_junk_folder) {
            return self.ignore(&member.path);
        }
        let group = group(name, member.tars.last().map(String::as_str), folder);
        self.photo(name, group, member.offset, member.length);
    }

    fn file(&mut self, found: folder::Found) {
        let path = found.folder.as_deref().map(|f| format!("{f}/{}", found.name));
        if !is_photo(&found.name) || found.folder.as_deref().is_some_and(is_junk_folder) {
            return self.ignore(path.as_deref().unwrap_or(&found.name));
        }
        match &found.folder {
            // The folder is part of the path here, so it stays the group whatever its name is.
            Some(folder) => self.photo(&found.name, Some(folder), 0, found.length),
            None => {
                self.in_root += 1;
                self.photo(&found.name, group(&found.name, None, None), 0, found.length);
            }
        }
    }

    fn photo(&mut self, name: &str, group: Option<&str>, offset: u64, length: u64) {
        let group = group.map(|group| match self.by_name.get(group) {
            Some(&known) => known,
            None => {
                let number = self.groups.len() as u32;
                self.groups.push(group.to_owned());
                self.by_name.insert(group.to_owned(), number);
                number
            }
        });
        self.photos.push(Photo { name: name.into(), group, offset, length });
    }

    fn ignore(&mut self, path: &str) {
        self.ignored += 1;
        self.first_ignored.get_or_insert_with(|| path.to_owned());
    }
}

fn is_photo(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let jpeg = extension.is_some_and(|e| e.eq_ignore_ascii_case("jpeg") || e.eq_ignore_ascii_case("jpg"));
    jpeg && !name.starts_with('.')
}

/// Folders that archivers leave behind, holding files that look like photos and are not.
fn is_junk_folder(part: &str) -> bool {
    part == "__MACOSX" || part.starts_with("PaxHeader")
}

fn group<'a>(name: &'a str, tar: Option<&'a str>, folder: Option<&'a str>) -> Option<&'a str> {
    let prefix = name.split_once('_').map(|(prefix, _)| prefix);
    let wnid = [folder, tar, prefix].into_iter().flatten().find(|g| is_wnid(g));
    // Other data sets have classes that are no WNIDs; around official validation names such a folder only collects.
    wnid.or_else(|| tar.or(folder).filter(|_| val_number(name).is_none()))
}

/// Whether this is a WordNet id as ImageNet writes it: `n` and eight digits.
pub fn is_wnid(text: &str) -> bool {
    text.len() == 9 && text.starts_with('n') && text[1..].bytes().all(|b| b.is_ascii_digit())
}

/// The number in an official validation name: 347 in `ILSVRC2012_val_00000347.JPEG`. It is the line of the devkit's
/// ground truth that holds the photo's class, counted from 1.
pub fn val_number(name: &str) -> Option<u64> {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let (front, digits) = stem.rsplit_once('_')?;
    let val = front.starts_with("ILSVRC") && front.ends_with("_val");
    if !val || digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

fn digest(groups: &[String], photos: &[Photo]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut text = |s: &str| {
        hash.update((s.len() as u64).to_le_bytes());
        hash.update(s.as_bytes());
    };
    for group in groups {
        text(group);
    }
    for photo in photos {
        text(&photo.name);
    }
    for photo in photos {
        hash.update(photo.group.unwrap_or(u32::MAX).to_le_bytes());
        hash.update(photo.offset.to_le_bytes());
        hash.update(photo.length.to_le_bytes());
    }
    hash.finalize().into()
}
