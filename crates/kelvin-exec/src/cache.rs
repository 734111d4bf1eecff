//! What programs came to, so that a program that is asked for again with the same input does not run again: samples of
//! one prompt repeat each other.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use kelvin_core::executor::{Calls, HashSeed, Job, Outcome};
use lru::LruCache;
use sha2::{Digest, Sha256};

/// Digest of everything that an outcome depends on; the interpreter is one for each cache.
type Key = [u8; 32];

/// The outcomes used last.
pub(crate) struct Cache(Option<Mutex<LruCache<Key, Outcome>>>);

impl Cache {
    /// With room for `entries` outcomes; 0 for none.
    pub(crate) fn new(entries: usize) -> Cache {
        Cache(NonZeroUsize::new(entries).map(|it| Mutex::new(LruCache::new(it))))
    }

    pub(crate) fn get(&self, job: &Job, input: &str) -> Option<Outcome> {
        let mut cache = self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(&key(job, input)).cloned()
    }

    /// Keeps what does not depend on how busy the machine is.
    pub(crate) fn put(&self, job: &Job, input: &str, outcome: &Outcome) {
        let Some(cache) = &self.0 else { return };
        let lasting = match outcome {
            Outcome::Value { .. }
            | Outcome::NotLiteral { .. }
            | Outcome::Raised { .. }
            | Outcome::CompileError { .. }
            | Outcome::Nondeterministic
            | Outcome::TooLarge { .. } => true,
            Outcome::TimedOut | Outcome::OutOfMemory | Outcome::Crashed { .. } => false,
        };
        if lasting {
            cache.lock().unwrap_or_else(PoisonError::into_inner).put(key(job, input), outcome.clone());
        }
    }
}

fn key(job: &Job, input: &str) -> Key {
    let mut digest = Sha256::new();
    for text in [&job.program, input] {
        digest.update((text.len() as u64).to_le_bytes());
        digest.update(text);
    }
    let limits = &job.limits;
    digest.update(limits.cpu_s.to_le_bytes());
    digest.update(limits.memory_bytes.to_le_bytes());
    digest.update(limits.output_bytes.to_le_bytes());
    digest.update([u8::from(job.hash_seed == HashSeed::B), u8::from(job.calls == Calls::Twice)]);
    digest.update([job.names as u8]);
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use kelvin_core::executor::{Limits, Names};

    use super::*;
    use crate::queue::tests::plain_job;

    #[test]
    fn an_outcome_is_found_by_all_it_depends_on() {
        let job = plain_job("def f(x): return x");
        let value = Outcome::Value { repr: "1".into() };
        let cache = Cache::new(2);
        cache.put(&job, "1", &value);
        assert_eq!(cache.get(&job, "1"), Some(value.clone()));
        assert_eq!(cache.get(&job, "2"), None);
        for other in [
            Job { program: "def f(x): return 1".into(), ..job.clone() },
            Job { hash_seed: HashSeed::B, ..job.clone() },
            Job { calls: Calls::Twice, ..job.clone() },
            Job { names: Names::Program, ..job.clone() },
            Job { limits: Limits { output_bytes: 1, ..job.limits }, ..job.clone() },
        ] {
            assert_eq!(cache.get(&other, "1"), None);
        }
        cache.put(&job, "2", &Outcome::TimedOut);
        assert_eq!(cache.get(&job, "2"), None);
        cache.put(&job, "3", &value);
        cache.put(&job, "4", &value);
        assert_eq!(cache.get(&job, "1"), None, "the oldest makes room");
        Cache::new(0).put(&job, "1", &value);
    }
}
