//! Ways of finding a query's features among the weights: `cargo bench -p xmc-xrlinear --bench lookup`.
//!
//! The engine stores weights feature by feature. PECOS stores a chunk for each cluster, and looks the query's features up among the chunk's
//! (Etter, Zhong, Yu, Ying, Dhillon, *Accelerating Inference for Sparse Extreme Multi-Label Ranking Trees*, WWW 2022). Here the same weights are laid
//! out in both ways, behind the same beam search, on titles (20 features) and documents (675):
//!
//! - merge: two pointers go along the query's and the chunk's features;
//! - gallop: each feature of the shorter list is searched in the other, in growing steps from the last place;
//! - hash: an open table for each chunk, at most half full, asked for one chunk ahead;
//! - scatter: the query is written into an array by feature, and each feature of the chunk looks there;
//! - cheapest: for each query and chunk, the way that a cost model of two numbers (a call, a unit of work) fitted on this machine says.
//!
//! A feature of a chunk has its weights as a posting of the engine has them: places or bits, `bf16` values. All ways first find what is there and ask for it,
//! and then add it up, as the engine does. In the batch, the pairs of query and cluster of a layer are sorted by cluster, so that a chunk is in the cache
//! for all of its queries; there, scatter writes the chunk's features into the array. The records are searched query by query, as the batch comes and sorted by the
//! clusters that the queries go to. Everything on one thread. Scores are asserted to agree. `-- N` measures N times as long.
// A bench that unwraps fails with a line number, as a test does.
#![allow(clippy::unwrap_used, missing_docs)]

mod shaped;

use shaped::{Training, queries};
use std::hint::black_box;
use std::time::Instant;
use xmc_data::synth::Shaped;
use xmc_sparse::kernels::{LANES, Simd, WithSimd, dispatch, prefetch};
use xmc_sparse::{Features, Row, Scored, SparseRow};
use xmc_tree::{
    LabelTree, LayerScorer, Matcher, Search, SearchParams, SearchScratch, TreeLayer, beam_search,
};
use xmc_xrlinear::{LayerWeights, Scratch, Traffic, XrLinear};

/// No row of a chunk.
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Merge,
    Gallop,
    Hash,
    Scatter,
    Cheapest,
}

const WAYS: [Way; 5] = [Way::Merge, Way::Gallop, Way::Hash, Way::Scatter, Way::Cheapest];

/// The weights of a cluster's children.
#[derive(Default)]
struct Chunk {
    /// Numbers of features (or groups of them), increasing: the rows.
    ids: Vec<u32>,
    /// Where each row begins in `bytes`, and the end of the last one.
    starts: Vec<u32>,
    /// Rows: the number of weights less one, places of a byte or bits, values.
    bytes: Vec<u8>,
    /// Places of a hash table: feature and row.
    table: Vec<[u32; 2]>,
    bias: Vec<f32>,
}

impl Chunk {
    fn push(&mut self, id: u32, columns: &[u32], values: &[f32], max_siblings: usize) {
        self.ids.push(id);
        self.starts.push(self.bytes.len() as u32);
        self.bytes.push((columns.len() - 1) as u8);
        let n_bits = 2 * max_siblings.div_ceil(LANES);
        if columns.len() <= n_bits {
            self.bytes.extend(columns.iter().map(|&column| column as u8));
        } else {
            let start = self.bytes.len();
            self.bytes.resize(start + n_bits, 0);
            columns.iter().for_each(|&column| self.bytes[start + column as usize / 8] |= 1 << (column % 8));
        }
        self.bytes.extend(values.iter().flat_map(|value| ((value.to_bits() >> 16) as u16).to_le_bytes()));
    }

    fn finish(&mut self) {
        self.starts.push(self.bytes.len() as u32);
        self.table = vec![[NONE; 2]; (2 * self.ids.len()).next_power_of_two()];
        for (row, &id) in self.ids.iter().enumerate() {
            let mut at = self.place(id);
            while self.table[at][0] != NONE {
                at = (at + 1) % self.table.len();
            }
            self.table[at] = [id, row as u32];
        }
    }

