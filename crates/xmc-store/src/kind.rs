//! What a container holds: each kind has a format name of its own, so that one is never taken for the other.

/// What a container holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A trained model.
    Model,
    /// A data set.
    Data,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Model, Self::Data];

    /// The format's name, in every manifest of this kind.
    pub const fn format_name(self) -> &'static str {
        match self {
            Self::Model => "xmc-model",
            Self::Data => "xmc-data",
        }
    }

    /// Oldest format version that this crate reads.
    pub const fn oldest_version(self) -> u32 {
        1
    }

    /// Newest format version that this crate reads, and the one that it writes.
    pub const fn newest_version(self) -> u32 {
        1
    }

    /// The kind of this format name.
    pub(crate) fn of_format(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.format_name() == name)
    }

    /// How to get one of the newest version.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::Model => "train the model again",
            Self::Data => "convert the data again",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Data => "data set",
        })
    }
}
