//! `train --dry-run`: what a run would do and need.

use alexnet_train::Job;

use crate::memory::{Need, available};
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
    let share = job.largest_share(count);
    let Need { network, ring } = Need::of(job, share)?;
    let free = available().map_or(String::new(), |[free, _]| format!("; {} free here", size(free)));
    say(format_args!(
        "memory       {} for weights, velocities, gradients ({}) and activations of {share}; {} for batches loaded ahead{free}",
        size(network),
        size(3 * parameters),
        size(ring)
    ))?;
    let free = args.out.as_deref().and_then(alexnet_pack::free_bytes);
    let free = free.map_or(String::new(), |free| format!("; {} free there", size(free)));
    say(format_args!("checkpoints  2 of {}, and a third while one is written{free}", size(2 * parameters)))
}
