//! Gradients that are summed in a fixed order, with about as many buffers as threads work at once.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::kernels::add_into;

/// Slots that threads take in order and finish in any, and whose gradients are added in order all the same.
pub(super) struct Slots<'sum> {
    n: usize,
    taken: AtomicUsize,
    len: usize,
    state: Mutex<State<'sum>>,
}

struct State<'sum> {
    /// The sum so far; with the thread that works on the first slot, which adds to it in place.
    sum: Option<&'sum mut [f32]>,
    n_added: usize,
    /// Finished slots that wait for one before them.
    waiting: BTreeMap<usize, Vec<f32>>,
    /// Buffers of zeros.
    free: &'sum mut Vec<Vec<f32>>,
}

/// Where a slot's gradient is added.
pub(super) enum Buffer<'sum> {
    /// The first slot's: the sum itself.
    Sum(&'sum mut [f32]),
    Own(Vec<f32>),
}

impl Buffer<'_> {
    pub(super) fn as_mut(&mut self) -> &mut [f32] {
        match self {
            Buffer::Sum(sum) => sum,
            Buffer::Own(own) => own,
        }
    }
}

impl<'sum> Slots<'sum> {
    /// `n` slots that are added to `sum`. `free` holds buffers of zeros of its length, and holds those that were used
    /// afterwards.
    pub(super) fn new(n: usize, sum: &'sum mut [f32], free: &'sum mut Vec<Vec<f32>>) -> Slots<'sum> {
        let len = sum.len();
        let state = State { sum: Some(sum), n_added: 0, waiting: BTreeMap::new(), free };
        Slots { n, taken: AtomicUsize::new(0), len, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State<'sum>> {
        self.state.lock().expect("no thread panics while it holds the lock")
    }

    /// The next slot and its buffer, until there is none.
    pub(super) fn take(&self) -> Option<(usize, Buffer<'sum>)> {
        let idx = self.taken.fetch_add(1, Ordering::Relaxed);
        if self.n <= idx {
            return None;
        }
        let mut state = self.state();
        let buffer = match idx {
            0 => Buffer::Sum(state.sum.take().expect("the first slot is taken once")),
            _ => Buffer::Own(state.free.pop().unwrap_or_else(|| vec![0.0; self.len])),
        };
        Some((idx, buffer))
    }

    /// Takes back a slot, and adds what has its turn.
    pub(super) fn finish(&self, idx: usize, buffer: Buffer<'sum>) {
        let mut state = self.state();
        match buffer {
            Buffer::Sum(sum) => {
                state.sum = Some(sum);
                state.n_added = 1;
            }
            Buffer::Own(own) => drop(state.waiting.insert(idx, own)),
        }
        let State { sum: Some(sum), n_added, waiting, free } = &mut *state else { return };
        while let Some(mut own) = waiting.remove(n_added) {
            add_into(sum, &own);
            own.fill(0.0);
            free.push(own);
            *n_added += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums of floats depend on their order, so equal bits mean an equal order.
    #[test]
    fn slots_are_added_in_order_however_they_finish() {
        let value = |idx: usize| [1e8f32, 1.0, -1e8, 3.5, 1e-3][idx];
        let orders = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [1, 2, 0, 3, 4]];
        let results = orders.map(|order| {
            let (mut sum, mut free) = (vec![0.25f32; 3], Vec::new());
            let slots = Slots::new(5, &mut sum, &mut free);
            let mut taken: BTreeMap<usize, Buffer> = std::iter::from_fn(|| slots.take()).collect();
            for idx in order {
                let mut buffer = taken.remove(&idx).unwrap();
                buffer.as_mut().iter_mut().for_each(|it| *it += value(idx));
                slots.finish(idx, buffer);
            }
            assert!(free.iter().flatten().all(|&it| it == 0.0) && free.len() == 4);
            sum.iter().map(|it| it.to_bits()).collect::<Vec<_>>()
        });
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn one_thread_needs_one_buffer() {
        let (mut sum, mut free) = (vec![0f32; 2], Vec::new());
        let slots = Slots::new(8, &mut sum, &mut free);
        while let Some((idx, mut buffer)) = slots.take() {
            buffer.as_mut()[0] += 1.0;
            slots.finish(idx, buffer);
        }
        assert_eq!((free.len(), sum), (1, vec![8.0, 0.0]));
    }
}
