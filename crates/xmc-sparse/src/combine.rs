//! Several ranked lists of the same instance made one: the vote of an ensemble.
//!
//! The five rules are those of PECOS's `CsrEnsembler` (Yu et al., "PECOS: Prediction for Enormous and Correlated
//! Output Spaces", JMLR 2022). With `m` lists, `s` a label's score in a list and `r` its rank there (from 0), a
//! label that a list does not have adds nothing:
//!
//! | rule | score of a label |
//! |---|---|
//! | `average` | `Σ s / m` |
//! | `rank-average` | `Σ (depth − r) / m` |
//! | `softmax-average` | `Σ softmax(s) / m`, the softmax over the labels of each list |
//! | `sigmoid-average` | `Σ 1 / (1 + e^−s) / m` |
//! | `round-robin` | `max (depth − r + (m − i) / (m + 1)) / m` over the lists `i = 0, 1, …` |
//!
//! `depth` is the length of the longest list. It is not a constant to forget: with a larger one it counts for more that
//! a label is in a list at all, and for less where.

use crate::{RankedLists, Scored, SparseError, truncate_to_top_k};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Rows that a thread takes at a time.
const BLOCK: usize = 1024;

/// How the lists of an ensemble become one; the formulas are in the table above.
///
/// `average` wants scores that are at least 0, as `l3-hinge` and `sigmoid` give: with logarithms or margins, the 0 of an
/// absent label would beat those that are there. For these, take one of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Combine {
    /// The mean score. The default: scores of trees that were trained alike are on one scale.
    #[default]
    Average,
    /// The mean of `depth − rank`. For models whose scores cannot be compared.
    RankAverage,
    /// The mean of each list's softmax.
    SoftmaxAverage,
    /// The mean of logistic functions. For margins.
    SigmoidAverage,
    /// All first labels in the order of the lists, then all second ones, and so on.
    RoundRobin,
}

impl Combine {
    /// All rules.
    pub const ALL: [Self; 5] =
        [Self::Average, Self::RankAverage, Self::SoftmaxAverage, Self::SigmoidAverage, Self::RoundRobin];

    /// The name, as on the command line and in files of parameters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Average => "average",
            Self::RankAverage => "rank-average",
            Self::SoftmaxAverage => "softmax-average",
            Self::SigmoidAverage => "sigmoid-average",
            Self::RoundRobin => "round-robin",
        }
    }
}

