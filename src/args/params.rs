//! Hyper-parameters as options. What is not typed stays as the file of parameters or the default has it.

use super::vectorizer::{TypedVectorizer, VectorizerArgs, name, named, vectorizer};
use super::{AssignmentArgs, EncodingArgs, at_least_one, help};
use clap::Args;
use serde::de::DeserializeOwned;
use std::{fmt, str::FromStr};
use xmc::{
    Combine, EncoderKind, LabelFeatures, Loss, MergeCopies, Negatives, Norm, PerLayer, PostProcessor,
    RelevanceMode,
};
use xmc::{RelevanceNorm, RelevanceParams, SearchParams, SvmParams, TfIdfParams, TrainParams, TreeParams};
use xmc::{WeightType, XrLinearParams};
use xmc_tree::{Clustering, Sampling};

/// All hyper-parameters.
#[derive(Debug, Args)]
pub(crate) struct ParamArgs {
    #[command(flatten)]
    text: TextArgs,
    #[command(flatten)]
    encoding: EncodingArgs,
    #[arg(long, value_name = "LENGTH", help_heading = EncodingArgs::HEADING,
        help = help("Length of an embedding; a row of text features has length 1", scales()))]
    encoder_scale: Option<f32>,
    #[command(flatten)]
    tree: TreeArgs,
    #[command(flatten)]
    solver: SolverArgs,
    #[command(flatten)]
    learning: LearningArgs,
    #[command(flatten)]
    disentangle: CopyArgs,
    #[command(flatten)]
    search: StoredSearchArgs,
    #[arg(long, value_name = "N", help_heading = "General",
        help = help("Seed of everything random", TrainParams::default().seed))]
    seed: Option<u64>,
}

fn scales() -> String {
    let [transformer, table] = [EncoderKind::Transformer, EncoderKind::Static].map(EncoderKind::scale);
    format!("{transformer} of a transformer's, {table} of a table's")
}

impl ParamArgs {
    /// Puts what was typed into `params`.
    pub(crate) fn apply(&self, params: &mut TrainParams) {
        set(&self.seed, &mut params.seed);
        self.text.apply(params);
        self.encoding.apply(&mut params.encoding);
        params.encoding.scale = self.encoder_scale.or(params.encoding.scale);
        self.tree.apply(params);
        self.solver.apply(&mut params.linear);
        self.learning.apply(params);
        self.disentangle.apply(params);
        self.search.apply(&mut params.search);
    }
}

fn set<T: Clone>(typed: &Option<T>, param: &mut T) {
    if let Some(typed) = typed {
        param.clone_from(typed);
    }
}

/// One value, or several separated by commas: see [`PerLayer`].
pub(super) fn per_layer<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<PerLayer<T>, String> {
    let value = |text: &str| text.trim().parse().map_err(|error: T::Err| format!("'{text}': {error}"));
    let values: Vec<T> = text.split(',').map(value).collect::<Result<_, _>>()?;
    PerLayer::try_from(values).map_err(str::to_owned)
}

fn per_layer_named<T: DeserializeOwned>(text: &str) -> Result<PerLayer<T>, String> {
    let value = |text: &str| named::<T>(text.trim()).map_err(|error| error.to_string());
    let values: Vec<T> = text.split(',').map(value).collect::<Result<_, _>>()?;
    PerLayer::try_from(values).map_err(str::to_owned)
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Text features (not used when the data are features)")]
struct TextArgs {
    /// What n-grams are made of and how long they are: words:1-2, char_wb:3-5 (inside words), chars:2-4. Given more
    /// than once, the features stand side by side. Settings of one vectorizer follow it:
    /// 'char_wb:3-5,min-df=5,weight=0.5'; 'none' is for embeddings alone [default: words:1-2]
    #[arg(long = "vectorizer", value_name = "KIND:MIN-MAX", value_parser = vectorizer)]
    vectorizers: Vec<TypedVectorizer>,
    #[command(flatten)]
    for_all: VectorizerArgs,
    #[arg(long, value_name = "NAME", value_parser = named::<Norm>,
        help = help("Norm of the features of several vectorizers together: none, l1, l2", name(&TfIdfParams::default().norm)))]
    row_norm: Option<Norm>,
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        help = help("Remove distinctions of case", TfIdfParams::default().fold_case))]
    fold_case: Option<bool>,
    /// The same as --fold-case=false
    #[arg(long, conflicts_with = "fold_case")]
    no_lowercase: bool,
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        help = help("Bring text into Unicode Normalization Form KC", TfIdfParams::default().nfkc))]
    nfkc: Option<bool>,
    /// Weight of each label's name as one more training text of that label, 0 for none. Needs names: a second column
    /// in --labels, or --labels with names in the first [default: 1]
    #[arg(long, value_name = "WEIGHT")]
    label_rows: Option<f32>,
}

