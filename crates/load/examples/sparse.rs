//! Writes a set of as many black records as one likes, without storing one: `sparse DIR COUNT`.
//!
//! The records are holes in the files, and so are the pixel sums; headers, labels, names, checksums and manifest are
//! whole, so that the set opens as any other. For measuring how long ImageNet's 1,281,167 photos take to open, without
//! having them: `loader-bench DIR --crop 224` reports it as `open_ms` and `first_batch_ms`.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use alexnet_shard::{
    Class, Digest, FORMAT, HEADER_BYTES, Header, Moments, Recipe, Split, class_table_digest, record_crc,
    write_manifest,
};

const SIDE: u32 = 256;
const SHARD_RECORDS: u64 = 4096;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(dir), Some(count)) = (args.next(), args.next()) else {
        return Err("usage: sparse DIR COUNT".into());
    };
    let (dir, count): (&Path, u64) = (dir.as_ref(), count.parse()?);
    std::fs::create_dir_all(dir)?;
    let class = |i| Class { wnid: format!("n{i:08}"), words: String::new() };
    let classes: Vec<Class> = (0..1000).map(class).collect();
    let recipe = Recipe {
        format: FORMAT,
        size: [SIDE; 2],
        filter: "none".into(),
        geometry: "none".into(),
        label_order: "wnid".into(),
        decoder: "none".into(),
        resizer: "none".into(),
        classes: class_table_digest(&classes),
        source: Digest([0; 32]),
        shuffle_seed: None,
        shard_records: SHARD_RECORDS,
        options: Default::default(),
    };
    for number in 0..count.div_ceil(SHARD_RECORDS) {
        write(dir, number as u32, count, &recipe, &classes)?;
    }
    println!("{}", write_manifest(dir)?);
    Ok(())
}

/// One shard: header and index by the format's own rules, and nothing where the records would be.
fn write(
    dir: &Path,
    number: u32,
    count: u64,
    recipe: &Recipe,
    classes: &[Class],
) -> Result<(), Box<dyn std::error::Error>> {
    let first = u64::from(number) * SHARD_RECORDS;
    let records = SHARD_RECORDS.min(count - first);
    let black = vec![0; (SIDE * SIDE * 3) as usize];
    let mut header = Header {
        width: SIDE,
        height: SIDE,
        record_count: records,
        index_bytes: 0,
        split: Split::Train,
        class_count: classes.len() as u32,
        number,
        shard_count: count.div_ceil(SHARD_RECORDS) as u32,
        first_entry: first,
        planned_entries: records,
        split_entries: count,
        recipe: recipe.digest(),
        classes: class_table_digest(classes),
        index: Digest([0; 32]),
        index_crc: 0,
    };
    let entries = first..first + records;
    let name = |i| format!("n00000000_{i}.JPEG");
    let (mut names, mut text, mut end) = (0u64.to_le_bytes().to_vec(), String::new(), 0u64);
    for i in entries.clone() {
        text += &name(i);
        end = text.len() as u64;
        names.extend(end.to_le_bytes());
    }
    assert_eq!(end, text.len() as u64);
    names.extend(text.as_bytes());
    let one = Moments::of(&black);
    let moments = [records * one.pixels, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let crc = record_crc(&black);
    // In the order of the file; `crates/shard/README.md` describes each.
    let sections: [Vec<u8>; 9] = [
        entries.clone().flat_map(|i| ((i % 1000) as u32).to_le_bytes()).collect(),
        entries.clone().flat_map(|_| crc.to_le_bytes()).collect(),
        entries.flat_map(u64::to_le_bytes).collect(),
        names,
        moments.into_iter().flat_map(u64::to_le_bytes).collect(),
        b"[]".to_vec(),
        serde_json::to_vec(classes)?,
        recipe.to_json(),
        vec![0; black.len() * 4],
    ];
    let (table, offset) = (8 + 9 * 24, header.index_offset());
    let (mut index, mut body) = (9u64.to_le_bytes().to_vec(), Vec::new());
    for (place, bytes) in sections.iter().enumerate() {
        body.resize(body.len().next_multiple_of(8), 0);
        index.extend((place as u32 + 1).to_le_bytes());
        index.extend(crc32c::crc32c(bytes).to_le_bytes());
        index.extend((offset + (table + body.len()) as u64).to_le_bytes());
        index.extend((bytes.len() as u64).to_le_bytes());
        body.extend(bytes);
    }
    index.extend(body);
    header.index_bytes = index.len() as u64;
    header.index_crc = crc32c::crc32c(&index);
    header.index = Digest::of(&index);
    let mut file = File::create(dir.join(Split::Train.file_name(number)))?;
    file.set_len(offset)?;
    file.write_all(&header.encode()[..HEADER_BYTES])?;
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(&index)?;
    Ok(())
}
