//! Progress bars on the terminal and stage times in the log, behind the library's [`Progress`].
//!
//! A bar appears when its stage has run for a second, so that short stages do not flicker. A thread looks
//! after that, since a stage may take long over its first step.

use crate::memory;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use xmc::Progress;

const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(125);

/// Draws the running stage.
pub(crate) struct Bars {
    quiet: bool,
    shared: Arc<Shared>,
    drawer: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// The running stage is the last one; those it runs inside of stand before it.
    stages: RwLock<Vec<Stage>>,
    stopped: Mutex<bool>,
    stop: Condvar,
}

struct Stage {
    name: String,
    start: Instant,
    bar: ProgressBar,
}

impl Bars {
    /// Bars that are `drawn` on standard error, or only times in the log; with `quiet`, no notes.
    pub(crate) fn new(drawn: bool, quiet: bool) -> Self {
        let shared = Arc::<Shared>::default();
        let drawer = drawn.then(|| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.draw_until_stopped())
        });
        Self { quiet, shared, drawer }
    }
}

impl Shared {
    fn stages(&self) -> std::sync::RwLockReadGuard<'_, Vec<Stage>> {
        self.stages.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn stages_mut(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Stage>> {
        self.stages.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> MutexGuard<'_, bool> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw_until_stopped(&self) {
        let mut stopped = self.stopped();
        while !*stopped {
            if let Some(stage) = self.stages().last() {
                stage.draw();
            }
            let waited = self.stop.wait_timeout(stopped, TICK);
            stopped = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Stage {
    fn new(name: &str, total: Option<u64>, unit: &str) -> Self {
        let bar =
            ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()).with_style(style(total, unit));
        bar.set_message(name.to_owned());
        Self { name: name.to_owned(), start: Instant::now(), bar }
    }

    fn draw(&self) {
        if self.start.elapsed() < PATIENCE {
            return;
        }
        if self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.tick();
    }
}

fn style(total: Option<u64>, unit: &str) -> ProgressStyle {
    let template = match (total, unit) {
        (None, _) => "{msg:>16} {spinner} {elapsed}".to_owned(),
        (Some(_), "bytes") => {
            "{msg:>16} {bar:32} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec}, {eta} left"
                .to_owned()
        }
        (Some(_), unit) => {
            format!("{{msg:>16}} {{bar:32}} {{human_pos}}/{{human_len}} {unit} {{per_sec}}, {{eta}} left")
        }
    };
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Progress for Bars {
    fn begin(&self, stage: &str, total: Option<u64>, unit: &str) {
        self.shared.stages_mut().push(Stage::new(stage, total, unit));
    }

    fn advance(&self, steps: u64) {
        if let Some(stage) = self.shared.stages().last() {
            stage.bar.inc(steps);
        }
    }

    fn note(&self, message: &str) {
        if self.quiet {
            return;
        }
        let print = || eprintln!("xmc: {message}");
        match self.shared.stages().last() {
            // With the bar out of its way.
            Some(stage) => stage.bar.suspend(print),
            None => print(),
        }
    }

    fn end(&self) {
        let Some(stage) = self.shared.stages_mut().pop() else { return };
        stage.bar.finish_and_clear();
        let seconds = stage.start.elapsed().as_secs_f64();
        match memory::peak() {
            Some(peak) => {
                tracing::info!("{}: {seconds:.2} s, peak memory so far {} MB", stage.name, peak / 1_000_000);
            }
            None => tracing::info!("{}: {seconds:.2} s", stage.name),
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        *self.shared.stopped() = true;
        self.shared.stop.notify_all();
        if let Some(drawer) = self.drawer.take() {
            let _ = drawer.join();
        }
        self.shared.stages().iter().for_each(|stage| stage.bar.finish_and_clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style_is_a_template_that_exists() {
        for (total, unit) in [(None, "rows"), (Some(1), "bytes"), (Some(1), "texts")] {
            let stage = Stage::new("stage", total, unit);
            stage.bar.inc(1);
            assert_eq!(stage.bar.position(), 1);
        }
        assert!(
            ProgressStyle::with_template("{msg:>16} {bar:32} {human_pos}/{human_len} x {per_sec}").is_ok()
        );
    }

    #[test]
    fn steps_go_to_the_innermost_stage() {
        let bars = Bars::new(false, false);
        bars.begin("outer", Some(2), "steps");
        bars.begin("inner", Some(2), "steps");
        bars.advance(2);
        bars.end();
        bars.advance(1);
        assert_eq!(bars.shared.stages().last().map(|stage| stage.bar.position()), Some(1));
        bars.end();
        bars.advance(1);
        assert!(bars.shared.stages().is_empty());
    }
}
