//! One level: candidates, the head to start from, the training, and where it leads the instances.

use super::run::RunDir;
use super::share::Share;
use super::vectors::Vectors;
use super::{Bootstrap, Corpus, CurvePoint, FineTuner, LevelReport, Matched, Result, State};
use crate::level::{AllClusters, Candidates, Flow, LearningPoint, LevelHead, LevelProblem, LevelTrainer};
use crate::{Encoder, TransformerError};
use rayon::prelude::*;
use xmc_linear::SvmParams;
use xmc_sparse::{Csr, Features};
use xmc_store::ModelWriter;
use xmc_tree::{LabelTree, SearchParams, TreeLayer};
use xmc_xrlinear::{Instances, Negatives, RelevanceMode, RelevanceNorm, WeightType, XrLinearParams};

/// One layer of the tree as a problem.
pub(super) struct Level<'a> {
    tuner: &'a FineTuner<'a>,
    corpus: Corpus<'a>,
    /// The texts of the level that follows, if one does.
    next: Option<&'a Share<'a>>,
    tree: &'a LabelTree,
    /// How many levels come before.
    number: usize,
    layer: usize,
    /// Labels in each child of the layer, for every instance and every validation text.
    positives: Csr,
    valid_positives: Option<Csr>,
    /// The clusters above that truly have a label of the instance.
    taught: Option<Csr>,
    valid_taught: Option<Csr>,
}

impl<'a> Level<'a> {
    pub(super) fn new(
        tuner: &'a FineTuner<'a>,
        tree: &'a LabelTree,
        (number, layer): (usize, usize),
        corpus: Corpus<'a>,
        next: Option<&'a Share<'a>>,
    ) -> Result<Self> {
        let positives = below(tree, layer, corpus.y)?;
        let valid_positives = tuner.valid.map(|valid| below(tree, layer, valid.y)).transpose()?;
        let above = |y| (layer > 0).then(|| below(tree, layer - 1, y)).transpose();
        let taught = above(corpus.y)?;
        let valid_taught = tuner.valid.map(|valid| above(valid.y)).transpose()?.flatten();
        Ok(Self {
            tuner,
            corpus,
            next,
            tree,
            number,
            layer,
            positives,
            valid_positives,
            taught,
            valid_taught,
        })
    }

    fn children(&self) -> &TreeLayer {
        &self.tree.layers()[self.layer]
    }

    fn n_clusters(&self) -> usize {
        self.children().n_children()
    }

    /// Trains the level, beginning with what the level before left.
    pub(super) fn train(&self, state: State, run: Option<&RunDir>) -> Result<(State, LevelReport)> {
        let State { encoder, head, matched, vectors } = state;
        let params = self.tuner.params.of_level(self.number);
        let mut trainer = match run.and_then(|run| run.checkpoint(self.layer)) {
            Some(checkpoint) => LevelTrainer::resume(encoder, checkpoint)?,
            None => {
                let head = self.first_head(&encoder, head.as_ref(), matched.as_ref(), vectors)?;
                LevelTrainer::new(encoder, &head, params)?
            }
        };
        let mut log = Log { points: run.map(|run| run.curve(self.layer)).transpose()?.unwrap_or_default() };
        // The curve is written first: a run may have been killed before the checkpoint that belongs to its last point.
        log.points.truncate(trainer.curve().len());
        let candidates = self.candidates(matched.as_ref());
        let problem = LevelProblem {
            tokens: self.corpus.tokens,
            positives: &self.positives,
            candidates: candidates.as_ref(),
        };
        trainer.train(&problem, self.tuner.progress, |trainer: &LevelTrainer, point: &LearningPoint| {
            let valid_p1 = self.validate(trainer, matched.as_ref())?;
            let flow = log.note(CurvePoint { training: *point, valid_p1 }, self.tuner.params.patience);
            if let Some(run) = run {
                let best = self.tuner.params.patience.is_some() && log.is_best();
                run.save(self.layer, trainer, &log.points, best)?;
            }
            Ok::<Flow, TransformerError>(flow)
        })?;
        if let (Some(run), Some(_), false) = (run, self.tuner.params.patience, log.is_best()) {
            trainer = LevelTrainer::resume(trainer.finish()?.0, run.best(self.layer))?;
        }
        let n_steps = trainer.step();
        let (encoder, head) = trainer.finish()?;
        let (matched, vectors) = self.lead(&encoder)?;
        let report =
            LevelReport { layer: self.layer, n_clusters: self.n_clusters(), n_steps, curve: log.points };
        Ok((State { encoder, head: Some(head), matched, vectors }, report))
    }

