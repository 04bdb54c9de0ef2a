//! Sets as the bits of a word.

/// Numbers of the bits of `word` that are set, increasing.
#[inline]
pub fn set_bits(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros())?;
        word &= word - 1;
        Some(bit)
    })
}

/// Sixty-four numbers of a set of numbers, and how many of the set are below them. A vector of such words gives each member its place, in a quarter of
/// a byte for each number that might be one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RankedWord {
    /// A bit for each number, the lowest one first.
    pub bits: u64,
    /// Members in the words before.
    pub before: u32,
}

impl RankedWord {
    /// Adds `number`, which is one of the word's; it counts from the beginning of the word or of any before.
    #[inline(always)]
    pub fn insert(&mut self, number: u32) {
        self.bits |= 1 << (number % 64);
    }

    /// How many members are less than `number`, and whether it is one. Without branches: what is in a set is often not foreseeable.
    #[inline(always)]
    pub fn rank(self, number: u32) -> (u32, bool) {
        let bit = 1u64 << (number % 64);
        (self.before.wrapping_add((self.bits & (bit - 1)).count_ones()), self.bits & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_in_order() {
        assert_eq!(set_bits(0).count(), 0);
        assert_eq!(set_bits(1 << 63 | 0b1001).collect::<Vec<_>>(), [0, 3, 63]);
        assert!(set_bits(u64::MAX).eq(0..64));
    }

    #[test]
    fn members_are_numbered_across_words() {
        let members = [0, 3, 63, 64, 100, 127];
        let mut words = [RankedWord::default(); 2];
        for (rank, &member) in (0..).zip(&members) {
            let word = &mut words[member as usize / 64];
            if word.bits == 0 {
                word.before = rank;
            }
            word.insert(member);
        }
        for number in 0..128u32 {
            let below = members.iter().filter(|&&member| member < number).count() as u32;
            let found = words[number as usize / 64].rank(number);
            assert_eq!(found, (below, members.contains(&number)), "{number}");
        }
    }
}
