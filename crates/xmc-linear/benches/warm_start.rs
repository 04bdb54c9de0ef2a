//! What a label's problem gains from starting elsewhere than at zero. `cargo bench -p xmc-linear --bench warm_start`.
//!
//! A tree of 16 clusters with 16 labels each; the problems are those of the labels of a cluster (squared hinge, `C` of 1,
//! tolerance 0.1), solved by textbook dual coordinate descent without shrinking. The table shows passes over the
//! instances, means over the labels, the ones that turn weights into duals and back included:
//!
//! - duals of the same problem: what is left is the pass that proves it;
//! - duals where a third more instances have come, as when labels find further places in a cluster: the best
//!   that a second training could start from;
//! - weights, from which duals are made by `α = 2C max(0, 1 − y w·x)`: exact ones, those of a model (below 0.1 dropped,
//!   bf16), and the weights of the cluster above.
//!
//! Duals that come from weights are off by twice the weights' error along each instance, and the weights that they make by
//! that times the largest eigenvalue of the support vectors' Gram matrix: the error grows before the descent has begun.
//! Models therefore would have to keep duals, which are as many as their weights, to save a third of the passes; they
//! do not, and a training takes over no weights.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const CLUSTERS: usize = 16;
const LABELS: usize = 16;
const PER_LABEL: usize = 40;
const WORDS: usize = 4000;
const EPS: f32 = 0.1;
const MAX_PASSES: usize = 1000;

type Row = Vec<(usize, f32)>;

/// Texts with a label of a cluster each: words of the label, of the cluster and of everywhere, as TF-IDF rows.
struct Texts {
    rows: Vec<Row>,
    label: Vec<usize>,
}

