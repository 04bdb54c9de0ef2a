//! From an encoder and a corpus to a table.
//!
//! 1. The encoder's vectors of all texts are seen from their mean, along their first principal directions.
//! 2. Each whole word starts from the encoder's vector for it alone, every other token from nothing.
//! 3. Ridge regression lets tokens leave where they started as far as the texts that they occur in agree on it: a frequent word goes
//!    to what it adds to a text's meaning, a rare one keeps what the encoder knows of it, and pieces of words
//!    learn what speaks for words that the corpus does not have.

use super::pca::{Pca, Projected};
use super::ridge::{Ridge, Stop, dot, lanes_of, product};
use super::{StaticParams, StaticValidParams};
use crate::{EmbedError, EncodingError, StaticTable, TextEncoder, embed};
use ndarray::{Array2, ArrayView2, s};
use std::ops::Range;
use std::path::Path;
use xmc_sparse::kernels::{LANES, Lanes};
use xmc_sparse::{Csr, FeatureId, Progress};
use xmc_tfidf::{Analyzer, Documents, TfIdf, TfIdfParams};

const PENALTIES: [f32; 5] = StaticParams::PENALTIES;
/// One text in so many is held out to choose the penalty.
const HELD_OUT: usize = 10;
/// Directions by which the penalty is chosen: the first ones, which hold most of what there is to learn.
const PROBED: usize = 2 * LANES;

/// A table and how it came about.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Distilled {
    /// The table.
    pub table: StaticTable,
    /// The penalty that was given or chosen.
    pub penalty: f32,
    /// Mean cosine of the table's and the encoder's vectors of held-out texts, along the first 32 directions; none when the
    /// penalty was given.
    pub held_out_cosine: Option<f32>,
    /// Number of words that began at the encoder's vectors for them.
    pub n_words: usize,
}

impl StaticValidParams {
    /// A table that imitates `encoder` on texts like `texts`. The encoder is given all of them, and each word alone; with a
    /// directory `cache` it is given only what is not there (see [`embed`]).
    ///
    /// # Errors
    /// What the encoder runs into; [`EmbedError::NoTexts`], [`EmbedError::Tokens`], and a cache that cannot be read or written.
    pub fn fit<E: TextEncoder, D: Documents + ?Sized>(
        &self,
        texts: &D,
        encoder: &E,
        cache: Option<&Path>,
        progress: &dyn Progress,
    ) -> Result<Distilled, EncodingError<E::Error>> {
        if texts.is_empty() || encoder.n_dims() == 0 {
            return Err(EmbedError::NoTexts.into());
        }
        let params = self.as_params();
        let (tokens, x) = tokenize(params.tokens.clone(), texts, progress)?;
        let vectors = embed(encoder, texts, cache, progress)?;
        let pca = Pca::fit(vectors.view(), params.n_dims.min(encoder.n_dims()));
        let words = Words::of(&tokens);
        let of_words = embed(encoder, &words.names, cache, progress)?;
        let mut weights = words.starting_points(&pca, of_words.view(), tokens.n_features());
        let targets = pca.project(vectors.view());
        scale_to_targets(&x, &targets, &mut weights);
        let (penalty, held_out_cosine) = match params.penalty {
            Some(penalty) => (penalty, None),
            None => self.choose_penalty(&x, &targets, &weights, progress),
        };
        let penalties = vec![penalty; x.n_cols()];
        progress.begin("fit token vectors", Some(pca.n_dims() as u64), "dimensions");
        Ridge::new(&x, &penalties, self.stop()).solve(
            |columns| targets.lanes(columns),
            &mut weights,
            progress,
        );
        progress.end();
        let table = StaticTable::new(tokens, weights.view(), params.precision)?;
        Ok(Distilled { table, penalty, held_out_cosine, n_words: words.names.len() })
    }

    fn stop(&self) -> Stop {
        Stop { max_iter: self.as_params().max_iter, tolerance: self.as_params().tolerance }
    }

    /// The penalty with which weights fitted to most texts agree best with the encoder on the others, and how well.
    ///
    /// Agreement rises with the penalty and falls again, so it is followed upwards from the middle.
    fn choose_penalty(
        &self,
        x: &Csr,
        targets: &Projected<'_>,
        start: &Array2<f32>,
        progress: &dyn Progress,
    ) -> (f32, Option<f32>) {
        let trial = Trial::new(x, targets, start, self.stop());
        progress.begin("choose the penalty", None, "dimensions");
        let mut agree = PENALTIES.map(|_| None);
        let mut at = PENALTIES.len() / 2;
        loop {
            let near = at.saturating_sub(1)..PENALTIES.len().min(at + 2);
            let mut cosine = |at: usize| *agree[at].get_or_insert_with(|| trial.run(PENALTIES[at], progress));
            let best = near.fold(at, |best, other| if cosine(other) > cosine(best) { other } else { best });
            if best == at {
                progress.end();
                return (PENALTIES[at], agree[at]);
            }
            at = best;
        }
    }
}

/// Fits to most texts, to be compared on the others.
struct Trial<'a> {
    kept: Part,
    held_out: Part,
    start: ArrayView2<'a, f32>,
    stop: Stop,
}

/// Some of the rows, and their targets, sixteen columns at a time.
struct Part {
    x: Csr,
    targets: Vec<Vec<Lanes>>,
}

