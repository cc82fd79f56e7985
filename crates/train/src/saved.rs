//! A run's checkpoint: the network's file with the run's state and the way pixels become inputs.

use std::path::Path;

use alexnet_load::Augment;
use alexnet_net::{Backend, Checkpoint, MeanImage, Network, Position};

use crate::error::Error;
use crate::folder::Folder;
use crate::input::Colour;
use crate::recipe::{Input, Recipe};
use crate::state::State;
use crate::training::Job;

/// A checkpoint that this crate wrote.
pub struct Saved {
    /// Network, weights, class table, mean image.
    pub checkpoint: Checkpoint,
    /// Where the run stands.
    pub state: State,
    /// How pixels become inputs.
    pub input: Input,
}

impl Saved {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// It is no sound checkpoint, or another program wrote it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let checkpoint = Checkpoint::read(path)?;
        let foreign = |what: &str, e: serde_json::Error| Error::Foreign {
            path: path.to_owned(),
            cause: format!("its {what} is not one of this trainer: {e}"),
        };
        let recipe: Recipe =
            serde_json::from_value(checkpoint.recipe.clone()).map_err(|e| foreign("recipe", e))?;
        let state = serde_json::from_value(checkpoint.extra.clone()).map_err(|e| foreign("state", e))?;
        Ok(Saved { checkpoint, state, input: recipe.input })
    }

    /// Refuses a data set with other classes than the network was trained on.
    pub fn fits<'a>(&self, wnids: impl ExactSizeIterator<Item = &'a str>) -> Result<(), Error> {
        let own = &self.checkpoint.classes;
        if own.len() != wnids.len() {
            return Err(Error::Mismatch(format!(
                "the network knows {} classes, the data has {}",
                own.len(),
                wnids.len()
            )));
        }
        for (label, (own, data)) in own.iter().zip(wnids).enumerate() {
            if own.wnid != data {
                return Err(Error::Mismatch(format!(
                    "label {label} is {} for the network and {data} in the data",
                    own.wnid
                )));
            }
        }
        Ok(())
    }

    /// How records of `record` (width, height) become inputs for evaluation.
    pub fn augment(&self, record: [usize; 2]) -> Result<Augment, Error> {
        let Some(mean) = &self.checkpoint.mean_image else {
            return Err(Error::Mismatch("the checkpoint has no mean image".into()));
        };
        if [mean.width, mean.height] != record {
            return Err(Error::Mismatch(format!(
                "the network was trained on records of {}×{}, the data has {}×{}",
                mean.width, mean.height, record[0], record[1]
            )));
        }
        let colour = Colour { mean_image: mean.values.clone(), vectors: [[0.0; 3]; 3], variances: [0.0; 3] };
        let augment = colour.augment(&self.input, record, &self.checkpoint.net, false);
        augment.check()?;
        Ok(augment)
    }

    /// Puts the folder's last checkpoint into the network; without one, the run is at its beginning.
    pub(crate) fn restore<B: Backend>(
        job: &Job,
        network: &mut Network<B>,
        folder: &Folder,
    ) -> Result<State, Error> {
        let path = folder.last();
        if !path.exists() {
            return Ok(State::default());
        }
        let saved = Saved::read(&path)?;
        if let Some(difference) = saved.checkpoint.net.difference(&job.net) {
            let cause = format!("holds another network: {difference}");
            return Err(Error::Foreign { path, cause });
        }
        let Some(velocity) = &saved.checkpoint.velocity else {
            return Err(Error::Foreign { path, cause: "has no velocities to go on with".into() });
        };
        network.set_parameters(&saved.checkpoint.parameters)?;
        network.set_velocity(velocity)?;
        Ok(saved.state)
    }

    /// Writes a checkpoint, atomically.
    pub(crate) fn write<B: Backend>(
        job: &Job,
        network: &mut Network<B>,
        state: &State,
        path: &Path,
    ) -> Result<(), Error> {
        let [width, height] = job.records.size();
        let json = |value: Result<serde_json::Value, serde_json::Error>| {
            value.expect("recipes and states are plain data")
        };
        let parameters = network.parameters()?;
        // A loss is of the parameters before its update. An update that overflows must not replace the last good checkpoint.
        let names = network.parameter_table();
        if let Some((broken, _)) =
            names.iter().zip(parameters.iter()).find(|(_, v)| v.iter().any(|x| !x.is_finite()))
        {
            return Err(Error::Overflowed { step: state.step, parameters: broken.name.clone() });
        }
        let checkpoint = Checkpoint {
            net: job.net.clone(),
            parameters,
            velocity: Some(network.velocity()?),
            mean_image: Some(MeanImage { height, width, values: job.colour.mean_image.clone() }),
            classes: job.classes.clone(),
            position: Position { epoch: state.epoch, batch: state.batch, step: state.step },
            seed: job.seed,
            recipe: json(serde_json::to_value(&job.recipe)),
            extra: json(serde_json::to_value(state)),
        };
        Ok(checkpoint.write(path)?)
    }
}
