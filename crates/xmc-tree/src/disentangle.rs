//! Label disentanglement: labels with several senses move to, or are copied into, the clusters where their
//! instances are looked for.
//!
//! A label stands in one cluster, but its instances may belong to many (*apple*: fruit, phones). An instance that the
//! search leads elsewhere can never get it. Given which clusters the matcher chooses for each training instance
//! (M), the label goes where its positives are. Liu et al. (NeurIPS 2021, "Label Disentanglement in Partition-based
//! Extreme Multilabel Classification") relax that to G = YᵀM and take the λ largest entries of each label's row
//! ([`AssignmentRule::TopK`]). G counts an instance once for each of its matched clusters, so a second copy often
//! covers instances that the first one has already; [`AssignmentRule::Greedy`] counts those that are not yet
//! covered, which is greedy maximum coverage: at least 1 − 1/e of the best (Nemhauser et al. 1978), with far
//! fewer copies.

use crate::candidates::{Candidates, Pick};
use crate::{TreeError, TreeLayer};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use xmc_sparse::{Csr, LabelId, SparseError};

/// How the clusters of a label are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AssignmentRule {
    /// Again and again the cluster with the most positives that no chosen cluster has; ties go to where the label
    /// stands already, then to the smaller number.
    #[default]
    Greedy,
    /// The clusters with the most positives, as published; ties go to the smaller number.
    TopK,
}

/// Parameters of label disentanglement, not yet checked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct DisentangleParams {
    /// Most clusters of a label (λ in the paper). At least 1, default 2. With 1, labels only move.
    pub copies: usize,
    /// How they are chosen. Default [`AssignmentRule::Greedy`].
    pub rule: AssignmentRule,
    /// A further copy must add this share of the label's positives, and 2 of them at least (greedy rule
    /// only). In 0..=1, default 0.05.
    pub min_gain: f32,
    /// Most labels of a cluster, as a multiple of the mean (labels / clusters). A cluster that has more already
    /// may keep as many. At least 1, default 3; `inf` is no limit, as published.
    pub max_leaf_factor: f32,
    /// Whether every label keeps the places that it has (as many as `copies` allows) and only further ones are chosen.
    /// Default no.
    pub keep_places: bool,
}

impl Default for DisentangleParams {
    fn default() -> Self {
        let (rule, keep_places) = (AssignmentRule::Greedy, false);
        Self { copies: 2, rule, min_gain: 0.05, max_leaf_factor: 3.0, keep_places }
    }
}

impl DisentangleParams {
    /// Sets [`Self::copies`].
    #[must_use]
    pub fn copies(mut self, copies: usize) -> Self {
        self.copies = copies;
        self
    }

    /// Sets [`Self::rule`].
    #[must_use]
    pub fn rule(mut self, rule: AssignmentRule) -> Self {
        self.rule = rule;
        self
    }

    /// Sets [`Self::min_gain`].
    #[must_use]
    pub fn min_gain(mut self, min_gain: f32) -> Self {
        self.min_gain = min_gain;
        self
    }

    /// Sets [`Self::max_leaf_factor`].
    #[must_use]
    pub fn max_leaf_factor(mut self, max_leaf_factor: f32) -> Self {
        self.max_leaf_factor = max_leaf_factor;
        self
    }

    /// Sets [`Self::keep_places`].
    #[must_use]
    pub fn keep_places(mut self, keep_places: bool) -> Self {
        self.keep_places = keep_places;
        self
    }

    /// The same parameters, known to be in range.
    ///
    /// # Errors
    /// [`TreeError::Param`] or [`TreeError::RealParam`] for the first one that is out of its range.
    pub fn check(self) -> Result<Disentangle, TreeError> {
        let real = |name, found, expected| Err(TreeError::RealParam { name, found, expected });
        if self.copies == 0 {
            return Err(TreeError::Param { name: "copies", found: 0, expected: "at least 1" });
        }
        if !(0.0..=1.0).contains(&self.min_gain) {
            return real("min_gain", self.min_gain, "a share of a label's positives, 0 to 1");
        }
        if self.max_leaf_factor.is_nan() || self.max_leaf_factor < 1.0 {
            return real("max_leaf_factor", self.max_leaf_factor, "at least 1");
        }
        Ok(Disentangle { params: self })
    }
}

