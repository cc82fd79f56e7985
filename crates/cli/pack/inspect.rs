//! `imagenet-pack inspect`: what is in a set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use alexnet_pack::Sheet;
use alexnet_shard::{Access, ReportEntry, ShardSet, Split, SplitSet};
use clap::Parser;
use serde::Serialize;

use crate::messages::{Exit, Refusal, say};
use crate::progress::size;

/// What is in a packed set: counts, classes, recipe; all records as CSV; a sheet of pictures.
#[derive(Parser)]
pub struct Args {
    /// Folder of the set
    shards: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Print every record as CSV: split,index,name,wnid,label
    #[arg(long, conflicts_with = "json")]
    list: bool,
    /// Draw records, evenly spread over a split, on one PNG
    #[arg(long, value_name = "FILE")]
    contact_sheet: Option<PathBuf>,
    /// Split of the contact sheet
    #[arg(long, default_value = "train")]
    split: Split,
}

#[derive(Serialize)]
struct Report<'a> {
    identity: String,
    classes: usize,
    splits: BTreeMap<&'static str, InSplit>,
    recipe: &'a alexnet_shard::Recipe,
}

#[derive(Serialize)]
struct InSplit {
    images: u64,
    classes: usize,
    bytes: u64,
    size: [usize; 2],
    shards: usize,
    repaired: Vec<ReportEntry>,
    converted: Vec<ReportEntry>,
    refused: Vec<ReportEntry>,
}

pub fn run(args: Args) -> anyhow::Result<Exit> {
    let set = ShardSet::open(&args.shards, Access::Read)?;
    if let Some(sheet) = &args.contact_sheet {
        let Some(split) = set.split(args.split) else {
            let cause = format!("{} has no {} split", args.shards.display(), args.split.as_str());
            return Err(Refusal::new(cause, "choose another --split").into());
        };
        let drawn = alexnet_pack::contact_sheet(split, Sheet::default(), sheet)?;
        say(format_args!("{}: {} of {} records", sheet.display(), drawn.len(), split.len()))?;
        return Ok(Exit::Done);
    }
    if args.list {
        return list(&set).map(|()| Exit::Done);
    }
    let splits = set.splits().iter().map(|s| (s.split().as_str(), describe(&set, s))).collect();
    let report = Report {
        identity: set.identity().to_string(),
        classes: set.classes().len(),
        splits,
        recipe: set.recipe(),
    };
    if args.json {
        say(serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report)?;
    }
    Ok(Exit::Done)
}

fn describe(set: &ShardSet, split: &SplitSet) -> InSplit {
    let labels: BTreeSet<u32> = (0..split.len()).filter_map(|i| split.label(i)).collect();
    let (mut repaired, mut converted, mut refused) = (vec![], vec![], vec![]);
    for entry in split.report() {
        match entry.kind {
            alexnet_shard::ReportKind::Repaired => repaired.push(entry),
            alexnet_shard::ReportKind::Converted => converted.push(entry),
            alexnet_shard::ReportKind::Refused => refused.push(entry),
        }
    }
    InSplit {
        images: split.len(),
        classes: labels.len(),
        bytes: set.manifest().splits.get(&split.split()).map_or(0, |s| s.bytes),
        size: [split.width(), split.height()],
        shards: split.shards().len(),
        repaired,
        converted,
        refused,
    }
}

fn print(report: &Report) -> anyhow::Result<()> {
    for (name, s) in &report.splits {
        say(format_args!(
            "{name:<10} {} records of {}×{}, {} classes, {} in {} shards; {} repaired, {} converted, {} refused",
            s.images,
            s.size[0],
            s.size[1],
            s.classes,
            size(s.bytes),
            s.shards,
            s.repaired.len(),
            s.converted.len(),
            s.refused.len()
        ))?;
    }
    let r = report.recipe;
    say(format_args!("classes    {}, order {}", report.classes, r.label_order))?;
    say(format_args!("recipe     filter {}; {}; {}; {}", r.filter, r.geometry, r.decoder, r.resizer))?;
    say(format_args!("identity   {}", report.identity))
}

/// One line a record. Names with a comma, quote or line break are quoted as CSV asks.
fn list(set: &ShardSet) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    writeln!(out, "split,index,name,wnid,label")?;
    for split in set.splits() {
        for i in 0..split.len() {
            let label = split.label(i);
            let wnid = label.and_then(|l| set.classes().get(l as usize)).map_or("", |c| &c.wnid);
            let label = label.map_or(String::new(), |l| l.to_string());
            let name = quoted(split.name(i));
            writeln!(out, "{},{i},{name},{},{label}", split.split().as_str(), quoted(wnid))?;
        }
    }
    Ok(out.flush()?)
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
