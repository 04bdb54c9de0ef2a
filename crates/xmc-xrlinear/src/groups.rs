//! Features that are the same in every training instance have the same weights, and these are stored once.
//!
//! In text there are many of them: a word of one title and the word pairs that it is in, the n-grams of characters of a rare word. They are solved for
//! as one ([`Fold`]), and a model that keeps one record for all of them predicts what it would predict otherwise.

use crate::XrLinearError;
use rayon::prelude::*;
use xmc_linear::Fold;
use xmc_sparse::{Csr, RankedWord};
use xmc_store::{Buffer, Container, ModelWriter};
use xxhash_rust::xxh3::xxh3_128;

/// Groups are stored when at most this share of the features have records of their own: else the numbers may take more than they spare.
const MOST: f64 = 0.9;

/// What is not in any record.
pub(crate) const NO_RECORD: u32 = u32::MAX;

/// Which record has the weights of each feature: its own number, or that of its group. Groups are numbered in the order of their first
/// features.
#[derive(Debug, Clone, Default)]
pub(crate) struct FeatureGroups {
    /// `None`: each feature is a group.
    numbers: Option<Numbers>,
    n_features: usize,
    n_groups: usize,
}

/// The numbers of groups. The first feature of a group has that of the group before, plus one, so that it takes a bit; the others say theirs.
#[derive(Debug, Clone)]
struct Numbers {
    /// A bit for each feature: the first of its group. The lowest bit of a word comes first.
    first: Buffer<u64>,
    /// For every [`RANKED`] words, the bits that are set before them.
    ranks: Buffer<u32>,
    /// Of the features that are not the first, `width` bytes each, little endian.
    others: Buffer<u8>,
    width: usize,
}

/// Words between two that are counted up to.
const RANKED: usize = 8;

/// Bytes of a number below `n`.
fn width_for(n: usize) -> usize {
    (usize::BITS - n.saturating_sub(1).leading_zeros()).div_ceil(8).max(1) as usize
}

impl Numbers {
    /// Packs the `groups` of all features.
    fn pack(groups: &[u32], n_groups: usize) -> Self {
        let width = width_for(n_groups);
        let (mut first, mut ranks, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let mut n_first = 0;
        for (word, groups) in groups.chunks(64).enumerate() {
            if word.is_multiple_of(RANKED) {
                ranks.push(n_first);
            }
            let mut bits = 0u64;
            for (at, &group) in groups.iter().enumerate() {
                if group == n_first {
                    bits |= 1 << at;
                    n_first += 1;
                } else {
                    others.extend_from_slice(&group.to_le_bytes()[..width]);
                }
            }
            first.push(bits);
        }
        Self { first: first.into(), ranks: ranks.into(), others: others.into(), width }
    }

    /// Sections, by their names below that of the groups.
    fn sections(prefix: &str) -> [String; 3] {
        ["first", "ranks", "others"].map(|name| format!("{prefix}/groups/{name}"))
    }

    #[inline(always)]
    fn of(&self, feature: u32) -> u32 {
        let word = feature as usize / 64;
        let ranked = word / RANKED;
        let (Some(&bits), Some(&rank)) = (self.first.get(word), self.ranks.get(ranked)) else {
            return NO_RECORD;
        };
        let between = &self.first[ranked * RANKED..word];
        let between = between.iter().map(|word| word.count_ones()).sum::<u32>();
        let (rank, is_first) = RankedWord { bits, before: rank.wrapping_add(between) }.rank(feature);
        if is_first { rank } else { self.other(feature.wrapping_sub(rank) as usize) }
    }

    #[inline(always)]
    fn other(&self, number: usize) -> u32 {
        let at = number * self.width;
        // Four bytes at once, and without those that belong to the next number.
        if let Some(bytes) = self.others.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
            return u32::from_le_bytes(*bytes) & (u32::MAX >> (32 - 8 * self.width));
        }
        let Some(bytes) = self.others.get(at..at + self.width) else { return NO_RECORD };
        bytes.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte))
    }
}

impl FeatureGroups {
    /// The groups of the columns of `x`; every column is one of its own where grouping does not pay.
    pub(crate) fn of(x: &Csr) -> Self {
        let (n_features, groups) = (x.n_cols(), equal_columns(x));
        let n_groups = groups.iter().max().map_or(0, |&last| last as usize + 1);
        if n_groups as f64 >= MOST * n_features as f64 {
            return Self::none(n_features);
        }
        Self { numbers: Some(Numbers::pack(&groups, n_groups)), n_features, n_groups }
    }

    /// Every feature for itself.
    pub(crate) fn none(n_features: usize) -> Self {
        Self { numbers: None, n_features, n_groups: n_features }
    }