    /// Where a feature's search in the table begins.
    #[inline(always)]
    fn place(&self, id: u32) -> usize {
        ((u64::from(id.wrapping_mul(2_654_435_769)) * self.table.len() as u64) >> 32) as usize
    }

    fn n_bytes(&self, way: Way) -> usize {
        let lists = 4 * self.starts.len() + self.bytes.len() + 4 * self.bias.len();
        lists + if way == Way::Hash { 8 * self.table.len() } else { 4 * self.ids.len() }
    }
}

/// The chunks of a layer.
struct Chunks {
    chunks: Vec<Chunk>,
    n_bits: usize,
}

impl Chunks {
    fn new(model: &XrLinear, number: usize, layer: &TreeLayer, weights: &LayerWeights) -> Self {
        assert!(layer.max_siblings() <= 256, "places take a byte");
        let mut chunks: Vec<Chunk> = (0..layer.n_parents()).map(|_| Chunk::default()).collect();
        weights.for_each_posting(|id, cluster, columns, values| {
            chunks[cluster as usize].push(id, columns, values, layer.max_siblings());
        });
        let nothing = Row { sparse: SparseRow { indices: &[], values: &[] }, dense: &[] };
        for (cluster, chunk) in (0u32..).zip(&mut chunks) {
            let intercept =
                |&child: &u32| model.margin_parts(nothing, number, cluster, child).unwrap().intercept;
            chunk.bias = layer.children(cluster as usize).iter().map(intercept).collect();
            chunk.finish();
        }
        Self { chunks, n_bits: 2 * layer.max_siblings().div_ceil(LANES) }
    }
}

/// Nanoseconds: of a look into a chunk, and of a unit of work there.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    call: f64,
    unit: f64,
}

/// Units of work of a way for a query of `n` features in a chunk of `m`.
#[inline(always)]
fn units(way: Way, n: usize, m: usize) -> f64 {
    let (short, long) = (n.min(m) as f64, n.max(m) as f64);
    match way {
        Way::Merge => short + long,
        Way::Gallop => short * (1.0 + (1.0 + long / short.max(1.0)).log2()),
        Way::Hash => n as f64,
        Way::Scatter => m as f64,
        Way::Cheapest => unreachable!("no way of its own"),
    }
}

/// A row of a chunk that the query needs.
#[derive(Clone, Copy)]
struct Hit {
    place: u32,
    start: u32,
    end: u32,
    x: f32,
}

/// An instance as chunks need it: features as records number them, increasing.
#[derive(Default)]
struct Instance {
    ids: Vec<u32>,
    values: Vec<f32>,
}

/// What finds rows of chunks.
#[derive(Default)]
struct Finder {
    /// Values by number of feature; all 0 between queries.
    dense: Vec<f32>,
    hits: Vec<Hit>,
    /// Chosen ways, for [`Way::Cheapest`].
    ways: Vec<Way>,
    /// Bytes of features and tables that were looked at.
    looked_at: u64,
}

impl Instance {
    fn set(&mut self, weights: &LayerWeights, row: SparseRow<'_>) {
        let mut pairs: Vec<(u32, f32)> = row
            .iter()
            .map(|(feature, x)| (weights.record_of(feature), x))
            .filter(|pair| pair.0 != NONE)
            .collect();
        pairs.sort_unstable_by_key(|pair| pair.0);
        pairs.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0.0 };
            same
        });
        self.ids.clear();
        self.values.clear();
        self.ids.extend(pairs.iter().map(|pair| pair.0));
        self.values.extend(pairs.iter().map(|pair| pair.1));
    }
}

impl Finder {
    fn scatter(&mut self, of: &Instance) {
        for (&id, &x) in of.ids.iter().zip(&of.values) {
            if id as usize >= self.dense.len() {
                self.dense.resize(id as usize + 1, 0.0);
            }
            self.dense[id as usize] = x;
        }
    }

    fn gather(&mut self, of: &Instance) {
        of.ids.iter().for_each(|&id| self.dense[id as usize] = 0.0);
    }

