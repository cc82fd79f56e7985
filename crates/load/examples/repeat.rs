//! A set of its own in which the train records of another come some times over: `repeat SET DIR TIMES`.
//!
//! For measuring cold epochs that are long enough for starting and ending not to count: every record has pages of its
//! own on disk, whatever it shows.

use std::path::Path;

use alexnet_shard::{
    Access, Folder, Moments, ShardPlan, ShardSet, ShardWriter, Split, record_crc, write_manifest,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(from), Some(to), Some(times)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: repeat SET DIR TIMES".into());
    };
    let (to, times): (&Path, u64) = (to.as_ref(), times.parse()?);
    let set = ShardSet::open(from.as_ref(), Access::Map)?;
    let records = set.split(Split::Train).ok_or("the set has no train split")?;
    let folder = Folder::open(to, set.recipe().digest())?;
    let entries = records.len() * times;
    let mut scratch = Vec::new();
    for number in 0..ShardPlan::shard_count(entries, set.recipe().shard_records) {
        let plan = ShardPlan {
            split: Split::Train,
            number: number as u32,
            split_entries: entries,
            recipe: set.recipe(),
            classes: set.classes(),
        };
        let mut writer = ShardWriter::create(to, plan)?;
        for entry in plan.entries() {
            let i = entry % records.len();
            let record = records.record(i, &mut scratch)?;
            let label = records.label(i).ok_or("a record without a label")?;
            let name = format!("{}_{}", entry / records.len(), records.name(i));
            writer.push(label, entry, &name, record, &Moments::of(record), record_crc(record))?;
        }
        writer.finish(&[])?;
    }
    folder.complete()?;
    println!("{}", write_manifest(to)?);
    Ok(())
}
