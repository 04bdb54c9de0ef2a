//! The architectures that are known: what their fields and tensors are called.
//!
//! BERT (Devlin et al., 2019), RoBERTa (Liu et al., 2019), XLM-RoBERTa (Conneau et al., 2020) and DistilBERT (Sanh et al., 2019)
//! are one network with different names. MiniLM and most sentence encoders are one of these. The names are those of Hugging
//! Face's `transformers`, so that files go both ways.

/// One `model_type` of `config.json`.
#[derive(Debug)]
pub(crate) struct Architecture {
    pub(crate) model_type: &'static str,
    /// What stands before tensor names when the encoder was saved as part of a larger model.
    pub(crate) prefix: &'static str,
    /// Numbers of positions that are never used: RoBERTa counts on from the padding token's number.
    pub(crate) first_position: FirstPosition,
    /// Whether there is a table of token types.
    pub(crate) has_token_types: bool,
    pub(crate) names: &'static Names,
}

/// The position of a text's first token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstPosition {
    Zero,
    AfterPadding,
}

/// Names of layers and of the fields of `config.json`.
#[derive(Debug)]
pub(crate) struct Names {
    /// Fields.
    pub(crate) hidden_size: &'static str,
    pub(crate) n_layers: &'static str,
    pub(crate) n_heads: &'static str,
    pub(crate) intermediate_size: &'static str,
    pub(crate) dropout: &'static str,
    pub(crate) attention_dropout: &'static str,
    pub(crate) activation: &'static str,
    /// What stands before a layer's number.
    pub(crate) layer: &'static str,
    /// Tensors of a layer.
    pub(crate) query: &'static str,
    pub(crate) key: &'static str,
    pub(crate) value: &'static str,
    pub(crate) attention_output: &'static str,
    pub(crate) attention_norm: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
    pub(crate) norm: &'static str,
}

const BERT: Names = Names {
    hidden_size: "hidden_size",
    n_layers: "num_hidden_layers",
    n_heads: "num_attention_heads",
    intermediate_size: "intermediate_size",
    dropout: "hidden_dropout_prob",
    attention_dropout: "attention_probs_dropout_prob",
    activation: "hidden_act",
    layer: "encoder.layer",
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    norm: "output.LayerNorm",
};

const DISTILBERT: Names = Names {
    hidden_size: "dim",
    n_layers: "n_layers",
    n_heads: "n_heads",
    intermediate_size: "hidden_dim",
    dropout: "dropout",
    attention_dropout: "attention_dropout",
    activation: "activation",
    layer: "transformer.layer",
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    norm: "output_layer_norm",
};

const TABLE: [Architecture; 4] = [
    Architecture {
        model_type: "bert",
        prefix: "bert.",
        first_position: FirstPosition::Zero,
        has_token_types: true,
        names: &BERT,
    },
    Architecture {
        model_type: "distilbert",
        prefix: "distilbert.",
        first_position: FirstPosition::Zero,
        has_token_types: false,
        names: &DISTILBERT,
    },
    Architecture {
        model_type: "roberta",
        prefix: "roberta.",
        first_position: FirstPosition::AfterPadding,
        has_token_types: true,
        names: &BERT,
    },
    Architecture {
        model_type: "xlm-roberta",
        prefix: "roberta.",
        first_position: FirstPosition::AfterPadding,
        has_token_types: true,
        names: &BERT,
    },
];

impl Architecture {
    /// The architecture of this `model_type`.
    pub(crate) fn of(model_type: &str) -> Option<&'static Self> {
        TABLE.iter().find(|architecture| architecture.model_type == model_type)
    }

    /// Every `model_type`, with commas between them.
    pub(crate) fn known() -> String {
        TABLE.map(|architecture| architecture.model_type).join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_are_found_by_name() {
        for architecture in &TABLE {
            let found = Architecture::of(architecture.model_type).unwrap();
            assert_eq!((found.prefix, found.names.query), (architecture.prefix, architecture.names.query));
        }
        assert!(Architecture::of("mpnet").is_none());
        assert_eq!(Architecture::known(), "bert, distilbert, roberta, xlm-roberta");
    }
}
