//! The training loop: batches in, updates, validation after each epoch, checkpoints.
//!
//! The loop is a pure function of the job and the state it starts from; times go to the log and the watcher only.
//! A checkpoint is written at the end of each epoch, every [`Job::checkpoint_every`] updates, and when asked to stop.
//!
//! Replicas run the same loop, each on its share of every global batch. What they decide by is summed over all of them
//! (scores, validation, whether somebody was asked to stop), so all decide alike; only the first writes and reports.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use alexnet_load::{Config, Drawer, Loader, Plan, Records, Stages, Subset, View};
use alexnet_net::{Backend, BatchScore, DropoutKey, Net, Network, Rate, Replica, SCORES, UpdateRule};

use crate::agreement::{agree, all_scores, rank};
use crate::error::Error;
use crate::evaluation::{Evaluation, Photos, evaluate};
use crate::feed::Feed;
use crate::folder::Folder;
use crate::input::Colour;
use crate::log::{Log, Record};
use crate::recipe::{Recipe, ViewKind};
use crate::saved::Saved;
use crate::schedule::{Rates, Schedule};
use crate::state::{Length, State};

/// Everything a run needs besides the network on its devices and its folder.
pub struct Job {
    /// The network.
    pub net: Net,
    /// The recipe, with the batch size that is used.
    pub recipe: Recipe,
    /// Seed of weights, order, draws and dropout.
    pub seed: u64,
    /// When the run ends.
    pub length: Length,
    /// Training photos.
    pub records: Arc<dyn Records>,
    /// Which of them.
    pub subset: Subset,
    /// Photos to validate on; none to skip validation.
    pub validation: Option<Photos>,
    /// Mean and lighting.
    pub colour: Colour,
    /// The class table.
    pub classes: Vec<alexnet_net::ClassName>,
    /// Loader threads.
    pub loader_threads: usize,
    /// Updates between two checkpoints within an epoch.
    pub checkpoint_every: u64,
    /// Updates between two log records.
    pub log_every: u64,
}

/// Is told how a run goes.
pub trait Watcher {
    /// A log record was written; `stages` are the loader's times in this epoch.
    fn record(&mut self, record: &Record, stages: Option<&Stages>);
    /// `step` updates are done.
    fn step(&mut self, step: u64);
    /// `done` of `photos` validation photos are behind.
    fn validating(&mut self, _done: u64, _photos: u64) {}
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    /// It reached its length.
    Finished(Option<Evaluation>),
    /// It was complete before.
    WasFinished,
    /// It was asked to stop; the same command goes on from here.
    Stopped,
}

impl Job {
    fn plan(&self, replica: Replica) -> Plan {
        Plan {
            seed: self.seed,
            subset: self.subset,
            order: self.recipe.input.order,
            batch: self.recipe.batch,
            rank: rank(replica),
        }
    }

    /// Updates in one epoch.
    pub fn batches(&self) -> u64 {
        self.plan(Replica::ALONE).batches()
    }

    /// The most samples of a batch that one of `replicas` trains on.
    pub fn largest_share(&self, replicas: usize) -> usize {
        self.plan(Replica { rank: 0, count: replicas }).largest_share()
    }

    fn view(&self) -> View {
        match self.recipe.input.view {
            ViewKind::Random => View::Random,
            ViewKind::Centre => View::Centre,
        }
    }

    fn crop(&self) -> [usize; 2] {
        let [_, height, width] = self.net.input;
        [width, height]
    }

    /// The batches of the epoch in which `state` stands, from its batch on; `noise` says whether lighting is on.
    ///
    /// # Errors
    /// The records are smaller than the network's input, or the loader cannot start.
    pub fn loader(&self, state: &State, noise: bool) -> Result<Loader, Error> {
        Ok(Loader::new(self.records.clone(), self.loading(state, noise, Replica::ALONE)?)?)
    }

    fn feed<B: Backend>(&self, network: &mut Network<B>, state: &State, noise: bool) -> Result<Feed, Error> {
        let config = self.loading(state, noise, network.replica())?;
        Feed::new(network, self.records.clone(), config)
    }

