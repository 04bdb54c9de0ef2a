//! A layer's clusters in pieces that are solved, written and forgotten one after the other.

use crate::rows::NodeRows;
use std::ops::Range;
use std::sync::Arc;
use xmc_sparse::Features;
use xmc_tree::TreeLayer;

/// Clusters of a layer that follow each other, and become one part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) layer: usize,
    pub(crate) clusters: Range<usize>,
    /// Number of the part among the layer's.
    pub(crate) part: usize,
    /// First cluster of each of these.
    pub(crate) firsts: Arc<[u32]>,
    /// Weights that it is expected to have.
    weights: u64,
}

impl Piece {
    /// Clusters of a layer with so many weights, in pieces of at most `most` or of one cluster that has more.
    pub(crate) fn of_weights(layer: usize, weights: &[u64], most: u64) -> Vec<Self> {
        let mut pieces: Vec<(Range<usize>, u64)> = Vec::new();
        for (cluster, &weights) in weights.iter().enumerate() {
            match pieces.last_mut().filter(|piece| piece.1 + weights <= most) {
                Some((clusters, sum)) => {
                    clusters.end = cluster + 1;
                    *sum += weights;
                }
                None => pieces.push((cluster..cluster + 1, weights)),
            }
        }
        let firsts: Arc<[u32]> = pieces.iter().map(|(clusters, _)| clusters.start as u32).collect();
        let piece = |(part, (clusters, weights))| {
            let firsts = Arc::clone(&firsts);
            Self { layer, clusters, part, firsts, weights }
        };
        pieces.into_iter().enumerate().map(piece).collect()
    }

    /// Runs of pieces that have at most `most` weights together, or are one that has more.
    pub(crate) fn batches(pieces: &[Self], most: u64) -> Vec<&[Self]> {
        let (mut batches, mut first, mut weights) = (Vec::new(), 0, 0);
        for (at, piece) in pieces.iter().enumerate() {
            if at > first && weights + piece.weights > most {
                batches.push(&pieces[first..at]);
                (first, weights) = (at, 0);
            }
            weights += piece.weights;
        }
        if first < pieces.len() {
            batches.push(&pieces[first..]);
        }
        batches
    }
}

/// For each cluster of `layer` about how many weights it will have: a child keeps one for each feature of its instances.
pub(crate) fn expected_weights(layer: &TreeLayer, rows: &NodeRows, x: &Features) -> Vec<u64> {
    let n_features = x.n_sparse() as u64;
    let of_child = |&child: &u32| {
        let of_row = |&row: &u32| x.sparse().row(row as usize).nnz() as u64;
        rows.of(child as usize).iter().map(of_row).sum::<u64>().min(n_features)
    };
    (0..layer.n_parents()).map(|cluster| layer.children(cluster).iter().map(of_child).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(weights: &[u64]) -> Vec<Range<usize>> {
        let pieces = Piece::of_weights(2, weights, 10);
        for (number, piece) in pieces.iter().enumerate() {
            assert_eq!((piece.part, piece.firsts[number] as usize), (number, piece.clusters.start));
            assert_eq!((piece.layer, piece.firsts.len()), (2, pieces.len()));
        }
        pieces.into_iter().map(|piece| piece.clusters).collect()
    }

    #[test]
    fn pieces_are_as_large_as_they_may_be() {
        assert_eq!(pieces(&[3, 3, 3]), [0..3]);
        assert_eq!(pieces(&[3, 3, 5, 12, 0, 10]), [0..2, 2..3, 3..4, 4..6]);
    }

    #[test]
    fn small_pieces_are_in_memory_together() {
        let piece = |weights| Piece { layer: 0, clusters: 0..1, part: 0, firsts: [0].into(), weights };
        let pieces = [piece(1), piece(5), piece(5), piece(20), piece(5)];
        let sizes: Vec<usize> = Piece::batches(&pieces, 10).iter().map(|batch| batch.len()).collect();
        assert_eq!(sizes, [2, 1, 1, 1]);
        assert!(Piece::batches(&[], 10).is_empty());
    }
}