    #[inline(always)]
    fn hit(&mut self, chunk: &Chunk, place: u32, row: usize, x: f32) {
        let (start, end) = (chunk.starts[row], chunk.starts[row + 1]);
        prefetch(&chunk.bytes, start as usize);
        prefetch(&chunk.bytes, start as usize + 64);
        self.hits.push(Hit { place, start, end, x });
    }

    #[inline(always)]
    fn find<const COUNT: bool>(&mut self, way: Way, of: &Instance, chunk: &Chunk, place: u32) {
        match way {
            Way::Merge => self.merge::<COUNT>(of, chunk, place),
            Way::Gallop if of.ids.len() <= chunk.ids.len() => self.gallop_chunk::<COUNT>(of, chunk, place),
            Way::Gallop => self.gallop_query::<COUNT>(of, chunk, place),
            Way::Hash => self.hash::<COUNT>(of, chunk, place),
            Way::Scatter => self.look_back::<COUNT>(chunk, place),
            Way::Cheapest => unreachable!("a way was chosen"),
        }
    }

    #[inline(always)]
    fn merge<const COUNT: bool>(&mut self, of: &Instance, chunk: &Chunk, place: u32) {
        let (mut at, mut row) = (0, 0);
        while at < of.ids.len() && row < chunk.ids.len() {
            let (a, b) = (of.ids[at], chunk.ids[row]);
            if a == b {
                self.hit(chunk, place, row, of.values[at]);
            }
            at += usize::from(a <= b);
            row += usize::from(b <= a);
        }
        self.looked_at += if COUNT { 4 * row as u64 } else { 0 };
    }

    #[inline(always)]
    fn gallop_chunk<const COUNT: bool>(&mut self, of: &Instance, chunk: &Chunk, place: u32) {
        let mut from = 0;
        for at in 0..of.ids.len() {
            let (row, probes) = gallop(&chunk.ids, from, of.ids[at]);
            self.looked_at += if COUNT { 4 * probes } else { 0 };
            if chunk.ids.get(row) == Some(&of.ids[at]) {
                self.hit(chunk, place, row, of.values[at]);
            }
            from = row;
        }
    }

    #[inline(always)]
    fn gallop_query<const COUNT: bool>(&mut self, of: &Instance, chunk: &Chunk, place: u32) {
        let mut from = 0;
        for (row, &id) in chunk.ids.iter().enumerate() {
            (from, _) = gallop(&of.ids, from, id);
            if of.ids.get(from) == Some(&id) {
                self.hit(chunk, place, row, of.values[from]);
            }
        }
        self.looked_at += if COUNT { 4 * chunk.ids.len() as u64 } else { 0 };
    }

    #[inline(always)]
    fn hash<const COUNT: bool>(&mut self, of: &Instance, chunk: &Chunk, place: u32) {
        for at in 0..of.ids.len() {
            let (id, mut slot) = (of.ids[at], chunk.place(of.ids[at]));
            loop {
                let [found, row] = chunk.table[slot];
                self.looked_at += if COUNT { 8 } else { 0 };
                if found == id {
                    self.hit(chunk, place, row as usize, of.values[at]);
                }
                if found == id || found == NONE {
                    break;
                }
                slot = (slot + 1) & (chunk.table.len() - 1);
            }
        }
    }

    #[inline(always)]
    fn look_back<const COUNT: bool>(&mut self, chunk: &Chunk, place: u32) {
        for (row, &id) in chunk.ids.iter().enumerate() {
            let x = self.dense.get(id as usize).copied().unwrap_or(0.0);
            if x != 0.0 {
                self.hit(chunk, place, row, x);
            }
        }
        self.looked_at += if COUNT { 8 * chunk.ids.len() as u64 } else { 0 };
    }
}

/// The first place from `from` on whose feature is not below `id`, and how many were looked at.
#[inline(always)]
fn gallop(ids: &[u32], from: usize, id: u32) -> (usize, u64) {
    let (mut low, mut step, mut probes) = (from, 1, 1);
    while low + step <= ids.len() && ids[low + step - 1] < id {
        low += step;
        step *= 2;
        probes += 1;
    }
    let mut high = (low + step - 1).min(ids.len());
    while low < high {
        let middle = (low + high) / 2;
        let below = ids[middle] < id;
        low = if below { middle + 1 } else { low };
        high = if below { high } else { middle };
        probes += 1;
    }
    (low, probes)
}

