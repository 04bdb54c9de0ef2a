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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_in_order() {
        assert_eq!(set_bits(0).count(), 0);
        assert_eq!(set_bits(1 << 63 | 0b1001).collect::<Vec<_>>(), [0, 3, 63]);
        assert!(set_bits(u64::MAX).eq(0..64));
    }
}
