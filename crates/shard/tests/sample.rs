use alexnet_rng::{Purpose, Stream};
use alexnet_shard::*;
use std::path::Path;

/// A set to be generated: everything is a function of these numbers.
#[derive(Clone, Debug)]
pub struct Sample {
    pub seed: u64,
    pub size: [u32; 2],
    pub shard_records: u64,
    /// Planned entries of train, val, test.
    pub planned: [u64; 3],
    /// Every how manieth entry is refused; 0 for none.
    pub refused: u64,
}

impl Sample {
    pub const TINY: Sample =
        Sample { seed: 1, size: [8, 8], shard_records: 2, planned: [3, 0, 0], refused: 0 };

    pub fn classes(&self) -> Vec<Class> {
        let class = |i| Class { wnid: format!("n{i:08}"), words: format!("class \"{i}\", ü") };
        (0..7).map(class).collect()
    }

    pub fn recipe(&self) -> Recipe {
        Recipe {
            format: FORMAT,
            size: self.size,
            filter: "bilinear".into(),
            geometry: "none".into(),
            label_order: "wnid".into(),
            decoder: "none 1".into(),
            resizer: "none 1".into(),
            classes: class_table_digest(&self.classes()),
            source: Digest::of(format!("{self:?}").as_bytes()),
            shuffle_seed: (self.seed % 2 == 1).then_some(self.seed),
            shard_records: self.shard_records,
            options: [("refused".to_owned(), self.refused.to_string())].into(),
        }
    }

    pub fn is_refused(&self, entry: u64) -> bool {
        self.refused > 0 && entry % self.refused == self.refused - 1
    }

    /// The entries of a split that become records.
    pub fn kept(&self, split: Split) -> Vec<u64> {
        (0..self.planned[split as usize]).filter(|&entry| !self.is_refused(entry)).collect()
    }

    pub fn record(&self, split: Split, entry: u64) -> Vec<u8> {
        let stream = Stream::new(self.seed, split.code(), entry, Purpose::Sample);
        (0..self.size[0] * self.size[1] * 3).map(|i| stream.word(i.into()) as u8).collect()
    }

    pub fn name(&self, split: Split, entry: u64) -> String {
        format!("{split}/фото_{entry}{}.JPEG", "x".repeat(entry as usize % 5))
    }

    /// Every third label of test is unknown.
    pub fn label(&self, split: Split, entry: u64) -> Option<u32> {
        (split != Split::Test || !entry.is_multiple_of(3)).then_some((entry * 3 % 7) as u32)
    }

    pub fn shards(&self) -> Vec<(Split, u32)> {
        let count =
            |split: Split| ShardPlan::shard_count(self.planned[split as usize], self.shard_records) as u32;
        Split::ALL
            .into_iter()
            .flat_map(|split| (0..count(split)).map(move |number| (split, number)))
            .collect()
    }

    /// Begins shard `number` and pushes its records, all but the last `missing`.
    pub fn begin(
        &self,
        dir: &Path,
        split: Split,
        number: u32,
        missing: usize,
    ) -> (ShardWriter, Vec<ReportEntry>) {
        let (recipe, classes) = (self.recipe(), self.classes());
        let split_entries = self.planned[split as usize];
        let plan = ShardPlan { split, number, split_entries, recipe: &recipe, classes: &classes };
        let mut writer = ShardWriter::create(dir, plan).unwrap();
        let entries: Vec<u64> = plan.entries().collect();
        let mut report = Vec::new();
        for &entry in &entries[..entries.len() - missing] {
            let name = self.name(split, entry);
            let mut line = |kind, detail: &str| {
                report.push(ReportEntry { entry, name: name.clone(), kind, detail: detail.to_owned() });
            };
            if self.is_refused(entry) {
                line(ReportKind::Refused, "no \"photo\" at all");
                continue;
            }
            if entry % 4 == 1 {
                line(ReportKind::Converted, "grey");
                line(ReportKind::Repaired, "cut short");
            }
            let record = self.record(split, entry);
            let label = self.label(split, entry).unwrap_or(UNKNOWN_LABEL);
            writer.push(label, entry, &name, &record, &Moments::of(&record), record_crc(&record)).unwrap();
        }
        (writer, report)
    }

    pub fn write_shard(&self, dir: &Path, split: Split, number: u32) -> Digest {
        let (writer, report) = self.begin(dir, split, number, 0);
        writer.finish(&report).unwrap()
    }

    /// Packs the whole set.
    pub fn write(&self, dir: &Path) {
        let folder = Folder::open(dir, self.recipe().digest()).unwrap();
        for (split, number) in self.shards() {
            self.write_shard(dir, split, number);
        }
        folder.complete().unwrap();
    }
}

/// Names and bytes of all files of a folder.
pub fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

/// Puts other bytes into a file. Unlike `fs::write` it does not truncate first, which some file systems answer with a
/// flush to disk: ten thousand damaged files would take minutes.
pub fn overwrite(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::File::options().write(true).create(true).truncate(false).open(path).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

/// A folder that goes with its handle; in memory where the system has such a place, since the tests sync thousands of
/// small files.
pub fn tempdir() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir())
    } else {
        tempfile::tempdir()
    }
    .unwrap()
}
