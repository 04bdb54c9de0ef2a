//! Models appear whole or not at all, and take the place of models only.
//!
//! These tests look at the staging directories of the whole process, so they run one after the other.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use xmc_store::{Container, ModelWriter, remove_unfinished};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn write(dir: &Path, value: u8) -> Container {
    let writer = ModelWriter::create(dir).unwrap();
    writer.put_array("value", &[value]).unwrap();
    writer.commit(&value).unwrap()
}

#[test]
fn nothing_is_at_the_target_before_the_commit_and_nothing_beside_it_after() {
    let _alone = alone();
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("deep/er/m");
    let writer = ModelWriter::create(&dir).unwrap();
    writer.put_array("value", &[1u8]).unwrap();
    assert!(!dir.exists());
    writer.commit(&()).unwrap();
    assert_eq!(names(dir.parent().unwrap()), ["m"]);
}

#[test]
fn a_dropped_writer_leaves_nothing() {
    let _alone = alone();
    let parent = tempfile::tempdir().unwrap();
    let writer = ModelWriter::create(parent.path().join("m")).unwrap();
    writer.put_array("value", &[1u8]).unwrap();
    drop(writer);
    assert!(names(parent.path()).is_empty());
}

#[test]
fn a_new_model_takes_the_place_of_the_old_one_whose_buffers_stay_valid() {
    let _alone = alone();
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("m");
    let old = write(&dir, 1).array::<u8>("value").unwrap();
    let writer = ModelWriter::create(&dir).unwrap();
    writer.put_array("other", &[2u8]).unwrap();
    assert_eq!(Container::open(&dir).unwrap().meta::<u8>().unwrap(), 1);
    writer.commit(&2).unwrap();
    let new = Container::open(&dir).unwrap();
    assert_eq!(new.meta::<u8>().unwrap(), 2);
    assert!(new.has("other") && !new.has("value"));
    assert_eq!(&old[..], &[1]);
    assert_eq!(names(parent.path()), ["m"]);
}

#[test]
fn an_empty_directory_is_a_place_for_a_model() {
    let _alone = alone();
    let parent = tempfile::tempdir().unwrap();
    write(parent.path(), 1);
    assert_eq!(Container::open(parent.path()).unwrap().meta::<u8>().unwrap(), 1);
}

#[cfg(unix)]
#[test]
fn a_link_to_a_model_stays_a_link() {
    let _alone = alone();
    let parent = tempfile::tempdir().unwrap();
    let (real, link) = (parent.path().join("real"), parent.path().join("link"));
    write(&real, 1);
    std::os::unix::fs::symlink(&real, &link).unwrap();
    write(&link, 2);
    assert!(link.is_symlink());
    assert_eq!(Container::open(&real).unwrap().meta::<u8>().unwrap(), 2);
}

#[test]
fn a_model_can_be_saved_over_itself() {
    let _alone = alone();
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("m");
    write(&dir, 1).save(&dir).unwrap();
    assert_eq!(Container::open(&dir).unwrap().array::<u8>("value").unwrap()[..], [1]);
    assert_eq!(names(parent.path()), ["m"]);
}

#[test]
fn an_interrupt_removes_what_is_unfinished_and_leaves_models_alone() {
    let _alone = alone();
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("m");
    write(&dir, 1);
    let writers = [ModelWriter::create(&dir).unwrap(), ModelWriter::create(parent.path().join("n")).unwrap()];
    let mut open = writers[0].array::<u64>("value").unwrap();
    open.push(&[1; 100_000]).unwrap();
    assert_eq!(names(parent.path()).len(), 3);
    assert_eq!(remove_unfinished(), 2);
    assert_eq!(names(parent.path()), ["m"]);
    assert_eq!(remove_unfinished(), 0);
    let _ = open.finish();
    for writer in writers {
        assert!(writer.commit(&()).is_err());
    }
    assert_eq!(names(parent.path()), ["m"]);
    assert_eq!(Container::open(&dir).unwrap().meta::<u8>().unwrap(), 1);
}