impl TextArgs {
    fn apply(&self, params: &mut TrainParams) {
        set(&self.label_rows, &mut params.label_rows);
        let params = &mut params.features;
        match self.vectorizers.is_empty() {
            true => params.vectorizers.iter_mut().for_each(|params| self.for_all.apply(params)),
            false => {
                params.vectorizers =
                    self.vectorizers.iter().filter_map(|typed| typed.params(&self.for_all)).collect();
            }
        }
        set(&self.row_norm, &mut params.norm);
        set(&self.fold_case.or(self.no_lowercase.then_some(false)), &mut params.fold_case);
        set(&self.nfkc, &mut params.nfkc);
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Label tree (not grown with --tree)")]
struct TreeArgs {
    #[arg(long, value_name = "NAME", value_parser = named::<LabelFeatures>,
        help = help("What labels are clustered by: pifa (their texts), pii (what they occur with), pifa-lf-concat or pifa-lf-convex (their texts and their names)", name(&LabelFeatures::default())))]
    label_features: Option<LabelFeatures>,
    #[arg(long, value_name = "SHARE",
        help = help("Share of the texts in pifa-lf-convex", TrainParams::default().label_features_alpha))]
    label_features_alpha: Option<f32>,
    /// Cluster labels by this many random projections of their features, for label features that would not fit into memory; it is
    /// faster, and the clusters are worse, the more so the fewer [default: the features themselves]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    label_sketch: Option<usize>,
    #[arg(long, value_name = "NAME", value_parser = named::<Clustering>,
        help = help("How labels are clustered: balanced, kmeans (clusters of any size, as Bonsai; with --branching 100 --max-depth 2), none (one-vs-rest)", name(&Clustering::default())))]
    clustering: Option<Clustering>,
    #[arg(long, value_name = "N", help = help("Children of a cluster, about", TreeParams::default().branching))]
    branching: Option<usize>,
    #[arg(long, value_name = "N", help = help("Most labels of a leaf", TreeParams::default().max_leaf))]
    max_leaf: Option<usize>,
    /// Most clusters of the first level [default: --branching]
    #[arg(long, value_name = "N")]
    min_codes: Option<usize>,
    /// Most levels, that of the labels included; 2 is clusters and labels [default: any number]
    #[arg(long, value_name = "N")]
    max_depth: Option<usize>,
    #[arg(long, value_name = "N", help = help("Most refinements of a split", TreeParams::default().kmeans_max_iter))]
    kmeans_iter: Option<usize>,
    #[arg(long, value_name = "SHARE",
        help = help("End the refinements of a split when at most this share of its labels changes sides", TreeParams::default().kmeans_tolerance))]
    kmeans_tolerance: Option<f32>,
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        help = help("Spherical k-means", TreeParams::default().spherical))]
    spherical: Option<bool>,
    #[arg(long, value_name = "NAME", value_parser = named::<xmc_tree::Seeding>,
        help = help("What a split starts from: random-rows, linfa (dense features only)", name(&TreeParams::default().seeding)))]
    seeding: Option<xmc_tree::Seeding>,
    /// Split upper clusters by a sample of their labels: faster with millions of labels
    #[arg(long)]
    sampling: bool,
    #[arg(long, value_name = "N",
        help = help("Number of different trees, each with its weights: more accurate, and as many times slower and larger", TrainParams::default().n_trees))]
    trees: Option<usize>,
    #[arg(long, value_name = "NAME", value_parser = named::<Combine>,
        help = help("How several trees vote: average, rank-average, softmax-average, sigmoid-average, round-robin", name(&Combine::default())))]
    combine: Option<Combine>,
}

