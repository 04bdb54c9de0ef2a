//! A training on disk: everything that the next step depends on.
//!
//! It is a container like a model: whole or not there, with checksums. Records hold floating-point numbers bit by bit, so that a
//! training that goes on has the same numbers as one that was never interrupted.

use super::LevelParams;
use super::head::Head;
use super::trainer::{LearningPoint, LevelTrainer, Room};
use crate::weights::{self, Weights};
use crate::{Encoder, TransformerError};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tch::{Device, Tensor};
use xmc_store::{Container, ModelWriter};

type Result<T> = std::result::Result<T, TransformerError>;

#[derive(Serialize, Deserialize)]
struct State {
    step: u64,
    recent: (f64, u64),
    curve: Vec<LearningPoint>,
    n_clusters: u64,
}

/// What says that a container is a checkpoint, and of which parameters.
#[derive(Serialize, Deserialize)]
struct Meta {
    checkpoint: LevelParams,
}

const MEAN: &str = "mean.";
const SQUARE: &str = "square.";
const HEAD: &str = "head";

impl LevelTrainer {
    /// Writes the training to `dir`, in place of an earlier checkpoint.
    ///
    /// # Errors
    /// [`TransformerError::Store`], [`TransformerError::Torch`].
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        let writer = ModelWriter::create(dir)?;
        let (step, recent, curve) = (self.step, self.recent, self.curve.clone());
        let n_clusters = self.head.n_clusters() as u64;
        writer.put_record("state", &State { step, recent, curve, n_clusters })?;
        writer.put_array("encoder", &weights::write(&self.encoder.weights())?)?;
        let mut rest = Weights::new();
        rest.insert(HEAD.to_owned(), self.head.weights.shallow_clone());
        let head = (&HEAD.to_owned(), &self.head.moments);
        for (name, [mean, square]) in self.moments.iter().chain([head]) {
            rest.insert(format!("{MEAN}{name}"), mean.shallow_clone());
            rest.insert(format!("{SQUARE}{name}"), square.shallow_clone());
        }
        writer.put_array("optimizer", &weights::write(&rest)?)?;
        writer.commit(&Meta { checkpoint: self.params.clone() })?;
        Ok(())
    }

    /// The training in `dir`. `encoder` is the one that it began with: its configuration and vocabulary are used, its weights
    /// are replaced.
    ///
    /// # Errors
    /// [`TransformerError::Store`], and as for weights that are read: a checkpoint of another encoder has other shapes.
    pub fn resume(encoder: Encoder, dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let container = Container::open(dir)?;
        let Meta { checkpoint: params } = container.meta()?;
        let State { step, recent, curve, n_clusters } = container.record("state")?;
        let weights =
            weights::read(&container.array::<u8>("encoder")?, &dir.join("encoder.bin"), &encoder.config)?;
        encoder.replace_weights(weights)?;
        let mut shapes = weights::shapes(&encoder.config);
        let n_clusters = i64::try_from(n_clusters).unwrap_or(i64::MAX);
        shapes.push((HEAD.to_owned(), vec![n_clusters, encoder.config.hidden_size + 1]));
        let path = dir.join("optimizer.bin");
        let mut stored = Stored::read(&container.array::<u8>("optimizer")?, &path, &shapes, encoder.device)?;
        let head = Head { weights: stored.take(HEAD)?, moments: stored.moments(HEAD)? };
        let names = weights::shapes(&encoder.config).into_iter().map(|(name, _)| name);
        let moments = names.map(|name| Ok((name.clone(), stored.moments(&name)?))).collect::<Result<_>>()?;
        Ok(Self { encoder, head, params, moments, step, recent, curve, room: Room::default() })
    }
}

/// Tensors of a checkpoint on their way to where they belong.
struct Stored {
    tensors: Weights,
    device: Device,
}

impl Stored {
    /// The moments of all that `shapes` name, and the head.
    fn read(bytes: &[u8], path: &Path, shapes: &[(String, Vec<i64>)], device: Device) -> Result<Self> {
        let mut expected: Vec<_> = shapes.iter().filter(|(name, _)| name == HEAD).cloned().collect();
        for (name, shape) in shapes {
            expected.push((format!("{MEAN}{name}"), shape.clone()));
            expected.push((format!("{SQUARE}{name}"), shape.clone()));
        }
        Ok(Self { tensors: weights::read_named(bytes, path, expected, "")?, device })
    }

    fn take(&mut self, name: &str) -> Result<Tensor> {
        let tensor = self.tensors.remove(name).expect("invariant: all that is expected was read");
        Ok(tensor.f_to_device(self.device)?)
    }

    fn moments(&mut self, name: &str) -> Result<[Tensor; 2]> {
        Ok([self.take(&format!("{MEAN}{name}"))?, self.take(&format!("{SQUARE}{name}"))?])
    }
}
