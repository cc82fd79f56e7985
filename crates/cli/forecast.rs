//! `train --dry-run`: what a run would do and need.

use alexnet_train::Job;

use crate::messages::say;
use crate::progress::size;
use crate::replicas::version;
use crate::train::Args;

/// Says what a run would do and need.
pub(crate) fn forecast(args: &Args, job: &Job) -> anyhow::Result<()> {
    let summary = job.net.summary()?;
    let batches = job.batches();
    let parameters = summary.parameters as u64 * 4;
    let [channels, height, width] = job.net.input;
    say(format_args!(
        "network      {}, {} columns, {} classes, of {channels}×{height}×{width}",
        job.net.preset, job.net.columns, job.net.classes
    ))?;
    say(format_args!("training     {} photos, {} updates an epoch", job.subset.len(), batches))?;
    let validation = job.validation.as_ref().map_or(0, |v| v.subset.len());
    say(format_args!("validation   {validation} photos"))?;
    say(format_args!("length       {}, {} updates", job.length, job.length.steps(batches)))?;
    say(format_args!("parameters   {} ({})", summary.parameters, size(parameters)))?;
    let world = args.together.world()?;
    let count = world.count * args.together.replicas;
    let why = if count == 1 {
        args.place.choose(job.net.columns)?.with_graphs(args.graph)?.why
    } else {
        let choices = args.place.choose_each(job.net.columns, &world, args.together.replicas)?;
        version()?;
        let each = choices.iter().map(|choice| choice.why.as_str()).collect::<Vec<_>>().join("; ");
        format!("{count} replicas of up to {} samples; here {each}", job.largest_share(count))
    };
    say(format_args!("device       {why}"))?;
    let ring = 3 * (job.largest_share(count) * channels * height * width * 4) as u64;
    say(format_args!(
        "memory       weights, velocities, gradients {}; ring of batches {}",
        size(3 * parameters),
        size(ring)
    ))?;
    say(format_args!("checkpoints  2 of {}", size(2 * parameters)))
}