/// Margins of a beam's children.
struct ScoreLayer<'a, const COUNT: bool> {
    chunks: &'a Chunks,
    instance: &'a Instance,
    finder: &'a mut Finder,
    beam: &'a [u32],
    way: Way,
    costs: &'a [Cost; 4],
    margins: &'a mut Vec<f32>,
    starts: &'a mut Vec<usize>,
}

impl<const COUNT: bool> WithSimd for ScoreLayer<'_, COUNT> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { chunks: Chunks { chunks, n_bits }, instance, finder, beam, way, costs, margins, starts } =
            self;
        starts.clear();
        finder.hits.clear();
        let n = instance.ids.len();
        for &cluster in beam {
            starts.push(margins.len());
            margins.extend_from_slice(&chunks[cluster as usize].bias);
        }
        let n_margins = margins.len();
        margins.resize(n_margins + LANES, 0.0);
        finder.ways.clear();
        finder.ways.extend(beam.iter().map(|&cluster| match way {
            Way::Cheapest => cheapest(costs, n, chunks[cluster as usize].ids.len()),
            way => way,
        }));
        let scatters = finder.ways.contains(&Way::Scatter);
        if scatters {
            finder.scatter(instance);
        }
        for (place, &cluster) in beam.iter().enumerate() {
            if finder.ways.get(place + 1) == Some(&Way::Hash) {
                let next = &chunks[beam[place + 1] as usize];
                instance.ids.iter().for_each(|&id| prefetch(&next.table, next.place(id)));
            }
            finder.find::<COUNT>(finder.ways[place], instance, &chunks[cluster as usize], place as u32);
        }
        if scatters {
            finder.gather(instance);
        }
        for hit in &finder.hits {
            let bytes =
                &chunks[beam[hit.place as usize] as usize].bytes[hit.start as usize..hit.end as usize];
            add_row(simd, *n_bits, bytes, hit.x, &mut margins[starts[hit.place as usize]..]);
        }
        margins.truncate(n_margins);
    }
}

/// `sums += x · w` of a row of a chunk.
#[inline(always)]
fn add_row<S: Simd>(simd: S, n_bits: usize, row: &[u8], x: f32, sums: &mut [f32]) {
    let (n, rest) = (usize::from(row[0]) + 1, &row[1..]);
    if n <= n_bits {
        let (columns, values) = rest.split_at(n);
        for (&column, value) in columns.iter().zip(values.as_chunks::<2>().0) {
            sums[usize::from(column)] += x * f32::from_bits(u32::from(u16::from_le_bytes(*value)) << 16);
        }
        return;
    }
    let (bits, values) = rest.split_at(n_bits);
    let mut values = values.as_chunks::<2>().0;
    for (bits, sums) in bits.as_chunks::<2>().0.iter().zip(sums.as_chunks_mut::<LANES>().0) {
        let bits = u16::from_le_bytes(*bits);
        let (these, others) = values.split_at(bits.count_ones() as usize);
        simd.add_expanded_bf16(x, bits, these, sums);
        values = others;
    }
}

#[inline(always)]
fn cheapest(costs: &[Cost; 4], n: usize, m: usize) -> Way {
    let cost = |way: Way| costs[way as usize].call + costs[way as usize].unit * units(way, n, m);
    WAYS[..4].iter().copied().min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap()
}

/// The model in chunks.
struct Chunked<'a> {
    tree: &'a LabelTree,
    layers: Vec<Chunks>,
    numbers: &'a LayerWeights,
    costs: [Cost; 4],
}

/// A search by chunks.
struct Searching<'a, const COUNT: bool> {
    model: &'a Chunked<'a>,
    instance: &'a Instance,
    finder: &'a mut Finder,
    way: Way,
    beam: Vec<u32>,
    starts: Vec<usize>,
    /// Bytes of the rows that were added.
    added: u64,
}

