//! How close training and prediction come to what the machine can do: `cargo bench -p xmc-xrlinear --bench limits`.
//!
//! First the machine, on one thread and on all: multiply-adds in registers, a triad over arrays far larger than any cache (McCalpin's STREAM:
//! 12 bytes an element, the reading of a line before it is written not counted), and cache lines read, or read and written, in random
//! order, from 16 KiB to 512 MiB. Then the solver on the root and on the leaf clusters of a model of titles, beside a *walk*: the same rows
//! in random order, the same loads and multiply-adds of weights, and no solver. Then prediction, beside random lines of as many bytes as the model has.
//!
//! Everything is measured within one run: on a shared machine only ratios within a run mean anything. `-- N` measures each for N times as long.
// A bench that unwraps fails with a line number, as a test does.
#![allow(clippy::unwrap_used, missing_docs)]

mod shaped;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use shaped::Training;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};
use xmc_linear::{CompactRows, Compactor, LANES, LaneSolver, SolveReport, SvmParams, Targets};
use xmc_sparse::kernels::{Isa, Lanes, Simd, WithSimd, dispatch};
use xmc_sparse::{Csr, Features};
use xmc_tree::{LabelTree, Matcher, Search, SearchParams};
use xmc_xrlinear::{Scratch, Traffic, XrLinear};

const LINE: usize = size_of::<Lanes>();
/// Lines of each array of the triad: 256 MiB.
const STREAM: usize = (256 << 20) / LINE;
/// Bytes of random lines.
const SIZES: [usize; 4] = [16 << 10, 1 << 20, 16 << 20, 512 << 20];
/// How many rows ahead a walk asks for weights and for entries, as the solver does, and lines of weights above which it does.
const AHEAD: [usize; 2] = [2, 6];
/// Passes of a walk over a problem, so that small ones are in the cache, as they are for the solver.
const PASSES: usize = 8;
const FETCH_ABOVE: usize = 4096;
/// Leaf clusters of this many instances.
const LEAF_ROWS: std::ops::Range<usize> = 250..600;
const N_LEAVES: usize = 64;

/// Units of work a second of `threads` threads together; `make` gives each its work, which returns how many units it did.
fn rate<W: FnMut() -> f64>(threads: usize, make: impl Fn(usize) -> W + Sync) -> f64 {
    let ready = Barrier::new(threads);
    let one = |number| {
        let mut work = make(number);
        work();
        ready.wait();
        let (start, mut units) = (Instant::now(), 0.0);
        while start.elapsed() < duration() {
            units += work();
        }
        units / start.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let one = &one;
        let handles: Vec<_> = (0..threads).map(|number| scope.spawn(move || one(number))).collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).sum()
    })
}

fn duration() -> Duration {
    let times = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(1);
    Duration::from_millis(400 * times)
}

fn rng() -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(1)
}

/// `N` independent chains of multiply-adds: enough of them hide the latency, too many leave the registers.
struct MultiplyAdds<const N: usize>;

impl<const N: usize> MultiplyAdds<N> {
    const ROUNDS: usize = 100_000;
}

impl<const N: usize> WithSimd for MultiplyAdds<N> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let (mut sums, factor) = ([simd.splat(black_box(1.0)); N], simd.splat(black_box(0.999)));
        for _ in 0..Self::ROUNDS {
            for sum in &mut sums {
                *sum = simd.fma(*sum, factor, factor);
            }
        }
        let mut total = sums[0];
        for &sum in &sums[1..] {
            total = simd.add(total, sum);
        }
        black_box(simd.sum(total));
        (N * LANES * Self::ROUNDS) as f64
    }
}

/// `a = b + 0.5 c`.
struct Triad<'a>(&'a mut [Lanes], &'a [Lanes], &'a [Lanes]);

impl WithSimd for Triad<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let half = simd.splat(0.5);
        for ((a, b), c) in self.0.iter_mut().zip(self.1).zip(self.2) {
            simd.store(a, simd.fma(half, simd.load(c), simd.load(b)));
        }
    }
}