    /// Reads the `n_groups` groups of `n_features` features, if that are fewer, from `container`.
    pub(crate) fn open(
        container: &Container,
        prefix: &str,
        (n_features, n_groups): (usize, usize),
    ) -> Result<Self, XrLinearError> {
        if n_groups == n_features {
            return Ok(Self::none(n_features));
        }
        let [first, ranks, others] = Numbers::sections(prefix);
        let width = width_for(n_groups);
        let numbers = Numbers {
            first: container.array(&first)?,
            ranks: container.array(&ranks)?,
            others: container.array(&others)?,
            width,
        };
        let n_words = n_features.div_ceil(64);
        let others = n_features.checked_sub(n_groups).and_then(|n| n.checked_mul(width));
        let lengths = [numbers.first.len(), numbers.ranks.len()] == [n_words, n_words.div_ceil(RANKED)];
        if !lengths || Some(numbers.others.len()) != others {
            let what = "the groups of features are not one number for each feature";
            return Err(XrLinearError::Inconsistent { layer: 0, what });
        }
        Ok(Self { numbers: Some(numbers), n_features, n_groups })
    }

    /// The sections that there are.
    pub(crate) fn sections(prefix: &str, (n_features, n_groups): (usize, usize)) -> Vec<String> {
        if n_groups == n_features { Vec::new() } else { Numbers::sections(prefix).to_vec() }
    }

    pub(crate) fn write(&self, writer: &ModelWriter, prefix: &str) -> Result<(), XrLinearError> {
        let Some(numbers) = &self.numbers else { return Ok(()) };
        let [first, ranks, others] = Numbers::sections(prefix);
        writer.put_array(&first, &numbers.first)?;
        writer.put_array(&ranks, &numbers.ranks)?;
        Ok(writer.put_array(&others, &numbers.others)?)
    }

    /// Number of records: one for each group.
    pub(crate) fn n_records(&self) -> usize {
        self.n_groups
    }

    /// Whether the record of each feature has its number.
    pub(crate) fn are_features(&self) -> bool {
        self.numbers.is_none()
    }

    /// The record of `feature`; a number that no record has for a feature that there is not.
    #[inline(always)]
    pub(crate) fn record_of(&self, feature: u32) -> u32 {
        match &self.numbers {
            None => feature,
            Some(_) if feature as usize >= self.n_features => NO_RECORD,
            Some(numbers) => numbers.of(feature),
        }
    }

    /// The records of `features`, in `records`.
    pub(crate) fn find_records(&self, features: &[u32], records: &mut Vec<u32>) {
        records.clear();
        match &self.numbers {
            None => records.extend_from_slice(features),
            Some(_) => records.extend(features.iter().map(|&feature| self.record_of(feature))),
        }
    }

    /// How to solve for one feature of each group in place of all; `None` when all have their own.
    pub(crate) fn to_solve(&self) -> Option<Fold> {
        let numbers = self.numbers.as_ref()?;
        Some(Fold::new((0..self.n_features as u32).map(|feature| numbers.of(feature)), self.n_groups))
    }
}

/// For each column the number of its group: columns with the same entries are one, numbered by their first columns. Entries are told
/// apart by sums of 128-bit hashes.
fn equal_columns(x: &Csr) -> Vec<u32> {
    let hashes = column_hashes(x);
    let mut firsts = vec![NONE; x.n_cols()];
    let group = |firsts: &mut [u32], columns: &mut Vec<(u128, u32)>| {
        columns.sort_unstable();
        for group in columns.chunk_by(|a, b| a.0 == b.0) {
            group.iter().for_each(|&(_, column)| firsts[column as usize] = group[0].1);
        }
        columns.clear();
    };
    // Equal columns have their first entries in the same row, so that those of one row are compared at a time; the empty ones come last.
    let mut columns = Vec::new();
    for row in x.rows() {
        let new = row.indices.iter().filter(|&&column| firsts[column as usize] == NONE);
        columns.extend(new.map(|&column| (hashes[column as usize], column)));
        group(&mut firsts, &mut columns);
    }
    let empty = (0u32..).zip(&firsts).filter(|(_, first)| **first == NONE);
    columns.extend(empty.map(|(column, _)| (0, column)));
    group(&mut firsts, &mut columns);
    // The groups in the order of their first columns.
    let mut groups = firsts;
    let mut n_groups = 0;
    for column in 0..groups.len() {
        let first = groups[column] as usize;
        groups[column] = if first == column {
            n_groups += 1;
            n_groups - 1
        } else {
            groups[first]
        };
    }
    groups
}

/// What is not a column.
const NONE: u32 = u32::MAX;

