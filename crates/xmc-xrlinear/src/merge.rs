//! Puts the parts of a layer together.
//!
//! Each part has its records in the order of features, so the layer's are made by going through all parts side by side. It is done twice: once to
//! know how long the records become, once to write them, a slab at a time. What has been read is given back to the system as it goes, so that
//! no more of a layer is in memory than the sizes of its records and a few slabs.

use crate::XrLinearError;
use crate::assemble::{Layout, Slab, write_beside_records};
use crate::part::Part;
use crate::record::{RecordSize, Unpacked, Widths};
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use xmc_sparse::Progress;
use xmc_store::ModelWriter;

/// Bytes of postings after which pages are given back.
const EVICTED: u64 = 8 << 20;
/// Records whose sizes a task adds up, at least.
const MIN_TASK: usize = 256;

/// Writes the parts of layer `number`, which have all of its clusters in order, as one at `prefix`; its records have `widths`.
pub(crate) fn write_merged(
    (writer, prefix): (&ModelWriter, &str),
    number: usize,
    widths: Widths,
    parts: &[Part],
    progress: &dyn Progress,
) -> Result<(), XrLinearError> {
    let damaged = || XrLinearError::damaged_record(number);
    let merging = Merging { parts, read: AtomicU64::new(0) };
    let layout = Layout::of_sizes(widths, merging.sizes().ok_or_else(damaged)?);
    let sound = AtomicBool::new(true);
    progress.begin("merge", Some(layout.n_bytes()), "bytes");
    layout.write(writer, prefix, |_, slab| {
        let mut heads = Unpacked::default();
        for record in slab.features() {
            if merging.copy(record, slab, &mut heads).is_none() {
                sound.store(false, Ordering::Relaxed);
            }
        }
        progress.advance(slab.n_bytes());
    })?;
    progress.end();
    if !sound.into_inner() {
        return Err(damaged());
    }
    write_beside_records(writer, prefix, parts.iter().map(Part::all_bias), parts.iter().map(Part::all_dense))
}

/// Parts that are read side by side.
struct Merging<'a> {
    parts: &'a [Part],
    /// Bytes of postings that have been read.
    read: AtomicU64,
}

impl Merging<'_> {
    /// The sizes of all records; `None` when one is damaged.
    fn sizes(&self) -> Option<Vec<RecordSize>> {
        let numbers = (0..self.parts[0].n_records() as u32).into_par_iter().with_min_len(MIN_TASK);
        let size_of = |number| {
            let mut size = RecordSize::default();
            for part in self.parts {
                size += RecordSize::of(&part.record(number)?);
            }
            self.evict_after(size.postings);
            Some(size)
        };
        numbers.map(size_of).collect()
    }

    /// Puts record `number` of all parts into `slab`; `None` when one is damaged.
    fn copy(&self, number: u32, slab: &mut Slab, heads: &mut Unpacked) -> Option<()> {
        for part in self.parts {
            let record = part.record(number)?;
            record.unpack(heads);
            let size = RecordSize::of(&record);
            let lens = heads.counts.iter().map(|&count| part.widths.posting_len(count as usize + 1) as u64);
            let is_sound = lens.sum::<u64>() == size.postings
                && size.postings <= record.postings.len() as u64
                && heads.clusters.iter().all(|&cluster| (cluster as usize) < part.clusters.len());
            if !is_sound {
                return None;
            }
            let heads = heads.clusters.iter().zip(&heads.counts);
            let first = part.clusters.start as usize;
            let heads = heads.map(|(&cluster, &count)| (first + cluster as usize, count as usize + 1));
            slab.add(number, heads, &record.postings[..size.postings as usize]);
            self.evict_after(size.postings);
        }
        Some(())
    }

    /// Gives pages back, once many `bytes` more have been read.
    fn evict_after(&self, bytes: u64) {
        let before = self.read.fetch_add(bytes, Ordering::Relaxed);
        if before / EVICTED < (before + bytes) / EVICTED {
            self.parts.iter().for_each(|part| part.records.evict());
        }
    }
}
