//! A checkpoint: one safetensors file that stands alone.
//!
//! Tensors are `conv1.weight` …, `velocity.conv1.weight` …, and `mean_image` [H, W, 3] if there is one, all f32 in
//! the whole net's shapes, so a file does not know how many devices wrote it. Everything else is canonical JSON
//! under the single metadata key `alexnet` (safetensors writes several keys in random order). The bytes are a pure
//! function of the content: no time, host or path. A file appears whole or not at all: it is written beside its
//! name, synced and renamed.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, View, serialize_to_file};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::layer::Net;
use crate::parameters::Parameters;

const KEY: &str = "alexnet";
const FORMAT: u32 = 1;

/// A class of the last layer, in the order of its units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassName {
    /// WordNet id, or the name of the class' folder.
    pub wnid: String,
    /// Its words, comma-separated; may be empty.
    pub words: String,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Epoch the next batch belongs to, from 0.
    pub epoch: u32,
    /// Number of the next batch in its epoch, from 0.
    pub batch: u64,
    /// Updates done.
    pub step: u64,
}

/// The mean that is subtracted from the pixels, in grey levels 0..255.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanImage {
    /// Rows.
    pub height: usize,
    /// Pixels a row.
    pub width: usize,
    /// `[height, width, 3]`.
    pub values: Vec<f32>,
}

/// What a trained or half-trained network consists of.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The table.
    pub net: Net,
    /// The parameters.
    pub parameters: Parameters,
    /// The velocities of the update rule; a network for use alone needs none.
    pub velocity: Option<Parameters>,
    /// The mean image of its training set.
    pub mean_image: Option<MeanImage>,
    /// The class table; empty or one entry for each class.
    pub classes: Vec<ClassName>,
    /// How far the run has come.
    pub position: Position,
    /// Seed of the run.
    pub seed: u64,
    /// The recipe, as the trainer wrote it.
    pub recipe: serde_json::Value,
    /// Anything else the trainer needs to go on, such as losses since the epoch began.
    pub extra: serde_json::Value,
}

/// The metadata's JSON; the order of the fields is part of the format.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    format: u32,
    net: Net,
    recipe: serde_json::Value,
    classes: Vec<ClassName>,
    position: Position,
    seed: u64,
    extra: serde_json::Value,
}

struct Tensor<'a> {
    shape: Vec<usize>,
    values: &'a [f32],
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.values.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    fn data_len(&self) -> usize {
        4 * self.values.len()
    }
}