    fn loading(&self, state: &State, noise: bool, replica: Replica) -> Result<Config, Error> {
        let (record, crop) = (self.records.size(), self.crop());
        let lighting = if noise { self.colour.lighting(&self.recipe.input) } else { None };
        let augment = self.colour.augment(&self.recipe.input, record, &self.net, lighting.is_some());
        augment.check()?;
        let slack = [(record[0] - crop[0]) as u32, (record[1] - crop[1]) as u32];
        let vary = self.recipe.input.vary;
        let vary = (!vary.is_none()).then_some((record.map(|side| side as u32), vary));
        Ok(Config {
            plan: self.plan(replica),
            drawer: Drawer { seed: self.seed, slack, view: self.view(), lighting, vary },
            augment,
            start: (state.epoch, state.batch),
            end: state.epoch + 1,
            threads: self.loader_threads,
            slots: 3,
            labelled: true,
        })
    }

    /// The update rule at `rates` for a global batch.
    pub fn rule<B: Backend>(&self, network: &Network<B>, rates: &Rates, global_batch: u64) -> UpdateRule {
        let decay = f64::from(self.recipe.weight_decay);
        let rate = |name: &str| {
            let (layer, kind) = name.split_once('.').unwrap_or((name, ""));
            let own = rates.of(layer);
            Rate { rate: if kind == "bias" { own.biases } else { own.weights }, decay }
        };
        UpdateRule {
            momentum: f64::from(self.recipe.momentum),
            global_batch: global_batch as usize,
            rates: network.parameter_table().iter().map(|p| rate(&p.name)).collect(),
        }
    }

    /// Whether its rates wait for validation to stall, and there is none.
    pub fn waits_in_vain(&self) -> bool {
        self.validation.is_none() && matches!(self.recipe.schedule, Schedule::Plateau { .. })
    }

    /// Evaluates the validation photos, if there are any.
    fn validate<B: Backend>(
        &self,
        network: &mut Network<B>,
        step: u64,
        done: &mut dyn FnMut(u64, u64),
    ) -> Result<Option<Evaluation>, Error> {
        let Some(photos) = &self.validation else { return Ok(None) };
        let augment = self.colour.augment(&self.recipe.input, photos.records.size(), &self.net, false);
        let all = photos.subset.len();
        let evaluation =
            evaluate(network, photos, &augment, self.loader_threads, &mut |behind| done(behind, all))?;
        if !evaluation.loss.is_finite() {
            let place = network.first_not_finite()?.unwrap_or_else(|| "the validation loss".to_owned());
            return Err(Error::Diverged { step, loss: evaluation.loss, place });
        }
        Ok(Some(evaluation))
    }
}

/// Trains until the job's length is reached or `stop` is raised.
///
/// # Errors
/// Whatever the loader, the devices or the folder cannot do; [`Error::Diverged`] when the loss is no number.
pub fn train<B: Backend>(
    job: &Job,
    network: &mut Network<B>,
    folder: &Folder,
    watcher: &mut dyn Watcher,
    stop: &AtomicBool,
) -> Result<Ending, Error> {
    job.recipe.fits(&job.net)?;
    network.set_label_smoothing(job.recipe.label_smoothing);
    let first = network.replica().rank == 0;
    let mut state = Saved::restore(job, network, folder)?;
    agree(network, &state)?;
    if state.is_over(job.length) {
        return Ok(Ending::WasFinished);
    }
    let mut log = if first { Some(Log::open(&folder.file("log.jsonl"), state.step)?) } else { None };
    let mut last = None;
    while !state.is_over(job.length) {
        let stages = epoch(job, network, folder, &mut state, &mut log, watcher, stop)?;
        let Some(stages) = stages else { return Ok(Ending::Stopped) };
        let mut show = |done, photos| {
            if first {
                watcher.validating(done, photos)
            }
        };
        last = job.validate(network, state.step, &mut show)?;
        if let Some(evaluation) = &last {
            let record = Record::Validation {
                step: state.step,
                epoch: state.epochs(job.batches()),
                loss: evaluation.loss,
                top1_error: evaluation.top1_error,
                top5_error: evaluation.top5_error,
                images: evaluation.images,
                time: now(),
            };
            if let Some(log) = &mut log {
                log.add(&record)?;
                watcher.record(&record, Some(&stages));
            }
            job.recipe.schedule.validated(evaluation.top1_error, &mut state.stall);
            if state.best.is_none_or(|best| evaluation.top1_error < best) {
                state.best = Some(evaluation.top1_error);
                if first {
                    Saved::write(job, network, &state, &folder.best())?;
                }
            }
        }
        agree(network, &state)?;
        if first {
            Saved::write(job, network, &state, &folder.last())?;
        }
    }
    Ok(Ending::Finished(last))
}