/// Assigns labels to clusters by checked [`DisentangleParams`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Disentangle {
    params: DisentangleParams,
}

/// The new last layer and what is different in it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Disentangled {
    /// From the same clusters to the labels; a label may stand under several, and a cluster may have none.
    pub leaves: TreeLayer,
    /// What was done.
    pub report: DisentangleReport,
}

/// What a disentanglement did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DisentangleReport {
    /// Places beyond the first of each label.
    pub copies: usize,
    /// Labels that stand under none of their former clusters.
    pub moved: usize,
    /// Labels that no matched cluster asks for (no positives, as a rule): they stay. 0 when all do.
    pub unmatched: usize,
    /// Labels that stay because all their clusters were full.
    pub crowded_out: usize,
    /// Most labels that a cluster could take (clusters that had more before keep as many).
    pub max_leaf: usize,
    /// Labels of each cluster.
    pub sizes: Vec<usize>,
    /// Positives: pairs of an instance and one of its labels.
    pub positives: usize,
    /// Positives with a matched cluster that held the label before.
    pub covered_before: usize,
    /// Positives with a matched cluster that holds the label now.
    pub covered: usize,
}

impl Disentangle {
    /// The parameters.
    pub fn params(&self) -> &DisentangleParams {
        &self.params
    }

    /// New places for the labels of `leaves` (the last layer of a tree) from `label_instances` (Yᵀ, `n_labels ×
    /// n_samples`) and `matched` (M, `n_samples × n_clusters`: the clusters that the matcher chose for each
    /// instance). Only where entries are counts, not their values.
    ///
    /// First places go before copies, and more positives before fewer; a label that finds a cluster full
    /// goes to its next best. Every label keeps a place: one that nothing matched, or that was crowded out
    /// everywhere, stays where it was, whatever the limit. The same input gives the same layer at any
    /// number of threads.
    ///
    /// # Errors
    /// [`TreeError::Matrix`] when the three do not fit together; [`TreeError::TooManyLabels`] above
    /// `u32::MAX` places.
    pub fn assign(
        &self,
        leaves: &TreeLayer,
        label_instances: &Csr,
        matched: &Csr,
    ) -> Result<Disentangled, TreeError> {
        check_shapes(leaves, label_instances, matched)?;
        let candidates = Candidates {
            instances: label_instances,
            matched,
            former: &leaves.parents(),
            rule: self.params.rule,
            copies: self.params.copies,
            min_gain: self.params.min_gain,
        };
        let max_leaf = self.max_leaf(leaves);
        let mut settling = Settling::new(&candidates, leaves, max_leaf);
        if self.params.keep_places {
            settling.stay_all();
        }
        settling.wish_all();
        settling.settle();
        let Settling { places, sizes, unmatched, crowded_out, .. } = settling;
        let new = layer_of(&places, leaves.n_parents())?;
        let report = DisentangleReport {
            copies: new.n_slots() - new.n_children(),
            moved: moved(&candidates, &places),
            unmatched,
            crowded_out,
            max_leaf,
            sizes,
            positives: label_instances.nnz(),
            covered_before: candidates.covered(leaves),
            covered: candidates.covered(&new),
        };
        Ok(Disentangled { leaves: new, report })
    }

    /// Most labels of a cluster that has not more already.
    fn max_leaf(&self, leaves: &TreeLayer) -> usize {
        let mean = leaves.n_children() as f64 / leaves.n_parents().max(1) as f64;
        (f64::from(self.params.max_leaf_factor) * mean).ceil() as usize
    }
}

fn check_shapes(leaves: &TreeLayer, label_instances: &Csr, matched: &Csr) -> Result<(), SparseError> {
    for (what, expected, found) in [
        ("rows of the labels' instances (one for each label)", leaves.n_children(), label_instances.n_rows()),
        (
            "columns of the labels' instances (one for each instance)",
            matched.n_rows(),
            label_instances.n_cols(),
        ),
        ("columns of the matched clusters (one for each leaf cluster)", leaves.n_parents(), matched.n_cols()),
    ] {
        if expected != found {
            return Err(SparseError::Shape { what, expected, found });
        }
    }
    Ok(())
}

