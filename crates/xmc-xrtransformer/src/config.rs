//! `config.json`: the sizes of a network.

use crate::TransformerError;
use crate::architecture::{Architecture, FirstPosition};
use serde_json::{Map, Value};
use std::path::Path;

/// What the network looks like, whatever the fields are called.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub(crate) architecture: &'static Architecture,
    /// Rows of the table of token embeddings.
    pub(crate) n_tokens: i64,
    pub(crate) hidden_size: i64,
    pub(crate) n_layers: usize,
    pub(crate) n_heads: i64,
    pub(crate) intermediate_size: i64,
    /// Rows of the table of positions.
    pub(crate) n_positions: i64,
    /// Rows of the table of token types, 0 where there is none.
    pub(crate) n_token_types: i64,
    /// The token that fills up short rows of a batch.
    pub(crate) padding_id: i64,
    pub(crate) norm_eps: f64,
    pub(crate) dropout: f64,
    pub(crate) attention_dropout: f64,
    pub(crate) activation: Activation,
}

impl PartialEq for Architecture {
    fn eq(&self, other: &Self) -> bool {
        self.model_type == other.model_type
    }
}

/// The function between the two matrices of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// `x Φ(x)`.
    Gelu,
    /// The same with a `tanh` in place of the error function.
    GeluTanh,
    Relu,
}

impl Config {
    /// Reads the contents of `path`.
    pub(crate) fn parse(json: &[u8], path: &Path) -> Result<Self, TransformerError> {
        let fields: Map<String, Value> = serde_json::from_slice(json)
            .map_err(|source| TransformerError::Json { path: path.to_owned(), source })?;
        Reader { fields, path }.config()
    }

    /// Number of the first position that a token can have.
    pub(crate) fn first_position(&self) -> i64 {
        match self.architecture.first_position {
            FirstPosition::Zero => 0,
            FirstPosition::AfterPadding => self.padding_id + 1,
        }
    }

    /// Tokens of the longest text that there are positions for.
    pub(crate) fn max_length(&self) -> usize {
        usize::try_from(self.n_positions - self.first_position()).unwrap_or(0)
    }

    /// Width of the vectors.
    pub(crate) fn n_dims(&self) -> usize {
        usize::try_from(self.hidden_size).expect("invariant: sizes are positive")
    }
}

struct Reader<'a> {
    fields: Map<String, Value>,
    path: &'a Path,
}