    fn candidates<'s>(&'s self, matched: Option<&'s Matched>) -> Box<dyn Candidates + 's> {
        match &self.taught {
            None => Box::new(AllClusters(self.n_clusters() as u32)),
            Some(taught) => {
                let matched = matched.map(|matched| &matched.corpus);
                Box::new(Below { layer: self.children(), taught: Some(taught), matched })
            }
        }
    }

    /// The head that the level begins with.
    fn first_head(
        &self,
        encoder: &Encoder,
        above: Option<&LevelHead>,
        matched: Option<&Matched>,
        vectors: Option<Vectors>,
    ) -> Result<LevelHead> {
        let params = &self.tuner.params;
        let random = || LevelHead::random(self.n_clusters(), encoder.n_dims(), params.level.seed);
        let weighted = match (params.bootstrap, above) {
            (Bootstrap::None, _) | (Bootstrap::Inherit, None) => return Ok(random()),
            (Bootstrap::Inherit, Some(above)) => {
                let parents = self.children().parents();
                let first: Vec<u32> = (0..self.n_clusters()).map(|child| parents.of(child)[0]).collect();
                return Ok(LevelHead::inherit(above, &first));
            }
            (Bootstrap::Linear, _) => false,
            (Bootstrap::WeightedLinear, _) => true,
        };
        let cost = params.bootstrap_cost;
        let svm = SvmParams::default().costs(cost, cost).threshold(0.0);
        let mut linear = XrLinearParams::default().svm(svm).weights(WeightType::F32).seed(params.level.seed);
        if weighted {
            linear = linear.relevance(RelevanceMode::RankerOnly, RelevanceNorm::None);
        }
        let n_samples = self.corpus.tokens.n_rows();
        let vectors = vectors.map_or_else(|| self.embed(encoder, self.corpus), Ok)?;
        let (unit, mean_norm) = vectors.into_parts();
        let x = Features::new(Csr::empty(n_samples, 0), Some(unit))?;
        let labels = self.positives.binarized();
        let mut instances = Instances::new(&x, &labels);
        let led = matched.map(|matched| self.one_below_each(&matched.corpus)).transpose()?;
        if let Some(led) = &led {
            linear = linear.negatives(Negatives { teacher: true, matcher: false, user: true });
            instances = instances.hard_negatives(led);
        }
        if weighted {
            instances = instances.relevance(&self.positives);
        }
        let mut heads =
            linear.check()?.fit_heads(instances, &self.down_to(self.layer)?, self.tuner.progress)?;
        // A head sees vectors as long as they are.
        heads.weights.iter_mut().for_each(|weight| *weight /= mean_norm);
        Ok(LevelHead { n_dims: heads.n_dims, weights: heads.weights, biases: heads.intercepts })
    }

