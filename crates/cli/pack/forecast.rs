//! `imagenet-pack … --dry-run`: what would be done, and whether there is room for it.

use std::collections::BTreeMap;

use alexnet_pack::{Estimate, Plan};
use anyhow::Context;
use serde::Serialize;

use super::Pack;
use super::outcome::{Ignored, ignored};
use crate::input::cores;
use crate::messages::{Refusal, say};
use crate::progress::size;

/// The photo that the memory is told for.
const PIXELS: u64 = 4_000_000;

/// The JSON object of a dry run.
#[derive(Serialize)]
struct Forecast {
    dry_run: bool,
    classes: u64,
    splits: BTreeMap<&'static str, InSplit>,
    to_write_bytes: u64,
    free_bytes: Option<u64>,
    memory_bytes: u64,
}

#[derive(Serialize)]
struct InSplit {
    photos: u64,
    encoded_bytes: u64,
    shards: u64,
    shard_bytes: u64,
    unlabelled: u64,
    left_out: u64,
    ignored: Option<Ignored>,
}

/// Prints what packing would take; refuses if the room is too small.
pub(super) fn forecast(args: &Pack, plan: &Plan) -> anyhow::Result<()> {
    let out = args.out.as_ref().context("--out is required")?;
    let estimate = Estimate::of_part(plan, out, args.part)?;
    let threads = args.threads.unwrap_or_else(cores).max(1);
    let mut others = ignored(plan);
    let split = |s: &alexnet_pack::SplitEstimate| InSplit {
        photos: s.photos,
        encoded_bytes: s.encoded_bytes,
        shards: s.shards,
        shard_bytes: s.shard_bytes,
        unlabelled: s.unlabelled,
        left_out: s.left_out,
        ignored: others.remove(s.split.as_str()),
    };
    let forecast = Forecast {
        dry_run: true,
        classes: estimate.classes,
        splits: estimate
            .splits
            .iter()
            .map(|s| s.split.as_str())
            .zip(estimate.splits.iter().map(split))
            .collect(),
        to_write_bytes: estimate.needed_bytes,
        free_bytes: estimate.free_bytes,
        memory_bytes: Estimate::memory_bytes(plan, threads, PIXELS),
    };
    match args.json {
        true => say(serde_json::to_string_pretty(&forecast)?)?,
        false => print(&forecast)?,
    }
    match forecast.free_bytes {
        Some(free) if free < forecast.to_write_bytes => {
            let needed = size(forecast.to_write_bytes);
            let cause = format!("{} is too small: {needed} needed, {} free", out.display(), size(free));
            Err(Refusal::new(cause, "free some space, or choose another --out").into())
        }
        _ => Ok(()),
    }
}

fn print(forecast: &Forecast) -> anyhow::Result<()> {
    say(format_args!("classes   {}", forecast.classes))?;
    for (split, s) in &forecast.splits {
        let (encoded, shards) = (size(s.encoded_bytes), size(s.shard_bytes));
        say(format_args!("{split:<9} {} photos ({encoded}) into {} shards ({shards})", s.photos, s.shards))?;
        for (count, what) in [
            (s.unlabelled, "without a label, will be refused"),
            (s.left_out, "of classes that were not chosen"),
        ] {
            if count > 0 {
                say(format_args!("          {count} {what}"))?;
            }
        }
        if let Some(ignored) = &s.ignored {
            say(format_args!("          {ignored}"))?;
        }
    }
    say(format_args!("to write  {}", size(forecast.to_write_bytes)))?;
    say(format_args!("free      {}", forecast.free_bytes.map_or("unknown".into(), size)))?;
    say(format_args!("memory    about {} for photos of up to 4 megapixels", size(forecast.memory_bytes)))
}