impl TreeArgs {
    fn apply(&self, params: &mut TrainParams) {
        set(&self.label_features, &mut params.label_features);
        set(&self.label_features_alpha, &mut params.label_features_alpha);
        params.label_sketch = self.label_sketch.or(params.label_sketch);
        set(&self.trees, &mut params.n_trees);
        set(&self.combine, &mut params.combine);
        let tree = &mut params.tree;
        set(&self.clustering, &mut tree.clustering);
        set(&self.branching, &mut tree.branching);
        set(&self.max_leaf, &mut tree.max_leaf);
        set(&self.min_codes.map(Some), &mut tree.min_codes);
        set(&self.max_depth.map(Some), &mut tree.max_depth);
        set(&self.kmeans_iter, &mut tree.kmeans_max_iter);
        set(&self.kmeans_tolerance, &mut tree.kmeans_tolerance);
        set(&self.spherical, &mut tree.spherical);
        set(&self.seeding, &mut tree.seeding);
        set(&self.sampling.then(|| Some(Sampling::default())), &mut tree.sampling);
    }
}

#[derive(Debug, Args)]
#[command(
    next_help_heading = "Solver (several values, separated by commas, are for the levels of the tree, the last one for the labels)"
)]
struct SolverArgs {
    #[arg(long, value_name = "NAME", value_parser = per_layer_named::<Loss>,
        help = help("Loss: squared-hinge, hinge, logistic", name(&svm().loss)))]
    loss: Option<PerLayer<Loss>>,
    #[arg(long, value_name = "COST", value_parser = per_layer::<f32>, help = help("Cost of a positive instance", svm().cost_positive))]
    cp: Option<PerLayer<f32>>,
    #[arg(long, value_name = "COST", value_parser = per_layer::<f32>, help = help("Cost of a negative instance", svm().cost_negative))]
    cn: Option<PerLayer<f32>>,
    #[arg(long, value_name = "EPS", value_parser = per_layer::<f32>, help = help("Stop when no condition is violated by more", svm().eps))]
    eps: Option<PerLayer<f32>>,
    #[arg(long, value_name = "N", value_parser = per_layer::<u32>, help = help("Most passes over the instances", svm().max_iter))]
    max_iter: Option<PerLayer<u32>>,
    #[arg(long, value_name = "VALUE", value_parser = per_layer::<f32>, help = help("Constant feature that carries the intercept; 0 for none", svm().bias))]
    bias: Option<PerLayer<f32>>,
    #[arg(long, value_name = "VALUE", value_parser = per_layer::<f32>, help = help("Drop weights that are smaller", svm().threshold))]
    threshold: Option<PerLayer<f32>>,
    /// Keep at most this many weights of a label, the largest, the intercept counted [default: all]
    #[arg(long, value_name = "N", value_parser = per_layer::<usize>)]
    max_nonzeros: Option<PerLayer<usize>>,
    #[arg(long, value_name = "NAME", value_parser = named::<WeightType>, visible_alias = "quantize",
        help = help("How weights are stored: bf16, f32, int8 (a byte each: sign and logarithm)", name(&WeightType::default())))]
    weights: Option<WeightType>,
    /// Weights that are in memory at a time, about: layers that have more are written in parts, which are then put together
    #[arg(long, value_name = "N")]
    part_weights: Option<u64>,
}

fn svm() -> SvmParams {
    SvmParams::default()
}

impl SolverArgs {
    fn apply(&self, linear: &mut XrLinearParams) {
        set(&self.weights, &mut linear.weights);
        linear.part_weights = self.part_weights.or(linear.part_weights);
        let svm = &mut linear.svm;
        spread(&self.loss, svm, |svm, value| svm.loss = value);
        spread(&self.cp, svm, |svm, value| svm.cost_positive = value);
        spread(&self.cn, svm, |svm, value| svm.cost_negative = value);
        spread(&self.eps, svm, |svm, value| svm.eps = value);
        spread(&self.max_iter, svm, |svm, value| svm.max_iter = value);
        spread(&self.bias, svm, |svm, value| svm.bias = value);
        spread(&self.threshold, svm, |svm, value| svm.threshold = value);
        spread(&self.max_nonzeros, svm, |svm, value| svm.max_nonzeros_per_label = Some(value));
    }
}