impl fmt::Display for Combine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is none of [`Combine::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no way to combine lists is called {found:?}: expected average, rank-average, softmax-average, sigmoid-average or round-robin"
)]
pub struct UnknownCombine {
    /// What was found.
    pub found: String,
}

impl FromStr for Combine {
    type Err = UnknownCombine;

    fn from_str(name: &str) -> Result<Self, UnknownCombine> {
        let found = Self::ALL.into_iter().find(|how| how.as_str() == name);
        found.ok_or_else(|| UnknownCombine { found: name.to_owned() })
    }
}

/// Combines the lists of one instance after the other in memory that it keeps.
///
/// ```
/// use xmc_sparse::{Combine, Combiner, Scored};
/// let first = [Scored { id: 7, score: 0.8 }, Scored { id: 2, score: 0.4 }];
/// let second = [Scored { id: 2, score: 0.6 }];
/// let mut both = Vec::new();
/// Combiner::new(Combine::Average, 10).combine_row(&[&first[..], &second], &mut both);
/// assert_eq!(both, [Scored { id: 2, score: 0.5 }, Scored { id: 7, score: 0.4 }]);
/// ```
#[derive(Debug, Clone)]
pub struct Combiner {
    how: Combine,
    top_k: usize,
    depth: usize,
    parts: Vec<Part>,
}

/// What one list says about a label.
#[derive(Debug, Clone, Copy)]
struct Part {
    id: u32,
    /// Number of the list: parts of a label are added in this order.
    list: u32,
    value: f64,
}

impl Combiner {
    /// Combines lists by `how` and keeps the `top_k` best labels.
    pub fn new(how: Combine, top_k: usize) -> Self {
        Self { how, top_k, depth: 0, parts: Vec::new() }
    }

    /// Ranks count down from `depth`, or from the length of the longest list of the instance when that is more.
    /// Set it to the labels that each model is asked for: an instance for which all models find few labels is
    /// then treated like the others. Only `rank-average` and `round-robin` look at ranks. Default 0.
    #[must_use]
    pub fn depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// From now on keeps the `top_k` best labels; for [`Combiner::depth`].
    pub fn reset(&mut self, top_k: usize, depth: usize) {
        (self.top_k, self.depth) = (top_k, depth);
    }

    /// Fills `out` with the combination of `lists`, best first; the higher score first, then the smaller id.
    ///
    /// The lists are in rank order, their scores finite, their ids distinct within a list.
    pub fn combine_row<L: AsRef<[Scored]>>(&mut self, lists: &[L], out: &mut Vec<Scored>) {
        let depth = lists.iter().map(|list| list.as_ref().len()).max().unwrap_or(0).max(self.depth);
        self.parts.clear();
        for (at, list) in lists.iter().map(AsRef::as_ref).enumerate() {
            let rule = Rule::new(self.how, list, at, lists.len(), depth);
            self.parts.extend(list.iter().enumerate().map(|(rank, item)| Part {
                id: item.id,
                list: at as u32,
                value: rule.value(rank, item.score),
            }));
        }
        self.parts.sort_unstable_by_key(|part| (part.id, part.list));
        out.clear();
        out.extend(
            self.parts.chunk_by(|a, b| a.id == b.id).map(|parts| Scored {
                id: parts[0].id,
                score: (self.join(parts) / lists.len() as f64) as f32,
            }),
        );
        truncate_to_top_k(out, self.top_k);
    }

    /// The parts of a label as one.
    fn join(&self, parts: &[Part]) -> f64 {
        let values = parts.iter().map(|part| part.value);
        match self.how {
            Combine::RoundRobin => values.fold(f64::NEG_INFINITY, f64::max),
            _ => values.sum(),
        }
    }
}

/// A rule applied to one list.
enum Rule {
    Score,
    Sigmoid,
    Softmax {
        max: f64,
        sum: f64,
    },
    /// Counts down from here.
    Rank {
        first: f64,
    },
}

impl Rule {
    fn new(how: Combine, list: &[Scored], at: usize, n_lists: usize, depth: usize) -> Self {
        match how {
            Combine::Average => Self::Score,
            Combine::SigmoidAverage => Self::Sigmoid,
            Combine::RankAverage => Self::Rank { first: depth as f64 },
            Combine::RoundRobin => {
                Self::Rank { first: depth as f64 + (n_lists - at) as f64 / (n_lists + 1) as f64 }
            }
            Combine::SoftmaxAverage => {
                let scores = || list.iter().map(|item| f64::from(item.score));
                let max = scores().fold(f64::NEG_INFINITY, f64::max);
                Self::Softmax { max, sum: scores().map(|score| (score - max).exp()).sum() }
            }
        }
    }

    fn value(&self, rank: usize, score: f32) -> f64 {
        let score = f64::from(score);
        match self {
            Self::Score => score,
            Self::Sigmoid => 1.0 / (1.0 + (-score).exp()),
            Self::Softmax { max, sum } => (score - max).exp() / sum,
            Self::Rank { first } => first - rank as f64,
        }
    }
}

/// Combines `lists`, one for each model and all about the same instances, row by row, and keeps the `top_k` best labels of
/// each row. Ranks count down from `depth` (see [`Combiner::depth`]) or the longest list of any row, which is PECOS's rule
/// (`depth` 0). Parallel over rows.
///
/// # Errors
/// [`SparseError::Shape`] when the lists are about different numbers of instances.
pub fn combine(
    lists: &[RankedLists],
    how: Combine,
    top_k: usize,
    depth: usize,
) -> Result<RankedLists, SparseError> {
    let Some(first) = lists.first() else { return Ok(RankedLists::new()) };
    let expected = first.n_rows();
    if let Some(other) = lists.iter().find(|lists| lists.n_rows() != expected) {
        let what = "instances that a list to be combined is about";
        return Err(SparseError::Shape { what, expected, found: other.n_rows() });
    }
    let longest = lists.iter().flat_map(RankedLists::iter).map(<[_]>::len).max().unwrap_or(0);
    let depth = longest.max(depth);
    let blocks = (0..expected.div_ceil(BLOCK)).into_par_iter();
    let blocks: Vec<RankedLists> = blocks
        .map(|block| {
            let rows = block * BLOCK..((block + 1) * BLOCK).min(expected);
            combine_rows(lists, rows, Combiner::new(how, top_k).depth(depth))
        })
        .collect();
    let mut combined = RankedLists::with_capacity(expected, top_k.min(depth));
    blocks.iter().for_each(|block| combined.append(block));
    Ok(combined)
}

fn combine_rows(lists: &[RankedLists], rows: std::ops::Range<usize>, mut combiner: Combiner) -> RankedLists {
    let mut combined = RankedLists::with_capacity(rows.len(), combiner.top_k.min(combiner.depth));
    let (mut of_row, mut out) = (Vec::with_capacity(lists.len()), Vec::new());
    for row in rows {
        of_row.clear();
        of_row.extend(lists.iter().map(|lists| lists.row(row)));
        combiner.combine_row(&of_row, &mut out);
        combined.push(&out);
    }
    combined
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::{IntoDeserializer, value};

    fn list(pairs: &[(u32, f32)]) -> Vec<Scored> {
        pairs.iter().map(|&(id, score)| Scored { id, score }).collect()
    }

    fn row(how: Combine, lists: &[&[(u32, f32)]]) -> Vec<(u32, f32)> {
        let lists: Vec<Vec<Scored>> = lists.iter().map(|pairs| list(pairs)).collect();
        let lists: Vec<&[Scored]> = lists.iter().map(Vec::as_slice).collect();
        let mut out = list(&[(99, 99.0)]);
        Combiner::new(how, 10).combine_row(&lists, &mut out);
        out.iter().map(|item| (item.id, item.score)).collect()
    }

    #[track_caller]
    fn assert_close(found: &[(u32, f32)], expected: &[(u32, f32)]) {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.0, expected.0, "{found:?} {expected:?}");
            assert!((found.1 - expected.1).abs() < 1e-6, "{found:?} {expected:?}");
        }
    }

    const A: &[(u32, f32)] = &[(4, 2.0), (1, 1.0), (8, 0.0)];
    const B: &[(u32, f32)] = &[(1, 3.0), (5, 1.0)];

    #[test]
    fn an_average_counts_an_absent_label_as_zero() {
        assert_close(&row(Combine::Average, &[A, B]), &[(1, 2.0), (4, 1.0), (5, 0.5), (8, 0.0)]);
    }

    #[test]
    fn ranks_count_down_from_the_longest_list() {
        // 1: (2 + 3) / 2; 4: 3 / 2; 5: 2 / 2; 8: 1 / 2.
        assert_close(&row(Combine::RankAverage, &[A, B]), &[(1, 2.5), (4, 1.5), (5, 1.0), (8, 0.5)]);
    }

    #[test]
    fn a_given_depth_makes_it_count_for_more_to_be_in_a_list() {
        let ranked = |depth| {
            let (a, b) = (list(&[(1, 0.9), (2, 0.8), (3, 0.7)]), list(&[(4, 0.9), (5, 0.8), (3, 0.7)]));
            let mut out = Vec::new();
            Combiner::new(Combine::RankAverage, 1).depth(depth).combine_row(&[&a, &b], &mut out);
            (out[0].id, out[0].score)
        };
        // Last in both lists of three: 2 / 2, behind a first place's 3 / 2; from ten on: 16 / 2 before 10 / 2.
        assert_eq!(ranked(0), (1, 1.5));
        assert_eq!(ranked(10), (3, 8.0));
    }

    #[test]
    fn a_softmax_is_taken_over_the_labels_of_each_list() {
        // e², e, 1 over their sum 11.10734; e³, e over 22.80382.
        let expected = [(1, 0.562_762), (4, 0.332_620), (5, 0.059_601), (8, 0.045_015)];
        assert_close(&row(Combine::SoftmaxAverage, &[A, B]), &expected);
        // Nothing overflows.
        assert_close(&row(Combine::SoftmaxAverage, &[&[(1, 1e30), (2, -1e30)]]), &[(1, 1.0), (2, 0.0)]);
    }

    #[test]
    fn margins_are_averaged_as_sigmoids() {
        // σ(0) = 0.5, σ(1) = 0.731059, σ(2) = 0.880797, σ(3) = 0.952574.
        let expected = [(1, 0.841_816_5), (4, 0.440_398_5), (5, 0.365_529_5), (8, 0.25)];
        assert_close(&row(Combine::SigmoidAverage, &[A, B]), &expected);
    }

    #[test]
    fn round_robin_takes_turns_in_the_order_of_the_lists() {
        // 4: 3 + 2/3; 1: 3 + 1/3 (B's first, before A's second); 5: 2 + 1/3; 8: 1 + 2/3; all halved.
        let expected = [(4, 11.0 / 6.0), (1, 5.0 / 3.0), (5, 7.0 / 6.0), (8, 5.0 / 6.0)];
        assert_close(&row(Combine::RoundRobin, &[A, B]), &expected);
        let c: &[(u32, f32)] = &[(7, 0.9), (4, 0.8)];
        let order: Vec<u32> = row(Combine::RoundRobin, &[A, B, c]).iter().map(|item| item.0).collect();
        assert_eq!(order, [4, 1, 7, 5, 8]);
    }

    #[test]
    fn ties_go_to_the_smaller_id() {
        let found = row(Combine::Average, &[&[(9, 0.5), (3, 0.25)], &[(2, 0.5), (3, 0.25)]]);
        assert_eq!(found, [(2, 0.25), (3, 0.25), (9, 0.25)]);
    }

    #[test]
    fn a_single_list_keeps_its_order_by_every_rule() {
        for how in Combine::ALL {
            let order: Vec<u32> = row(how, &[A]).iter().map(|item| item.0).collect();
            assert_eq!(order, [4, 1, 8], "{how}");
        }
        assert_eq!(row(Combine::Average, &[A]), A);
    }

    #[test]
    fn empty_lists_say_nothing() {
        for how in Combine::ALL {
            assert!(row(how, &[]).is_empty() && row(how, &[&[], &[]]).is_empty(), "{how}");
        }
        assert_eq!(row(Combine::SoftmaxAverage, &[&[], &[(3, 7.0)]]), [(3, 0.5)]);
    }

    #[test]
    fn many_rows_are_combined_as_one_by_one() {
        let lists = |step: u32| {
            let mut lists = RankedLists::new();
            for row in 0..2500u32 {
                let ids = (0..row % 5).map(|rank| (row * 7 + rank * step) % 31);
                let items = ids.enumerate().map(|(rank, id)| Scored { id, score: 1.0 / (rank + 1) as f32 });
                lists.push(&items.collect::<Vec<_>>());
            }
            lists
        };
        let models = [lists(1), lists(2), lists(3)];
        for how in Combine::ALL {
            let all = combine(&models, how, 3, 0).unwrap();
            assert_eq!(all.n_rows(), 2500);
            let mut combiner = Combiner::new(how, 3).depth(4);
            let mut out = Vec::new();
            for row in 0..2500 {
                combiner.combine_row(&[models[0].row(row), models[1].row(row), models[2].row(row)], &mut out);
                assert_eq!(all.row(row), out, "{how}, row {row}");
            }
        }
    }

    #[test]
    fn lists_about_different_instances_are_refused() {
        let mut one = RankedLists::new();
        one.push(&[]);
        let wrong = combine(&[RankedLists::new(), one], Combine::Average, 1, 0);
        assert!(matches!(wrong, Err(SparseError::Shape { expected: 0, found: 1, .. })));
        assert_eq!(combine(&[], Combine::Average, 1, 0).unwrap().n_rows(), 0);
    }

    #[test]
    fn names_are_the_same_everywhere() {
        for how in Combine::ALL {
            let from_file: value::StrDeserializer<'_, value::Error> = how.as_str().into_deserializer();
            assert_eq!(Combine::deserialize(from_file), Ok(how));
            assert_eq!(how.to_string().parse(), Ok(how));
        }
        assert_eq!("mean".parse::<Combine>(), Err(UnknownCombine { found: "mean".into() }));
    }
}
