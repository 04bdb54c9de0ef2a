//! What each instance is to each of sixteen labels.

use xmc_sparse::kernels::{LANES, Lanes};

/// Which instances are positives of which lane, at which cost, and which take part at all.
///
/// The plain form ([`Targets::new`]) is two bytes an instance. Costs and restrictions are kept only when there are
/// any, and only then does the solver look for them.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// Bit `l` of entry `i`: instance `i` is a positive of lane `l`.
    pub(crate) positive: Vec<u16>,
    pub(crate) costs: Option<PairCosts>,
    /// Bit `l` of entry `i`: instance `i` is in the problem of lane `l`. All are, when there is none.
    pub(crate) taking_part: Option<Vec<u16>>,
    n_lanes: usize,
}

/// Costs of (instance, label) pairs: a line of sixteen for each instance that has a positive.
#[derive(Debug, Clone)]
pub(crate) struct PairCosts {
    /// The line of each instance.
    pub(crate) line_of: Vec<u32>,
    /// The first line is for all instances without a positive. 1 wherever there is no positive.
    pub(crate) lines: Vec<Lanes>,
}

impl Targets {
    /// Positives of up to [`LANES`] labels: `lists[l]` names the rows (numbers within the cluster) of label `l`.
    ///
    /// # Panics
    /// When there are more than [`LANES`] lists or a row is out of range.
    pub fn new<L: AsRef<[u32]>>(n_rows: usize, lists: &[L]) -> Self {
        let positive = masks(n_rows, lists);
        Self { positive, costs: None, taking_part: None, n_lanes: lists.len() }
    }

    /// The same with a cost for each pair: `costs[l][p]` multiplies `Cp` for the positive `lists[l][p]`. Negatives
    /// cost `Cn` as ever; both are multiplied by the instance's weight.
    ///
    /// ```
    /// # use xmc_linear::Targets;
    /// // Instance 2 matters three times as much to label 0 as instance 1 does.
    /// let targets = Targets::with_costs(4, &[&[1, 2][..], &[0]], &[&[1.0, 3.0][..], &[0.5]]);
    /// assert_eq!(targets.n_lanes(), 2);
    /// ```
    ///
    /// # Panics
    /// As [`Targets::new`], and when `costs` has another shape than `lists` or a cost is not a finite number above 0:
    /// leave out a pair that costs nothing.
    pub fn with_costs<L: AsRef<[u32]>, C: AsRef<[f32]>>(n_rows: usize, lists: &[L], costs: &[C]) -> Self {
        assert_eq!(lists.len(), costs.len(), "a list of costs for each list of positives");
        for (rows, costs) in lists.iter().zip(costs) {
            assert_eq!(rows.as_ref().len(), costs.as_ref().len(), "a cost for each positive");
        }
        let plain = Self::new(n_rows, lists);
        // Costs of one are no costs.
        let any = costs.iter().any(|costs| costs.as_ref().iter().any(|&cost| cost != 1.0));
        let costs = any.then(|| PairCosts::new(&plain.positive, lists, costs));
        Self { costs, ..plain }
    }

    /// The same where label `l` trains on the rows in `lists[l]` and on its positives only; it never sees the others.
    ///
    /// For labels whose instances differ although they are siblings. Rows that all labels see cost least.
    ///
    /// # Panics
    /// When there is not one list for each label or a row is out of range.
    #[must_use]
    pub fn restricted<L: AsRef<[u32]>>(self, lists: &[L]) -> Self {
        assert_eq!(lists.len(), self.n_lanes, "a list of rows for each label");
        let mut taking_part = masks(self.positive.len(), lists);
        taking_part.iter_mut().zip(&self.positive).for_each(|(rows, positive)| *rows |= positive);
        let everything = taking_part.iter().all(|&lanes| lanes == self.mask());
        Self { taking_part: (!everything).then_some(taking_part), ..self }
    }

    /// Number of labels.
    pub fn n_lanes(&self) -> usize {
        self.n_lanes
    }

    /// What the pairs of an instance cost.
    pub(crate) fn pair_costs(&self, row: usize) -> Lanes {
        self.costs.as_ref().map_or(Lanes([1.0; LANES]), |costs| *costs.line(row))
    }

    /// Lanes that have a label.
    pub(crate) fn mask(&self) -> u16 {
        ((1u32 << self.n_lanes) - 1) as u16
    }
}

impl PairCosts {
    /// What the pairs of an instance cost.
    #[inline(always)]
    pub(crate) fn line(&self, row: usize) -> &Lanes {
        &self.lines[self.line_of[row] as usize]
    }

    fn new<L: AsRef<[u32]>, C: AsRef<[f32]>>(positive: &[u16], lists: &[L], costs: &[C]) -> Self {
        let n_lines = 1 + positive.iter().filter(|&&lanes| lanes != 0).count();
        let ones = Lanes([1.0; LANES]);
        let (mut line_of, mut lines) = (vec![0; positive.len()], Vec::with_capacity(n_lines));
        lines.push(ones);
        for (lane, (rows, costs)) in lists.iter().zip(costs).enumerate() {
            for (&row, &cost) in rows.as_ref().iter().zip(costs.as_ref()) {
                assert!(
                    cost.is_finite() && cost > 0.0,
                    "the cost of a positive is {cost}, not a number above 0"
                );
                let line = &mut line_of[row as usize];
                if *line == 0 {
                    *line = lines.len() as u32;
                    lines.push(ones);
                }
                lines[*line as usize].0[lane] = cost;
            }
        }
        Self { line_of, lines }
    }
}

/// Bit `l` of entry `i`: row `i` is in `lists[l]`.
fn masks<L: AsRef<[u32]>>(n_rows: usize, lists: &[L]) -> Vec<u16> {
    assert!(lists.len() <= LANES, "at most {LANES} labels are solved together");
    let mut masks = vec![0u16; n_rows];
    for (lane, list) in lists.iter().enumerate() {
        for &row in list.as_ref() {
            masks[row as usize] |= 1 << lane;
        }
    }
    masks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_with_a_positive_have_a_line_of_costs() {
        let targets = Targets::with_costs(5, &[&[1, 4][..], &[4]], &[&[2.0, 3.0][..], &[0.5]]);
        let costs = targets.costs.unwrap();
        assert_eq!(costs.line_of, [0, 1, 0, 0, 2]);
        assert_eq!(costs.lines.len(), 3);
        assert_eq!(costs.lines[0], Lanes([1.0; LANES]));
        assert_eq!(costs.lines[2].0[..3], [3.0, 0.5, 1.0]);
    }

    #[test]
    fn what_changes_nothing_is_not_kept() {
        let lists = [&[0, 1][..], &[2]];
        assert!(Targets::with_costs(3, &lists, &[&[1.0, 1.0][..], &[1.0]]).costs.is_none());
        assert!(Targets::new(3, &lists).restricted(&[[0, 1, 2], [0, 1, 2]]).taking_part.is_none());
    }

    #[test]
    fn positives_always_take_part() {
        let targets = Targets::new(3, &[&[0][..], &[2]]).restricted(&[&[1][..], &[]]);
        assert_eq!(targets.taking_part.unwrap(), [0b01, 0b01, 0b10]);
    }

    #[test]
    #[should_panic(expected = "not a number above 0")]
    fn a_cost_of_zero_is_refused() {
        Targets::with_costs(1, &[[0]], &[[0.0]]);
    }
}
