//! Every way that loading, using or training an encoder can fail.

use crate::DeviceChoice;
use std::path::PathBuf;

/// An encoder that cannot be read, does not fit together, or cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransformerError {
    /// A file of the encoder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that is not JSON, or not of the form that is asked for.
    #[error("{}: not a valid description of an encoder: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line, column and what was expected there.
        source: serde_json::Error,
    },
    /// A kind of model that is not known here.
    #[error("{}: the architecture '{found}' is not known; known are {known}", path.display())]
    UnknownArchitecture {
        /// The configuration.
        path: PathBuf,
        /// Its `model_type`.
        found: String,
        /// All that are known, with commas between them.
        known: String,
    },
    /// A field of the configuration that is missing, or has a value that cannot be.
    #[error("{}: '{field}' is {found}, expected {expected}", path.display())]
    Config {
        /// The configuration.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A file that is not in the safetensors format, or is damaged.
    #[error(
        "{}: not a safetensors file, or a damaged one: {source}; fetch the encoder again (or convert its weights)",
        path.display()
    )]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: safetensors::SafeTensorError,
    },
    /// A tensor that the architecture calls for is not there.
    #[error("{}: the tensor '{name}' is missing, with and without the prefix '{prefix}'", path.display())]
    TensorMissing {
        /// The weights.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What may stand before its name.
        prefix: &'static str,
    },
    /// A tensor that has another shape than the configuration calls for.
    #[error("{}: the tensor '{name}' has the shape {found:?}, expected {expected:?}", path.display())]
    TensorShape {
        /// The weights.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The shape that follows from the configuration.
        expected: Vec<i64>,
        /// The shape in the file.
        found: Vec<i64>,
    },
    /// A tensor of numbers that are no floating-point numbers.
    #[error("{}: the tensor '{name}' is of {found}, expected F64, F32, F16 or BF16", path.display())]
    TensorKind {
        /// The weights.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type in the file.
        found: String,
    },
    /// A tensor with NaN or infinite values.
    #[error("{}: the tensor '{name}' has values that are not finite", path.display())]
    TensorNonFinite {
        /// The weights.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// None of the known vocabulary files is there.
    #[error("{}: no vocabulary: expected {expected}", path.display())]
    VocabularyMissing {
        /// The encoder's folder.
        path: PathBuf,
        /// The files that would do.
        expected: &'static str,
    },
    /// A vocabulary that cannot be read.
    #[error("{}: not a valid vocabulary: {source}", path.display())]
    VocabularyInvalid {
        /// The vocabulary.
        path: PathBuf,
        /// What is wrong with it.
        source: rust_tokenizers::error::TokenizerError,
    },
    /// A vocabulary with token numbers for which the model has no embedding.
    #[error(
        "{}: the largest token number is {found}, but the model has embeddings for {expected} tokens: \
         this is not the model's vocabulary",
        path.display()
    )]
    VocabularyTooLarge {
        /// The vocabulary.
        path: PathBuf,
        /// Rows of the embedding table.
        expected: usize,
        /// The largest token number.
        found: i64,
    },
    /// A parameter out of its range.
    #[error("{name} is {found}, expected {expected}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// Its range.
        expected: String,
        /// The value given.
        found: String,
    },
    /// A device that is not there.
    #[error(
        "the device {asked} is not there: {found} CUDA devices were found. CUDA needs libtorch_cuda.so of PyTorch \
         2.11.0 on the library path (LD_LIBRARY_PATH) and a GPU; --device cpu works everywhere"
    )]
    DeviceMissing {
        /// The device asked for.
        asked: DeviceChoice,
        /// Number of CUDA devices.
        found: usize,
    },
    /// A buffer for results that does not have one row for each text.
    #[error("the buffer for the embeddings has {found} values, expected {expected}")]
    OutputLength {
        /// Texts times dimensions.
        expected: usize,
        /// Its length.
        found: usize,
    },
    /// Not even a single text fits in the device's memory.
    #[error(
        "out of memory on {device} with a single text of {n_tokens} tokens: lower max_length or use another device"
    )]
    OutOfMemory {
        /// The device.
        device: String,
        /// Tokens of the text.
        n_tokens: usize,
    },
    /// Another process is at the run.
    #[error("{}: another process is at the run in this directory", path.display())]
    RunInUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory of a run of other data or with other parameters.
    #[error(
        "{}: this is the directory of a run with other data, parameters or another encoder; it cannot be gone on with: \
         give another directory, or remove it", path.display()
    )]
    OtherRun {
        /// The directory.
        path: PathBuf,
    },
    /// libtorch refuses an operation.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The model container cannot give or take the encoder.
    #[error(transparent)]
    Store(#[from] xmc_store::StoreError),
    /// The label tree that an encoder is fine-tuned on.
    #[error(transparent)]
    Tree(#[from] xmc_tree::TreeError),
    /// The linear models of a fine-tuning.
    #[error(transparent)]
    XrLinear(#[from] xmc_xrlinear::XrLinearError),
    /// A matrix.
    #[error(transparent)]
    Sparse(#[from] xmc_sparse::SparseError),
}

impl TransformerError {
    /// Whether the device's memory is what is missing. libtorch says so in words only.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        let Self::Torch(tch::TchError::Torch(message)) = self else { return false };
        message.contains("out of memory") || message.contains("can't allocate memory")
    }
}
