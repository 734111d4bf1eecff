//! Counters of an executor.

use std::sync::atomic::{AtomicU64, Ordering};

/// What an executor has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Jobs given to `run`.
    pub n_jobs: u64,
    /// Inputs in those jobs.
    pub n_inputs: u64,
    /// Children forked, counting second attempts.
    pub n_children: u64,
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
}

macro_rules! counters {
    ($($name:ident),*) => {
        #[derive(Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Counter),* }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Metrics {
                Metrics { $($name: self.$name.0.load(Ordering::Relaxed)),* }
            }
        }
    };
}

counters!(
    n_jobs,
    n_inputs,
    n_children,
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
