//! Setters of parameter structs, which would otherwise be the longest part of them.

/// For each field a consuming setter of its name; `field => Some` sets an optional field.
#[doc(hidden)]
#[macro_export]
macro_rules! setters {
    ($($field:ident: $type:ty $(=> $wrap:path)?),* $(,)?) => {
        $(
            #[doc = concat!("Sets [`Self::", stringify!($field), "`].")]
            #[must_use]
            pub fn $field(mut self, $field: $type) -> Self {
                self.$field = $($wrap)?($field);
                self
            }
        )*
    };
}
