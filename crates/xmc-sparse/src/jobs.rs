//! Independent jobs, started in order.
//!
//! Rayon's parallel iterators split a range in halves: the second half's first job starts before the first
//! half's last one. Here the largest jobs (the root) must start first, so threads take numbers from a
//! counter instead. Within a job, rayon's own parallelism is free to use.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs jobs `0..n_jobs` on the threads of the current pool, each thread with its own state; results in
/// job order.
pub fn run_in_order<S, T: Send>(
    n_jobs: usize,
    state: impl Fn() -> S + Sync,
    job: impl Fn(&mut S, usize) -> T + Sync,
) -> Vec<T> {
    run_few_in_order(usize::MAX, n_jobs, state, job)
}

/// As [`run_in_order`], at most `at_once` (at least 1) at a time: for jobs that take much memory each.
pub fn run_few_in_order<S, T: Send>(
    at_once: usize,
    n_jobs: usize,
    state: impl Fn() -> S + Sync,
    job: impl Fn(&mut S, usize) -> T + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(n_jobs));
    let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&number| number < n_jobs);
    let work = || {
        // A thread that comes when all is taken needs no state.
        let Some(mut number) = take() else { return };
        let mut state = state();
        loop {
            let result = job(&mut state, number);
            results
                .lock()
                .expect("invariant: no thread panics while it holds the lock")
                .push((number, result));
            match take() {
                Some(next) => number = next,
                None => return,
            }
        }
    };
    rayon::scope(|scope| {
        for _ in 0..rayon::current_num_threads().min(at_once.max(1)) {
            scope.spawn(|_| work());
        }
    });
    let mut results = results.into_inner().expect("invariant: no thread panics while it holds the lock");
    results.sort_unstable_by_key(|&(number, _)| number);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_job_order() {
        let squares = run_in_order(
            100,
            || 0usize,
            |done, job| {
                *done += 1;
                (job * job, *done)
            },
        );
        assert!(squares.iter().enumerate().all(|(job, result)| result.0 == job * job && result.1 >= 1));
    }

    #[test]
    fn no_more_than_asked_for_run_at_a_time() {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(6).build().unwrap();
        let job = |_: &mut (), job: usize| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(2));
            running.fetch_sub(1, Ordering::SeqCst);
            job
        };
        let done = pool.install(|| run_few_in_order(2, 20, || (), job));
        assert_eq!((done, most.into_inner()), ((0..20).collect(), 2));
    }
}