impl<'a> Trial<'a> {
    fn new(x: &Csr, targets: &Projected<'_>, start: &'a Array2<f32>, stop: Stop) -> Self {
        let (held_out, kept): (Vec<usize>, Vec<usize>) = (0..x.n_rows()).partition(|row| row % HELD_OUT == 0);
        let start = start.slice(s![.., ..start.ncols().min(PROBED)]);
        let lanes: Vec<_> = groups(start.ncols()).map(|columns| targets.lanes(columns)).collect();
        let part = |rows: &[usize]| {
            let select = |all: &Vec<Lanes>| rows.iter().map(|&row| all[row]).collect();
            Part { x: x.select_rows(rows), targets: lanes.iter().map(select).collect() }
        };
        Self { kept: part(&kept), held_out: part(&held_out), start, stop }
    }

    /// How well weights fitted with `penalty` agree with the encoder on what is held out.
    fn run(&self, penalty: f32, progress: &dyn Progress) -> f32 {
        let mut weights = self.start.to_owned();
        let penalties = vec![penalty; weights.nrows()];
        let of_kept = |columns: Range<usize>| self.kept.targets[columns.start / LANES].clone();
        Ridge::new(&self.kept.x, &penalties, self.stop).solve(of_kept, &mut weights, progress);
        mean_cosine(&self.held_out.x, &weights, &self.held_out.targets)
    }
}

/// The fitted tokens, and the rows of `texts`, each of length 1: a long text says as much as a short one.
fn tokenize<D: Documents + ?Sized>(
    params: TfIdfParams,
    texts: &D,
    progress: &dyn Progress,
) -> Result<(TfIdf, Csr), EmbedError> {
    let tokens = params.check()?.fit_with_progress(texts, progress)?;
    let rows = tokens.transform_with_progress(texts, progress).into_l2_normalized_rows();
    Ok((tokens, rows))
}

/// The tokens that are whole words.
struct Words {
    ids: Vec<FeatureId>,
    names: Vec<String>,
}

impl Words {
    fn of(tokens: &TfIdf) -> Self {
        let vectorizers = tokens.parts().params.vectorizers.iter().enumerate();
        let of_words = vectorizers.filter(|(_, params)| params.analyzer == Analyzer::Word);
        let ids = of_words.flat_map(|(at, _)| tokens.features_of(at));
        let named = ids.filter_map(|id| tokens.feature_name(id).map(|name| (id, name)));
        let (ids, names) =
            named.filter(|(_, name)| !name.contains(' ')).map(|(id, name)| (id, name.to_owned())).unzip();
        Self { ids, names }
    }

    /// The encoder's vectors of the words where they belong, and zeros elsewhere: `n_tokens × n_dims`.
    fn starting_points<'a>(
        &self,
        pca: &'a Pca,
        vectors: ArrayView2<'a, f32>,
        n_tokens: usize,
    ) -> Array2<f32> {
        let mut start = Array2::zeros((n_tokens, pca.n_dims()));
        let projected = pca.project(vectors);
        for columns in groups(pca.n_dims()) {
            let lanes = projected.lanes(columns.clone());
            for (&id, lanes) in self.ids.iter().zip(&lanes) {
                let values = start.slice_mut(s![id as usize, columns.clone()]);
                values.into_iter().zip(lanes.0).for_each(|(value, lane)| *value = lane);
            }
        }
        start
    }
}

/// Columns `0..n_dims`, sixteen at a time.
fn groups(n_dims: usize) -> impl Iterator<Item = Range<usize>> {
    (0..n_dims).step_by(LANES).map(move |first| first..n_dims.min(first + LANES))
}

/// Multiplies `weights` by the number with which their sums come nearest to the targets.
fn scale_to_targets(x: &Csr, targets: &Projected<'_>, weights: &mut Array2<f32>) {
    let (mut fitted_target, mut fitted_fitted) = (0.0, 0.0);
    for columns in groups(weights.ncols().min(PROBED)) {
        let fitted = product(x, &lanes_of(weights.slice(s![.., columns.clone()])));
        fitted_target += total(&dot(&fitted, &targets.lanes(columns)));
        fitted_fitted += total(&dot(&fitted, &fitted));
    }
    if fitted_fitted > 0.0 {
        *weights *= (fitted_target / fitted_fitted) as f32;
    }
}

fn total(lanes: &[f64; LANES]) -> f64 {
    lanes.iter().sum()
}

/// The mean cosine of `x · weights` and the targets; a row without tokens counts as 0.
fn mean_cosine(x: &Csr, weights: &Array2<f32>, targets: &[Vec<Lanes>]) -> f32 {
    let mut sums = vec![[0.0f64; 3]; x.n_rows()];
    for (columns, targets) in groups(weights.ncols()).zip(targets) {
        let fitted = product(x, &lanes_of(weights.slice(s![.., columns])));
        for (sums, (a, b)) in sums.iter_mut().zip(fitted.iter().zip(targets)) {
            for (a, b) in a.0.iter().zip(b.0).map(|(&a, b)| (f64::from(a), f64::from(b))) {
                *sums = [sums[0] + a * b, sums[1] + a * a, sums[2] + b * b];
            }
        }
    }
    let cosine = |[ab, aa, bb]: &[f64; 3]| if aa * bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 };
    (sums.iter().map(cosine).sum::<f64>() / sums.len().max(1) as f64) as f32
}
