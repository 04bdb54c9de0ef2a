//! The directory of a run: what is needed to go on after an interruption, and the learning curve.
//!
//! ```text
//! run/
//! ├── run.json        what the run's result depends on
//! ├── lock            locked by the process that is at it
//! ├── curve.jsonl     the learning curve, a point a line
//! ├── level0/         a finished level: encoder, head, where it leads the instances
//! ├── level1.step/    the last checkpoint of the level that is being trained
//! ├── level1.best/    its best one, with early stopping
//! └── level1.json     its learning curve so far
//! ```
//!
//! Everything appears by a rename. A level is finished when its directory is there; whatever else is there of it is then removed.

use super::{Corpus, CurvePoint, FineTuneParams, LevelReport, Matched, Result, State};
use crate::level::{LevelHead, LevelTrainer};
use crate::{Encoder, TransformerError};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use xmc_sparse::Csr;
use xmc_store::{Container, Fingerprint, ModelWriter};
use xmc_tree::LabelTree;
use xmc_xrlinear::XrLinearParams;

/// What the result of a run depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity {
    params: FineTuneParams,
    linear: XrLinearParams,
    encoder: String,
    /// XXH3-64 of tokens, text features, labels and tree.
    data: String,
}

impl Identity {
    pub(super) fn of(
        params: &FineTuneParams,
        linear: &XrLinearParams,
        encoder: u64,
        corpus: &Corpus<'_>,
        tree: &LabelTree,
    ) -> Self {
        let mut data = Fingerprint::new();
        for row in 0..corpus.tokens.n_rows() {
            data.array(corpus.tokens.row(row));
            data.array(&[0xffu8]);
        }
        [corpus.x, corpus.y].into_iter().for_each(|matrix| data.matrix(matrix));
        tree.arrays().for_each(|array| data.array(array));
        Self {
            params: params.clone(),
            linear: linear.clone(),
            encoder: format!("{encoder:016x}"),
            data: data.to_hex(),
        }
    }
}

pub(super) struct RunDir {
    dir: PathBuf,
    /// Held as long as the run is.
    _lock: File,
}

impl RunDir {
    /// The directory of a run, made if it is not there.
    pub(super) fn open(dir: &Path, identity: &Identity) -> Result<Self> {
        fs::create_dir_all(dir).map_err(io(dir))?;
        let (path, this) = (dir.join("run.json"), Self { dir: dir.to_path_buf(), _lock: lock(dir)? });
        this.remove_unfinished()?;
        match read_json::<Identity>(&path)? {
            Some(found) if found == *identity => Ok(this),
            Some(_) => Err(TransformerError::OtherRun { path: dir.to_path_buf() }),
            None => {
                write_json(&path, identity)?;
                Ok(this)
            }
        }
    }

    /// Removes what a process that was killed has left: hidden directories that never got their names.
    fn remove_unfinished(&self) -> Result<()> {
        for entry in fs::read_dir(&self.dir).map_err(io(&self.dir))? {
            let path = entry.map_err(io(&self.dir))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(".level") && path.is_dir() {
                remove(&path, |path| fs::remove_dir_all(path))?;
            }
        }
        Ok(())
    }

    fn of_level(&self, layer: usize, ending: &str) -> PathBuf {
        self.dir.join(format!("level{layer}{ending}"))
    }

    /// What a finished level left, if it is finished. `encoder` is the one of the level before.
    pub(super) fn finished(&self, layer: usize, encoder: &Encoder) -> Result<Option<(State, LevelReport)>> {
        let dir = self.of_level(layer, "");
        if !dir.exists() {
            return Ok(None);
        }
        let container = Container::open(&dir)?;
        let encoder = Encoder::load_parts(&container, "encoder", encoder.params())?;
        let (weights, biases) =
            (container.array::<f32>("head/weights")?, container.array::<f32>("head/biases")?);
        let head = LevelHead { n_dims: encoder.n_dims(), weights: weights.to_vec(), biases: biases.to_vec() };
        let matched =
            |name: &str| container.has(&format!("{name}/columns")).then(|| read_matched(&container, name));
        let matched = match (matched("matched").transpose()?, matched("valid").transpose()?) {
            (Some(corpus), valid) => Some(Matched { corpus, valid }),
            (None, _) => None,
        };
        Ok(Some((State { encoder, head: Some(head), matched, vectors: None }, container.meta()?)))
    }

