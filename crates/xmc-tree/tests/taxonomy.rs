//! Given trees: what each format says, what is refused and where.
#![allow(clippy::unwrap_used)] // a test that cannot set up its data should panic

use xmc_sparse::Scored;
use xmc_tree::{
    LabelTree, LayerScorer, Place, SearchParams, SearchScratch, TaxonomyFormat, TreeError, beam_search,
};

const KEYS: [&str; 4] = ["boots", "hats", "sandals", "mugs"];

fn read_keys(text: &str, format: TaxonomyFormat, keys: &[&str]) -> Result<LabelTree, TreeError> {
    let id_of = |key: &str| keys.iter().position(|&known| known == key).map(|id| id as u32);
    LabelTree::from_taxonomy(text, format, keys.len(), id_of, |id| keys[id as usize])
}

fn read(text: &str, format: TaxonomyFormat) -> Result<LabelTree, TreeError> {
    read_keys(text, format, &KEYS)
}

fn lists(tree: &LabelTree) -> Vec<Vec<Vec<u32>>> {
    let layer_lists = |layer: &xmc_tree::TreeLayer| {
        (0..layer.n_parents()).map(|parent| layer.children(parent).to_vec()).collect()
    };
    tree.layers().iter().map(layer_lists).collect()
}

const PATHS: &str = "boots\tclothing/shoes\nsandals\tclothing/shoes\n\nhats\tclothing\nmugs\tkitchen\n";

/// Clothing and kitchen; clothing has shoes and, in a cluster of its own, hats; kitchen's mugs are brought down.
fn expected() -> Vec<Vec<Vec<u32>>> {
    vec![vec![vec![0, 1]], vec![vec![0, 1], vec![2]], vec![vec![0, 2], vec![1], vec![3]]]
}

#[test]
fn every_format_says_the_same() {
    assert_eq!(lists(&read(PATHS, TaxonomyFormat::Paths).unwrap()), expected());
    assert_eq!(lists(&read(&PATHS.replace('\n', "\r\n"), TaxonomyFormat::Paths).unwrap()), expected());
    let nested = r#"{"name": "all", "children": [
        {"name": "clothing", "children": [
            {"children": [{"name": "boots", "children": []}, {"name": "sandals"}]}, {"name": "hats"}]},
        {"children": [{"name": "mugs", "children": null}]}]}"#;
    assert_eq!(lists(&read(nested, TaxonomyFormat::Nested).unwrap()), expected());
    let parents = "hats\tclothing\nclothing\t\nshoes\tclothing\nboots\tshoes\nboots\tshoes\nsandals\tshoes\n\
                   mugs\tkitchen\nkitchen\t\n";
    assert_eq!(lists(&read(parents, TaxonomyFormat::Parents).unwrap()), expected());
    let json = r#"{"clothing": null, "kitchen": null, "mugs": "kitchen", "shoes": "clothing", "hats": "clothing",
        "boots": "shoes", "sandals": "shoes"}"#;
    assert_eq!(lists(&read(json, TaxonomyFormat::ParentsJson).unwrap()), expected());
}

#[test]
fn a_category_may_be_a_label() {
    let text = "shoes\t\nboots\tshoes\nsandals\tshoes\n";
    let tree = read_keys(text, TaxonomyFormat::Parents, &["boots", "shoes", "sandals"]).unwrap();
    // One category holds all three, so that there is nothing to search.
    assert_eq!(tree, LabelTree::one_vs_rest(3).unwrap());
    let text = "shoes\t\nboots\tshoes\nrubber boots\tboots\n";
    let tree = read_keys(text, TaxonomyFormat::Parents, &["boots", "shoes", "rubber boots"]).unwrap();
    assert_eq!(lists(&tree), [vec![vec![0, 1]], vec![vec![0, 2], vec![1]]]);
}

