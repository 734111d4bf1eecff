//! What a part of a run has to say to whoever watches it, which is no error.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

/// Notices that wait to be read; whoever says more than that is not heard.
const WAITING_MAX: usize = 64;

/// Lines that wait until somebody shows them; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Notices(Arc<Mutex<Vec<String>>>);

impl Notices {
    /// Says a line.
    pub fn say(&self, line: String) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.push(line);
        }
    }

    /// What there is to show since the last time.
    pub fn take(&self) -> Vec<String> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shown_once_and_are_bounded() {
        let notices = Notices::default();
        (0..100).for_each(|it| notices.clone().say(it.to_string()));
        assert_eq!(notices.take(), (0..64).map(|it| it.to_string()).collect::<Vec<_>>());
        assert!(notices.take().is_empty());
    }
}
