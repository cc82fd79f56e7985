//! Workers make records, one writer puts them in order.
//!
//! Workers draw entry numbers in order and each number's record goes to its place, so the bytes do not depend on the
//! number of threads. Memory is bounded by a pool of recycled buffers. Which shards there are to write is told by
//! [`crate::run`]; making one record is [`crate::worker`]'s part.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use alexnet_shard::{ReportEntry, ReportKind, ShardPlan, ShardWriter, Split};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::decode::Note;
use crate::error::Error;
use crate::plan::{Plan, SplitPlan};
use crate::run::{OnBad, Progress, Run};
use crate::worker::{Outcome, Slot, Worker};

/// A shard to be written.
struct Job<'a> {
    split: &'a SplitPlan,
    number: u32,
    /// Planned entries, of the split.
    entries: std::ops::Range<u64>,
    /// Sequence number of the first entry in this run.
    first: u64,
}

/// The shards of a run in order, their entries numbered through.
pub(crate) struct Work<'a> {
    jobs: Vec<Job<'a>>,
    /// Entries of all jobs.
    pub entries: u64,
}

impl<'a> Work<'a> {
    /// The shards of the plan that are wanted.
    pub(crate) fn new(plan: &'a Plan, wanted: impl Fn(Split, u32) -> bool) -> Self {
        let mut work = Work { jobs: Vec::new(), entries: 0 };
        for split in plan.splits() {
            let shards = ShardPlan::shard_count(split.entries(), plan.recipe().shard_records);
            // A count above u32 is refused by the writer before anything is written.
            for number in 0..u32::try_from(shards).unwrap_or(u32::MAX) {
                if !wanted(split.split(), number) {
                    continue;
                }
                let entries = shard_plan(plan, split, number).entries();
                let count = entries.end - entries.start;
                work.jobs.push(Job { split, number, entries, first: work.entries });
                work.entries += count;
            }
        }
        work
    }

    /// How many shards there are to write.
    pub(crate) fn shards(&self) -> u64 {
        self.jobs.len() as u64
    }

    /// Encoded bytes of all entries.
    pub(crate) fn bytes(&self) -> u64 {
        let of =
            |job: &Job<'_>| job.entries.clone().map(|entry| encoded_bytes(job.split, entry)).sum::<u64>();
        self.jobs.iter().map(of).sum()
    }

    /// The job and planned entry of a sequence number.
    fn at(&self, sequence: u64) -> (&Job<'a>, u64) {
        let job = &self.jobs[self.jobs.partition_point(|job| job.first <= sequence) - 1];
        (job, job.entries.start + (sequence - job.first))
    }
}

fn encoded_bytes(split: &SplitPlan, entry: u64) -> u64 {
    split.source().photos()[split.entry(entry).0].length
}

pub(crate) fn shard_plan<'a>(plan: &'a Plan, split: &SplitPlan, number: u32) -> ShardPlan<'a> {
    let classes = plan.classes().classes();
    ShardPlan { split: split.split(), number, split_entries: split.entries(), recipe: plan.recipe(), classes }
}

/// One sequence number's result on its way to the writer.
struct Made {
    sequence: u64,
    slot: Slot,
    outcome: Result<Outcome, Error>,
}

pub(crate) struct Pipeline<'a> {
    plan: &'a Plan,
    run: &'a Run<'a>,
    work: &'a Work<'a>,
    /// The next sequence number to be made.
    next: AtomicU64,
    /// A worker died, or the writer left.
    stop: AtomicBool,
}

impl<'a> Pipeline<'a> {
    pub(crate) fn new(plan: &'a Plan, run: &'a Run<'a>, work: &'a Work<'a>) -> Self {
        Pipeline { plan, run, work, next: AtomicU64::new(0), stop: AtomicBool::new(false) }
    }

    /// Makes and writes everything there is to do.
    pub(crate) fn run(&self, progress: &dyn Progress) -> Result<(), Error> {
        let threads = self.run.threads.max(1);
        let size = self.plan.options().size as usize;
        let slots = slots(threads);
        let (free_in, free_out) = crossbeam_channel::bounded(slots);
        let (made_in, made_out) = crossbeam_channel::bounded(slots);
        let pool = Pool { free: free_out, unmade: AtomicUsize::new(slots), record_bytes: size * size * 3 };
        thread::scope(|scope| {
            let pool = &pool;
            for _ in 0..threads {
                let made = made_in.clone();
                scope.spawn(move || self.make(pool, &made));
            }
            drop(made_in);
            let written = self.write(&made_out, &free_in, progress);
            // Workers that wait for a slot or for the writer wake up when these go.
            self.stop.store(true, Ordering::Relaxed);
            drop((made_out, free_in));
            written
        })
    }

