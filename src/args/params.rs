//! Hyper-parameters as options. What is not typed stays as the file of parameters or the default has it.

use super::help;
use super::vectorizer::{VectorizerArgs, VectorizerSpec, name, named, vectorizer};
use clap::Args;
use xmc::{LabelFeatures, Norm, PostProcessor, SvmParams, TrainParams, WeightType};
use xmc::{SearchParams, TfIdfParams, TreeParams};

/// All hyper-parameters.
#[derive(Debug, Args)]
pub(crate) struct ParamArgs {
    #[command(flatten)]
    text: TextArgs,
    #[command(flatten)]
    tree: TreeArgs,
    #[command(flatten)]
    solver: SolverArgs,
    #[command(flatten)]
    search: StoredSearchArgs,
    #[arg(long, value_name = "N", help_heading = "General",
        help = help("Seed of everything random", TrainParams::default().seed))]
    seed: Option<u64>,
}

impl ParamArgs {
    /// Puts what was typed into `params`.
    pub(crate) fn apply(&self, params: &mut TrainParams) {
        set(self.seed, &mut params.seed);
        self.text.apply(&mut params.features);
        self.tree.apply(params);
        set(self.solver.weights, &mut params.linear.weights);
        self.solver.apply(&mut params.linear.svm);
        self.search.apply(&mut params.search);
    }
}

fn set<T: Copy>(typed: Option<T>, param: &mut T) {
    *param = typed.unwrap_or(*param);
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Text features (not used when the data are features)")]
struct TextArgs {
    /// What n-grams are made of and how long they are: words:1-2, char_wb:3-5 (inside words), chars:2-4. Given more
    /// than once, the features stand side by side. Settings of one vectorizer follow it:
    /// 'char_wb:3-5,min-df=5,weight=0.5' [default: words:1-2]
    #[arg(long = "vectorizer", value_name = "KIND:MIN-MAX", value_parser = vectorizer)]
    vectorizers: Vec<VectorizerSpec>,
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
}

impl TextArgs {
    fn apply(&self, params: &mut TfIdfParams) {
        match self.vectorizers.is_empty() {
            true => params.vectorizers.iter_mut().for_each(|params| self.for_all.apply(params)),
            false => {
                params.vectorizers = self.vectorizers.iter().map(|spec| spec.params(&self.for_all)).collect();
            }
        }
        set(self.row_norm, &mut params.norm);
        set(self.fold_case.or(self.no_lowercase.then_some(false)), &mut params.fold_case);
        set(self.nfkc, &mut params.nfkc);
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Label tree (not grown with --tree)")]
struct TreeArgs {
    #[arg(long, value_name = "NAME", value_parser = named::<LabelFeatures>,
        help = help("What labels are clustered by: pifa", name(&LabelFeatures::default())))]
    label_features: Option<LabelFeatures>,
    #[arg(long, value_name = "N", help = help("Children of a cluster, about", TreeParams::default().branching))]
    branching: Option<usize>,
    #[arg(long, value_name = "N", help = help("Most labels of a leaf", TreeParams::default().max_leaf))]
    max_leaf: Option<usize>,
    /// Most clusters of the first level [default: --branching]
    #[arg(long, value_name = "N")]
    min_codes: Option<usize>,
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
}

impl TreeArgs {
    fn apply(&self, params: &mut TrainParams) {
        set(self.label_features, &mut params.label_features);
        let tree = &mut params.tree;
        set(self.branching, &mut tree.branching);
        set(self.max_leaf, &mut tree.max_leaf);
        set(self.min_codes.map(Some), &mut tree.min_codes);
        set(self.kmeans_iter, &mut tree.kmeans_max_iter);
        set(self.kmeans_tolerance, &mut tree.kmeans_tolerance);
        set(self.spherical, &mut tree.spherical);
        set(self.seeding, &mut tree.seeding);
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Solver")]
struct SolverArgs {
    #[arg(long, value_name = "COST", help = help("Cost of a positive instance", svm().cost_positive))]
    cp: Option<f32>,
    #[arg(long, value_name = "COST", help = help("Cost of a negative instance", svm().cost_negative))]
    cn: Option<f32>,
    #[arg(long, value_name = "EPS", help = help("Stop when no condition is violated by more", svm().eps))]
    eps: Option<f32>,
    #[arg(long, value_name = "N", help = help("Most passes over the instances", svm().max_iter))]
    max_iter: Option<u32>,
    #[arg(long, value_name = "VALUE", help = help("Constant feature that carries the intercept; 0 for none", svm().bias))]
    bias: Option<f32>,
    #[arg(long, value_name = "VALUE", help = help("Drop weights that are smaller", svm().threshold))]
    threshold: Option<f32>,
    #[arg(long, value_name = "NAME", value_parser = named::<WeightType>,
        help = help("How weights are stored: bf16, f32", name(&WeightType::default())))]
    weights: Option<WeightType>,
}

fn svm() -> SvmParams {
    SvmParams::default()
}

impl SolverArgs {
    fn apply(&self, svm: &mut SvmParams) {
        set(self.cp, &mut svm.cost_positive);
        set(self.cn, &mut svm.cost_negative);
        set(self.eps, &mut svm.eps);
        set(self.max_iter, &mut svm.max_iter);
        set(self.bias, &mut svm.bias);
        set(self.threshold, &mut svm.threshold);
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Search (kept in the model, can be changed when predicting)")]
struct StoredSearchArgs {
    #[arg(long, value_name = "N", help = help("Clusters kept on each level of the tree", search().beam_size))]
    beam: Option<usize>,
    #[arg(long, short = 'k', value_name = "N", help = help("Labels for each record", search().top_k))]
    top_k: Option<usize>,
    #[arg(long, value_name = "NAME",
        help = help("From margins to scores: l3-hinge (any power from 1 to 9), log-l3-hinge, sigmoid, log-sigmoid, noop", search().post_processor))]
    post_processor: Option<PostProcessor>,
}

fn search() -> SearchParams {
    SearchParams::default()
}

impl StoredSearchArgs {
    fn apply(&self, search: &mut SearchParams) {
        set(self.beam, &mut search.beam_size);
        set(self.top_k, &mut search.top_k);
        set(self.post_processor, &mut search.post_processor);
    }
}