    /// The clusters of this level to which a linear model on text features and embeddings leads the texts of the level that
    /// follows, if one does and wants to know; and those texts' vectors.
    fn lead(&self, encoder: &Encoder) -> Result<(Option<Matched>, Option<Vectors>)> {
        let (params, progress) = (&self.tuner.params, self.tuner.progress);
        let Some(corpus) = self.next.map(Share::corpus).filter(|_| params.matched > 0) else {
            return Ok((None, None));
        };
        let mut vectors = self.embed(encoder, corpus)?;
        let (tree, labels) = (self.down_to(self.layer + 1)?, below(self.tree, self.layer + 1, corpus.y)?);
        let (linear, writer) = (self.tuner.linear.check()?, ModelWriter::in_memory());
        let search = SearchParams::default().beam_size(params.matched);
        let (upper, led) = vectors.beside(corpus.x, |x| {
            let (upper, _) =
                linear.fit_upper(Instances::new(x, &labels), &tree, &writer, "concat", progress)?;
            let led = upper.matched(x, &search, progress)?;
            Ok((upper, led))
        })?;
        let of_valid = |valid: Corpus<'_>| {
            let mut vectors = self.embed(encoder, valid)?;
            vectors.beside(valid.x, |x| Ok(upper.matched(x, &search, progress)?))
        };
        let valid = self.tuner.valid.map(of_valid).transpose()?;
        Ok((Some(Matched { corpus: led, valid }), Some(vectors)))
    }

    fn embed(&self, encoder: &Encoder, corpus: Corpus<'_>) -> Result<Vectors> {
        Vectors::of(encoder, corpus.tokens, self.tuner.progress)
    }

    /// For each cluster above to which an instance was led, one cluster below it: so the instance is told from all of them.
    fn one_below_each(&self, matched: &Csr) -> Result<Csr> {
        let first = |cluster: u32| self.children().children(cluster as usize).first().copied();
        let rows = matched.rows().map(|row| {
            let mut clusters: Vec<u32> = row.indices.iter().filter_map(|&cluster| first(cluster)).collect();
            clusters.sort_unstable();
            clusters.into_iter().map(|cluster| (cluster, 1.0))
        });
        Ok(Csr::from_rows(self.n_clusters(), rows)?)
    }

    /// The tree down to `layer`, whose children are its labels.
    fn down_to(&self, layer: usize) -> Result<LabelTree> {
        Ok(LabelTree::from_layers(self.tree.layers()[..=layer].to_vec())?)
    }

    /// Precision at 1 of the head, in percent of the validation texts: among the clusters below those that the level above
    /// leads to, or below the true ones when it was not asked.
    fn validate(&self, trainer: &LevelTrainer, matched: Option<&Matched>) -> Result<Option<f64>> {
        let Some((valid, positives)) = self.tuner.valid.zip(self.valid_positives.as_ref()) else {
            return Ok(None);
        };
        let (encoder, head) = (trainer.encoder(), trainer.head()?);
        let mut vectors = vec![0.0; valid.tokens.n_rows() * encoder.n_dims()];
        encoder.pool_tokens(valid.tokens, &xmc_sparse::NoProgress, &mut vectors)?;
        let matched = matched.and_then(|matched| matched.valid.as_ref());
        let taught = self.valid_taught.as_ref().filter(|_| matched.is_none());
        let below = Below { layer: self.children(), taught, matched };
        let all = AllClusters(self.n_clusters() as u32);
        let candidates: &dyn Candidates = if self.layer == 0 { &all } else { &below };
        let best = best_of_each(&head, &vectors, candidates);
        let is_hit = |(row, best): (usize, &Option<u32>)| {
            best.is_some_and(|best| positives.row(row).indices.binary_search(&best).is_ok())
        };
        let hits = best.iter().enumerate().filter(|&row| is_hit(row));
        Ok(Some(100.0 * hits.count() as f64 / best.len().max(1) as f64))
    }
}

/// The candidate with the highest score of each row of `vectors`, if it has any.
fn best_of_each(head: &LevelHead, vectors: &[f32], candidates: &dyn Candidates) -> Vec<Option<u32>> {
    let score = |vector: &[f32], cluster: u32| {
        let row = &head.weights[cluster as usize * head.n_dims..][..head.n_dims];
        row.iter().zip(vector).map(|(w, x)| w * x).sum::<f32>() + head.biases[cluster as usize]
    };
    let rows = vectors.par_chunks_exact(head.n_dims).enumerate();
    rows.map_init(Vec::new, |of_row: &mut Vec<u32>, (row, vector)| {
        of_row.clear();
        candidates.append(row, of_row);
        let scored = of_row.iter().map(|&cluster| (score(vector, cluster), cluster));
        scored.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, cluster)| cluster)
    })
    .collect()
}

/// Labels of each instance below the children of `layer`: how many of them.
fn below(tree: &LabelTree, layer: usize, y: &Csr) -> Result<Csr> {
    let chain = tree.to_cluster_matrices();
    let mut counts = y.binarized();
    for matrix in chain[layer + 1..].iter().rev() {
        counts = counts.dot(matrix)?;
    }
    Ok(counts)
}