/// Lines in some order: their sum, or something added to each.
struct Visit<'a, const WRITE: bool>(&'a mut [Lanes], &'a [u32]);

impl<const WRITE: bool> WithSimd for Visit<'_, WRITE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let factor = simd.splat(black_box(0.5));
        let mut sums = [simd.splat(0.0); 4];
        for lines in self.1.as_chunks::<4>().0 {
            for (&line, sum) in lines.iter().zip(&mut sums) {
                let line = &mut self.0[line as usize];
                if WRITE {
                    simd.store(line, simd.fma(factor, simd.load(line), factor));
                } else {
                    *sum = simd.fma(factor, simd.load(line), *sum);
                }
            }
        }
        let [a, b, c, d] = sums;
        black_box(simd.sum(simd.add(simd.add(a, b), simd.add(c, d))));
    }
}

/// Lines of `bytes` a second in random order.
fn random_lines<const WRITE: bool>(threads: usize, bytes: usize) -> f64 {
    rate(threads, |_| {
        let mut lines = vec![Lanes([1.0; LANES]); bytes.div_ceil(LINE).next_multiple_of(4)];
        let mut order: Vec<u32> = (0..lines.len() as u32).collect();
        order.shuffle(&mut rng());
        move || {
            dispatch(Visit::<WRITE>(&mut lines, &order));
            order.len() as f64
        }
    })
}

/// What the machine can do.
struct Machine {
    /// Single multiply-adds a second.
    fma: f64,
    /// Bytes of the triad a second.
    stream: f64,
}

impl Machine {
    fn measure(threads: usize) -> Self {
        let six = rate(threads, |_| || dispatch(MultiplyAdds::<6>));
        let ten = rate(threads, |_| || dispatch(MultiplyAdds::<10>));
        let stream = rate(threads, |_| {
            let lines = STREAM / threads;
            let [mut a, b, c] = [0.0, 1.0, 2.0].map(|value| vec![Lanes([value; LANES]); lines]);
            move || {
                dispatch(Triad(&mut a, &b, &c));
                (3 * LINE * lines) as f64
            }
        });
        Self { fma: six.max(ten), stream }
    }
}

/// A cluster's problem: rows as the solver takes them, and as a walk does.
struct Problem {
    rows: CompactRows,
    targets: Targets,
    /// Row `r` is `entries[ptr[r]..ptr[r + 1]]`: numbers of shared features and values.
    ptr: Vec<usize>,
    entries: Vec<(u32, f32)>,
}

impl Problem {
    /// The problem of the first [`LANES`] children of a cluster of layer `layer`, where `nodes[i]` are the children that instance `i` is in.
    fn new(x: &Features, rows: &[u32], children: &[u32], nodes: &Csr) -> Self {
        let children = &children[..children.len().min(LANES)];
        let mut positives = vec![Vec::new(); children.len()];
        for (row, &instance) in rows.iter().enumerate() {
            for node in nodes.row(instance as usize).indices {
                if let Some(lane) = children.iter().position(|child| child == node) {
                    positives[lane].push(row as u32);
                }
            }
        }
        let (mut counts, mut numbers) = (vec![0u32; x.n_sparse()], vec![u32::MAX; x.n_sparse()]);
        let columns = |row: &u32| x.sparse().row(*row as usize);
        rows.iter().flat_map(|row| columns(row).indices).for_each(|&column| counts[column as usize] += 1);
        let (mut n_shared, mut ptr, mut entries) = (0, vec![0], Vec::new());
        for row in rows {
            for (column, value) in columns(row).iter().filter(|(column, _)| counts[*column as usize] > 1) {
                let number = &mut numbers[column as usize];
                if *number == u32::MAX {
                    *number = n_shared;
                    n_shared += 1;
                }
                entries.push((*number, value));
            }
            ptr.push(entries.len());
        }
        let compact = Compactor::new(x.n_sparse()).compact(x, rows, None, 1.0);
        assert_eq!((compact.n_shared(), compact.n_entries()), (n_shared as usize, entries.len()));
        Self { rows: compact, targets: Targets::new(rows.len(), &positives), ptr, entries }
    }

