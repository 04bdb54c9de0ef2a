//! Which senses become one label.

use rand::Rng;
use rand::seq::SliceRandom;

/// Pairs `2 n_pairs` of the senses from 0 to `n_senses` at random, never two of the same topic.
///
/// Fewer pairs come back only when more than half of the senses drawn are of one topic: the rest of those stays alone.
pub(super) fn pair_across_topics(
    n_senses: u32,
    n_pairs: usize,
    topic: impl Fn(u32) -> u32,
    rng: &mut impl Rng,
) -> Vec<[u32; 2]> {
    let mut senses: Vec<u32> = (0..n_senses).collect();
    senses.shuffle(rng);
    let mut pairs: Vec<[u32; 2]> =
        senses.chunks_exact(2).take(n_pairs).map(|pair| [pair[0], pair[1]]).collect();
    for at in 0..pairs.len() {
        let own = topic(pairs[at][0]);
        if topic(pairs[at][1]) != own {
            continue;
        }
        // A pair without this topic parts with its second sense: both pairs are mixed then.
        let others = (1..pairs.len()).map(|step| (at + step) % pairs.len());
        let other = others.into_iter().find(|&other| pairs[other].iter().all(|&sense| topic(sense) != own));
        if let Some(other) = other {
            let second = pairs[at][1];
            pairs[at][1] = std::mem::replace(&mut pairs[other][1], second);
        }
    }
    pairs.retain(|pair| topic(pair[0]) != topic(pair[1]));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    fn pairs(n_senses: u32, n_pairs: usize, topic: impl Fn(u32) -> u32) -> Vec<[u32; 2]> {
        pair_across_topics(n_senses, n_pairs, topic, &mut Xoshiro256PlusPlus::seed_from_u64(3))
    }

    #[test]
    fn a_topic_with_most_of_the_senses_keeps_some_alone() {
        // Of 10 senses 8 are of topic 0: two pairs are all that there can be.
        assert_eq!(pairs(10, 5, |sense| u32::from(sense >= 8)).len(), 2);
    }

    #[test]
    fn two_even_topics_pair_to_the_last() {
        assert_eq!(pairs(20, 10, |sense| sense / 10).len(), 10);
    }

    proptest! {
        #[test]
        fn pairs_are_distinct_and_mixed(topics in 3u32..9, per_topic in 1u32..12, share in 0.0f64..=1.0) {
            let n_senses = topics * per_topic;
            let wanted = (f64::from(n_senses) * share / 2.0) as usize;
            let pairs = pairs(n_senses, wanted, |sense| sense / per_topic);
            prop_assert!(pairs.len() <= wanted);
            let mut senses: Vec<u32> = pairs.iter().flatten().copied().collect();
            senses.sort_unstable();
            senses.dedup();
            prop_assert_eq!(senses.len(), 2 * pairs.len());
            prop_assert!(pairs.iter().all(|pair| pair[0] / per_topic != pair[1] / per_topic));
            // With all senses in play and no topic above a third, nothing is left over.
            prop_assert!(share < 1.0 || pairs.len() == wanted);
        }
    }
}