/// Most ranges of columns that are hashed beside each other: each finds its entries in every row.
const RANGES: usize = 16;

/// For each column the sum of its entries' hashes, whatever the order they come in.
fn column_hashes(x: &Csr) -> Vec<u128> {
    let mut hashes = vec![0u128; x.n_cols()];
    let range = x.n_cols().div_ceil(rayon::current_num_threads().min(RANGES)).max(1);
    hashes.par_chunks_mut(range).enumerate().for_each(|(number, hashes)| {
        let (first, end) = (number * range, number * range + hashes.len());
        for (row, entries) in (0u32..).zip(x.rows()) {
            let from = entries.indices.partition_point(|&column| (column as usize) < first);
            let to = entries.indices.partition_point(|&column| (column as usize) < end);
            for (&column, value) in entries.indices[from..to].iter().zip(&entries.values[from..to]) {
                let mut entry = [0; 8];
                entry[..4].copy_from_slice(&row.to_le_bytes());
                entry[4..].copy_from_slice(&value.to_bits().to_le_bytes());
                let hash = &mut hashes[column as usize - first];
                *hash = hash.wrapping_add(xxh3_128(&entry));
            }
        }
    });
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelInfo;
    use crate::{Compression, Instances, TrainReport, WeightType, XrLinear, XrLinearParams};
    use xmc_linear::SvmParams;
    use xmc_sparse::{Features, NoProgress, Scored};
    use xmc_tree::{LabelTree, Matcher, Search, SearchParams, TreeLayer};

    fn sample() -> Csr {
        // Columns 0, 3 and 5 are equal, and so are the empty ones 2 and 6; 4 has another value than 0.
        let rows = [
            vec![(0, 1.0), (1, 0.5), (3, 1.0), (4, 1.0), (5, 1.0)],
            vec![(0, 2.0), (3, 2.0), (4, 2.5), (5, 2.0)],
            vec![(1, 0.5)],
        ];
        Csr::from_rows(7, rows).unwrap()
    }

    #[test]
    fn equal_columns_are_a_group() {
        for n_threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            assert_eq!(pool.install(|| equal_columns(&sample())), [0, 1, 2, 0, 3, 0, 2]);
        }
        let groups = FeatureGroups::of(&sample());
        assert_eq!(groups.n_records(), 4);
        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(|feature| groups.record_of(feature)), [0, 1, 2, 0, 3, 0, 2]);
        assert_eq!(groups.record_of(7), NO_RECORD);
        let fold = groups.to_solve().unwrap();
        // Columns 0, 1, 2 and 4 stand for their groups.
        assert_eq!(fold, Fold::new([0, 1, 2, 0, 3, 0, 2], 4));
        assert_eq!(fold.roots()[..], [3f32.sqrt(), 1.0, 2f32.sqrt(), 1.0]);
    }

    #[test]
    fn where_all_differ_there_are_no_groups() {
        let x = Csr::from_rows(3, [vec![(0, 1.0)], vec![(1, 1.0)], vec![(2, 1.0)]]).unwrap();
        let groups = FeatureGroups::of(&x);
        assert_eq!((groups.n_records(), groups.record_of(2), groups.to_solve()), (3, 2, None));
        let nothing = FeatureGroups::of(&Csr::empty(2, 0));
        assert_eq!((nothing.n_records(), nothing.to_solve()), (0, None));
    }

    #[test]
    fn numbers_take_as_many_bytes_as_they_need() {
        assert_eq!([0, 1, 256, 257, 1 << 16, 1 << 24, (1 << 24) + 1].map(width_for), [1, 1, 1, 2, 2, 3, 4]);
        // 300 pairs of columns: numbers of two bytes.
        let row = |row: u32| vec![(row, 1.0), (row + 300, 1.0)];
        let groups = FeatureGroups::of(&Csr::from_rows(600, (0..300).map(row)).unwrap());
        assert_eq!((groups.n_records(), groups.record_of(299), groups.record_of(599)), (300, 299, 299));
        let writer = ModelWriter::in_memory();
        groups.write(&writer, "m").unwrap();
        let container = writer.commit(&()).unwrap();
        let read = FeatureGroups::open(&container, "m", (600, 300)).unwrap();
        assert!((0..600).all(|feature| read.record_of(feature) == groups.record_of(feature)));
        assert!(FeatureGroups::open(&container, "m", (601, 300)).is_err());
        assert!(FeatureGroups::open(&container, "m", (600, 200)).is_err());
    }

    /// 240 instances of 8 labels. Features 0 to 39 are what a label's instances have and chance, 40 to 79 the same once more, in another
    /// order; each of the others is in one instance, three of them together.
    fn instances() -> (Features, Csr) {
        let row = |row: u32| {
            let said = (0..40).filter(move |&f| (row * 31 + f * 17) % 11 < 2 || f % 8 == row % 8);
            let twice = said.flat_map(|f| [f, 40 + (f * 7) % 40]).map(move |f| (f, 0.25));
            let once = (row < 20).then(|| (80 + 3 * row..83 + 3 * row).map(|f| (f, 0.5)));
            twice.chain(once.into_iter().flatten()).collect::<Vec<_>>()
        };
        let y = Csr::from_rows(8, (0..240u32).map(|row| [(row % 8, 1.0)])).unwrap();
        (Features::from_sparse(Csr::from_rows(140, (0..240).map(row)).unwrap()), y)
    }

    fn trained(groups: FeatureGroups) -> (XrLinear, TrainReport) {
        let (x, y) = instances();
        let top = TreeLayer::from_lists([vec![0, 1]], 2).unwrap();
        let leaves = TreeLayer::from_lists([vec![4, 0, 2, 6], vec![1, 3, 5, 7]], 8).unwrap();
        let tree = LabelTree::from_layers(vec![top, leaves]).unwrap();
        let svm = SvmParams::default().threshold(0.001);
        let (params, writer) =
            (XrLinearParams::default().svm(svm).check().unwrap(), ModelWriter::in_memory());
        let info = ModelInfo::of_shape((140, 0), &tree, WeightType::F32, groups);
        let instances = Instances::new(&x, &y);
        let report = params.fit_as(&info, instances, &tree, (&writer, "m"), &NoProgress).unwrap();
        (XrLinear::open(&writer.commit(&()).unwrap(), "m").unwrap(), report)
    }

    fn predictions(model: &XrLinear) -> Vec<Vec<Scored>> {
        let (x, _) = instances();
        let (search, mut scratch) = (SearchParams::default(), crate::Scratch::default());
        let predict = |row| {
            let mut labels = Vec::new();
            model.predict_row(x.row(row), Search::new(&search), &mut scratch, &mut labels);
            labels
        };
        (0..x.n_samples()).map(predict).collect()
    }

    fn compressed(model: &XrLinear) -> XrLinear {
        let (writer, wanted) =
            (ModelWriter::in_memory(), Compression { weights: Some(WeightType::Int8), threshold: 0.2 });
        model.compress(&wanted, &writer, "m", &NoProgress).unwrap();
        XrLinear::open(&writer.commit(&()).unwrap(), "m").unwrap()
    }

    /// Whether both find the same labels, with the same scores but for rounding.
    fn agree(a: &[Vec<Scored>], b: &[Vec<Scored>]) -> bool {
        let close = |(a, b): (&Scored, &Scored)| a.id == b.id && (a.score - b.score).abs() < 1e-3;
        let same = |(a, b): (&Vec<Scored>, &Vec<Scored>)| a.len() == b.len() && a.iter().zip(b).all(close);
        a.len() == b.len() && a.iter().zip(b).all(same)
    }

    #[test]
    fn a_model_of_groups_predicts_the_same() {
        let (x, _) = instances();
        let groups = FeatureGroups::of(x.sparse());
        assert_eq!(groups.n_records(), 40 + 20);
        let ((grouped, few), (plain, all)) = (trained(groups), trained(FeatureGroups::none(140)));
        assert!(few.n_weights * 9 < all.n_weights * 5, "{few:?} {all:?}");
        assert!(agree(&predictions(&grouped), &predictions(&plain)));
        let small = compressed(&grouped);
        assert!(small.layers()[1].n_bytes() < grouped.layers()[1].n_bytes());
        assert!(
            predictions(&small)
                .iter()
                .zip(predictions(&plain))
                .all(|(small, plain)| small[0].id == plain[0].id)
        );
        let of_row = |model: &XrLinear, row: usize| {
            model.margin_parts(x.row(row), 1, row as u32 % 2, row as u32 % 8).unwrap()
        };
        let parts = |model: &XrLinear| of_row(model, 3);
        let features = |model: &XrLinear| parts(model).sparse.iter().map(|part| part.0).collect::<Vec<_>>();
        assert_eq!(features(&grouped), features(&plain));
        assert!((parts(&grouped).sum() - parts(&plain).sum()).abs() < 1e-3);
        let rare = |model: &XrLinear| {
            (0..20).flat_map(|row| of_row(model, row).sparse).filter(|part| part.0 >= 80).count()
        };
        assert!(rare(&plain) > 2 && rare(&grouped) == rare(&plain));
        let traced = grouped.trace(x.row(3), Search::new(&SearchParams::default()));
        assert_eq!(traced.labels(), predictions(&grouped)[3]);
    }
}
