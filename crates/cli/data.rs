//! What a run takes from a set: photos to train on, photos to validate on, colours.

use std::sync::Arc;

use alexnet_load::{Records, SplitOf, Subset};
use alexnet_pack::pca::Statistics;
use alexnet_shard::{ShardSet, Split};
use alexnet_train::{LightingKind, Photos, Recipe};
use anyhow::Context;

use crate::messages::Refusal;
use crate::train::Args;

type Axes = ([[f64; 3]; 3], [f64; 3]);

/// Mean image of the set, and the axes of lighting by the name the user gave.
pub fn colour(args: &Args, records: &SplitOf, recipe: &Recipe) -> anyhow::Result<(Vec<f32>, String, Axes)> {
    let split = records.split();
    let photos = split.len() as f64;
    let mean_image = split.pixel_sums()?.iter().map(|sum| (*sum as f64 / photos) as f32).collect();
    if recipe.input.lighting == LightingKind::None {
        return Ok((mean_image, "no lighting".into(), ([[0.0; 3]; 3], [0.0; 3])));
    }
    let (name, axes) = match args.pca.as_str() {
        "set" => {
            let s = Statistics::from_moments(&split.moments()).context("the set has no training photos")?;
            ("set".to_owned(), (s.eigenvectors, s.eigenvalues))
        }
        "krizhevsky" => {
            let k = &alexnet_datasets::statistics::KRIZHEVSKY;
            ("krizhevsky".to_owned(), (k.eigenvectors, k.deviations.map(|s| s * s)))
        }
        file => {
            let text = std::fs::read_to_string(file).with_context(|| format!("--pca {file}"))?;
            let statistics: Statistics = serde_json::from_str(&text).map_err(|e| {
                Refusal::new(
                    format!("--pca {file}: {e}"),
                    "give set, krizhevsky, or what `imagenet-pca --json` printed",
                )
            })?;
            let axes = (statistics.eigenvectors, statistics.eigenvalues);
            (format!("{axes:?}"), axes)
        }
    };
    Ok((mean_image, name, axes))
}

/// Training photos, validation photos, and what the latter are in words.
pub fn validation(
    args: &Args,
    set: &Arc<ShardSet>,
    train: &Arc<SplitOf>,
) -> anyhow::Result<(Subset, Option<Photos>, String)> {
    let len = train.len();
    if let Some(val) = set.split(Split::Val) {
        let records = Arc::new(SplitOf::new(set.clone(), Split::Val)?);
        let photos = Photos { records: args.check.of(records), subset: Subset::all(val.len()) };
        return Ok((Subset::all(len), Some(photos), "val split".into()));
    }
    if !(0.0..1.0).contains(&args.hold_out) {
        let cause = format!("--hold-out {}", args.hold_out);
        return Err(Refusal::new(cause, "give a share of the training photos, 0 ..= 0.99").into());
    }
    let held_out = (len as f64 * args.hold_out).round() as u64;
    if held_out == 0 {
        return Ok((Subset::all(len), None, "none".into()));
    }
    if held_out >= len {
        let cause = format!("--hold-out {} leaves none of {len} photos to train on", args.hold_out);
        return Err(Refusal::new(cause, "give a smaller share").into());
    }
    let (subset, held) = Subset::hold_out(len, held_out, args.seed);
    let photos = Photos { records: args.check.of(train.clone()), subset: held };
    Ok((subset, Some(photos), format!("{held_out} of the training photos")))
}