impl<const COUNT: bool> LayerScorer for Searching<'_, COUNT> {
    fn score_children(&mut self, layer: usize, beam: &[Scored], margins: &mut Vec<f32>) {
        self.beam.clear();
        self.beam.extend(beam.iter().map(|parent| parent.id));
        let Self { model, instance, finder, way, beam, starts, .. } = self;
        let (chunks, costs) = (&model.layers[layer], &model.costs);
        dispatch(ScoreLayer::<COUNT> { chunks, instance, finder, beam, way: *way, costs, margins, starts });
        if COUNT {
            // With where it begins and ends.
            self.added += self.finder.hits.iter().map(|hit| u64::from(hit.end - hit.start) + 8).sum::<u64>();
        }
    }
}

impl<'a> Chunked<'a> {
    fn new(model: &'a XrLinear) -> Self {
        let tree = model.tree();
        let layers = tree.layers().iter().zip(model.layers()).enumerate();
        let layers = layers.map(|(number, (layer, weights))| Chunks::new(model, number, layer, weights));
        Self { tree, layers: layers.collect(), numbers: &model.layers()[0], costs: [Cost::default(); 4] }
    }

    fn searching<const COUNT: bool>(
        &'a self,
        instance: &'a Instance,
        finder: &'a mut Finder,
        way: Way,
    ) -> Searching<'a, COUNT> {
        Searching { model: self, instance, finder, way, beam: Vec::new(), starts: Vec::new(), added: 0 }
    }

    /// Labels of every query; bytes looked at and added.
    fn labels(&self, queries: &Features, way: Way) -> (Vec<Vec<Scored>>, u64) {
        let (mut instance, mut finder, params) =
            (Instance::default(), Finder::default(), SearchParams::default());
        let (mut scratch, mut all, mut added) = (SearchScratch::default(), Vec::new(), 0);
        for row in 0..queries.n_samples() {
            instance.set(self.numbers, queries.sparse().row(row));
            let mut searching = self.searching::<true>(&instance, &mut finder, way);
            let mut out = Vec::new();
            beam_search(self.tree, Search::new(&params), &mut searching, &mut scratch, &mut out);
            added += searching.added;
            all.push(out);
        }
        (all, added + finder.looked_at)
    }

    /// Seconds for all queries, one after the other.
    fn time_single(&self, queries: &Features, way: Way) -> f64 {
        let (mut instance, mut finder, params) =
            (Instance::default(), Finder::default(), SearchParams::default());
        let (mut scratch, mut out) = (SearchScratch::default(), Vec::new());
        let (mut starts, mut beam) = (Vec::new(), Vec::new());
        let start = Instant::now();
        for row in 0..queries.n_samples() {
            instance.set(self.numbers, queries.sparse().row(row));
            let searching = self.searching::<false>(&instance, &mut finder, way);
            let mut searching = Searching { starts, beam, ..searching };
            beam_search(self.tree, Search::new(&params), &mut searching, &mut scratch, &mut out);
            black_box(&out);
            (starts, beam) = (searching.starts, searching.beam);
        }
        start.elapsed().as_secs_f64()
    }

    /// Fits the cost of each way to the nanoseconds that the layers of queries take, the least of a few times, by least squares.
    fn calibrate(&mut self, queries: &Features, beams: &Beams) {
        for way in &WAYS[..4] {
            let rounds: Vec<Vec<[f64; 3]>> = (0..3).map(|_| self.samples(queries, beams, *way)).collect();
            // Sums of squares and products of calls, units and time.
            let [mut cc, mut cu, mut uu, mut ct, mut ut] = [0.0; 5];
            for (at, &[c, u, _]) in rounds[0].iter().enumerate() {
                let time = rounds.iter().map(|round| round[at][2]).fold(f64::INFINITY, f64::min);
                (cc, cu, uu) = (cc + c * c, cu + c * u, uu + u * u);
                (ct, ut) = (ct + c * time, ut + u * time);
            }
            let determinant = cc * uu - cu * cu;
            let (call, unit) = ((ct * uu - ut * cu) / determinant, (ut * cc - ct * cu) / determinant);
            let through_zero = Cost { call: 0.0, unit: ut / uu };
            self.costs[*way as usize] = if call < 0.0 { through_zero } else { Cost { call, unit } };
        }
    }

    /// Chunks, units of work and nanoseconds of each query on each layer.
    fn samples(&self, queries: &Features, beams: &Beams, way: Way) -> Vec<[f64; 3]> {
        let (mut instance, mut finder) = (Instance::default(), Finder::default());
        let (mut margins, mut starts, mut samples) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..queries.n_samples() {
            instance.set(self.numbers, queries.sparse().row(row));
            for (chunks, beams) in self.layers.iter().zip(&beams.0) {
                let (beam, costs) = (&beams[row], &self.costs);
                let start = Instant::now();
                margins.clear();
                let (instance, finder) = (&instance, &mut finder);
                let (margins, starts) = (&mut margins, &mut starts);
                dispatch(ScoreLayer::<false> { chunks, instance, finder, beam, way, costs, margins, starts });
                let time = start.elapsed().as_nanos() as f64;
                let rows = beam.iter().map(|&cluster| chunks.chunks[cluster as usize].ids.len());
                let units = rows.map(|m| units(way, instance.ids.len(), m)).sum::<f64>();
                samples.push([beam.len() as f64, units, time]);
            }
        }
        samples
    }

    /// Seconds for the margins of all queries, clusters in order.
    fn time_batch(&self, rows: &[Instance], beams: &Beams, way: Way) -> f64 {
        let (mut places, mut margins, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
        let mut finder = Finder::default();
        let start = Instant::now();
        for (chunks, beams) in self.layers.iter().zip(&beams.0) {
            pairs.clear();
            pairs.extend(
                beams.iter().enumerate().flat_map(|(row, beam)| beam.iter().map(move |&c| (c, row as u32))),
            );
            pairs.sort_unstable();
            for group in pairs.chunk_by(|a, b| a.0 == b.0) {
                let chunk = &chunks.chunks[group[0].0 as usize];
                let way = match way {
                    Way::Cheapest => self.cheapest_of_group(rows, group, chunk),
                    way => way,
                };
                dispatch(ScoreGroup {
                    chunk,
                    n_bits: chunks.n_bits,
                    rows,
                    group,
                    way,
                    places: &mut places,
                    finder: &mut finder,
                    margins: &mut margins,
                });
                black_box(&margins);
            }
        }
        start.elapsed().as_secs_f64()
    }

    /// To write a chunk's features down and forget them costs two units for each; a look there is one of a hash that never collides.
    fn cheapest_of_group(&self, rows: &[Instance], group: &[(u32, u32)], chunk: &Chunk) -> Way {
        let m = chunk.ids.len();
        let cost = |way: Way| -> f64 {
            let Cost { call, unit } = self.costs[way as usize];
            let of_query = |&(_, row): &(u32, u32)| match way {
                Way::Scatter => unit * rows[row as usize].ids.len() as f64,
                _ => call + unit * units(way, rows[row as usize].ids.len(), m),
            };
            let written = if way == Way::Scatter { 2.0 * unit * m as f64 } else { 0.0 };
            written + group.iter().map(of_query).sum::<f64>()
        };
        WAYS[..4].iter().copied().min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap()
    }
}

