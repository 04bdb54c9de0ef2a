//! `cargo xtask demo`: from a fresh clone to predictions, each step as the command that does it.

use crate::shell;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const TRAIN: &str = "data/finna-sample/train.tsv.gz";
const TEST: &str = "data/finna-sample/test.tsv.gz";
const LABELS: &str = "data/finna-sample/labels.tsv";

/// Titles of the test data, which the model has not seen, and the subjects that a library gave them.
const TITLES: [(&str, &[&str]); 5] = [
    (
        "Linguistic coping strategies in sign language interpreting",
        &["sign language (chirology)", "interpretation (translation)"],
    ),
    ("Forest hydrology : an introduction to water and forests", &["hydrology"]),
    ("Training manual on photovoltaic systems for rural electrification", &["solar energy"]),
    ("Varvara Stepanova : makers of avant-garde", &["constructivism"]),
    ("Produce handling, packaging and distribution", &["vegetables"]),
];

/// Builds, trains, scores, predicts.
pub(crate) fn run() -> Result<()> {
    let target = shell::target_dir()?;
    let demo = Demo {
        xmc: target.join("release").join(format!("xmc{}", std::env::consts::EXE_SUFFIX)),
        model: text(&target.join("demo/model"))?,
        titles: text(&target.join("demo/titles.txt"))?,
    };
    fs::create_dir_all(shell::root().join(&target).join("demo")).context("cannot make the demo's folder")?;
    println!("Learn the subjects of library titles, and find those of new titles.");
    demo.build()?;
    demo.train()?;
    demo.score()?;
    demo.predict()?;
    demo.say_what_next();
    Ok(())
}

struct Demo {
    xmc: PathBuf,
    model: String,
    titles: String,
}

impl Demo {
    fn build(&self) -> Result<()> {
        title("1. Build the command (the first time takes a few minutes)");
        shell::run(&shell::cargo(), &["build", "--release", "--locked", "--package", "xmc-cli"])
    }

    fn train(&self) -> Result<()> {
        title("2. Train on 25,144 titles with 400 subjects");
        shell::run(&self.xmc, &["train", "--train", TRAIN, "--labels", LABELS, "--model", &self.model])
    }

    fn score(&self) -> Result<()> {
        title("3. Score it on 2,506 other titles (percent)");
        shell::run(&self.xmc, &["eval", "--model", &self.model, "--test", TEST])
    }

    fn predict(&self) -> Result<()> {
        title("4. Predict the subjects of titles that it has not seen");
        let path = shell::root().join(&self.titles);
        let lines: String = TITLES.iter().map(|(title, _)| format!("{title}\n")).collect();
        fs::write(&path, lines).with_context(|| format!("cannot write {}", path.display()))?;
        let form = ["--top-k", "3", "--output-format", "tsv"];
        let table = shell::read(
            &self.xmc,
            &[&["predict", "--model", &self.model][..], &form, &[&self.titles]].concat(),
        )?;
        println!("\n(* the library gave the title this subject)");
        print!("{}", show(&table)?);
        Ok(())
    }

    fn say_what_next(&self) {
        title("What next");
        let (xmc, model) = (self.xmc.display(), &self.model);
        println!("echo 'Growing roses in cold climates' | {xmc} predict --model {model} -");
        println!("{xmc} inspect --model {model}");
        println!("{xmc} train --help");
    }
}

fn title(text: &str) {
    println!("\n== {text}");
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Titles with their predictions, from the table that `xmc predict` printed.
fn show(table: &str) -> Result<String> {
    let mut found: BTreeMap<usize, Vec<(&str, f32)>> = BTreeMap::new();
    for line in table.lines().skip(1) {
        let [record, _rank, _key, label, score] = line.split('\t').collect::<Vec<_>>()[..] else {
            anyhow::bail!("expected five columns, found '{line}'")
        };
        found.entry(record.parse()?).or_default().push((label, score.parse()?));
    }
    let mut out = String::new();
    for (record, labels) in found {
        let (title, subjects) =
            TITLES.get(record).context("a prediction for a title that was not asked for")?;
        out += &format!("\n{title}\n");
        for (label, score) in labels {
            let mark = if subjects.contains(&label) { '*' } else { ' ' };
            out += &format!("  {score:.3} {mark} {label}\n");
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_stand_under_their_titles() {
        let table = "record\trank\tkey\tlabel\tscore\n1\t1\tp1\thydrology\t0.97\n1\t2\tp2\tfungi\t0.25\n2\t1\tp3\tpower\t0.5\n";
        let shown = show(table).unwrap();
        let (title, _) = TITLES[1];
        assert!(shown.starts_with(&format!("\n{title}\n  0.970 * hydrology\n  0.250   fungi\n")));
        assert!(shown.ends_with("  0.500   power\n"));
        assert!(show("record\n9\t1\n").is_err());
    }
}