    /// Keeps a finished level, and nothing else of it.
    pub(super) fn finish(&self, layer: usize, state: &State, report: &LevelReport) -> Result<()> {
        let writer = ModelWriter::create(self.of_level(layer, ""))?;
        state.encoder.save_parts(&writer, "encoder")?;
        if let Some(head) = &state.head {
            writer.put_array("head/weights", &head.weights)?;
            writer.put_array("head/biases", &head.biases)?;
        }
        if let Some(matched) = &state.matched {
            write_matched(&writer, "matched", &matched.corpus)?;
            matched.valid.iter().try_for_each(|valid| write_matched(&writer, "valid", valid))?;
        }
        writer.commit(report)?;
        for ending in [".step", ".best"] {
            remove(&self.of_level(layer, ending), |path| fs::remove_dir_all(path))?;
        }
        remove(&self.of_level(layer, ".json"), |path| fs::remove_file(path))
    }

    /// The last checkpoint of a level that is not finished.
    pub(super) fn checkpoint(&self, layer: usize) -> Option<PathBuf> {
        Some(self.of_level(layer, ".step")).filter(|path| path.exists())
    }

    /// The best checkpoint of a level.
    pub(super) fn best(&self, layer: usize) -> PathBuf {
        self.of_level(layer, ".best")
    }

    /// Saves a checkpoint; the curve first, so that it is never shorter than what the checkpoint knows.
    pub(super) fn save(
        &self,
        layer: usize,
        trainer: &LevelTrainer,
        curve: &[CurvePoint],
        best: bool,
    ) -> Result<()> {
        write_json(&self.of_level(layer, ".json"), curve)?;
        if best {
            trainer.save(self.best(layer))?;
        }
        trainer.save(self.of_level(layer, ".step"))
    }

    /// The learning curve of a level that is not finished.
    pub(super) fn curve(&self, layer: usize) -> Result<Vec<CurvePoint>> {
        Ok(read_json(&self.of_level(layer, ".json"))?.unwrap_or_default())
    }

    /// Writes the learning curve of all levels so far.
    pub(super) fn write_curve(&self, reports: &[LevelReport]) -> Result<()> {
        #[derive(Serialize)]
        struct Line<'a> {
            level: usize,
            n_clusters: usize,
            #[serde(flatten)]
            point: &'a CurvePoint,
        }
        let path = self.dir.join("curve.jsonl");
        let mut text = Vec::new();
        for report in reports {
            for point in &report.curve {
                let line = Line { level: report.layer, n_clusters: report.n_clusters, point };
                serde_json::to_writer(&mut text, &line).map_err(json(&path))?;
                text.push(b'\n');
            }
        }
        write(&path, &text)
    }
}

/// Two processes in one directory would take each other's checkpoints away.
fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(TransformerError::RunInUse { path: dir.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(io(&path)(error)),
    }
}

fn write_matched(writer: &ModelWriter, name: &str, matched: &Csr) -> Result<()> {
    let indptr: Vec<u64> = matched.indptr().iter().map(|&at| at as u64).collect();
    writer.put_array(&format!("{name}/indptr"), &indptr)?;
    writer.put_array(&format!("{name}/indices"), matched.indices())?;
    Ok(writer.put_array(&format!("{name}/columns"), &[matched.n_cols() as u64])?)
}

fn read_matched(container: &Container, name: &str) -> Result<Csr> {
    let indptr: Vec<usize> =
        container.array::<u64>(&format!("{name}/indptr"))?.iter().map(|&at| at as usize).collect();
    let indices = container.array::<u32>(&format!("{name}/indices"))?.to_vec();
    let n_cols = container.array::<u64>(&format!("{name}/columns"))?.first().copied().unwrap_or(0) as usize;
    let values = vec![1.0; indices.len()];
    Ok(Csr::new(indptr.len().saturating_sub(1), n_cols, indptr, indices, values)?)
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> TransformerError {
    let path = path.to_path_buf();
    move |source| TransformerError::Io { path, source }
}

fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> TransformerError {
    let path = path.to_path_buf();
    move |source| TransformerError::Json { path, source }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(json(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(path)(error)),
    }
}

fn write_json<T: Serialize + ?Sized>(path: &Path, value: &T) -> Result<()> {
    write(path, &serde_json::to_vec_pretty(value).map_err(json(path))?)
}

/// Writes under another name and renames.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let unfinished = path.with_extension("tmp");
    fs::write(&unfinished, bytes).map_err(io(&unfinished))?;
    fs::rename(&unfinished, path).map_err(io(path))
}

fn remove(path: &Path, remove: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<()> {
    match remove(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io(path)(error)),
        _ => Ok(()),
    }
}
