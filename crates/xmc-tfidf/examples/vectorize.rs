//! Fits and transforms a file of texts, one a line, and says how long it took:
//! `cargo run --release -p xmc-tfidf --example vectorize -- titles.txt [words|chars|pecos]`.

use std::time::Instant;
use xmc_tfidf::{TfIdf, TfIdfParams, VectorizerParams};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give a file of texts, one a line")?;
    let params = match arguments.next().as_deref() {
        None | Some("words") => TfIdf::params(),
        Some("chars") => {
            TfIdf::params().vectorizers(vec![VectorizerParams::words(1, 2), VectorizerParams::char_wb(3, 5)])
        }
        Some("pecos") => TfIdfParams::pecos(1, 2),
        Some(other) => return Err(format!("{other:?} is not one of words, chars, pecos").into()),
    };
    let text = std::fs::read_to_string(path)?;
    let texts: Vec<&str> = text.lines().collect();

    let start = Instant::now();
    let tfidf = params.check()?.fit(&texts)?;
    let fitted = start.elapsed();
    let x = tfidf.transform(&texts);
    println!("{} texts, {} features, {} entries", x.n_rows(), x.n_cols(), x.nnz());
    println!(
        "fit {:.2} s, transform {:.2} s",
        fitted.as_secs_f64(),
        (start.elapsed() - fitted).as_secs_f64()
    );
    Ok(())
}
