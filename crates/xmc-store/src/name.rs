//! Section names and the file names made of them.
//!
//! A name is `segment/segment/…` of lower-case letters, digits, `_` and `-`. Its file is the same with
//! dots for slashes: one flat directory needs one fsync and lists at a glance. As segments hold no
//! dots, the way back is unambiguous; as they hold no capitals, two names never meet in one file on a
//! file system that ignores case; and no name can lead out of the directory.

const MAX_BYTES: usize = 200;
const EXTENSION: &str = "bin";

/// Whether `name` may name a section.
pub(crate) fn is_safe(name: &str) -> bool {
    name.len() <= MAX_BYTES && name.split('/').all(is_safe_segment)
}

fn is_safe_segment(segment: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    !segment.is_empty() && segment.bytes().all(allowed)
}

/// The file of section `name`, relative to the model directory.
pub(crate) fn file_of(name: &str) -> String {
    debug_assert!(is_safe(name));
    format!("{}.{EXTENSION}", name.replace('/', "."))
}

/// The section whose file this is, if it can be one.
pub(crate) fn of_file(file: &str) -> Option<String> {
    let name = file.strip_suffix(EXTENSION)?.strip_suffix('.')?.replace('.', "/");
    is_safe(&name).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_become_one_flat_file() {
        assert!(is_safe("tree/0/children"));
        assert_eq!(file_of("tree/0/children"), "tree.0.children.bin");
        assert_eq!(of_file("tree.0.children.bin").as_deref(), Some("tree/0/children"));
        assert_eq!(
            [of_file("tree.0"), of_file(".bin"), of_file("bin"), of_file("A.bin")],
            [const { None }; 4]
        );
    }

    #[test]
    fn names_that_could_leave_the_directory_are_unsafe() {
        let long = "a".repeat(MAX_BYTES + 1);
        for name in
            ["", "/", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "c:\\x", "A", "a.b", "a\0", "ä", &long]
        {
            assert!(!is_safe(name), "{name:?}");
        }
    }
}