/// Seconds since 1970, for the log.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// Updates that a device which queues its work may be ahead of the scores that are read.
const UNREAD: u64 = 10;
const _: () = assert!(UNREAD <= SCORES as u64, "the network keeps that many scores");

/// Waits for the scores of the updates up to `step` that were not read yet, of all replicas; and whether one of them was
/// asked to stop. A loss that is no number is found at its update, its place in the network as it is now: later, if the
/// devices were ahead.
fn read_scores<B: Backend>(
    network: &mut Network<B>,
    step: u64,
    asked: bool,
) -> Result<(BatchScore, bool), Error> {
    let mut sum = BatchScore::default();
    let (scores, stopped) = all_scores(network, asked)?;
    let first = step + 1 - scores.len() as u64;
    for (step, score) in (first..).zip(scores) {
        if !score.loss_sum.is_finite() {
            let place = network.first_not_finite()?.unwrap_or_else(|| "the loss".to_owned());
            return Err(Error::Diverged { step, loss: score.loss_sum, place });
        }
        sum += score;
    }
    Ok((sum, stopped))
}

/// Trains to the end of the epoch or of the run. None if it was asked to stop.
fn epoch<B: Backend>(
    job: &Job,
    network: &mut Network<B>,
    folder: &Folder,
    state: &mut State,
    log: &mut Option<Log>,
    watcher: &mut dyn Watcher,
    stop: &AtomicBool,
) -> Result<Option<Stages>, Error> {
    let batches = job.batches();
    let Replica { rank, count } = network.replica();
    let (first, alone) = (rank == 0, count == 1);
    let length = job.length.epochs(batches);
    let rates = |state: &State| job.recipe.rates(state.epochs(batches), length, &state.stall);
    let mut feed = job.feed(network, state, rates(state).noise)?;
    let (mut score, mut since) = (BatchScore::default(), Instant::now());
    let mut next = feed.next(network)?;
    while let Some(batch) = next {
        let rates = rates(state);
        let key = DropoutKey { seed: job.seed, epoch: batch.epoch, first_position: batch.first_position };
        let rule = job.rule(network, &rates, batch.global_len);
        network.freeze_by(&rule)?;
        batch.train(network, Some(key), &rule)?;
        state.step += 1;
        state.batch += 1;
        let ended = state.batch == batches || state.is_over(job.length);
        // Before scores are waited for, so that the next batch travels while the devices work on this one.
        next = if ended { None } else { feed.next(network)? };
        if first {
            watcher.step(state.step);
        }
        // Replicas stop together, where they learn of each other: at the next scores.
        let mut stopped = stop.load(Ordering::Relaxed);
        let logs = state.step.is_multiple_of(job.log_every) || ended;
        let due = state.step.is_multiple_of(job.checkpoint_every);
        let reads = logs || due || !network.queues() || state.step.is_multiple_of(UNREAD);
        if reads || stopped && alone {
            let (read, all) = read_scores(network, state.step, stopped)?;
            score += read;
            stopped = all;
        } else {
            stopped = false;
        }
        let saves = due || stopped;
        if logs {
            let record = Record::Train {
                step: state.step,
                epoch: state.epochs(batches),
                loss: score.loss_sum / score.n as f64,
                top1_error: 1.0 - score.top1 as f64 / score.n as f64,
                rate: rates.all.weights,
                images_per_second: score.n as f64 / since.elapsed().as_secs_f64(),
                time: now(),
            };
            if let Some(log) = log {
                log.add(&record)?;
                watcher.record(&record, None);
            }
            (score, since) = (BatchScore::default(), Instant::now());
        }
        if ended {
            break;
        }
        if saves && first {
            Saved::write(job, network, state, &folder.last())?;
        }
        if stopped {
            return Ok(None);
        }
    }
    let stages = feed.stages();
    if state.batch == batches {
        state.epoch += 1;
        state.batch = 0;
    }
    Ok(Some(stages))
}
