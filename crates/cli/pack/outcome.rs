//! What a run says at its end, in words or as one JSON object.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use alexnet_pack::{Packed, Plan, Summary, differences};
use anyhow::Context;
use serde::Serialize;

use super::Pack;
use crate::messages::{Exit, say};
use crate::progress::size;

/// Members of a source that are no photos.
#[derive(Serialize)]
pub(super) struct Ignored {
    members: u64,
    first: String,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} members that are no photos, the first is {}", self.members, self.first)
    }
}

/// By split, what the sources hold besides photos.
pub(super) fn ignored(plan: &Plan) -> BTreeMap<&'static str, Ignored> {
    let of = |split: &alexnet_pack::SplitPlan| {
        let (members, first) = split.source().ignored();
        Some((split.split().as_str(), Ignored { members, first: first?.to_owned() }))
    };
    plan.splits().iter().filter_map(of).collect()
}

/// Says on standard error where a data set is not whole.
pub(super) fn remark(plan: &Plan) {
    for d in differences(plan) {
        let (split, year) = (d.split.as_str(), d.year);
        let what =
            if d.photos < d.published { "a subset, or some are missing" } else { "some are not of it" };
        eprintln!("note: {split} has {} photos, ILSVRC{year}'s has {}: {what}", d.photos, d.published);
    }
}

/// The JSON object of a run that packed a part.
#[derive(Serialize)]
struct PartOutcome {
    part: String,
    complete: bool,
    shards: u64,
    shards_before: u64,
    photos: u64,
    ignored: BTreeMap<&'static str, Ignored>,
}

/// Says how a run ended.
pub(super) fn outcome(args: &Pack, plan: &Plan, packed: Packed) -> anyhow::Result<Exit> {
    let out = args.out.as_ref().context("--out is required")?;
    let summary = match packed {
        Packed::Set(summary) => summary,
        Packed::Part { shards, shards_before, photos } if args.json => {
            let (part, ignored) = (args.part.to_string(), ignored(plan));
            let part = PartOutcome { part, complete: false, shards, shards_before, photos, ignored };
            say(serde_json::to_string_pretty(&part)?)?;
            return Ok(Exit::Done);
        }
        Packed::Part { shards, photos, .. } => {
            let (part, out) = (args.part, out.display());
            say(format_args!(
                "part {part} is done: {shards} shards in {out} ({photos} photos in this run); merge the parts when all are"
            ))?;
            others(plan)?;
            return Ok(Exit::Done);
        }
    };
    if args.json {
        // The manifest, and what is in no file of the set: it is no function of the photos.
        let mut object = serde_json::to_value(&summary.manifest)?;
        object["ignored"] = serde_json::to_value(ignored(plan))?;
        say(serde_json::to_string_pretty(&object)?)?;
    } else if summary.was_complete {
        say(format_args!("{} holds this set, complete; nothing to do", out.display()))?;
    } else {
        report(plan, &summary, out)?;
    }
    Ok(if summary.complaints().2 > 0 { Exit::Complaints } else { Exit::Done })
}

fn report(plan: &Plan, summary: &Summary, out: &Path) -> anyhow::Result<()> {
    for (split, s) in &summary.manifest.splits {
        say(format_args!(
            "{:<6} {} records of {} photos, {} in {} shards",
            split.as_str(),
            s.images,
            s.planned,
            size(s.bytes),
            s.shards.len()
        ))?;
    }
    others(plan)?;
    let (repaired, converted, refused) = summary.complaints();
    if repaired + converted + refused > 0 {
        let report = out.join(alexnet_shard::REPORT_NAME);
        say(format_args!(
            "{repaired} photos repaired, {converted} converted, {refused} refused; each is named in {}",
            report.display()
        ))?;
    }
    say(format_args!("identity {}", summary.identity))
}

fn others(plan: &Plan) -> anyhow::Result<()> {
    ignored(plan).iter().try_for_each(|(split, ignored)| say(format_args!("{split:<6} besides {ignored}")))
}