#[test]
fn an_outline_is_read_back_as_the_same_tree() {
    let tree = read(PATHS, TaxonomyFormat::Paths).unwrap();
    let outline = tree.outline(|label| KEYS[label as usize]);
    let text = serde_json::to_string(&outline).unwrap();
    assert_eq!(read(&text, TaxonomyFormat::Nested).unwrap(), tree);
    let cut = serde_json::to_string(&outline.max_children(1)).unwrap();
    let place = Place::Json("$".to_owned());
    assert_eq!(read(&cut, TaxonomyFormat::Nested), Err(TreeError::TaxonomyLeftOut { place, found: 1 }));
}

/// The label with this number wins, and the clusters above it.
struct Wanted<'t>(&'t LabelTree, u32);

impl LayerScorer for Wanted<'_> {
    fn score_children(&mut self, layer: usize, beam: &[Scored], margins: &mut Vec<f32>) {
        let mut wanted = self.1;
        for below in self.0.layers()[layer + 1..].iter().rev() {
            wanted = below.parents().of(wanted as usize)[0];
        }
        for parent in beam {
            let children = self.0.layers()[layer].children(parent.id as usize);
            margins.extend(children.iter().map(|&child| if child == wanted { 1.0 } else { -1.0 }));
        }
    }
}

#[test]
fn a_search_walks_down_a_given_tree() {
    let tree = read(PATHS, TaxonomyFormat::Paths).unwrap();
    for label in 0..4 {
        let (mut scratch, mut out) = (SearchScratch::default(), Vec::new());
        let params = SearchParams::default().beam_size(1).top_k(1);
        beam_search(&tree, (&params).into(), &mut Wanted(&tree, label), &mut scratch, &mut out);
        assert_eq!(out, [Scored { id: label, score: 1.0 }]);
    }
}

fn line(line: usize) -> Place {
    Place::Line(line)
}

