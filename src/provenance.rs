//! Which files a model was made from: path, size and hash. Of a converted data set that is its manifest, which has the checksums of all else.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use xmc::{Container, DataSource, Kind};
use xxhash_rust::xxh3::Xxh3;

const CHUNK_BYTES: usize = 1 << 18;

/// The file in its role; `None` for standard input, which is gone when it is read.
pub(crate) fn source(role: &str, path: &Path) -> Result<Option<DataSource>> {
    if path == Path::new("-") {
        return Ok(None);
    }
    let reading = || format!("reading {}", path.display());
    let (bytes, hash) = match path.is_dir() {
        false => hash(path).with_context(reading)?,
        true => {
            let container = Container::open_as(path, Kind::Data).with_context(reading)?;
            let (_, hash) = hash(&path.join("manifest.json")).with_context(reading)?;
            (container.manifest().total_bytes(), hash)
        }
    };
    let path = path.display().to_string();
    Ok(Some(DataSource { role: role.to_owned(), path, bytes, xxh3: format!("{hash:016x}") }))
}

fn hash(path: &Path) -> std::io::Result<(u64, u64)> {
    let (mut file, mut hash, mut chunk, mut bytes) =
        (File::open(path)?, Xxh3::new(), vec![0; CHUNK_BYTES], 0);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((bytes, hash.digest())),
            read => {
                hash.update(&chunk[..read]);
                bytes += read as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_size_and_hash() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a\tb\n").unwrap();
        let source = source("train", file.path()).unwrap().unwrap();
        let expected = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(b"a\tb\n"));
        assert_eq!((source.bytes, source.xxh3), (4, expected));
    }

    #[test]
    fn standard_input_has_no_hash() {
        assert_eq!(source("train", Path::new("-")).unwrap(), None);
    }
}
