//! One shard to be checked, by one thread or by several.
//!
//! Threads take a shard each; those that find none left help with the shards under way, some records at a time. Sums of
//! records do not depend on who added what, so neither does what is found. A shard's index is in memory only while it
//! is worked on. What is checked of the records is [`super::records`]' part.

use super::records::{Part, Records};
use super::{Damage, Place, found};
use crate::content;
use crate::digest::Digest;
use crate::error::Error;
use crate::file::read_exact_at;
use crate::header::{HEADER_BYTES, Header};
use crate::index::{Section, Sections};
use crate::manifest::{Facts, open_named};
use crate::shard::{Access, read_header};
use std::fs::File;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};

/// Records that a thread takes at once: enough to make taking them cheap, few enough to share a small shard.
const STRIDE: u64 = 16;

/// What came of checking one shard.
#[derive(Default)]
pub(super) struct Checked {
    pub path: PathBuf,
    pub damage: Vec<Damage>,
    pub identity: Option<Digest>,
    pub facts: Option<Facts>,
}

/// Checks shards on `threads` threads; results are in the order of `paths`.
pub(super) fn check_shards(paths: &[PathBuf], threads: usize, progress: &dyn Fn(u64)) -> Vec<Checked> {
    let jobs: Vec<Job> = paths.iter().map(|path| Job::new(path)).collect();
    let next = AtomicUsize::new(0);
    let (bytes, ticks) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (bytes, next, jobs) = (bytes.clone(), &next, &jobs);
            scope.spawn(move || {
                let tick = |n| bytes.send(n).expect("the receiver lives until all workers are done");
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    job.work(&tick);
                }
                jobs.iter().for_each(|job| job.work(&tick));
            });
        }
        drop(bytes);
        ticks.iter().for_each(progress);
    });
    jobs.into_iter().map(Job::checked).collect()
}

struct Job {
    path: PathBuf,
    /// The next record that no one has taken.
    next: AtomicU64,
    state: Mutex<State>,
}

enum State {
    Waiting,
    Open(Arc<Opened>),
    Done(Box<Checked>),
}

impl Job {
    fn new(path: &Path) -> Self {
        Job { path: path.to_owned(), next: AtomicU64::new(0), state: Mutex::new(State::Waiting) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("checking a shard does not panic")
    }

    /// Checks records that no one has taken, until there are none.
    fn work(&self, tick: &dyn Fn(u64)) {
        let opened = {
            let mut state = self.lock();
            if let State::Waiting = *state {
                *state = open(&self.path, tick);
            }
            match &*state {
                State::Open(opened) => Arc::clone(opened),
                State::Waiting | State::Done(_) => return,
            }
        };
        let records = opened.records();
        let mut part = Part::new(records.record_bytes());
        loop {
            let first = self.next.fetch_add(STRIDE, Ordering::Relaxed);
            if first >= records.count() {
                break;
            }
            records.check(first..(first + STRIDE).min(records.count()), &mut part, tick);
        }
        let mut total = opened.total.lock().expect("checking a shard does not panic");
        total.merge(part);
        if total.records() == records.count() {
            let mut state = self.lock();
            // Whoever finds the last records of others just merged comes here too, and too late.
            if let State::Open(_) = *state {
                let mut checked = mem::take(&mut *opened.checked.lock().expect("as above"));
                checked.damage.extend(records.finish(&mut total));
                *state = State::Done(Box::new(checked));
            }
        }
    }

    fn checked(self) -> Checked {
        match self.state.into_inner().expect("checking a shard does not panic") {
            State::Done(checked) => *checked,
            State::Waiting | State::Open(_) => unreachable!("every thread worked on every shard to its end"),
        }
    }
}

/// A shard whose section table is sound.
struct Opened {
    header: Header,
    file: File,
    index: Vec<u8>,
    sections: Sections,
    checked: Mutex<Checked>,
    total: Mutex<Part>,
}

impl Opened {
    fn records(&self) -> Records<'_> {
        let checked = self.checked.lock().expect("checking a shard does not panic");
        let path = checked.path.clone();
        Records::new(path, &self.header, &self.file, &self.index, &self.sections)
    }
}

/// Checks header and index. Without a sound section table that is all that can be checked.
fn open(path: &Path, tick: &dyn Fn(u64)) -> State {
    let mut checked = Checked { path: path.to_owned(), ..Checked::default() };
    let opened = File::open(path).map_err(Error::io(path, "open"));
    let (file, (header, identity)) = match opened.and_then(|file| Ok((read_header(path, &file)?, file))) {
        Ok((header, file)) => (file, header),
        Err(error) => {
            let what = match error {
                Error::Io { .. } | Error::Length { .. } => Place::File,
                _ => Place::Header,
            };
            checked.damage.push(found(path, what, &error));
            return State::Done(Box::new(checked));
        }
    };
    checked.identity = Some(identity);
    let mut index = vec![0; header.index_bytes as usize];
    if let Err(error) = read_exact_at(&file, &mut index, header.index_offset()) {
        checked.damage.push(found(path, Place::File, &format!("cannot read the index: {error}")));
        return State::Done(Box::new(checked));
    }
    let sections = Sections::find(path, &header, &index);
    match &sections {
        Err(error) => checked.damage.push(found(path, Place::SectionTable, error)),
        Ok(sections) => checked.damage.extend(check_index(path, &header, &index, sections)),
    }
    if checked.damage.is_empty() {
        match open_named(path, Access::Read) {
            Ok(shard) => checked.facts = Some(Facts::of(&shard)),
            Err(error) => checked.damage.push(found(path, place(&error), &error)),
        }
    }
    tick(HEADER_BYTES as u64 + header.index_bytes);
    let Ok(sections) = sections else { return State::Done(Box::new(checked)) };
    let total = Mutex::new(Part::new(header.record_bytes() as usize));
    State::Open(Arc::new(Opened { header, file, index, sections, checked: Mutex::new(checked), total }))
}

/// The part of a shard that an error speaks of.
fn place(error: &Error) -> Place {
    match error {
        Error::Section { section, .. } => Place::Section(*section),
        Error::Table { .. } | Error::Checksum { .. } => Place::SectionTable,
        Error::Stranger { .. } | Error::Io { .. } | Error::Length { .. } => Place::File,
        _ => Place::Header,
    }
}

/// Holds each section against its checksum, and the index against those in the header.
fn check_index(path: &Path, header: &Header, index: &[u8], sections: &Sections) -> Vec<Damage> {
    let mut damage = Vec::new();
    for section in Section::ALL {
        let (stored, sum) = (sections.crc(section), crc32c::crc32c(&index[sections.range(section)]));
        if stored != sum {
            let detail = format!("crc32c is {sum:#010x} where {stored:#010x} is stored");
            damage.push(found(path, Place::Section(section), &detail));
        }
    }
    if damage.is_empty() && (crc32c::crc32c(index), Digest::of(index)) != (header.index_crc, header.index) {
        damage.push(found(path, Place::SectionTable, &"checksums of the index differ from the header's"));
    }
    if damage.is_empty()
        && let Err(error) = content::classes(path, header, index, sections)
    {
        damage.push(found(path, Place::Section(Section::Classes), &error));
    }
    damage
}
