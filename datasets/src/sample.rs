//! The built-in sample: a labelled, photo-like data set, generated and written in the official archives' layout.
//!
//! Ten classes are told apart by outline and pattern (see [`CLASSES`]); place, scale, turn, tilt, light, colours,
//! surroundings, blur, noise, size and JPEG quality are nuisance. A linear model on coarse pixels fails on it, a
//! small convolutional net does not. Every photo is a pure function of (seed, part, class, number), whatever the
//! number of threads. The invariant of the folder: an archive bears its final name only when it is complete, and
//! nothing that this module did not write is ever replaced.

mod archive;
mod backdrop;
mod canvas;
mod class;
mod devkit;
mod draw;
mod mat;
mod outline;
mod pattern;
mod photo;
mod record;
mod trigonometry;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use alexnet_rng::{Permutation, Purpose};

pub use self::class::{CLASSES, SampleClass};
use self::draw::Part;
use self::record::Record;
use crate::ilsvrc2012;

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleOptions {
    /// Seed of every photo.
    pub seed: u64,
    /// Training photos of each class.
    pub train_per_class: u32,
    /// Held-out photos of each class.
    pub val_per_class: u32,
    /// Threads that make photos, at least 1; the bytes don't depend on it.
    pub threads: usize,
}

impl Default for SampleOptions {
    fn default() -> Self {
        SampleOptions { seed: 2012, train_per_class: 200, val_per_class: 50, threads: 1 }
    }
}

impl SampleOptions {
    /// Photos of both parts together.
    pub fn photos(&self) -> u64 {
        CLASSES.len() as u64 * (u64::from(self.train_per_class) + u64::from(self.val_per_class))
    }
}

/// Where the three archives are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleArchives {
    /// `ILSVRC2012_img_train.tar`: nested, one tar per WNID.
    pub train: PathBuf,
    /// `ILSVRC2012_img_val.tar`: flat.
    pub val: PathBuf,
    /// `ILSVRC2012_devkit_t12.tar.gz`.
    pub devkit: PathBuf,
    /// Whether all three were there already and nothing was written.
    pub kept: bool,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written, or a photo for it not be made.
    #[error("{path}: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// An archive of that name is there, and no record says that this generator wrote it.
    #[error("{path}: already there, and not written by the sample's generator")]
    Foreign {
        /// The archive.
        path: PathBuf,
    },
    /// An archive differs from the record beside it.
    #[error("{path}: SHA-256 is {found}, but sample.json records {recorded}")]
    Changed {
        /// The archive.
        path: PathBuf,
        /// Digest of the file.
        found: String,
        /// Digest in the record, or of the archive made now.
        recorded: String,
    },
    /// The folder holds a sample made with other options.
    #[error("{path}: the folder holds a sample of {found}, not of {wanted}")]
    Other {
        /// The record.
        path: PathBuf,
        /// How the one there was made.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// The record is not one.
    #[error("{path}: not a record of the sample: {detail}")]
    Record {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    move |source| Error::File { path: path.to_owned(), source }
}

/// Row in [`CLASSES`] of each validation photo, in the order of the photos' names.
fn val_order(options: &SampleOptions) -> Vec<usize> {
    let photos = CLASSES.len() as u64 * u64::from(options.val_per_class);
    let order = Permutation::new(options.seed, Part::ValOrder as u32, Purpose::Sample, photos);
    (0..photos).map(|i| (order.at(i) % CLASSES.len() as u64) as usize).collect()
}

/// Writes the sample's three archives and `sample.json` into `dir`, which is made if need be.
///
/// `progress` is told the number of photos made so far, on the calling thread; the total is
/// [`SampleOptions::photos`]. If the same sample is there already, complete and undamaged by digest, nothing is
/// written; what a killed run left is made anew.
///
/// # Errors
/// [`Error::Foreign`], [`Error::Changed`], [`Error::Other`] or [`Error::Record`] if the folder holds something else
/// under these names, and then nothing is touched; [`Error::File`]
/// otherwise.
pub fn generate(
    dir: &Path,
    options: &SampleOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<SampleArchives, Error> {
    let names = [ilsvrc2012::TRAIN.name, ilsvrc2012::VAL.name, ilsvrc2012::DEVKIT.name];
    let paths = names.map(|name| dir.join(name));
    let mut archives = SampleArchives {
        train: paths[0].clone(),
        val: paths[1].clone(),
        devkit: paths[2].clone(),
        kept: false,
    };
    let mut wanted = Record {
        generator: record::GENERATOR,
        seed: options.seed,
        train_per_class: options.train_per_class,
        val_per_class: options.val_per_class,
        archives: Vec::new(),
    };
    let missing = missing(dir, &wanted, &paths)?;
    if missing.is_empty() {
        archives.kept = true;
        return Ok(archives);
    }

    fs::create_dir_all(dir).map_err(at(dir))?;
    let partial = names.map(|name| dir.join(format!("{name}.partial")));
    let val = val_order(options);
    let mut made = 0;
    let mut done = || {
        made += 1;
        progress(made);
    };
    for (i, path) in partial.iter().enumerate() {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path).map_err(at(path))?);
        let written = match i {
            0 => archive::write_train(
                &mut out,
                options.seed,
                options.train_per_class,
                options.threads,
                &mut done,
            ),
            1 => archive::write_val(&mut out, options.seed, &val, options.threads, &mut done),
            _ => devkit::write(&mut out, options.train_per_class, &val),
        };
        written.map_err(at(path))?;
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(at(path))?;
        let digest = record::digest(path).map_err(at(path))?;
        wanted.archives.push((names[i].to_owned(), digest.unwrap_or_default()));
    }
    settle(dir, &wanted, &missing, &partial, &paths)?;
    Ok(archives)
}

