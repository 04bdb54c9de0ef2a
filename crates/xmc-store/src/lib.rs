//! The model container of the xmc engine: manifest, sections, checksums, memory mapping.
