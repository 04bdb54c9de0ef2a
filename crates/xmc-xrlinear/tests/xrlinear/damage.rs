//! Sections that are not what training wrote: an error or wrong labels, never a panic.

use crate::batch::ALL;
use crate::problem::{Problem, SMALL, Shape, predict, train};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use xmc_sparse::{Csr, Features, NoProgress};
use xmc_store::{Container, ModelWriter};
use xmc_tree::{Search, SearchParams};
use xmc_xrlinear::{Batching, WeightType, XrLinear, XrLinearParams};

/// The record `matcher/info` as docs/FORMAT.md has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Info {
    pub(crate) n_sparse: u64,
    pub(crate) n_dense: u64,
    pub(crate) depth: u64,
    pub(crate) n_labels: u64,
    pub(crate) weights: WeightType,
    pub(crate) n_groups: u64,
}

/// The arrays of one layer.
#[derive(Debug, Clone)]
pub(crate) struct LayerParts {
    pub(crate) child_ptr: Vec<u32>,
    pub(crate) children: Vec<u32>,
    pub(crate) blocks: Vec<u64>,
    pub(crate) records: Vec<u8>,
    pub(crate) bias: Vec<f32>,
    pub(crate) dense: Vec<f32>,
}

/// The arrays of the groups of features.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    pub(crate) first: Vec<u64>,
    pub(crate) ranks: Vec<u32>,
    pub(crate) others: Vec<u8>,
}

/// A stored model taken apart, to be changed and put together again with right checksums.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) info: Info,
    pub(crate) groups: Option<Groups>,
    pub(crate) layers: Vec<LayerParts>,
}

impl Parts {
    pub(crate) fn read(container: &Container) -> Self {
        let info: Info = container.record("matcher/info").unwrap();
        let name = |layer: u64, part: &str| format!("matcher/layer{layer}/{part}");
        let layer = |at: u64| LayerParts {
            child_ptr: container.array(&name(at, "child_ptr")).unwrap().to_vec(),
            children: container.array(&name(at, "children")).unwrap().to_vec(),
            blocks: container.array(&name(at, "blocks")).unwrap().to_vec(),
            records: container.array(&name(at, "records")).unwrap().to_vec(),
            bias: container.array(&name(at, "bias")).unwrap().to_vec(),
            dense: container.array(&name(at, "dense")).unwrap().to_vec(),
        };
        let groups = (info.n_groups != info.n_sparse).then(|| Groups {
            first: container.array("matcher/groups/first").unwrap().to_vec(),
            ranks: container.array("matcher/groups/ranks").unwrap().to_vec(),
            others: container.array("matcher/groups/others").unwrap().to_vec(),
        });
        Self { layers: (0..info.depth).map(layer).collect(), info, groups }
    }

    pub(crate) fn write(&self) -> Container {
        let writer = ModelWriter::in_memory();
        writer.put_record("matcher/info", &self.info).unwrap();
        if let Some(groups) = &self.groups {
            writer.put_array("matcher/groups/first", &groups.first).unwrap();
            writer.put_array("matcher/groups/ranks", &groups.ranks).unwrap();
            writer.put_array("matcher/groups/others", &groups.others).unwrap();
        }
        for (at, layer) in self.layers.iter().enumerate() {
            let name = |part: &str| format!("matcher/layer{at}/{part}");
            writer.put_array(&name("child_ptr"), &layer.child_ptr).unwrap();
            writer.put_array(&name("children"), &layer.children).unwrap();
            writer.put_array(&name("blocks"), &layer.blocks).unwrap();
            writer.put_array(&name("records"), &layer.records).unwrap();
            writer.put_array(&name("bias"), &layer.bias).unwrap();
            writer.put_array(&name("dense"), &layer.dense).unwrap();
        }
        writer.commit(&()).unwrap()
    }
}

/// A model with every form of record: one cluster, skips (more than 64 clusters) and dense postings; each feature is there twice.
fn original() -> &'static (Parts, Features) {
    static ORIGINAL: OnceLock<(Parts, Features)> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let shape = Shape { n_samples: 300, n_sparse: 40, n_dense: 2, tree: &[90, 300] };
        let mut problem = Problem::random(shape, 31);
        let (sparse, dense) = problem.x.into_parts();
        let twice = sparse
            .rows()
            .map(|row| row.iter().chain(row.iter().map(|(f, x)| (79 - f, x))).collect::<Vec<_>>());
        problem.x = Features::new(Csr::from_rows(80, twice).unwrap(), dense).unwrap();
        let parts = Parts::read(&train(&problem, XrLinearParams::default()));
        assert_eq!((parts.info.n_groups, parts.groups.as_ref().unwrap().others.len()), (40, 40));
        (parts, problem.x)
    })
}

/// Predicts with narrow and wide beams, one by one and in a batch, when the model can be opened.
fn survives(parts: &Parts, x: &Features) {
    let Ok(model) = XrLinear::open(&parts.write(), "matcher") else { return };
    for beam in [1, 10, 1000] {
        let params = SearchParams::default().beam_size(beam);
        predict(&model, x, &params);
        // Everything at once, and a few clusters at a time.
        for few in [ALL, Batching { turned_bytes: 20_000, margin_bytes: 50_000, ..ALL }] {
            model.rank_batch_by(&few, x, Search::new(&params), &NoProgress);
        }
    }
}

