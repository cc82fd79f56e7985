//! Replicas: copies of the network that train together, several in this process, in several processes, or both.
//!
//! Processes meet at rank 0 and watch each other (`alexnet_train::meet`); the replicas of a process are its threads. Rank 0's
//! first replica alone writes and reports. One that fails ends all: the others hear of it while they wait for it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alexnet_cuda::{Among, Gate, Health, UniqueId, nccl};
use alexnet_net::{BUCKET_BYTES, LostReplica, Replica};
use alexnet_train::{Ending, Folder, Launcher, Lifeline, World, meet};

use crate::device::Choice;
use crate::initial;
use crate::messages::{Refusal, causes};
use crate::train::{Args, Prepared, Training, remember};
use crate::watch::Watch;

/// Who trains together.
#[derive(clap::Args, Clone, Debug)]
pub struct Together {
    /// Copies of the network in this process, which share each batch and the devices (--device cuda:0,1,2,3 --replicas 2: two
    /// of two devices); processes started by torchrun, mpirun or srun are replicas too
    #[arg(long, default_value_t = 1)]
    pub replicas: usize,
    /// Who started this process as one of several: none, torchrun, openmpi, pmi or slurm [default: who has set his variables]
    #[arg(long)]
    pub launcher: Option<Launcher>,
    /// Seconds to wait for the other processes at the start
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub wait: u64,
    /// Bytes of gradients, at least, that are summed over the replicas together
    #[arg(long, value_name = "BYTES", default_value_t = BUCKET_BYTES)]
    pub bucket_bytes: usize,
}

impl Together {
    /// The processes of the run.
    pub fn world(&self) -> anyhow::Result<World> {
        if self.replicas == 0 {
            return Err(Refusal::new("--replicas 0", "a run needs at least one").into());
        }
        Ok(World::from_environment(self.launcher)?)
    }
}

/// The replicas of this process, and what they know of all others.
struct Party {
    lifeline: Option<Lifeline>,
    /// The first of this process that failed, and why.
    failure: Mutex<Option<(usize, String)>>,
}

impl Party {
    fn failed(&self) -> Option<(usize, String)> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why nobody can go on, if so.
    fn health(&self) -> Option<String> {
        self.failed().map(|(_, reason)| reason).or_else(|| self.lifeline.as_ref().and_then(Lifeline::failure))
    }

    /// A replica of this process has failed; unless another had before, all hear of it.
    fn fail(&self, replica: usize, reason: &str) {
        if self.health().is_none() {
            if let Some(lifeline) = &self.lifeline {
                lifeline.fail(reason);
            }
            let reason = format!("replica {replica} ended: {reason}");
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((replica, reason));
        }
    }
}

/// Fails the party if its replica panics.
struct Guard<'a>(&'a Party, usize);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(self.1, "it has panicked");
        }
    }
}

/// Trains with this process' replicas among all; how the run ended.
pub fn run(
    args: &Args,
    prepared: &Prepared,
    world: &World,
    data: &Path,
    out: &Path,
) -> anyhow::Result<Ending> {
    let (job, here) = (&prepared.job, args.together.replicas);
    let choices = args.place.choose_each(job.net.columns, world, here)?;
    let choices =
        choices.into_iter().map(|choice| choice.with_graphs(args.graph)).collect::<Result<Vec<_>, _>>()?;
    let version = version()?;
    let devices = choices[0].devices();
    let word = if world.rank > 0 { Vec::new() } else { ids(devices)? };
    let (word, lifeline) =
        meet(world, &common(args, prepared, &choices)?, word, Duration::from_secs(args.together.wait))?;
    let ids: Vec<UniqueId> =
        word.chunks_exact(UniqueId::BYTES).filter_map(|id| id.try_into().ok().map(UniqueId)).collect();
    let party = Arc::new(Party { lifeline, failure: Mutex::new(None) });
    let (count, gate) = (world.count * here, Arc::new(Gate::new(here)));
    let first = world.rank == 0;
    let prepare = || -> anyhow::Result<_> {
        let why = format!(
            "{count} replicas, NCCL {version}; here {}",
            choices.iter().map(|c| &*c.why).collect::<Vec<_>>().join("; ")
        );
        let (parameters, origin) = initial::parameters(job, args.init_from.as_deref())?;
        if !first {
            return Ok((Folder::follow(out), parameters, None));
        }
        let folder = Folder::take(out, &prepared.description)?;
        remember(&folder, job, data, &why)?;
        let watch = Watch::new(job, args.quiet);
        watch.say(&format!("{why}; run folder {}", out.display()));
        if let Some(origin) = origin {
            watch.say(&origin);
        }
        Ok((folder, parameters, Some(watch)))
    };
    let (folder, parameters, mut watch) = prepare().inspect_err(|error| party.fail(0, &causes(error)))?;
    let mut results = std::thread::scope(|scope| {
        let (mut threads, mut reporter) = (Vec::new(), watch.as_mut());
        for (number, choice) in choices.iter().enumerate() {
            let watch = reporter.take();
            let training = Training { job, parameters: &parameters, folder: &folder, watch, replicas: count };
            let health: Health = {
                let party = party.clone();
                Arc::new(move || party.health())
            };
            let replica = Replica { rank: world.rank * here + number, count };
            let others = Among {
                replica,
                ids: ids.clone(),
                health,
                gate: gate.clone(),
                bucket_bytes: args.together.bucket_bytes,
            };
            let party = &*party;
            threads.push(scope.spawn(move || {
                let _guard = Guard(party, number);
                let ended = choice.run_among(&others, training);
                ended.inspect_err(|error| party.fail(number, &causes(error)))
            }));
        }
        threads
            .into_iter()
            .map(|thread| {
                thread.join().unwrap_or_else(|_| Err(LostReplica("a replica has panicked".into()).into()))
            })
            .collect::<Vec<_>>()
    });
    // Who failed first knows why; the others were only told.
    let telling = party.failed().map_or(0, |(number, _)| number);
    results.swap(0, telling);
    results
        .into_iter()
        .reduce(|first, other| first.and_then(|ending| other.map(|_| ending)))
        .unwrap_or(Ok(Ending::WasFinished))
}

/// NCCL's version, if it is there.
pub fn version() -> anyhow::Result<String> {
    Ok(nccl().map_err(|e| Refusal::new(e.to_string(), e.hint()))?)
}

/// New ids for the communicators, one for each device of a replica.
fn ids(devices: usize) -> anyhow::Result<Vec<u8>> {
    let mut word = Vec::new();
    for _ in 0..devices {
        word.extend(UniqueId::new().map_err(alexnet_net::Error::from)?.0);
    }
    Ok(word)
}

/// What has to be the same in all processes, or they would wait for each other in different places.
fn common(args: &Args, prepared: &Prepared, choices: &[Choice]) -> anyhow::Result<serde_json::Value> {
    let mut run = serde_json::to_value(&prepared.description)?;
    run["replicas of a process"] = args.together.replicas.into();
    run["devices of a replica"] = choices[0].devices().into();
    run["precision"] = choices[0].precision().into();
    run["log-every"] = args.log_every.into();
    run["checkpoint-every"] = args.checkpoint_every.into();
    run["bucket-bytes"] = args.together.bucket_bytes.into();
    Ok(run)
}
