//! Categorising items with the library, from a file to a model in production.
//!
//!     cargo run --release --example product_categorization
//!
//! Library titles and their subjects (`data/finna-sample/`) stand in for products and their categories: short texts,
//! several categories each, many rare ones.

use std::time::Instant;
use xmc::{DocFrequency, LabelBy, LabelSource, Model, ReadOptions, TrainParams, Trainer, read_dataset};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/finna-sample");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The categories come with ids and display names; the data refer to them by name.
    let labels = LabelSource::File(format!("{DATA}/labels.tsv").into());
    let options = ReadOptions { labels, label_by: LabelBy::Name, ..ReadOptions::default() };
    let train = read_dataset(format!("{DATA}/train.tsv.gz"), &options)?;
    println!("{} items in {} categories", train.n_samples(), train.n_labels());

    // Defaults are good; what this catalogue wants otherwise is set by name.
    let mut params = TrainParams::default();
    params.features.vectorizers[0].min_df = DocFrequency::Count(2);
    let start = Instant::now();
    let model = Trainer::new(params).fit(&train)?;
    println!("trained in {:.1} s", start.elapsed().as_secs_f64());

    // Items that the model has not seen, with the categories that people gave them.
    let known = LabelSource::Given(model.label_map());
    let test = read_dataset(format!("{DATA}/test.tsv.gz"), &ReadOptions { labels: known, ..options })?;
    println!("\n{}", model.evaluate(&test, &[1, 3, 5])?);

    // One item at a time, as a form in a shop would ask.
    let title = "Field guide to the mushrooms of northern forests";
    println!("{title}");
    for category in model.predict(title)?.iter().take(3) {
        println!("  {:.3}  {} ({})", category.score, category.name, category.key);
    }

    // Many items at once, on all cores.
    let titles = ["How salmon find their way home", "Copyright for teachers"];
    for (title, categories) in titles.iter().zip(model.predict_batch(&titles)?) {
        println!("{title}\n  {:.3}  {}", categories[0].score, categories[0].name);
    }

    // A model is one directory: copy it to where it is used, open it in milliseconds.
    let dir = std::env::temp_dir().join(format!("xmc-example-{}", std::process::id()));
    model.save(&dir)?;
    let opened = Model::open(&dir)?;
    assert_eq!(opened.predict(title)?, model.predict(title)?);
    drop(opened);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
