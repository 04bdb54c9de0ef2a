//! The encoding of records: `bincode` 2 in its standard configuration (little-endian, variable-width
//! integers), behind two functions so that nothing else knows of it.
//!
//! Records are small structured values (options, tables of names); bulk data are arrays.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::error::{DecodeError, EncodeError};
use serde::{Serialize, de::DeserializeOwned};

/// Most bytes of an encoded record.
pub(crate) const MAX_RECORD_BYTES: usize = 64 << 20;

/// The decoder counts the width of what it reads, not of what was stored: a one-byte integer may count
/// as 16. The limit keeps a forged length from allocating without bound, and never refuses a record
/// that was within [`MAX_RECORD_BYTES`].
const DECODE_LIMIT: usize = 16 * MAX_RECORD_BYTES;

fn config() -> Configuration<LittleEndian, Varint, Limit<DECODE_LIMIT>> {
    bincode::config::standard().with_limit::<DECODE_LIMIT>()
}

pub(crate) fn encode<R: Serialize + ?Sized>(record: &R) -> Result<Vec<u8>, EncodeError> {
    bincode::serde::encode_to_vec(record, config())
}

/// The record and the number of bytes that it took.
pub(crate) fn decode<R: DeserializeOwned>(bytes: &[u8]) -> Result<(R, usize), DecodeError> {
    bincode::serde::decode_from_slice(bytes, config())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back() {
        let record = (vec!["a".to_string(), String::new()], Some(-3i64), [1.5f32, f32::INFINITY]);
        let bytes = encode(&record).unwrap();
        assert_eq!(decode(&bytes).unwrap(), (record, bytes.len()));
    }

    #[test]
    fn the_largest_record_decodes() {
        // Every element counts eight times its stored byte.
        let record = vec![0u64; 2 << 20];
        let bytes = encode(&record).unwrap();
        assert_eq!(decode::<Vec<u64>>(&bytes).unwrap().0.len(), record.len());
    }

    #[test]
    fn a_forged_length_is_an_error_and_no_allocation() {
        // 253 announces eight bytes of length.
        let bytes = [253, 255, 255, 255, 255, 255, 255, 255, 127];
        assert!(decode::<String>(&bytes).is_err());
        assert!(decode::<Vec<u64>>(&bytes).is_err());
    }
}
