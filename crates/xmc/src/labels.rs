//! Label keys and names as they lie in a model: two arenas that are mapped, not parsed.

use crate::XmcError;
use std::sync::{Arc, OnceLock};
use xmc_data::LabelMap;
use xmc_sparse::LabelId;
use xmc_store::{Buffer, Container, ModelWriter};

/// Strings by number.
#[derive(Debug, Clone)]
struct Arena {
    bytes: Buffer<u8>,
    ends: Buffer<u64>,
}

impl Arena {
    fn write<'s>(
        writer: &ModelWriter,
        name: &str,
        strings: impl Iterator<Item = &'s str>,
    ) -> Result<(), XmcError> {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for string in strings {
            bytes.extend_from_slice(string.as_bytes());
            ends.push(bytes.len() as u64);
        }
        writer.put_array(&format!("labels/{name}"), &bytes)?;
        Ok(writer.put_array(&format!("labels/{name}-ends"), &ends)?)
    }

    fn open(container: &Container, name: &str) -> Result<Self, XmcError> {
        let bytes = container.array::<u8>(&format!("labels/{name}"))?;
        let ends = container.array::<u64>(&format!("labels/{name}-ends"))?;
        let this = Self { bytes, ends };
        match this.ends.last().copied().unwrap_or(0) == this.bytes.len() as u64 {
            true => Ok(this),
            false => Err(XmcError::Inconsistent { what: "label names" }),
        }
    }

    /// String `id`; empty when the bytes are damaged.
    fn get(&self, id: LabelId) -> &str {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] as usize };
        let bytes = self.bytes.get(start..self.ends[id] as usize).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// The labels of a model.
#[derive(Debug, Clone)]
pub(crate) struct Labels {
    keys: Arena,
    /// Absent while every name equals its key.
    names: Option<Arena>,
    /// Instances of each label in the training data.
    counts: Buffer<u64>,
    map: OnceLock<Arc<LabelMap>>,
}

impl Labels {
    pub(crate) fn write(writer: &ModelWriter, map: &LabelMap, counts: &[u64]) -> Result<(), XmcError> {
        Arena::write(writer, "keys", map.iter().map(|(key, _)| key))?;
        if map.iter().any(|(key, name)| key != name) {
            Arena::write(writer, "names", map.iter().map(|(_, name)| name))?;
        }
        Ok(writer.put_array("labels/counts", counts)?)
    }

    pub(crate) fn open(container: &Container, n_labels: usize) -> Result<Self, XmcError> {
        let keys = Arena::open(container, "keys")?;
        let names = container.has("labels/names").then(|| Arena::open(container, "names")).transpose()?;
        let counts = container.array("labels/counts")?;
        let lengths =
            [keys.ends.len(), names.as_ref().map_or(n_labels, |names| names.ends.len()), counts.len()];
        match lengths == [n_labels; 3] {
            true => Ok(Self { keys, names, counts, map: OnceLock::new() }),
            false => Err(XmcError::Inconsistent { what: "label names" }),
        }
    }

    pub(crate) fn key(&self, id: LabelId) -> &str {
        self.keys.get(id)
    }

    pub(crate) fn name(&self, id: LabelId) -> &str {
        self.names.as_ref().unwrap_or(&self.keys).get(id)
    }

    pub(crate) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// All labels with a way from key to id; built on first use.
    pub(crate) fn map(&self) -> &Arc<LabelMap> {
        self.map.get_or_init(|| {
            let mut map = LabelMap::new();
            for id in 0..self.counts.len() as LabelId {
                map.insert(self.key(id), self.name(id));
            }
            Arc::new(map)
        })
    }
}