    /// A worker's life. It takes a slot before a number: so the lowest number under way always has a slot, and the
    /// writer, who waits for it, is never waited for by it.
    fn make(&self, pool: &Pool, made: &Sender<Made>) {
        let _guard = StopOnPanic(&self.stop);
        let mut worker = Worker::new(self.plan);
        while let Some(mut slot) = pool.take() {
            if self.stop.load(Ordering::Relaxed) || self.run.cancelled() {
                return;
            }
            let sequence = self.next.fetch_add(1, Ordering::Relaxed);
            if sequence >= self.work.entries {
                return;
            }
            let (job, entry) = self.work.at(sequence);
            let outcome = worker.make(job.split, entry, &mut slot);
            if made.send(Made { sequence, slot, outcome }).is_err() {
                return;
            }
        }
    }

    /// The writer's life: results in order, shard after shard.
    fn write(
        &self,
        made: &Receiver<Made>,
        free: &Sender<Slot>,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let mut early = BTreeMap::new();
        let mut sequence = 0;
        for job in &self.work.jobs {
            let mut writer =
                ShardWriter::create(&self.run.out, shard_plan(self.plan, job.split, job.number))?;
            let mut report = Vec::new();
            for entry in job.entries.clone() {
                let Made { slot, outcome, .. } = self.await_sequence(sequence, made, &mut early)?;
                self.put(job, entry, &slot, outcome?, &mut writer, &mut report)?;
                // Never full; after the last number is drawn no one may be left to take it.
                let _ = free.try_send(slot);
                progress.advance(1, encoded_bytes(job.split, entry));
                sequence += 1;
            }
            // An archive that someone wrote to meanwhile must not end in a shard that looks sound.
            job.split.source().unchanged()?;
            writer.finish(&report)?;
        }
        Ok(())
    }

    fn await_sequence(
        &self,
        sequence: u64,
        made: &Receiver<Made>,
        early: &mut BTreeMap<u64, Made>,
    ) -> Result<Made, Error> {
        loop {
            if self.run.cancelled() || self.stop.load(Ordering::Relaxed) {
                return Err(Error::Cancelled { done: sequence, planned: self.work.entries });
            }
            if let Some(made) = early.remove(&sequence) {
                return Ok(made);
            }
            match made.recv_timeout(Duration::from_millis(100)) {
                Ok(made) => drop(early.insert(made.sequence, made)),
                Err(RecvTimeoutError::Timeout) => {}
                // All workers left, because they were told to.
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Cancelled { done: sequence, planned: self.work.entries });
                }
            }
        }
    }

    fn put(
        &self,
        job: &Job<'_>,
        entry: u64,
        slot: &Slot,
        outcome: Outcome,
        writer: &mut ShardWriter,
        report: &mut Vec<ReportEntry>,
    ) -> Result<(), Error> {
        let (index, _) = job.split.entry(entry);
        let photo = &job.split.source().photos()[index];
        let complaint = match outcome {
            Outcome::Record { label, note } => {
                writer.push(label, entry, &photo.name, &slot.record, &slot.moments, slot.crc)?;
                match note {
                    Note::Sound => None,
                    Note::Repaired(detail) => Some((ReportKind::Repaired, detail)),
                    Note::Converted(detail) => Some((ReportKind::Converted, detail)),
                }
            }
            Outcome::Refused(reason) => Some((ReportKind::Refused, reason)),
        };
        let Some((kind, detail)) = complaint else { return Ok(()) };
        if self.run.on_bad == OnBad::Fail && kind != ReportKind::Converted {
            return Err(Error::BadPhoto {
                path: job.split.source().file_of(index),
                name: photo.name.to_string(),
                offset: photo.offset,
                reason: detail,
            });
        }
        report.push(ReportEntry { entry, name: photo.name.to_string(), kind, detail });
        Ok(())
    }
}

/// Records that are under way at most: some for each thread, and some to ride over the writer's syncs.
pub(crate) fn slots(threads: usize) -> usize {
    threads * 4 + 32
}

/// The slots. One is made when none is free: while the writer keeps up there are few of them, and they stay in cache.
struct Pool {
    free: Receiver<Slot>,
    /// Slots that may still be made.
    unmade: AtomicUsize,
    record_bytes: usize,
}

impl Pool {
    /// A slot, as soon as there is one; none when the writer has left.
    fn take(&self) -> Option<Slot> {
        self.free.try_recv().ok().or_else(|| self.new_slot()).or_else(|| self.free.recv().ok())
    }

    fn new_slot(&self) -> Option<Slot> {
        let one_less = |unmade: usize| unmade.checked_sub(1);
        self.unmade.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).ok()?;
        Some(Slot::new(self.record_bytes))
    }
}

struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
