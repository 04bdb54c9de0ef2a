//! Two kinds of data with the statistics of real ones, and models of them.

use xmc_data::synth::{Shape, Shaped, ShapedParams, ShapedRecord, Split};
use xmc_sparse::{Csr, Features, NoProgress};
use xmc_store::ModelWriter;
use xmc_tree::{LabelFeatures, LabelTree, TreeParams};
use xmc_xrlinear::{Instances, XrLinear, XrLinearParams};

const N_QUERIES: u64 = 500;

/// Records of about 20 features, many of them rare, as words and word pairs of titles are: 100,000 with 25,000 labels.
pub(crate) fn titles() -> Shaped {
    let mut params = ShapedParams::new(Shape::Amazon670k);
    (params.n_train, params.n_labels, params.n_features) = (100_000, 25_000, 300_000);
    (params.features_per_record, params.labels_per_record) = (20.0, 2.0);
    params.check().unwrap()
}

/// Records of about 675 features: Wiki10-31K.
pub(crate) fn documents() -> Shaped {
    ShapedParams::new(Shape::Wiki10).check().unwrap()
}

/// Training instances, their labels and the tree of these.
pub(crate) struct Training {
    pub(crate) x: Features,
    pub(crate) y: Csr,
    pub(crate) tree: LabelTree,
}

impl Training {
    pub(crate) fn new(shaped: &Shaped) -> Self {
        let (x, y) = records(shaped, Split::Train, shaped.n_records(Split::Train));
        let label_features = LabelFeatures::default().compute(&x, &y).unwrap();
        let tree = TreeParams::default().check().unwrap().fit(&label_features).unwrap();
        Self { x, y, tree }
    }

    pub(crate) fn model(&self) -> XrLinear {
        let writer = ModelWriter::in_memory();
        let params = XrLinearParams::default().check().unwrap();
        params.fit(Instances::new(&self.x, &self.y), &self.tree, &writer, "model", &NoProgress).unwrap();
        XrLinear::open(&writer.commit(&()).unwrap(), "model").unwrap()
    }
}

/// Instances that no training has seen.
pub(crate) fn queries(shaped: &Shaped) -> Features {
    records(shaped, Split::Test, N_QUERIES).0
}

fn records(shaped: &Shaped, split: Split, n: u64) -> (Features, Csr) {
    let mut record = ShapedRecord::default();
    let (mut rows, mut labels) = (Vec::new(), Vec::new());
    for number in 0..n {
        shaped.record(split, number, &mut record);
        rows.push(record.features.clone());
        labels.push(record.labels.iter().map(|&label| (label, 1.0)).collect::<Vec<_>>());
    }
    let x = Csr::from_rows(shaped.params().n_features as usize, rows).unwrap();
    let y = Csr::from_rows(shaped.params().n_labels as usize, labels).unwrap();
    (Features::from_sparse(x), y)
}