impl Reader<'_> {
    fn config(&self) -> Result<Config, TransformerError> {
        let architecture = self.architecture()?;
        let names = architecture.names;
        self.only("position_embedding_type", "absolute")?;
        let config = Config {
            architecture,
            n_tokens: self.size("vocab_size")?,
            hidden_size: self.size(names.hidden_size)?,
            n_layers: usize::try_from(self.size(names.n_layers)?).expect("invariant: sizes are positive"),
            n_heads: self.size(names.n_heads)?,
            intermediate_size: self.size(names.intermediate_size)?,
            n_positions: self.size("max_position_embeddings")?,
            n_token_types: if architecture.has_token_types { self.size("type_vocab_size")? } else { 0 },
            padding_id: self.padding_id(architecture)?,
            norm_eps: self.number("layer_norm_eps", 1e-12, 0.0..1.0)?,
            dropout: self.number(names.dropout, 0.1, 0.0..1.0)?,
            attention_dropout: self.number(names.attention_dropout, 0.1, 0.0..1.0)?,
            activation: self.activation(names.activation)?,
        };
        if config.hidden_size % config.n_heads != 0 {
            let expected = format!("a divisor of '{}' ({})", names.hidden_size, config.hidden_size);
            return Err(self.wrong(names.n_heads, expected));
        }
        if config.max_length() < 3 {
            return Err(self.wrong("max_position_embeddings", "room for three tokens and more".to_owned()));
        }
        Ok(config)
    }

    fn architecture(&self) -> Result<&'static Architecture, TransformerError> {
        let found = self.fields.get("model_type").and_then(Value::as_str);
        let found =
            found.ok_or_else(|| self.wrong("model_type", format!("one of {}", Architecture::known())))?;
        Architecture::of(found).ok_or_else(|| TransformerError::UnknownArchitecture {
            path: self.path.to_owned(),
            found: found.to_owned(),
            known: Architecture::known(),
        })
    }

    fn size(&self, field: &'static str) -> Result<i64, TransformerError> {
        // Far above any model, and far below what would overflow in a product of two.
        const LARGEST: i64 = 1 << 28;
        let size = self.fields.get(field).and_then(Value::as_i64).filter(|size| (1..=LARGEST).contains(size));
        size.ok_or_else(|| self.wrong(field, "a whole number above 0".to_owned()))
    }

    fn padding_id(&self, architecture: &Architecture) -> Result<i64, TransformerError> {
        let default = match architecture.first_position {
            FirstPosition::Zero => 0,
            FirstPosition::AfterPadding => 1,
        };
        match self.fields.get("pad_token_id") {
            None | Some(Value::Null) => Ok(default),
            Some(id) => {
                let n_tokens = self.size("vocab_size")?;
                let id = id.as_i64().filter(|id| (0..n_tokens).contains(id));
                id.ok_or_else(|| self.wrong("pad_token_id", "the number of a token".to_owned()))
            }
        }
    }

    fn number(
        &self,
        field: &'static str,
        default: f64,
        range: std::ops::Range<f64>,
    ) -> Result<f64, TransformerError> {
        let Some(value) = self.fields.get(field) else { return Ok(default) };
        let number = value.as_f64().filter(|number| range.contains(number));
        number.ok_or_else(|| self.wrong(field, format!("a number from {} to {}", range.start, range.end)))
    }

    fn activation(&self, field: &'static str) -> Result<Activation, TransformerError> {
        match self.fields.get(field).and_then(Value::as_str) {
            None | Some("gelu") => Ok(Activation::Gelu),
            Some("gelu_new" | "gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
            Some("relu") => Ok(Activation::Relu),
            Some(_) => Err(self.wrong(field, "gelu, gelu_new, gelu_pytorch_tanh or relu".to_owned())),
        }
    }

    fn only(&self, field: &'static str, value: &str) -> Result<(), TransformerError> {
        match self.fields.get(field).and_then(Value::as_str) {
            Some(found) if found != value => Err(self.wrong(field, value.to_owned())),
            _ => Ok(()),
        }
    }

    fn wrong(&self, field: &'static str, expected: String) -> TransformerError {
        let found = self.fields.get(field).map_or_else(|| "missing".to_owned(), Value::to_string);
        TransformerError::Config { path: self.path.to_owned(), field, expected, found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bert() -> Value {
        json!({
            "model_type": "bert", "vocab_size": 100, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 16, "max_position_embeddings": 32, "type_vocab_size": 2
        })
    }

    fn parse(json: &Value) -> Result<Config, TransformerError> {
        Config::parse(json.to_string().as_bytes(), Path::new("config.json"))
    }

    #[test]
    fn sizes_are_read_under_the_architectures_names() {
        let config = parse(&bert()).unwrap();
        assert_eq!((config.n_tokens, config.n_dims(), config.max_length()), (100, 8, 32));
        assert_eq!((config.activation, config.norm_eps, config.dropout), (Activation::Gelu, 1e-12, 0.1));
        let distilbert = json!({
            "model_type": "distilbert", "vocab_size": 100, "dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 16,
            "max_position_embeddings": 32, "dropout": 0.2
        });
        let config = parse(&distilbert).unwrap();
        assert_eq!((config.intermediate_size, config.n_token_types, config.dropout), (16, 0, 0.2));
    }

    #[test]
    fn positions_of_roberta_begin_after_the_padding_token() {
        let mut json = bert();
        json["model_type"] = "roberta".into();
        assert_eq!(parse(&json).unwrap().first_position(), 2);
        json["pad_token_id"] = 4.into();
        assert_eq!((parse(&json).unwrap().first_position(), parse(&json).unwrap().max_length()), (5, 27));
    }

    #[test]
    fn each_field_that_cannot_be_is_named() {
        let wrong = |field: &str, value: Value| {
            let mut json = bert();
            json[field] = value;
            match parse(&json) {
                Err(TransformerError::Config { field: named, .. }) => assert_eq!(named, field),
                other => panic!("{field}: {other:?}"),
            }
        };
        wrong("vocab_size", 0.into());
        wrong("hidden_size", "8".into());
        wrong("num_hidden_layers", Value::Null);
        wrong("num_attention_heads", 3.into());
        wrong("max_position_embeddings", 2.into());
        wrong("type_vocab_size", (-1).into());
        wrong("pad_token_id", 100.into());
        wrong("layer_norm_eps", 2.into());
        wrong("hidden_dropout_prob", 1.into());
        wrong("hidden_act", "mish".into());
        wrong("position_embedding_type", "relative_key".into());
        wrong("model_type", 3.into());
    }

    #[test]
    fn an_unknown_architecture_is_named_with_the_known_ones() {
        let mut json = bert();
        json["model_type"] = "mamba".into();
        let message = parse(&json).unwrap_err().to_string();
        assert_eq!(
            message,
            "config.json: the architecture 'mamba' is not known; known are bert, distilbert, roberta, xlm-roberta"
        );
        assert!(matches!(Config::parse(b"[]", Path::new("c")), Err(TransformerError::Json { .. })));
    }
}