/// Clusters under labels, turned round.
fn layer_of(places: &[Vec<u32>], n_clusters: usize) -> Result<TreeLayer, TreeError> {
    let mut lists = vec![Vec::new(); n_clusters];
    for (places, label) in places.iter().zip(0u32..) {
        places.iter().for_each(|&cluster| lists[cluster as usize].push(label));
    }
    TreeLayer::from_lists(lists, places.len())
}

fn moved(candidates: &Candidates<'_>, places: &[Vec<u32>]) -> usize {
    let stands =
        |label: usize| candidates.former.of(label).iter().any(|former| places[label].contains(former));
    (0..places.len()).filter(|&label| !stands(label)).count()
}

/// The next wish of a label; the greatest is granted first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    is_first_place: bool,
    gain: u32,
    label: Reverse<LabelId>,
}

/// Clusters being filled.
struct Settling<'c> {
    candidates: &'c Candidates<'c>,
    /// Room of each cluster.
    limits: Vec<usize>,
    sizes: Vec<usize>,
    /// The clusters of each label so far.
    places: Vec<Vec<u32>>,
    /// What each label still wants, as long as nothing of it is full.
    wanted: Vec<VecDeque<Pick>>,
    wishes: BinaryHeap<Wish>,
    unmatched: usize,
    crowded_out: usize,
}

impl<'c> Settling<'c> {
    fn new(candidates: &'c Candidates<'c>, leaves: &TreeLayer, max_leaf: usize) -> Self {
        let limits = (0..leaves.n_parents()).map(|cluster| max_leaf.max(leaves.children(cluster).len()));
        Self {
            candidates,
            limits: limits.collect(),
            sizes: vec![0; leaves.n_parents()],
            places: vec![Vec::new(); leaves.n_children()],
            wanted: Vec::new(),
            wishes: BinaryHeap::new(),
            unmatched: 0,
            crowded_out: 0,
        }
    }

    /// Every label keeps its places.
    fn stay_all(&mut self) {
        (0..self.places.len()).for_each(|label| self.stay(label));
    }

    /// Every label's wishes beside the places that it has, found in parallel as if there were room everywhere.
    fn wish_all(&mut self) {
        let labels = self.places.par_iter().enumerate();
        let wanted = labels.map(|(label, has)| self.candidates.picks(label, has, &|_| false).into());
        self.wanted = wanted.collect();
    }

    fn settle(&mut self) {
        for label in 0..self.places.len() {
            if !self.wanted[label].is_empty() {
                self.wish(label);
            } else if self.places[label].is_empty() {
                self.unmatched += 1;
                self.stay(label);
            }
        }
        while let Some(Wish { label: Reverse(label), .. }) = self.wishes.pop() {
            self.grant(label as usize);
        }
        for label in 0..self.places.len() {
            if self.places[label].is_empty() {
                self.crowded_out += 1;
                self.stay(label);
            }
        }
    }

    /// Former places, at most as many as a label may have.
    fn stay(&mut self, label: usize) {
        let former = self.candidates.former.of(label);
        former.iter().take(self.candidates.copies).for_each(|&cluster| self.put(label, cluster));
    }

    fn put(&mut self, label: usize, cluster: u32) {
        self.places[label].push(cluster);
        self.sizes[cluster as usize] += 1;
    }

    fn wish(&mut self, label: usize) {
        if let Some(pick) = self.wanted[label].front() {
            let is_first_place = self.places[label].is_empty();
            self.wishes.push(Wish { is_first_place, gain: pick.gain, label: Reverse(label as u32) });
        }
    }

    fn grant(&mut self, label: usize) {
        let Some(pick) = self.wanted[label].pop_front() else { return };
        let is_full = |cluster: u32| self.sizes[cluster as usize] >= self.limits[cluster as usize];
        if is_full(pick.cluster) {
            // Clusters only fill up, so what is full now need not be asked again.
            self.wanted[label] = self.candidates.picks(label, &self.places[label], &is_full).into();
        } else {
            self.put(label, pick.cluster);
        }
        self.wish(label);
    }
}