/// One chunk and all of its queries.
struct ScoreGroup<'a> {
    chunk: &'a Chunk,
    n_bits: usize,
    rows: &'a [Instance],
    group: &'a [(u32, u32)],
    way: Way,
    /// The row of each feature, [`NONE`] for all between chunks.
    places: &'a mut Vec<u32>,
    finder: &'a mut Finder,
    margins: &'a mut Vec<f32>,
}

impl WithSimd for ScoreGroup<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { chunk, n_bits, rows, group, way, places, finder, margins } = self;
        let last = chunk.ids.last().map_or(0, |&id| id as usize);
        if way == Way::Scatter {
            if places.len() <= last {
                places.resize(last + 1, NONE);
            }
            chunk.ids.iter().zip(0..).for_each(|(&id, row)| places[id as usize] = row);
        }
        for &(_, row) in group {
            let instance = &rows[row as usize];
            finder.hits.clear();
            if way == Way::Scatter {
                for (&id, &x) in instance.ids.iter().zip(&instance.values) {
                    if let Some(&row) = places.get(id as usize).filter(|&&row| row != NONE) {
                        finder.hit(chunk, 0, row as usize, x);
                    }
                }
            } else {
                finder.find::<false>(way, instance, chunk, 0);
            }
            margins.clear();
            margins.extend_from_slice(&chunk.bias);
            margins.resize(chunk.bias.len() + LANES, 0.0);
            for hit in &finder.hits {
                add_row(simd, n_bits, &chunk.bytes[hit.start as usize..hit.end as usize], hit.x, margins);
            }
        }
        if way == Way::Scatter {
            chunk.ids.iter().for_each(|&id| places[id as usize] = NONE);
        }
    }
}