/// A way to damage an array.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// Keep this share of the elements.
    Truncate(f64),
    /// Set all elements from this share on to all ones.
    Ones(f64),
    /// Flip a bit of one element.
    Flip(f64, u32),
    /// Rotate the elements.
    Rotate(f64),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (0.0..1.0).prop_map(Damage::Truncate),
        (0.0..1.0).prop_map(Damage::Ones),
        (0.0..1.0, 0u32..64).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (0.0..1.0).prop_map(Damage::Rotate),
    ]
}

impl Damage {
    /// Applies to `array`, whose elements change by `ones` (all bits set) and `flip`.
    fn apply<T: Copy>(self, array: &mut Vec<T>, ones: T, flip: impl Fn(T, u32) -> T) {
        let at = |share: f64| (array.len() as f64 * share) as usize;
        match self {
            Self::Truncate(share) => array.truncate(at(share)),
            Self::Ones(share) => {
                let start = at(share);
                array[start..].fill(ones);
            }
            Self::Flip(share, bit) if !array.is_empty() => {
                let at = at(share);
                array[at] = flip(array[at], bit);
            }
            Self::Flip(..) => {}
            Self::Rotate(share) => {
                let by = at(share);
                array.rotate_left(by);
            }
        }
    }

    fn apply_to_groups(self, groups: &mut Groups, part: usize) {
        match part {
            0 => self.apply(&mut groups.first, u64::MAX, |v, bit| v ^ 1 << bit),
            1 => self.apply(&mut groups.ranks, u32::MAX, |v, bit| v ^ 1 << (bit % 32)),
            _ => self.apply(&mut groups.others, u8::MAX, |v, bit| v ^ 1 << (bit % 8)),
        }
    }

    fn apply_to(self, layer: &mut LayerParts, part: usize) {
        let float = |v: f32, bit: u32| f32::from_bits(v.to_bits() ^ 1 << (bit % 32));
        match part {
            0 => self.apply(&mut layer.child_ptr, u32::MAX, |v, bit| v ^ 1 << (bit % 32)),
            1 => self.apply(&mut layer.children, u32::MAX, |v, bit| v ^ 1 << (bit % 32)),
            2 => self.apply(&mut layer.blocks, u64::MAX, |v, bit| v ^ 1 << bit),
            3 => self.apply(&mut layer.records, u8::MAX, |v, bit| v ^ 1 << (bit % 8)),
            4 => self.apply(&mut layer.bias, f32::NAN, float),
            _ => self.apply(&mut layer.dense, f32::NAN, float),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn damaged_sections_never_panic(
        damages in prop::collection::vec((0usize..2, 0usize..6, damage()), 1..4),
    ) {
        let (parts, x) = original();
        let mut parts = parts.clone();
        for (layer, part, damage) in damages {
            damage.apply_to(&mut parts.layers[layer], part);
        }
        survives(&parts, x);
    }

    #[test]
    fn damaged_groups_never_panic(damages in prop::collection::vec((0usize..3, damage()), 1..4)) {
        let (parts, x) = original();
        let mut parts = parts.clone();
        let mut groups = parts.groups.take().unwrap();
        damages.into_iter().for_each(|(part, damage)| damage.apply_to_groups(&mut groups, part));
        survives(&Parts { groups: Some(groups), ..parts }, x);
    }

    #[test]
    fn a_directory_of_random_numbers_never_panics(
        random in prop::collection::vec(any::<u64>(), 3), near in any::<bool>(),
    ) {
        let (parts, x) = original();
        let mut parts = parts.clone();
        for layer in &mut parts.layers {
            // Places that are not there, or other ones than are meant, in any unit.
            let end = if near { layer.records.len() as u64 } else { 1 << 56 };
            layer.blocks = random.iter().map(|number| (number >> 56 << 56) | ((number << 8 >> 8) % end)).collect();
        }
        survives(&parts, x);
    }

    #[test]
    fn random_records_never_panic(seed in any::<u64>(), layer in 0usize..2) {
        let (parts, x) = original();
        let mut parts = parts.clone();
        for (at, byte) in parts.layers[layer].records.iter_mut().enumerate() {
            *byte = ((at as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
        }
        survives(&parts, x);
    }
}

#[test]
fn forged_sizes_are_errors_and_no_allocations() {
    let (parts, _) = original();
    let forge = |change: fn(&mut Info)| {
        let mut parts = parts.clone();
        change(&mut parts.info);
        XrLinear::open(&parts.write(), "matcher").unwrap_err();
    };
    forge(|info| info.n_labels = u64::MAX);
    forge(|info| info.n_labels = u64::from(u32::MAX));
    forge(|info| info.n_sparse = u64::MAX);
    forge(|info| info.n_groups = u64::MAX);
    forge(|info| (info.n_sparse, info.n_groups) = (u64::MAX, u64::MAX));
    forge(|info| info.n_dense = u64::MAX);
    forge(|info| info.depth = u64::MAX);
}

#[test]
fn features_that_the_model_does_not_know_count_for_nothing() {
    let problem = Problem::random(SMALL, 32);
    let model = XrLinear::open(&train(&problem, XrLinearParams::default()), "matcher").unwrap();
    let known = Csr::from_rows(40, [vec![(0, 1.0), (7, 1.0)]]).unwrap();
    let wider = Csr::from_rows(5000, [vec![(0, 1.0), (7, 1.0), (40, 1.0), (47, 1.0), (4999, 1.0)]]).unwrap();
    let search = SearchParams::default();
    let known = predict(&model, &Features::from_sparse(known), &search);
    assert_eq!(predict(&model, &Features::from_sparse(wider), &search), known);
}