    fn weight_bytes(&self) -> usize {
        LINE * self.rows.n_shared()
    }
}

/// The rows of a problem in some order: scores, and if `MOVE` something added to the weights of each.
struct Walk<'a, const MOVE: bool> {
    problem: &'a Problem,
    order: &'a [u32],
    weights: &'a mut [Lanes],
}

impl<const MOVE: bool> WithSimd for Walk<'_, MOVE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { problem: Problem { ptr, entries, .. }, order, weights } = self;
        let row =
            |at: usize| order.get(at).map_or(&[][..], |&r| &entries[ptr[r as usize]..ptr[r as usize + 1]]);
        let fetch = weights.len() > FETCH_ABOVE;
        let (mut total, step) = (simd.splat(0.0), simd.splat(black_box(1e-9)));
        for at in 0..order.len() {
            if fetch {
                simd.prefetch(row(at + AHEAD[1]), 0);
                simd.prefetch(row(at + AHEAD[1]), 8);
                for &(feature, _) in row(at + AHEAD[0]) {
                    simd.prefetch(weights, feature as usize);
                }
            }
            let (mut even, mut odd) = (simd.splat(0.0), simd.splat(0.0));
            let mut pairs = row(at).chunks_exact(2);
            for pair in &mut pairs {
                even = simd.fma(simd.splat(pair[0].1), simd.load(&weights[pair[0].0 as usize]), even);
                odd = simd.fma(simd.splat(pair[1].1), simd.load(&weights[pair[1].0 as usize]), odd);
            }
            for &(feature, value) in pairs.remainder() {
                even = simd.fma(simd.splat(value), simd.load(&weights[feature as usize]), even);
            }
            total = simd.add(total, simd.add(even, odd));
            if MOVE {
                for &(feature, value) in row(at) {
                    let weight = &mut weights[feature as usize];
                    simd.store(weight, simd.fma(simd.splat(value), step, simd.load(weight)));
                }
            }
        }
        black_box(simd.sum(total));
    }
}

/// Entries a second of walks over `problems`, one after the other.
fn walks<const MOVE: bool>(threads: usize, problems: &[Problem]) -> f64 {
    rate(threads, |number| {
        let mut state: Vec<(Vec<u32>, Vec<Lanes>)> = problems
            .iter()
            .map(|problem| {
                let mut order: Vec<u32> = (0..problem.rows.n_rows() as u32).collect();
                order.shuffle(&mut rng());
                (order, vec![Lanes::ZERO; problem.rows.n_shared()])
            })
            .collect();
        let mut next = number;
        move || {
            next = (next + 1) % problems.len();
            let (problem, (order, weights)) = (&problems[next], &mut state[next]);
            (0..PASSES).for_each(|_| dispatch(Walk::<MOVE> { problem, order, weights }));
            (PASSES * problem.entries.len()) as f64
        }
    })
}

/// Rates of the solver, of all threads together.
#[derive(Default)]
struct Solved {
    visits: f64,
    entries: f64,
    moved: f64,
}