/// The beams of all queries: by layer and query.
struct Beams(Vec<Vec<Vec<u32>>>);

/// Keeps the beams of a search; or margins, to search again without making them.
struct Recorder<'a, 'q> {
    searching: Searching<'a, false>,
    beams: &'q mut Vec<Vec<u32>>,
    margins: &'q mut Vec<Vec<f32>>,
}

impl LayerScorer for Recorder<'_, '_> {
    fn score_children(&mut self, layer: usize, beam: &[Scored], margins: &mut Vec<f32>) {
        self.searching.score_children(layer, beam, margins);
        self.beams.push(beam.iter().map(|parent| parent.id).collect());
        self.margins.push(margins.clone());
    }
}

struct Replay<'a>(&'a [Vec<f32>]);

impl LayerScorer for Replay<'_> {
    fn score_children(&mut self, layer: usize, _: &[Scored], margins: &mut Vec<f32>) {
        margins.extend_from_slice(&self.0[layer]);
    }
}

/// The beams of all queries, and the seconds that their searches take beside scoring.
fn record(chunked: &Chunked<'_>, queries: &Features) -> (Beams, f64) {
    let (mut instance, mut finder, params) =
        (Instance::default(), Finder::default(), SearchParams::default());
    let (mut scratch, mut out) = (SearchScratch::default(), Vec::new());
    let (mut all, mut all_margins) = (vec![Vec::new(); chunked.layers.len()], Vec::new());
    for row in 0..queries.n_samples() {
        instance.set(chunked.numbers, queries.sparse().row(row));
        let (mut beams, mut margins) = (Vec::new(), Vec::new());
        let searching = chunked.searching(&instance, &mut finder, Way::Hash);
        let mut recorder = Recorder { searching, beams: &mut beams, margins: &mut margins };
        beam_search(chunked.tree, Search::new(&params), &mut recorder, &mut scratch, &mut out);
        all.iter_mut().zip(beams).for_each(|(layer, beam)| layer.push(beam));
        all_margins.push(margins);
    }
    let replay = || {
        let start = Instant::now();
        for margins in &all_margins {
            let (search, mut replay) = (Search::new(&params), Replay(margins));
            beam_search(chunked.tree, search, &mut replay, &mut scratch, &mut out);
            black_box(&out);
        }
        start.elapsed().as_secs_f64()
    };
    (Beams(all), median(replay))
}

/// All queries as chunks need them.
fn instances(chunked: &Chunked<'_>, queries: &Features) -> Vec<Instance> {
    let prepared = |row| {
        let mut instance = Instance::default();
        instance.set(chunked.numbers, queries.sparse().row(row));
        instance
    };
    (0..queries.n_samples()).map(prepared).collect()
}

/// Seconds for all queries by the engine, in some order.
fn time_engine(model: &XrLinear, queries: &Features, order: &[usize]) -> f64 {
    let (mut scratch, mut out, params) = (Scratch::default(), Vec::new(), SearchParams::default());
    let start = Instant::now();
    for &row in order {
        model.predict_row(queries.row(row), Search::new(&params), &mut scratch, &mut out);
        black_box(&out);
    }
    start.elapsed().as_secs_f64()
}

fn engine_labels(model: &XrLinear, queries: &Features) -> Vec<Vec<Scored>> {
    let (mut scratch, mut out, params) = (Scratch::default(), Vec::new(), SearchParams::default());
    let rows = 0..queries.n_samples();
    rows.map(|row| {
        model.predict_row(queries.row(row), Search::new(&params), &mut scratch, &mut out);
        out.clone()
    })
    .collect()
}

