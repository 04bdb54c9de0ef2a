//! Trainings within a limit of memory, and what a training would take.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

use xmc::{Dataset, Model, TrainParams, Trainer, TrainingPlan, XmcError};

const LIMIT: u64 = 64 << 20;

fn dataset() -> Dataset {
    let words = ["pie", "phone", "oak", "sail", "rose", "steel", "gene", "yarn"];
    Dataset::from_examples((0..1200).map(|n| {
        let (a, b) = (words[n % 8], words[n / 8 % 8]);
        (format!("{a} {b} {}", n % 50), vec![format!("{a}{}", n % 3), format!("{b}{}", n % 5)])
    }))
}

fn params() -> TrainParams {
    let mut params = TrainParams::default();
    params.tree = params.tree.branching(3).max_leaf(4);
    params
}

fn trained(memory: Option<u64>, threads: usize) -> Model {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| Trainer::new(params()).memory(memory).timestamps(false).fit(&dataset()).unwrap())
}

fn sections(model: &Model) -> Vec<(String, u64)> {
    let sections = &model.container().manifest().sections;
    sections.iter().map(|section| (section.name.clone(), section.xxh3)).collect()
}

#[test]
fn a_limit_is_part_of_the_parameters_and_does_not_depend_on_threads() {
    let (one, three) = (trained(Some(LIMIT), 1), trained(Some(LIMIT), 3));
    assert_eq!(sections(&one), sections(&three));
    let limited = &one.meta().params;
    assert!(limited.tree.node_entries.unwrap() >= 1 << 20);
    assert_eq!(limited.tree.nodes_at_once, Some(2));
    assert!(limited.linear.part_weights.unwrap() >= 1 << 18);
    assert_eq!(
        (trained(None, 1).meta().params.tree.node_entries, &trained(None, 1).meta().params),
        (None, &params())
    );
}

#[test]
fn a_limit_that_nothing_fits_says_what_is_needed() {
    let refused = Trainer::new(params()).memory(1 << 20).fit(&dataset());
    let Err(XmcError::Memory { stage, limit, needed }) = refused else { panic!("{refused:?}") };
    assert_eq!((stage, limit), ("label features", 1 << 20));
    assert!(needed > limit);
    // What is said to suffice for one stage may not for the next one, but some limit does.
    let mut limit = needed;
    while let Err(XmcError::Memory { needed, .. }) = Trainer::new(params()).memory(limit).fit(&dataset()) {
        assert!(needed > limit);
        limit = needed;
    }
    assert!(limit < LIMIT);
}

#[test]
fn a_plan_that_has_tried_all_of_the_data_knows() {
    let plan = Trainer::new(params()).memory(LIMIT).plan(&dataset()).unwrap();
    assert_eq!(plan.sampled, [300, 1200]);
    let names: Vec<&str> = plan.stages.iter().map(|stage| stage.name).collect();
    assert_eq!(names, ["tfidf", "label_features", "tree", "weights"]);
    assert!(
        plan.stages.iter().all(|stage| stage.memory_bytes < LIMIT && stage.seconds.is_some()),
        "{plan:?}"
    );
    let model = trained(Some(LIMIT), 1);
    let (found, planned) =
        (model.container().manifest().total_bytes() as f64, plan.model_bytes.unwrap() as f64);
    assert!((planned / found - 1.0).abs() < 0.02, "{planned} {found}");
    let limited = &model.meta().params;
    assert_eq!(
        (plan.node_entries, plan.part_weights),
        (limited.tree.node_entries, limited.linear.part_weights)
    );
}

#[test]
fn a_plan_beside_a_model_says_the_same_and_leaves_the_model_alone() {
    let scene = tempfile::tempdir().unwrap();
    let dir = scene.path().join("m");
    Trainer::new(params()).timestamps(false).fit_to(&dataset(), &dir).unwrap();
    let before = sections(&Model::open(&dir).unwrap());
    let (beside, in_memory) =
        (Trainer::new(params()).plan_to(&dataset(), &dir), Trainer::new(params()).plan(&dataset()));
    let (beside, in_memory) = (beside.unwrap(), in_memory.unwrap());
    let memory = |plan: &TrainingPlan| plan.stages.iter().map(|stage| stage.memory_bytes).collect::<Vec<_>>();
    assert_eq!(memory(&beside), memory(&in_memory));
    assert_eq!(sections(&Model::open(&dir).unwrap()), before);
    assert_eq!(scene.path().read_dir().unwrap().count(), 1);
    let file = scene.path().join("taken");
    std::fs::write(&file, "not a model").unwrap();
    let refused = Trainer::new(params()).plan_to(&dataset(), &file);
    assert!(matches!(refused, Err(XmcError::Store(_))), "{refused:?}");
    assert_eq!(std::fs::read(&file).unwrap(), b"not a model");
}

#[test]
fn what_cannot_be_planned_is_refused() {
    let several = TrainParams { n_trees: 2, ..params() };
    let refused = Trainer::new(several).plan(&dataset());
    assert!(matches!(refused, Err(XmcError::NoPlan { what: "several trees" })), "{refused:?}");
    let refused = Trainer::new(params()).memory(1000).plan(&dataset());
    assert!(matches!(refused, Err(XmcError::Memory { .. })), "{refused:?}");
}
