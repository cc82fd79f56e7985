//! First values of a run's parameters: drawn from the seed, or taken from a checkpoint as far as its layers fit.

use std::path::Path;

use alexnet_net::{Adoption, Checkpoint, Parameters};
use alexnet_shard::Digest;
use alexnet_train::Job;
use anyhow::Context;

use crate::messages::Refusal;

/// Names the file's content, for the description of a run.
pub fn digest(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("--init-from {}", path.display()))?;
    Ok(Digest::of(&bytes).to_string())
}

/// The parameters a run starts from, and what to say about them.
pub fn parameters(job: &Job, from: Option<&Path>) -> anyhow::Result<(Parameters, Option<String>)> {
    let mut parameters = Parameters::initial(&job.net, job.seed)?;
    let Some(path) = from else { return Ok((parameters, None)) };
    let checkpoint = Checkpoint::read(path)?;
    let adoptions = parameters.adopt(&job.net, &checkpoint)?;
    if adoptions.iter().all(|a| a.kept.is_some()) {
        let cause = format!("--init-from {}: no layer fits: {}", path.display(), sentence(&adoptions));
        return Err(Refusal::new(cause, "layers are matched by name and shape").into());
    }
    let said = format!("parameters from {}: {}", path.display(), sentence(&adoptions));
    Ok((parameters, Some(said)))
}

fn sentence(adoptions: &[Adoption]) -> String {
    let (mut taken, mut kept) = (Vec::new(), Vec::new());
    for Adoption { layer, kept: why } in adoptions {
        match why {
            None => taken.push(layer.clone()),
            Some(why) => kept.push(format!("{layer} ({why})")),
        }
    }
    let list = |layers: Vec<String>| if layers.is_empty() { "none".into() } else { layers.join(", ") };
    format!("taken {}; drawn anew {}", list(taken), list(kept))
}