/// Which labels have nearly equal scores may differ with the order of additions; what the scores are may not.
fn assert_same(found: &[Vec<Scored>], expected: &[Vec<Scored>], way: Way) {
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found.score - expected.score).abs() < 1e-3,
                "{way:?}, query {row}: {found:?} {expected:?}"
            );
        }
    }
}

/// The median of several measurements.
fn median(mut once: impl FnMut() -> f64) -> f64 {
    let times = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(1);
    once();
    let mut all: Vec<f64> = (0..5 * times).map(|_| once()).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn compare(name: &str, shaped: &Shaped) {
    let (model, queries) = (Training::new(shaped).model(), queries(shaped));
    let n = queries.n_samples();
    let mut chunked = Chunked::new(&model);
    let (beams, search) = record(&chunked, &queries);
    let expected = engine_labels(&model, &queries);
    chunked.calibrate(&queries, &beams);
    let rows = instances(&chunked, &queries);
    let prepare = median(|| {
        let start = Instant::now();
        black_box(instances(&chunked, &queries));
        start.elapsed().as_secs_f64()
    });
    let per_query = |seconds: f64| 1e6 * seconds / n as f64;
    let kib = |bytes: u64| bytes as f64 / n as f64 / 1024.0;
    let mut sorted: Vec<usize> = (0..n).collect();
    let last = beams.0.len() - 1;
    sorted.sort_by_key(|&row| &beams.0[last][row]);
    let as_they_come: Vec<usize> = (0..n).collect();
    let mut traffic = Traffic::default();
    let params = SearchParams::default();
    (0..n).for_each(|row| traffic += model.traffic(queries.row(row), Search::new(&params)));

    let found: usize = beams.0.iter().flatten().map(Vec::len).sum();
    let chunk_rows: usize =
        chunked.layers.iter().flat_map(|layer| &layer.chunks).map(|chunk| chunk.ids.len()).sum();
    let n_chunks: usize = chunked.layers.iter().map(|layer| layer.chunks.len()).sum();
    println!(
        "\n{name}: {:.0} features a query, {:.1} chunks of {} features a query",
        queries.sparse().nnz() as f64 / n as f64,
        found as f64 / n as f64,
        chunk_rows / n_chunks
    );
    println!("search without scoring: {:.1} µs a query; costs {:.1?}", per_query(search), chunked.costs);
    println!(
        "\n| way | model, MB | KiB read a query | one query, µs | × | batch, µs a query | × |\n|---|---:|---:|---:|---:|---:|---:|"
    );
    let engine = median(|| time_engine(&model, &queries, &as_they_come));
    let engine_sorted = median(|| time_engine(&model, &queries, &sorted));
    let bytes: usize = model.layers().iter().map(LayerWeights::n_bytes).sum();
    println!(
        "| records | {:.1} | {:.1} | {:.1} | 1 | {:.1} | 1 |",
        bytes as f64 / 1e6,
        kib(traffic.bytes),
        per_query(engine),
        per_query(engine_sorted)
    );
    for way in WAYS {
        let (labels, bytes) = chunked.labels(&queries, way);
        assert_same(&labels, &expected, way);
        let chunks = chunked.layers.iter().flat_map(|layer| &layer.chunks);
        let size: usize = chunks.map(|chunk| chunk.n_bytes(way)).sum();
        // The engine again beside each: the machine may have changed its mind.
        let (engine, single) = (
            median(|| time_engine(&model, &queries, &as_they_come)),
            median(|| chunked.time_single(&queries, way)),
        );
        let (sorted, batch) = (
            median(|| time_engine(&model, &queries, &sorted)),
            prepare + search + median(|| chunked.time_batch(&rows, &beams, way)),
        );
        println!(
            "| {} | {:.1} | {:.1} | {:.1} | {:.2} | {:.1} | {:.2} |",
            format!("{way:?}").to_lowercase(),
            size as f64 / 1e6,
            kib(bytes),
            per_query(single),
            single / engine,
            per_query(batch),
            batch / sorted
        );
    }
}

fn main() {
    compare("titles", &shaped::titles());
    compare("documents", &shaped::documents());
}
