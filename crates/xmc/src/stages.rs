//! Times the stages of a training while passing progress on.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;
use xmc_sparse::Progress;

/// A [`Progress`] that passes everything on and adds up the seconds of every stage.
pub(crate) struct Stages<'a> {
    inner: &'a dyn Progress,
    clock: Mutex<Clock>,
}

#[derive(Default)]
struct Clock {
    seconds: BTreeMap<String, f64>,
    running: Option<(String, Instant)>,
}

impl<'a> Stages<'a> {
    pub(crate) fn new(inner: &'a dyn Progress) -> Self {
        Self { inner, clock: Mutex::default() }
    }

    /// Runs `work`, which reports no stages that should be kept, as stage `name`.
    pub(crate) fn time<T>(&self, name: &str, work: impl FnOnce(&dyn Progress) -> T) -> T {
        let start = Instant::now();
        let result = work(self.inner);
        self.add(name, start);
        result
    }

    fn add(&self, name: &str, start: Instant) {
        *self.clock().seconds.entry(name.to_owned()).or_default() += start.elapsed().as_secs_f64();
    }

    /// Seconds of every stage so far.
    pub(crate) fn seconds(&self) -> BTreeMap<String, f64> {
        self.clock().seconds.clone()
    }

    fn clock(&self) -> std::sync::MutexGuard<'_, Clock> {
        self.clock.lock().expect("invariant: nothing panics under the lock")
    }
}

impl Progress for Stages<'_> {
    fn begin(&self, stage: &str, total: Option<u64>, unit: &str) {
        self.clock().running = Some((stage.to_owned(), Instant::now()));
        self.inner.begin(stage, total, unit);
    }

    fn advance(&self, steps: u64) {
        self.inner.advance(steps);
    }

    fn note(&self, message: &str) {
        self.inner.note(message);
    }

    fn end(&self) {
        self.inner.end();
        let running = self.clock().running.take();
        if let Some((stage, start)) = running {
            self.add(&stage, start);
        }
    }
}
