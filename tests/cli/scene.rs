//! A directory with data and models, and the command run in it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;
use xmc_data::write_npz;
use xmc_sparse::Csr;

/// Labels and the words that give them away.
const TOPICS: [(&str, [&str; 4]); 8] = [
    ("roses", ["rose", "thorn", "petal", "garden"]),
    ("metallurgy", ["steel", "alloy", "furnace", "casting"]),
    ("chromosomes", ["gene", "chromosome", "leukemia", "cell"]),
    ("sign language", ["sign", "deaf", "gesture", "interpreter"]),
    ("fungi", ["mushroom", "spore", "mycelium", "lichen"]),
    ("knitwork", ["yarn", "needle", "wool", "sweater"]),
    ("sailing", ["sail", "mast", "harbour", "keel"]),
    ("astronomy", ["star", "galaxy", "telescope", "orbit"]),
];

/// Options that keep a training on few lines fast and give the tree some levels.
const SMALL_TREE: [&str; 4] = ["--branching", "2", "--max-leaf", "2"];

/// Lines `label,label<TAB>text` in which the words of a text are those of its labels.
pub(crate) fn titles(n: usize) -> String {
    (0..n).map(title).collect()
}

fn title(i: usize) -> String {
    let filler = ["about", "handbook", "history", "introduction", "the"];
    let (label, words) = TOPICS[i % 8];
    let (first, second) = (words[i / 8 % 4], words[(i / 32 + 1) % 4]);
    let text = format!("{} {first} and {second} {}", filler[i % 5], filler[i / 5 % 5]);
    match i % 3 {
        0 => {
            let (other, words) = TOPICS[(i / 3 + 1) % 8];
            match other == label {
                true => format!("{label}\t{text}\n"),
                false => format!("{label},{other}\t{text} {}\n", words[i % 4]),
            }
        }
        _ => format!("{label}\t{text}\n"),
    }
}

/// A directory of its own for a test.
pub(crate) struct Scene {
    dir: TempDir,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    /// Writes `X.npz` and `Y.npz`: two features per label, instances with one label each.
    pub(crate) fn write_matrices(&self) {
        let row = |i: usize| [(2 * (i % 4) as u32, 1.0), (2 * (i % 4) as u32 + 1, 0.5 + (i % 3) as f32)];
        let x = Csr::from_rows(8, (0..60).map(row)).unwrap();
        let y = Csr::from_rows(4, (0..60).map(|i| [((i % 4) as u32, 1.0)])).unwrap();
        write_npz(self.path("X.npz"), &x).unwrap();
        write_npz(self.path("Y.npz"), &y).unwrap();
    }

    /// With `train.tsv`, `test.tsv` and a trained `model`, which is trained once for all tests.
    pub(crate) fn with_model() -> Self {
        static TRAINED: OnceLock<Scene> = OnceLock::new();
        let trained = TRAINED.get_or_init(|| {
            let scene = Self::new();
            scene.write("train.tsv", titles(400));
            scene.write("test.tsv", titles(80));
            scene.train("train.tsv", "model", &["--valid", "test.tsv"]);
            scene
        });
        let scene = Self::new();
        copy_dir(trained.dir.path(), scene.dir.path());
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// All that is in the directory, hidden files too.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Every file of a model with its bytes.
    pub(crate) fn bytes_of(&self, model: &str) -> Vec<(String, Vec<u8>)> {
        let entries = std::fs::read_dir(self.path(model)).unwrap().map(Result::unwrap);
        let file = |entry: std::fs::DirEntry| {
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        };
        let mut files: Vec<_> = entries.map(file).collect();
        files.sort();
        files
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xmc"));
        command.args(args).current_dir(self.dir.path());
        command
    }

    /// Runs the command to its end, with nothing on standard input.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran(self.command(args).stdin(Stdio::null()).output().unwrap())
    }

    /// Runs the command with `input` on standard input.
    pub(crate) fn run_on(&self, args: &[&str], input: &str) -> Ran {
        let mut child = self.spawn(args);
        let mut stdin = child.stdin.take().unwrap();
        // Written beside the reading: both pipes are short.
        std::thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(input.as_bytes()).unwrap());
            Ran(child.wait_with_output().unwrap())
        })
    }

    /// Starts the command with pipes on all sides.
    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        let pipes = [Stdio::piped(), Stdio::piped(), Stdio::piped()];
        let [stdin, stdout, stderr] = pipes;
        self.command(args).stdin(stdin).stdout(stdout).stderr(stderr).spawn().unwrap()
    }

    /// Trains a small model, which must succeed.
    pub(crate) fn train(&self, data: &str, model: &str, more: &[&str]) -> String {
        let args = [&["train", "--train", data, "--model", model], &SMALL_TREE[..], more].concat();
        self.run(&args).ok()
    }
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A command that has ended.
pub(crate) struct Ran(pub(crate) Output);

impl Ran {
    pub(crate) fn stdout(&self) -> &str {
        std::str::from_utf8(&self.0.stdout).unwrap()
    }

    pub(crate) fn stderr(&self) -> &str {
        std::str::from_utf8(&self.0.stderr).unwrap()
    }

    /// Standard output of a command that must have succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.0.status.code(), Some(0), "{}", self.stderr());
        self.stdout().to_owned()
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// The one message of a command that must have failed with `code`.
    #[track_caller]
    pub(crate) fn message(&self, code: i32) -> &str {
        assert_eq!(self.0.status.code(), Some(code), "{}", self.stderr());
        assert_eq!(self.stderr().matches("xmc: ").count(), 1, "{}", self.stderr());
        self.stderr().strip_prefix("xmc: ").unwrap().trim_end()
    }
}
