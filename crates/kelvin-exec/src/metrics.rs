//! Counters of an executor, and how long its stages take.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What an executor has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Jobs given to `run`.
    pub n_jobs: u64,
    /// Inputs in those jobs.
    pub n_inputs: u64,
    /// Children that ran something, counting second attempts.
    pub n_children: u64,
    /// Of these, children that were set back afterwards instead of ended.
    pub n_restored: u64,
    /// Children that were set back and were not as before. What they answered did not count, and none is set back any more.
    pub n_unsound: u64,
    /// Inputs over their CPU limit or wall backstop.
    pub n_timeouts: u64,
    /// Inputs whose child was ended by the wall backstop; they count as timeouts too.
    pub n_wall_kills: u64,
    /// Inputs over their memory limit.
    pub n_out_of_memory: u64,
    /// Inputs whose child died twice.
    pub n_crashes: u64,
    /// Inputs run again alone because they ended within 20 % of their CPU limit.
    pub n_near_limit_reruns: u64,
    /// Inputs run again alone for another reason: their child died, or ran out of memory after other inputs.
    pub n_retries: u64,
    /// Inputs whose outcome was known already.
    pub n_cache_hits: u64,
    /// Inputs that were answered in a child which they shared.
    pub n_shared: u64,
    /// Of these, inputs run again alone to compare.
    pub n_audits: u64,
    /// Of these, inputs that came out otherwise. Programs of that class share no child any more.
    pub n_mismatches: u64,
    /// Warm workers ended because they were worn.
    pub n_recycled: u64,
    /// Warm workers started.
    pub n_starts: u64,
    /// Warm workers lost and started anew; part of `n_starts`.
    pub n_respawns: u64,
    /// How long a job waits for a worker.
    pub queue: Latency,
    /// How long a child takes, from the request to its end, whatever it runs.
    pub child: Latency,
    /// The CPU time of a child, from its fork to its end.
    pub child_cpu: Latency,
}

/// How long a stage takes, in microseconds, within a fifth; 0 before it was first reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The median.
    pub p50_us: u64,
    /// Of a hundred, one takes longer.
    pub p99_us: u64,
}

macro_rules! counters {
    ($($name:ident),*) => {
        #[derive(Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
            pub(crate) queue: Histogram,
            pub(crate) child: Histogram,
            pub(crate) child_cpu: Histogram,
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Metrics {
                Metrics {
                    $($name: self.$name.0.load(Ordering::Relaxed),)*
                    queue: self.queue.latency(),
                    child: self.child.latency(),
                    child_cpu: self.child_cpu.latency(),
                }
            }
        }
    };
}

counters!(
    n_jobs,
    n_inputs,
    n_children,
    n_restored,
    n_unsound,
    n_timeouts,
    n_wall_kills,
    n_out_of_memory,
    n_crashes,
    n_near_limit_reruns,
    n_retries,
    n_cache_hits,
    n_shared,
    n_audits,
    n_mismatches,
    n_recycled,
    n_starts,
    n_respawns
);

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// Adds, and gives the count before.
    pub(crate) fn advance(&self, n: usize) -> u64 {
        self.0.fetch_add(n as u64, Ordering::Relaxed)
    }
}

/// Buckets for each doubling, and for all that 64 bits count.
const PER_DOUBLING: usize = 4;
const N_BUCKETS: usize = 64 * PER_DOUBLING;

/// Counts of durations in microseconds, in buckets whose width grows with them.
pub(crate) struct Histogram([Counter; N_BUCKETS]);

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram(array::from_fn(|_| Counter::default()))
    }
}

impl Histogram {
    pub(crate) fn add(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.0[bucket_of(us)].add(1);
    }

    fn latency(&self) -> Latency {
        let counts = self.0.each_ref().map(|it| it.0.load(Ordering::Relaxed));
        let total: u64 = counts.iter().sum();
        let quantile = |percent: u64| {
            let mut left = (total * percent).div_ceil(100);
            let reached = counts.iter().position(|&count| {
                let is_here = 0 < left && left <= count;
                left = left.saturating_sub(count);
                is_here
            });
            reached.map_or(0, least_of)
        };
        Latency { p50_us: quantile(50), p99_us: quantile(99) }
    }
}

/// The doubling, and the two bits after the first.
fn bucket_of(us: u64) -> usize {
    let us = us.max(PER_DOUBLING as u64);
    let doubling = us.ilog2() as usize;
    doubling * PER_DOUBLING + (us >> (doubling - 2)) as usize % PER_DOUBLING
}

/// The shortest duration of a bucket.
fn least_of(bucket: usize) -> u64 {
    let (doubling, part) = (bucket / PER_DOUBLING, bucket % PER_DOUBLING);
    ((PER_DOUBLING + part) as u64) << (doubling - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_within_a_fifth_of_what_it_holds() {
        for us in (4..5000).chain([u64::MAX / 3, u64::MAX]) {
            let least = least_of(bucket_of(us));
            assert!(least <= us && us - least <= us / 5, "{us}: {least}");
        }
        assert_eq!(bucket_of(0), bucket_of(4));
    }

    #[test]
    fn quantiles_are_of_what_was_added() {
        let histogram = Histogram::default();
        assert_eq!(histogram.latency(), Latency::default());
        for us in [10; 98].into_iter().chain([1000, 100_000]) {
            histogram.add(Duration::from_micros(us));
        }
        assert_eq!(histogram.latency(), Latency { p50_us: 10, p99_us: 896 });
    }
}
