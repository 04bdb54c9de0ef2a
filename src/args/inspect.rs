//! `xmc inspect`.

use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  xmc inspect --model subjects                     sizes, provenance, scores
  xmc inspect --model subjects --verify            compare every byte with its checksum
  xmc inspect --model subjects --tree --depth 2    the upper levels of the label tree
  xmc inspect --model subjects --tree --json       all of it, for programs
  xmc inspect --model subjects --params > p.toml   hyper-parameters, for 'xmc train --params'
  xmc inspect --data titles --verify               the same for data of 'xmc convert'";

/// Show what a model (or converted data) is, check it, print its label tree
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InspectArgs {
    /// The model directory
    #[arg(long, value_name = "DIR", required_unless_present = "data")]
    pub(crate) model: Option<PathBuf>,
    /// A directory of 'xmc convert' instead
    #[arg(long, value_name = "DIR", conflicts_with_all = ["model", "tree", "params"])]
    pub(crate) data: Option<PathBuf>,
    /// Compare all of it with its checksums
    #[arg(long, conflicts_with_all = ["tree", "params", "sections"])]
    pub(crate) verify: bool,
    /// Print the label tree
    #[arg(long, conflicts_with_all = ["params", "sections"])]
    pub(crate) tree: bool,
    /// Levels of the tree to print [default: all]
    #[arg(long, value_name = "N", requires = "tree")]
    pub(crate) depth: Option<usize>,
    /// Children of each cluster to print [default: all]
    #[arg(long, value_name = "N", requires = "tree")]
    pub(crate) children: Option<usize>,
    /// Print the hyper-parameters as TOML
    #[arg(long, conflicts_with = "sections")]
    pub(crate) params: bool,
    /// Print the sections of the files
    #[arg(long)]
    pub(crate) sections: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