#[test]
fn a_label_in_two_places_is_refused_with_both() {
    let text = "boots\ta/b\nhats\ta\nboots\tc\n";
    assert_eq!(
        read(text, TaxonomyFormat::Paths),
        Err(TreeError::TaxonomyTwoParents {
            place: line(3),
            label: "boots".into(),
            parent: "c".into(),
            before: line(1),
            other: "a/b".into(),
        })
    );
    let nested = r#"{"children": [{"children": [{"name": "hats"}]}, {"name": "hats"}]}"#;
    let found = read(nested, TaxonomyFormat::Nested).unwrap_err().to_string();
    assert!(found.contains("$.children[1]:") && found.contains("$.children[0].children[0] puts"), "{found}");
    let found = read("a\t\nb\t\nhats\ta\nhats\tb\n", TaxonomyFormat::Parents).unwrap_err();
    assert!(matches!(found, TreeError::TaxonomyTwoParents { place: Place::Line(4), .. }), "{found}");
    let json = r#"{"a": null, "hats": "a", "hats": null}"#;
    let found = read(json, TaxonomyFormat::ParentsJson).unwrap_err().to_string();
    assert!(found.contains(r#"$["hats"]"#) && found.contains("the root"), "{found}");
}

#[test]
fn labels_without_a_place_are_named_and_counted() {
    let found = read("hats\ta\n", TaxonomyFormat::Paths).unwrap_err();
    let named = ["boots", "sandals", "mugs"].map(String::from).to_vec();
    assert_eq!(found, TreeError::TaxonomyUnplaced { found: 3, named });
    let keys = ["a", "b", "c", "d", "e", "f", "g"];
    let found = read_keys("g\tx\n", TaxonomyFormat::Paths, &keys).unwrap_err().to_string();
    assert_eq!(found, "the taxonomy has no place for 6 of the labels: a, b, c, d, e, …");
}

#[test]
fn an_unknown_label_is_refused_with_its_place() {
    let unknown = |place, label: &str| Err(TreeError::TaxonomyLabel { place, label: label.into() });
    assert_eq!(read("hats\ta\ncaps\ta\n", TaxonomyFormat::Paths), unknown(line(2), "caps"));
    let nested = r#"{"children": [{"name": "caps"}]}"#;
    assert_eq!(read(nested, TaxonomyFormat::Nested), unknown(Place::Json("$.children[0]".into()), "caps"));
    // A category without children is none.
    assert_eq!(read("hats\ta\na\t\nempty\ta\n", TaxonomyFormat::Parents), unknown(line(3), "empty"));
}

#[test]
fn a_cycle_is_printed() {
    let text = "hats\ta\na\tb\nb\tc\nc\ta\n";
    let cycle = ["a", "b", "c", "a"].map(String::from).to_vec();
    assert_eq!(read(text, TaxonomyFormat::Parents), Err(TreeError::TaxonomyCycle { place: line(2), cycle }));
    let json = r#"{"hats": "hats"}"#;
    let found = read(json, TaxonomyFormat::ParentsJson).unwrap_err().to_string();
    assert_eq!(found, r#"taxonomy, $["hats"]: the parents go round in a circle: hats → hats"#);
    let ring: String = (0..40).map(|i| format!("n{i}\tn{}\n", (i + 1) % 40)).collect();
    let found = read(&ring, TaxonomyFormat::Parents).unwrap_err().to_string();
    assert!(found.ends_with("n10 → n11 → … (28 more) → n0"), "{found}");
}

#[test]
fn empty_names_are_refused_with_the_line() {
    for content in ["hats\ta//b", "hats\t/a", "hats\ta/", "hats\t", "\ta"] {
        let found = read(&format!("boots\ta\n{content}\n"), TaxonomyFormat::Paths);
        assert_eq!(found, Err(TreeError::TaxonomySegment { line: 2, content: content.to_owned() }));
    }
    let found = read("\ta\n", TaxonomyFormat::Parents);
    assert!(matches!(found, Err(TreeError::TaxonomySegment { line: 1, .. })));
    let nameless = read(r#"{"children": [{}]}"#, TaxonomyFormat::Nested);
    let place = Place::Json("$.children[0]".to_owned());
    assert_eq!(nameless, Err(TreeError::TaxonomyNoName { place }));
}

#[test]
fn lines_without_two_fields_are_refused() {
    for format in [TaxonomyFormat::Paths, TaxonomyFormat::Parents] {
        for content in ["hats", "hats\ta\tb"] {
            let found = read(&format!("\n{content}\n"), format);
            assert!(matches!(found, Err(TreeError::TaxonomyFields { line: 2, .. })), "{found:?}");
        }
    }
}

#[test]
fn text_that_is_not_the_json_expected_is_refused_with_its_place() {
    let found = read("{\"children\":\n [}", TaxonomyFormat::Nested).unwrap_err();
    assert!(matches!(found, TreeError::TaxonomyJson { line: 2, column: 3, .. }), "{found:?}");
    for (text, format) in [("[]", TaxonomyFormat::ParentsJson), (r#"{"a": 1}"#, TaxonomyFormat::ParentsJson)]
    {
        assert!(matches!(read(text, format), Err(TreeError::TaxonomyJson { line: 1, .. })), "{text}");
    }
}

#[test]
fn a_parent_without_a_line_is_refused() {
    let found = read("hats\ta\n", TaxonomyFormat::Parents);
    let expected = TreeError::TaxonomyNoParent { place: line(1), child: "hats".into(), parent: "a".into() };
    assert_eq!(found, Err(expected));
}

#[test]
fn an_empty_taxonomy_is_refused() {
    for (text, format) in [
        ("", TaxonomyFormat::Paths),
        ("\n\n", TaxonomyFormat::Parents),
        ("{}", TaxonomyFormat::Nested),
        ("{}", TaxonomyFormat::ParentsJson),
    ] {
        assert_eq!(read(text, format), Err(TreeError::TaxonomyEmpty));
    }
}

#[test]
fn what_is_too_deep_is_refused() {
    let path = vec!["a"; 64].join("/");
    assert_eq!(
        read_keys(&format!("x\t{path}\ny\t{path}\n"), TaxonomyFormat::Paths, &["x", "y"]).unwrap().depth(),
        1
    );
    let found = read(&format!("hats\t{path}/a\n"), TaxonomyFormat::Paths);
    assert_eq!(found, Err(TreeError::TaxonomyDepth { place: line(1), limit: 64 }));
}