/// Puts one setting, which may differ from layer to layer, into the parameters of every layer.
fn spread<T: Clone>(
    typed: &Option<PerLayer<T>>,
    svm: &mut PerLayer<SvmParams>,
    put: impl Fn(&mut SvmParams, T),
) {
    if let Some(typed) = typed {
        *svm = svm.zip(typed).map(|(svm, value)| {
            let mut svm = *svm;
            put(&mut svm, value.clone());
            svm
        });
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What is learnt from")]
struct LearningArgs {
    #[arg(long, value_name = "NAMES", value_parser = per_layer::<Negatives>,
        help = help("Negatives of each level: tfn (cheap), man (what the levels above confuse: best for the labels, slower), usn (--hard-negatives), or unions: tfn,tfn+man", Negatives::default()))]
    negatives: Option<PerLayer<Negatives>>,
    #[arg(long, value_name = "N", value_parser = per_layer::<usize>,
        help = help("Clusters that 'man' sends an instance to", beam()))]
    matcher_beam: Option<PerLayer<usize>>,
    #[arg(long, value_name = "NAME", value_parser = named::<RelevanceMode>,
        help = help("Weigh the labels of an instance: disable, induce (on all levels), ranker-only (labels only)", name(&RelevanceMode::default())))]
    relevance_mode: Option<RelevanceMode>,
    #[arg(long, value_name = "NAME", value_parser = named::<RelevanceNorm>,
        help = help("Norm of the weights of an instance's labels: l1, l2, max, none", name(&RelevanceNorm::default())))]
    relevance_norm: Option<RelevanceNorm>,
    /// Weigh rare labels more, by one over their propensity (relevance mode 'ranker-only' unless given)
    #[arg(long)]
    tail_weights: bool,
}

impl LearningArgs {
    fn apply(&self, params: &mut TrainParams) {
        let linear = &mut params.linear;
        set(&self.negatives, &mut linear.negatives);
        set(&self.matcher_beam, &mut linear.matcher_beam.0);
        if self.tail_weights {
            params.tail_weights = true;
            if linear.relevance.mode == RelevanceMode::Disable {
                linear.relevance =
                    RelevanceParams { mode: RelevanceMode::RankerOnly, norm: RelevanceNorm::None };
            }
        }
        set(&self.relevance_mode, &mut linear.relevance.mode);
        set(&self.relevance_norm, &mut linear.relevance.norm);
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Labels in several clusters (see 'xmc disentangle --help')")]
struct CopyArgs {
    /// Most clusters of a label; with 1, labels only move [default: labels stay in the one that the tree has them in]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    copies: Option<usize>,
    #[command(flatten)]
    assignment: AssignmentArgs,
}

impl CopyArgs {
    fn apply(&self, params: &mut TrainParams) {
        set(&self.copies, &mut params.disentangle.copies);
        self.assignment.apply(&mut params.disentangle);
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Search (kept in the model, can be changed when predicting)")]
struct StoredSearchArgs {
    #[arg(long, value_name = "N", value_parser = beams, help = help("Clusters kept on each level of the tree, or N,N,… for the levels, or 'all'", beam()))]
    beam: Option<PerLayer<usize>>,
    #[arg(long, short = 'k', value_name = "N", help = help("Labels for each record", search().top_k))]
    top_k: Option<usize>,
    #[arg(long, value_name = "NAME",
        help = help("From margins to scores: l3-hinge (any power from 1 to 9), log-l3-hinge, sigmoid, log-sigmoid, noop", search().post_processor))]
    post_processor: Option<PostProcessor>,
    /// Another one for the labels: noop ranks them by their margin alone [default: the same]
    #[arg(long, value_name = "NAME")]
    leaf_post_processor: Option<PostProcessor>,
    /// Leave out labels with a lower score [default: none]
    #[arg(long, value_name = "SCORE")]
    min_score: Option<f32>,
    #[arg(long, value_name = "NAME", value_parser = named::<MergeCopies>,
        help = help("Score of a label found in several clusters: mean, max, sum", name(&MergeCopies::default())))]
    merge_copies: Option<MergeCopies>,
}

fn search() -> SearchParams {
    SearchParams::default()
}

fn beam() -> usize {
    search().beam_size.iter().next().copied().unwrap_or_default()
}

/// Numbers of at least 1, or 'all' for a search that leaves nothing out.
pub(super) fn beams(text: &str) -> Result<PerLayer<usize>, String> {
    if text == "all" {
        return Ok(usize::MAX.into());
    }
    let beams = per_layer::<usize>(text)?;
    if beams.iter().any(|&beam| beam == 0) {
        return Err("expected numbers of at least 1, or 'all'".to_owned());
    }
    Ok(beams)
}

impl StoredSearchArgs {
    fn apply(&self, search: &mut SearchParams) {
        set(&self.beam, &mut search.beam_size);
        set(&self.top_k, &mut search.top_k);
        set(&self.post_processor, &mut search.post_processor);
        set(&self.leaf_post_processor.map(Some), &mut search.leaf_post_processor);
        set(&self.min_score.map(Some), &mut search.min_score);
        set(&self.merge_copies, &mut search.merge_copies);
    }
}