impl Texts {
    fn new() -> Self {
        let rng = &mut Xoshiro256PlusPlus::seed_from_u64(3);
        let of_labels: Vec<Vec<usize>> = vocabularies(rng, CLUSTERS * LABELS, 8);
        let of_clusters: Vec<Vec<usize>> = vocabularies(rng, CLUSTERS, 60);
        let label: Vec<usize> =
            (0..CLUSTERS * LABELS * PER_LABEL).map(|row| row % (CLUSTERS * LABELS)).collect();
        let row = |&label: &usize| {
            let mut words: Vec<usize> = of_labels[label].choose_multiple(rng, 2).copied().collect();
            words.extend(of_clusters[label / LABELS].choose_multiple(rng, 3));
            // Frequent words are frequent.
            words.extend((0..4).map(|_| (WORDS as f32 * rng.r#gen::<f32>().powi(3)) as usize));
            words.sort_unstable();
            words.dedup();
            let value = 1.0 / (words.len() as f32).sqrt();
            words.into_iter().map(|word| (word, value)).collect()
        };
        Self { rows: label.iter().map(row).collect(), label }
    }

    /// Numbers of the texts whose label is in `labels`.
    fn with(&self, labels: std::ops::Range<usize>) -> Vec<usize> {
        (0..self.rows.len()).filter(|&row| labels.contains(&self.label[row])).collect()
    }
}

fn vocabularies(rng: &mut Xoshiro256PlusPlus, n: usize, words: usize) -> Vec<Vec<usize>> {
    (0..n).map(|_| (0..words).map(|_| rng.gen_range(0..WORDS)).collect()).collect()
}

/// One binary problem.
struct Problem<'a> {
    rows: Vec<&'a Row>,
    sign: Vec<f32>,
}

/// Duals, and the weights that they make; the last weight is that of the constant feature.
struct State {
    duals: Vec<f32>,
    w: Vec<f32>,
}

impl<'a> Problem<'a> {
    fn new(texts: &'a Texts, rows: &[usize], is_positive: impl Fn(usize) -> bool) -> Self {
        let sign = rows.iter().map(|&row| if is_positive(texts.label[row]) { 1.0 } else { -1.0 }).collect();
        Self { rows: rows.iter().map(|&row| &texts.rows[row]).collect(), sign }
    }

    fn score(&self, row: usize, w: &[f32]) -> f32 {
        w[WORDS] + self.rows[row].iter().map(|&(word, value)| value * w[word]).sum::<f32>()
    }

    fn add(&self, row: usize, step: f32, w: &mut [f32]) {
        self.rows[row].iter().for_each(|&(word, value)| w[word] += step * value);
        w[WORDS] += step;
    }

    fn at_duals(&self, duals: Vec<f32>) -> State {
        let mut w = vec![0.0; WORDS + 1];
        for (row, dual) in duals.iter().enumerate() {
            self.add(row, self.sign[row] * dual, &mut w);
        }
        State { duals, w }
    }

    fn at_weights(&self, w: &[f32]) -> State {
        let dual = |row: usize| (2.0 * (1.0 - self.sign[row] * self.score(row, w))).max(0.0);
        self.at_duals((0..self.rows.len()).map(dual).collect())
    }

    /// Passes of dual coordinate descent until the tolerance.
    fn solve(&self, state: &mut State) -> usize {
        let rng = &mut Xoshiro256PlusPlus::seed_from_u64(1);
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        for pass in 1..=MAX_PASSES {
            order.shuffle(rng);
            let (mut max, mut min) = (0.0f32, 0.0f32);
            for &row in &order {
                let (sign, dual) = (self.sign[row], state.duals[row]);
                let gradient = sign * self.score(row, &state.w) - 1.0 + 0.5 * dual;
                let projected = if dual == 0.0 { gradient.min(0.0) } else { gradient };
                (max, min) = (max.max(projected), min.min(projected));
                // Rows have length one, and so has the constant feature.
                let stepped = (dual - gradient / 2.5).max(0.0);
                state.duals[row] = stepped;
                self.add(row, sign * (stepped - dual), &mut state.w);
            }
            if max - min <= EPS {
                return pass;
            }
        }
        MAX_PASSES
    }

    fn passes_from_zero(&self) -> (usize, State) {
        let mut state = self.at_duals(vec![0.0; self.rows.len()]);
        (self.solve(&mut state), state)
    }

    /// From duals: one pass to make weights of them.
    fn passes_from_duals(&self, duals: Vec<f32>) -> usize {
        1 + self.solve(&mut self.at_duals(duals))
    }

    /// From weights: one pass to make duals of them, and one back.
    fn passes_from_weights(&self, w: &[f32]) -> usize {
        2 + self.solve(&mut self.at_weights(w))
    }
}

/// As a model stores them.
fn stored(w: &[f32]) -> Vec<f32> {
    let bf16 = |w: &f32| f32::from_bits(w.to_bits() & 0xffff_0000);
    w.iter().map(|w| if w.abs() < 0.1 { 0.0 } else { bf16(w) }).collect()
}

fn main() {
    let texts = Texts::new();
    let all: Vec<usize> = (0..texts.rows.len()).collect();
    let mut sums = [0usize; 7];
    for cluster in 0..CLUSTERS {
        let labels = cluster * LABELS..(cluster + 1) * LABELS;
        let (_, above) = Problem::new(&texts, &all, |label| labels.contains(&label)).passes_from_zero();
        let above = stored(&above.w);
        let rows = texts.with(labels.clone());
        // Labels of the next cluster come in.
        let next = (cluster + 1) % CLUSTERS * LABELS;
        let more: Vec<usize> = rows.iter().copied().chain(texts.with(next..next + LABELS / 3)).collect();
        for label in labels {
            let problem = Problem::new(&texts, &rows, |other| other == label);
            let (from_zero, solved) = problem.passes_from_zero();
            let larger = Problem::new(&texts, &more, |other| other == label);
            let mut duals = solved.duals.clone();
            duals.resize(more.len(), 0.0);
            let passes = [
                from_zero,
                problem.passes_from_duals(solved.duals.clone()),
                larger.passes_from_zero().0,
                larger.passes_from_duals(duals),
                problem.passes_from_weights(&solved.w),
                problem.passes_from_weights(&stored(&solved.w)),
                problem.passes_from_weights(&above),
            ];
            sums.iter_mut().zip(passes).for_each(|(sum, passes)| *sum += passes);
        }
    }
    let names = [
        "zero",
        "its duals",
        "zero, a third more instances",
        "its duals, a third more instances",
        "its weights",
        "its weights as stored",
        "the weights of the cluster above, as stored",
    ];
    println!("{:<45} passes", "start");
    for (name, sum) in names.iter().zip(sums) {
        println!("{name:<45} {:.1}", sum as f64 / (CLUSTERS * LABELS) as f64);
    }
}