impl Checkpoint {
    /// Writes the file, atomically.
    ///
    /// # Errors
    /// The content does not fit its net, or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        self.check(path)?;
        let parameters = self.net.parameters()?;
        let mut tensors: Vec<(String, Tensor)> = Vec::new();
        for (i, parameter) in parameters.iter().enumerate() {
            let tensor = |values| Tensor { shape: parameter.shape.clone(), values };
            tensors.push((parameter.name.clone(), tensor(self.parameters.get(i))));
            if let Some(velocity) = &self.velocity {
                tensors.push((format!("velocity.{}", parameter.name), tensor(velocity.get(i))));
            }
        }
        if let Some(mean) = &self.mean_image {
            let shape = vec![mean.height, mean.width, 3];
            tensors.push(("mean_image".to_owned(), Tensor { shape, values: &mean.values }));
        }
        let description = Description {
            format: FORMAT,
            net: self.net.clone(),
            recipe: self.recipe.clone(),
            classes: self.classes.clone(),
            position: self.position,
            seed: self.seed,
            extra: self.extra.clone(),
        };
        let text = serde_json::to_string(&description)
            .map_err(|source| Error::Json { what: "checkpoint", source })?;
        let partial = partial_path(path);
        let metadata = HashMap::from([(KEY.to_owned(), text)]);
        let written = serialize_to_file(tensors, Some(metadata), &partial);
        if let Err(error) = written {
            let _ = fs::remove_file(&partial);
            let path = partial;
            return Err(match error {
                SafeTensorError::IoError(source) => Error::Io { path, action: "write it", source },
                other => Error::Checkpoint { path, problem: format!("cannot write it: {other}") },
            });
        }
        let io = |action| move |source| Error::Io { path: path.to_owned(), action, source };
        File::open(&partial).and_then(|file| file.sync_all()).map_err(io("sync it"))?;
        fs::rename(&partial, path).map_err(io("put it in its place"))?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // The rename itself must survive a power cut; a system that cannot sync a folder keeps its own promise.
        if let Ok(folder) = File::open(folder) {
            let _ = folder.sync_all();
        }
        Ok(())
    }

    /// Reads a file and checks every tensor's name, type and shape against the net in it.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Checkpoint`], with the tensor and both values.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let fail = |problem: String| Error::Checkpoint { path: path.to_owned(), problem };
        let bytes = fs::read(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            action: "read it",
            source,
        })?;
        let sound =
            |error: safetensors::SafeTensorError| fail(format!("not a sound safetensors file: {error}"));
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(sound)?;
        let text = metadata.metadata().as_ref().and_then(|map| map.get(KEY));
        let text =
            text.ok_or_else(|| fail(format!("it has no metadata key {KEY}: not a checkpoint of ours")))?;
        let format: Format =
            serde_json::from_str(text).map_err(|error| fail(format!("metadata key {KEY}: {error}")))?;
        if format.format != FORMAT {
            return Err(fail(format!("format {}, but this program reads format {FORMAT}", format.format)));
        }
        let description: Description =
            serde_json::from_str(text).map_err(|error| fail(format!("metadata key {KEY}: {error}")))?;
        let file = SafeTensors::deserialize(&bytes).map_err(sound)?;
        let net = description.net;
        let table = net.parameters().map_err(|error| fail(error.to_string()))?;
        let has_velocity = file.names().iter().any(|name| name.starts_with("velocity."));
        let mut parameters = Vec::new();
        let mut velocity = Vec::new();
        for parameter in &table {
            parameters.push(tensor(&file, &parameter.name, &parameter.shape).map_err(fail)?);
            if has_velocity {
                velocity.push(
                    tensor(&file, &format!("velocity.{}", parameter.name), &parameter.shape).map_err(fail)?,
                );
            }
        }
        let mean_image = mean_image(&file).map_err(fail)?;
        let expected = parameters.len() + velocity.len() + usize::from(mean_image.is_some());
        if file.len() != expected {
            return Err(fail(format!("{} tensors, but its net has {expected}", file.len())));
        }
        let checkpoint = Checkpoint {
            parameters: Parameters::new(&net, parameters)?,
            velocity: if has_velocity { Some(Parameters::new(&net, velocity)?) } else { None },
            mean_image,
            classes: description.classes,
            position: description.position,
            seed: description.seed,
            recipe: description.recipe,
            extra: description.extra,
            net,
        };
        checkpoint.check(path)?;
        Ok(checkpoint)
    }

    fn check(&self, path: &Path) -> Result<(), Error> {
        let fail = |problem: String| Err(Error::Checkpoint { path: path.to_owned(), problem });
        self.parameters.check(&self.net)?;
        if let Some(velocity) = &self.velocity {
            velocity.check(&self.net)?;
        }
        if !self.classes.is_empty() && self.classes.len() != self.net.classes {
            return fail(format!("{} class names for {} classes", self.classes.len(), self.net.classes));
        }
        if let Some(MeanImage { height, width, values }) = &self.mean_image
            && height * width * 3 != values.len()
        {
            return fail(format!("a mean image of {height}x{width} with {} values", values.len()));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    path.with_file_name(name)
}

fn tensor(file: &SafeTensors, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
    let view = file.tensor(name).map_err(|_| format!("tensor {name} is missing"))?;
    if view.dtype() != Dtype::F32 || view.shape() != shape {
        return Err(format!(
            "tensor {name} is {:?} {:?}, but its net has F32 {shape:?}",
            view.dtype(),
            view.shape()
        ));
    }
    let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    Ok(values.collect())
}

fn mean_image(file: &SafeTensors) -> Result<Option<MeanImage>, String> {
    let Ok(view) = file.tensor("mean_image") else {
        return Ok(None);
    };
    let [height, width, 3] = *view.shape() else {
        return Err(format!("tensor mean_image is {:?}, but it must be [height, width, 3]", view.shape()));
    };
    let values = tensor(file, "mean_image", &[height, width, 3])?;
    Ok(Some(MeanImage { height, width, values }))
}
