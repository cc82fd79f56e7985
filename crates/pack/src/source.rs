//! Where the photos come from: an archive in the official layout, a folder of class tars, or class folders on disk.
//!
//! A [`Source`] is the result of one header walk: name, group (the class it was filed under), offset and length of
//! every photo, in a stable order, and a digest of exactly that list. Nothing is unpacked; a photo is read by offset.
//! A file that is another one when it is read than it was at the walk is an error, never another photo.
//! What a group means, and which photos are packed, is decided by [`crate::Plan`].

mod collect;
mod file;
mod folder;
mod tar;

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use self::collect::Collector;
pub use self::collect::{is_wnid, official_number, official_year, val_number};
use self::file::{Archive, MOST_OPEN, Stamp};
use crate::error::Error;

/// One photo of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    /// Its file name without folders, as stored.
    pub name: Box<str>,
    /// Index into [`Source::groups`]; `None` if it was filed under no class.
    pub group: Option<u32>,
    /// Which archive of the source holds it; `None`: it is a file of its own.
    pub archive: Option<u32>,
    /// Offset of its first byte in the archive; 0 for a file of its own.
    pub offset: u64,
    /// Length in bytes.
    pub length: u64,
}

/// All photos of one archive or folder, in archive order (folders: order of names as bytes).
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    archives: Vec<Archive>,
    groups: Vec<String>,
    photos: Vec<Photo>,
    /// What the photos' own files were at the walk; in a folder source as long as `photos`, else empty.
    stamps: Vec<Stamp>,
    /// In a folder source, the class folders with the number of their first photo. Before the first lie the root's own.
    folders: Vec<(usize, String)>,
    ignored: u64,
    first_ignored: Option<String>,
    digest: [u8; 32],
}

impl Source {
    /// Walks the headers of a tar archive, or lists a folder of class folders or class tars (`n01440764.tar`).
    ///
    /// A photo's group is the WNID that names its folder, its innermost tar (`n01440764.tar`) or begins its own name
    /// (`n01440764_10026.JPEG`), in this order. Without any WNID it is the tar or else the folder, unless the name is an
    /// official one of validation or test (`val/ILSVRC2012_val_00000001.JPEG`), which is in no group.
    ///
    /// # Errors
    /// If the path cannot be read, is no tar, is truncated or damaged, holds a class twice, holds no photo, or holds one
    /// that would be lost: a link or a sparse member of an archive, a photo in a folder below a class folder.
    pub fn open(path: &Path) -> Result<Source, Error> {
        let metadata = fs::metadata(path).map_err(|e| Error::io(path, e))?;
        let mut walk = Collector::default();
        let mut archives = Vec::new();
        if metadata.is_dir() {
            folder::walk(path, &mut |found| {
                match found {
                    folder::Found::File(file) => walk.file(file),
                    folder::Found::Tar { wnid, path } => {
                        let number = archives.len() as u32;
                        let mut archive = walked(&path, Some(wnid), &mut |m| walk.class_tar(m, number))?;
                        walk.none_lost(&path)?;
                        if archives.len() >= MOST_OPEN {
                            archive.close();
                        }
                        archives.push(archive);
                    }
                    folder::Found::Other(name) => walk.ignore(&name),
                }
                Ok(())
            })?;
        } else {
            archives.push(walked(path, None, &mut |member| walk.member(member, 0))?);
            walk.none_lost(path)?;
        }
        let Collector { groups, photos, stamps, folders, ignored, first_ignored, .. } = walk;
        if photos.is_empty() {
            return Err(Error::NoPhotos { path: path.to_path_buf(), ignored, first: first_ignored });
        }
        let digest = digest(&groups, &photos);
        let path = path.to_path_buf();
        Ok(Source { path, archives, groups, photos, stamps, folders, ignored, first_ignored, digest })
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

    /// How many members are no photos (hidden files, `PaxHeader` leftovers, other extensions, links to none), and the
    /// first one. A folder below a class folder counts as one.
    pub fn ignored(&self) -> (u64, Option<&str>) {
        (self.ignored, self.first_ignored.as_deref())
    }

    /// SHA-256 over group, name, offset and length of every photo: what the header walk saw, whatever the path.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Replaces photos by those of the same names in another archive (`patch_images.tar`), and says how many. Names of
    /// the patch that are not here are left alone: they are other splits'.
    ///
    /// # Errors
    /// If the patch cannot be read, is no tar, or holds a photo that would be lost.
    pub fn patch(&mut self, patch: &Path) -> Result<u64, Error> {
        let mut walk = Collector::default();
        let number = self.archives.len() as u32;
        let archive = walked(patch, None, &mut |member| walk.member(member, number))?;
        walk.none_lost(patch)?;
        let new: HashMap<&str, &Photo> = walk.photos.iter().map(|photo| (&*photo.name, photo)).collect();
        let mut hash = Sha256::new_with_prefix(self.digest);
        let mut replaced = 0u64;
        for (index, photo) in self.photos.iter_mut().enumerate() {
            let Some(new) = new.get(&*photo.name) else { continue };
            (photo.archive, photo.offset, photo.length) = (new.archive, new.offset, new.length);
            for value in [index as u64, new.offset, new.length] {
                hash.update(value.to_le_bytes());
            }
            replaced += 1;
        }
        if replaced > 0 {
            self.archives.push(archive);
            self.digest = hash.finalize().into();
        }
        Ok(replaced)
    }

    /// The file that holds the bytes of photo `index`.
    ///
    /// # Panics
    /// If there is no such photo.
    pub fn file_of(&self, index: usize) -> PathBuf {
        let photo = &self.photos[index];
        if let Some(archive) = photo.archive {
            return self.archives[archive as usize].path().to_path_buf();
        }
        let before = self.folders.partition_point(|&(first, _)| first <= index);
        let folder = before.checked_sub(1).map_or("", |at| &self.folders[at].1);
        self.path.join(folder).join(&*photo.name)
    }

    /// Reads the encoded bytes of photo `index` into `into`, replacing what was there.
    ///
    /// # Panics
    /// If there is no such photo.
    ///
    /// # Errors
    /// If the bytes cannot be read, or a file of its own is not the one that the walk found. For archives that stay
    /// open see [`unchanged`](Self::unchanged).
    pub fn read(&self, index: usize, into: &mut Vec<u8>) -> Result<(), Error> {
        let photo = &self.photos[index];
        // Not cleared before: every byte of it is read.
        into.resize(photo.length as usize, 0);
        match photo.archive {
            Some(archive) => self.archives[archive as usize].read(photo.offset, into),
            None => file::read_own(&self.file_of(index), &self.stamps[index], into),
        }
    }

    /// Holds every open archive to what it was at the walk: whatever was read from it until now is what was planned.
    ///
    /// # Errors
    /// If one has another length or was written to.
    pub fn unchanged(&self) -> Result<(), Error> {
        self.archives.iter().try_for_each(Archive::unchanged)
    }
}

fn walked(path: &Path, wnid: Option<String>, found: &mut dyn FnMut(tar::Member)) -> Result<Archive, Error> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let archive = Archive::new(path, file)?;
    archive.walk(wnid, found)?;
    Ok(archive)
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
