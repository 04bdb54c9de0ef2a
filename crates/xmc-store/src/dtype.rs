//! The element types of a section.
//!
//! The set is closed: a reader that meets another name is older than the file.

use serde::de::IntoDeserializer;
use serde::de::value::StrDeserializer;
use serde::{Deserialize, Serialize};

/// What the bytes of a section are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Dtype {
    /// Unsigned bytes.
    U8,
    /// Unsigned 16-bit integers (also the bits of `f16` and `bf16`).
    U16,
    /// Unsigned 32-bit integers.
    U32,
    /// Unsigned 64-bit integers.
    U64,
    /// Signed bytes.
    I8,
    /// Signed 16-bit integers.
    I16,
    /// Signed 32-bit integers.
    I32,
    /// Signed 64-bit integers.
    I64,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
    /// One structured value in the record encoding; its elements are bytes.
    Record,
}

impl Dtype {
    /// The name in the manifest and in section headers, at most 8 bytes.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Record => "record",
        }
    }

    /// The type of this name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let name: StrDeserializer<'_, serde::de::value::Error> = name.into_deserializer();
        Self::deserialize(name).ok()
    }

    /// Bytes of one element.
    pub fn width(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Record => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

mod sealed {
    /// Only the numbers below: a foreign type could state a wrong [`super::Dtype`].
    pub trait Sealed {}
}

/// A number that a section can hold. Implemented for the fixed-width primitives only.
pub trait Element: bytemuck::Pod + Send + Sync + sealed::Sealed {
    /// Its name in the file.
    const DTYPE: Dtype;
}

macro_rules! elements {
    ($($number:ty => $dtype:ident),* $(,)?) => {$(
        impl sealed::Sealed for $number {}
        impl Element for $number {
            const DTYPE: Dtype = Dtype::$dtype;
        }
    )*};
}

elements!(
    u8 => U8, u16 => U16, u32 => U32, u64 => U64,
    i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    f32 => F32, f64 => F64,
);

#[cfg(test)]
mod tests {
    use super::*;

    fn agree<T: Element>() {
        assert_eq!(T::DTYPE.width(), size_of::<T>());
        assert_eq!(serde_json::to_string(&T::DTYPE).unwrap(), format!("\"{}\"", T::DTYPE.name()));
    }

    #[test]
    fn every_element_states_its_width_and_one_name() {
        agree::<u8>();
        agree::<u16>();
        agree::<u32>();
        agree::<u64>();
        agree::<i8>();
        agree::<i16>();
        agree::<i32>();
        agree::<i64>();
        agree::<f32>();
        agree::<f64>();
        assert_eq!(serde_json::to_string(&Dtype::Record).unwrap(), "\"record\"");
    }
}