impl Solved {
    fn measure(threads: usize, problems: &[Problem]) -> Self {
        let params = SvmParams::default().check().unwrap();
        let measured = |count: fn(&SolveReport) -> u64| {
            rate(threads, |number| {
                let (mut solver, mut next) = (LaneSolver::default(), number);
                move || {
                    next = (next + 1) % problems.len();
                    let Problem { rows, targets, .. } = &problems[next];
                    count(&solver.solve(&params, rows, targets, 1)) as f64
                }
            })
        };
        // The other counts follow: every solve does the same.
        let mut sums = [0; 3];
        let mut solver = LaneSolver::default();
        for Problem { rows, targets, .. } in problems {
            let report = solver.solve(&params, rows, targets, 1);
            let counts = [report.entries, report.moved, report.visits];
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        let entries = measured(|report| report.entries);
        let [moved, visits] = [sums[1], sums[2]].map(|count| entries * count as f64 / sums[0] as f64);
        Self { visits, entries, moved }
    }

    /// Single multiply-adds a second.
    fn fma(&self) -> f64 {
        LANES as f64 * (self.entries + self.moved)
    }

    /// Bytes loaded and stored a second: entries, weights, and of each visit the row's head, targets, place in the order and dual variables.
    fn bytes(&self) -> f64 {
        let lines = self.entries + 2.0 * self.moved;
        LINE as f64 * (lines + self.visits) + 8.0 * (self.entries + self.moved) + 26.0 * self.visits
    }
}

/// The instances of a cluster, increasing.
fn instances(nodes: &Csr, cluster: u32) -> Vec<u32> {
    (0..nodes.n_rows() as u32).filter(|&row| nodes.row(row as usize).indices.contains(&cluster)).collect()
}

/// The nodes of every instance: children of each layer of the tree, the labels last.
fn nodes_of(tree: &LabelTree, y: &Csr) -> Vec<Csr> {
    let mut layers = vec![y.clone()];
    for layer in tree.layers()[1..].iter().rev() {
        let mut parent = vec![0u32; layer.n_children()];
        for cluster in 0..layer.n_parents() {
            layer.children(cluster).iter().for_each(|&child| parent[child as usize] = cluster as u32);
        }
        let below = &layers[layers.len() - 1];
        let rows = (0..below.n_rows()).map(|row| {
            let parents = below.row(row).indices.iter().map(|&child| parent[child as usize]);
            parents
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .map(|p| (p, 1.0))
                .collect::<Vec<_>>()
        });
        layers.push(Csr::from_rows(layer.n_parents(), rows.collect::<Vec<_>>()).unwrap());
    }
    layers.reverse();
    layers
}

/// The problem of the root, and those of some leaf clusters.
fn problems(training: &Training) -> [Vec<Problem>; 2] {
    let Training { x, y, tree } = training;
    let nodes = nodes_of(tree, y);
    let all: Vec<u32> = (0..x.n_samples() as u32).collect();
    let root = Problem::new(x, &all, tree.layers()[0].children(0), &nodes[0]);
    let (leaves, last) = (tree.leaves(), tree.depth() - 1);
    let mut leaf = Vec::new();
    for cluster in 0..leaves.n_parents() as u32 {
        let rows = instances(&nodes[last - 1], cluster);
        if LEAF_ROWS.contains(&rows.len()) && leaf.len() < N_LEAVES {
            leaf.push(Problem::new(x, &rows, leaves.children(cluster as usize), &nodes[last]));
        }
    }
    [vec![root], leaf]
}

/// Queries a second.
fn predict(threads: usize, model: &XrLinear, queries: &Features) -> f64 {
    rate(threads, |_| {
        let search = SearchParams::default();
        let (mut scratch, mut out) = (Scratch::default(), Vec::new());
        let mut next = rng().gen_range(0..queries.n_samples());
        move || {
            next = (next + 1) % queries.n_samples();
            model.predict_row(queries.row(next), Search::new(&search), &mut scratch, &mut out);
            1.0
        }
    })
}

fn percent(part: f64, whole: f64) -> String {
    format!("{:.0} %", 100.0 * part / whole)
}

fn print_machine(machine: &Machine, threads: usize) {
    println!("\n| {threads} thread(s) | |\n|---|---:|");
    println!("| multiply-adds in registers | {:.1} G/s |", machine.fma / 1e9);
    println!("| triad, 768 MiB | {:.1} GB/s |", machine.stream / 1e9);
    for bytes in SIZES {
        let (read, write) = (random_lines::<false>(threads, bytes), random_lines::<true>(threads, bytes));
        let gb = |lines: f64| lines * LINE as f64 / 1e9;
        println!(
            "| random lines, {} KiB: read; read and written | {:.0}; {:.0} M/s ({:.1}; {:.1} GB/s) |",
            bytes >> 10,
            read / 1e6,
            write / 1e6,
            gb(read),
            gb(write)
        );
    }
}

fn print_solver(name: &str, problems: &[Problem], machine: &Machine, threads: usize) {
    let (read, moved) = (walks::<false>(threads, problems), walks::<true>(threads, problems));
    let solved = Solved::measure(threads, problems);
    let least = (solved.entries - solved.moved) / read + solved.moved / moved;
    let mean = |of: fn(&Problem) -> usize| problems.iter().map(of).sum::<usize>() / problems.len();
    println!("\n| {name}, {threads} thread(s) | | of the limit |\n|---|---:|---:|");
    println!("| rows | {} | |", mean(|problem| problem.rows.n_rows()));
    println!("| weights | {} KiB | |", mean(Problem::weight_bytes) >> 10);
    println!("| visits | {:.1} M/s | |", solved.visits / 1e6);
    println!(
        "| their entries | {:.0} M/s, {:.0} % moved | |",
        solved.entries / 1e6,
        100.0 * solved.moved / solved.entries
    );
    println!("| multiply-adds | {:.1} G/s | {} |", solved.fma() / 1e9, percent(solved.fma(), machine.fma));
    println!(
        "| bytes, against the triad | {:.1} GB/s | {} |",
        solved.bytes() / 1e9,
        percent(solved.bytes(), machine.stream)
    );
    println!("| walks: read; moved | {:.0}; {:.0} M entries/s | |", read / 1e6, moved / 1e6);
    println!("| time, against walks | | {} |", percent(least, 1.0));
}

fn print_prediction(name: &str, model: &XrLinear, queries: &Features, machine: &Machine, threads: usize) {
    let (search, mut traffic) = (SearchParams::default(), Traffic::default());
    (0..queries.n_samples()).for_each(|row| traffic += model.traffic(queries.row(row), Search::new(&search)));
    let per_query = |count: u64| count as f64 / queries.n_samples() as f64;
    let rate = predict(threads, model, queries);
    let bytes: usize = model.layers().iter().map(|layer| layer.n_bytes()).sum();
    let lines = random_lines::<false>(threads, bytes);
    // A line at least for each place in the directory, each record and each posting that begins beyond its head.
    let touched = per_query(traffic.bytes) / LINE as f64;
    println!("\n| {name}, {threads} thread(s) | | of the limit |\n|---|---:|---:|");
    println!("| model | {:.1} MB | |", bytes as f64 / 1e6);
    println!("| time a query | {:.1} µs | |", threads as f64 * 1e6 / rate);
    println!(
        "| records; postings; weights of them | {:.0}; {:.0}; {:.0} | |",
        per_query(traffic.records),
        per_query(traffic.postings),
        per_query(traffic.weights)
    );
    println!("| bytes a query | {:.1} KiB | |", per_query(traffic.bytes) / 1024.0);
    println!(
        "| bytes, against the triad | {:.2} GB/s | {} |",
        rate * per_query(traffic.bytes) / 1e9,
        percent(rate * per_query(traffic.bytes), machine.stream)
    );
    println!(
        "| as whole lines, against random ones of {:.0} MB | {:.0} M/s | {} |",
        bytes as f64 / 1e6,
        rate * touched / 1e6,
        percent(rate * touched, lines)
    );
    println!(
        "| multiply-adds | {:.2} G/s | {} |",
        rate * per_query(traffic.weights) / 1e9,
        percent(rate * per_query(traffic.weights), machine.fma)
    );
}

fn main() {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{:?}", Isa::available().last().unwrap());
    let training = Training::new(&shaped::titles());
    let [root, leaves] = problems(&training);
    let kinds = [
        ("titles", shaped::titles(), training),
        ("documents", shaped::documents(), Training::new(&shaped::documents())),
    ];
    let models = kinds.map(|(name, shaped, training)| (name, training.model(), shaped::queries(&shaped)));
    for threads in if all > 1 { vec![1, all] } else { vec![1] } {
        let machine = Machine::measure(threads);
        print_machine(&machine, threads);
        print_solver("root", &root, &machine, threads);
        print_solver("leaf clusters", &leaves, &machine, threads);
        for (name, model, queries) in &models {
            print_prediction(&format!("prediction, {name}"), model, queries, &machine, threads);
        }
    }
}