/// Which of the three archives (0, 1, 2) have to be made, or why the folder must be left alone.
fn missing(dir: &Path, wanted: &Record, paths: &[PathBuf; 3]) -> Result<Vec<usize>, Error> {
    let path = dir.join(record::NAME);
    let text = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(Error::File { path, source }),
    };
    let Some(text) = text else {
        return match paths.iter().find(|path| path.symlink_metadata().is_ok()) {
            Some(path) => Err(Error::Foreign { path: path.clone() }),
            None => Ok(vec![0, 1, 2]),
        };
    };
    let found: Record = serde_json::from_str(&text)
        .map_err(|error| Error::Record { path: path.clone(), detail: error.to_string() })?;
    if !found.same_recipe(wanted) {
        return Err(Error::Other { path, found: found.recipe(), wanted: wanted.recipe() });
    }
    let mut missing = Vec::new();
    for (i, archive) in paths.iter().enumerate() {
        let recorded = found.archives.get(i).map(|(_, digest)| digest.clone()).unwrap_or_default();
        match record::digest(archive).map_err(at(archive))? {
            None => missing.push(i),
            Some(digest) if digest == recorded => {}
            Some(digest) => {
                return Err(Error::Changed { path: archive.clone(), found: digest, recorded });
            }
        }
    }
    Ok(missing)
}

/// Puts the record and then the missing archives in place. Archives that were kept must be what was made now.
fn settle(
    dir: &Path,
    record: &Record,
    missing: &[usize],
    partial: &[PathBuf; 3],
    paths: &[PathBuf; 3],
) -> Result<(), Error> {
    for i in (0..3).filter(|i| !missing.contains(i)) {
        let found = record::digest(&paths[i]).map_err(at(&paths[i]))?.unwrap_or_default();
        let recorded = record.archives[i].1.clone();
        if found != recorded {
            return Err(Error::Changed { path: paths[i].clone(), found, recorded });
        }
        fs::remove_file(&partial[i]).map_err(at(&partial[i]))?;
    }
    let path = dir.join(record::NAME);
    let new = dir.join(format!("{}.partial", record::NAME));
    record.write(&new).map_err(at(&new))?;
    fs::rename(&new, &path).map_err(at(&path))?;
    for &i in missing {
        fs::rename(&partial[i], &paths[i]).map_err(at(&paths[i]))?;
    }
    // The names themselves have to reach the disk; where a folder cannot be synced, the next run finds out.
    if let Ok(folder) = File::open(dir) {
        folder.sync_all().ok();
    }
    Ok(())
}