/// The children of the clusters of the level above that have a label of the instance, and of those that it was led to.
struct Below<'a> {
    layer: &'a TreeLayer,
    taught: Option<&'a Csr>,
    matched: Option<&'a Csr>,
}

impl Candidates for Below<'_> {
    fn append(&self, row: usize, candidates: &mut Vec<u32>) {
        let [taught, matched] =
            [self.taught, self.matched].map(|of| of.map_or(&[][..], |of| of.row(row).indices));
        let new = matched.iter().filter(|cluster| taught.binary_search(cluster).is_err());
        for &cluster in taught.iter().chain(new) {
            candidates.extend_from_slice(self.layer.children(cluster as usize));
        }
    }
}

/// The learning curve of a level, and whether it goes on.
struct Log {
    points: Vec<CurvePoint>,
}

impl Log {
    /// Adds a point; with `patience` the level ends when so many of them in a row have not been better than the best.
    fn note(&mut self, point: CurvePoint, patience: Option<u32>) -> Flow {
        self.points.push(point);
        let since_best = self.points.len() - 1 - self.best().unwrap_or(self.points.len() - 1);
        match patience {
            Some(patience) if since_best >= patience as usize => Flow::Stop,
            _ => Flow::Continue,
        }
    }

    /// The point with the best validation score, the first of equal ones.
    fn best(&self) -> Option<usize> {
        let scored = self.points.iter().enumerate().filter_map(|(at, point)| Some((at, point.valid_p1?)));
        scored.reduce(|best, point| if point.1 > best.1 { point } else { best }).map(|(at, _)| at)
    }

    /// Whether the last point is the best, or nobody can tell.
    fn is_best(&self) -> bool {
        self.best().is_none_or(|best| best + 1 == self.points.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(valid_p1: Option<f64>) -> CurvePoint {
        CurvePoint { training: LearningPoint { step: 1, loss: 1.0, learning_rate: 1e-4 }, valid_p1 }
    }

    #[test]
    fn patience_counts_from_the_best_point() {
        let mut log = Log { points: Vec::new() };
        let flows: Vec<Flow> =
            [10.0, 12.0, 11.0, 12.0].iter().map(|&p1| log.note(point(Some(p1)), Some(2))).collect();
        assert_eq!(flows, [Flow::Continue, Flow::Continue, Flow::Continue, Flow::Stop]);
        assert!(!log.is_best());
    }

    #[test]
    fn without_validation_nothing_ends_early() {
        let mut log = Log { points: Vec::new() };
        assert!((0..9).all(|_| log.note(point(None), Some(1)) == Flow::Continue));
        assert!(log.is_best());
    }

    #[test]
    fn candidates_are_below_true_and_matched_clusters_each_once() {
        let layer = TreeLayer::from_lists([vec![0, 1], vec![2], vec![3, 4]], 5).unwrap();
        let taught = Csr::from_rows(3, [vec![(0, 1.0)]]).unwrap();
        let matched = Csr::from_rows(3, [vec![(0, 1.0), (2, 1.0)]]).unwrap();
        let mut found = Vec::new();
        Below { layer: &layer, taught: Some(&taught), matched: Some(&matched) }.append(0, &mut found);
        assert_eq!(found, [0, 1, 3, 4]);
    }

    #[test]
    fn labels_below_a_layer_are_counted() {
        let top = TreeLayer::from_lists([vec![0, 1]], 2).unwrap();
        let leaves = TreeLayer::from_lists([vec![0, 2], vec![1, 3]], 4).unwrap();
        let tree = LabelTree::from_layers(vec![top, leaves]).unwrap();
        let y = Csr::from_rows(4, [vec![(0, 1.0), (2, 5.0)], vec![(3, 1.0)]]).unwrap();
        assert_eq!(below(&tree, 0, &y).unwrap().row(0).iter().collect::<Vec<_>>(), [(0, 2.0)]);
        assert_eq!(below(&tree, 1, &y).unwrap(), y.binarized());
    }
}
