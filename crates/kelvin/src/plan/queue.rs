//! A step as a queue: samplers draw rows, executors grade what is drawn, and once all of it is graded the trainer learns and
//! publishes. A discrete-event model with lengths drawn by seed: equal inputs give equal numbers.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
};

use kelvin_core::seed::Seed;
use serde::Serialize;

/// What a step has to do and with what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shop {
    /// Rows of a step, and of each the tokens drawn on average and at most.
    pub(crate) n_rows: usize,
    pub(crate) tokens_mean: f64,
    pub(crate) tokens_max: f64,
    /// Programs behind a row, on average, and seconds of a core for each.
    pub(crate) programs_per_row: f64,
    pub(crate) program_s: f64,
    /// Samplers, rows that each draws at once, its tokens per second with all of them, and those of a row at most.
    pub(crate) n_samplers: usize,
    pub(crate) slots: usize,
    pub(crate) tokens_per_s: f64,
    pub(crate) row_tokens_per_s_max: f64,
    /// Cores that run programs.
    pub(crate) n_executors: usize,
    /// Learning from the step and publishing the weights.
    pub(crate) train_s: f64,
    pub(crate) publish_s: f64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Flow {
    pub(crate) samplers: usize,
    pub(crate) step_s: f64,
    /// Until the last row is drawn, and until the last one is graded.
    pub(crate) drawn_s: f64,
    pub(crate) graded_s: f64,
    /// Shares of the step in which each works; of samplers and executors, on average.
    pub(crate) sampler_busy: f64,
    pub(crate) executor_busy: f64,
    pub(crate) trainer_busy: f64,
    /// Most rows that waited for an executor at once.
    pub(crate) queue_max: usize,
}

impl Flow {
    /// Where most of the step is waited for.
    pub(crate) fn bottleneck(&self) -> &'static str {
        let grading = self.graded_s - self.drawn_s;
        let learning = self.step_s - self.graded_s;
        match (self.drawn_s >= grading.max(learning), grading >= learning) {
            (true, _) => "samplers",
            (false, true) => "executors",
            (false, false) => "trainer",
        }
    }
}

/// Seconds that can be put in order; none is NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
struct At(f64);

impl Eq for At {}

impl Ord for At {
    fn cmp(&self, other: &At) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for At {
    fn partial_cmp(&self, other: &At) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What ends at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Drawn,
    Graded,
}

/// Plays one step.
pub(crate) fn play(shop: &Shop, seed: Seed) -> Flow {
    let n_slots = (shop.n_samplers * shop.slots).max(1);
    let in_flight = (shop.n_rows as f64 / shop.n_samplers as f64).min(shop.slots as f64).max(1.0);
    let row_rate = (shop.tokens_per_s / in_flight).min(shop.row_tokens_per_s_max);
    let mut lengths: VecDeque<f64> = (0..shop.n_rows).map(|row| length(shop, seed.nth(row as u64))).collect();
    let program_s = shop.programs_per_row * shop.program_s;
    let (mut ends, mut sequence) = (BinaryHeap::new(), 0u64);
    let mut push = |ends: &mut BinaryHeap<_>, at: f64, end: End| {
        sequence += 1;
        ends.push(Reverse((At(at), sequence, end)));
    };
    let (mut drawing_s, mut now, mut drawn_s) = (0.0, 0.0, 0.0);
    for tokens in lengths.drain(..shop.n_rows.min(n_slots)).collect::<Vec<_>>() {
        drawing_s += tokens / row_rate;
        push(&mut ends, tokens / row_rate, End::Drawn);
    }
    let (mut waiting, mut queue_max, mut n_idle) = (0usize, 0usize, shop.n_executors.max(1));
    while let Some(Reverse((At(at), _, end))) = ends.pop() {
        now = at;
        match end {
            End::Drawn => {
                drawn_s = now;
                waiting += 1;
                if let Some(tokens) = lengths.pop_front() {
                    drawing_s += tokens / row_rate;
                    push(&mut ends, now + tokens / row_rate, End::Drawn);
                }
            }
            End::Graded => n_idle += 1,
        }
        while 0 < waiting && 0 < n_idle {
            (waiting, n_idle) = (waiting - 1, n_idle - 1);
            push(&mut ends, now + program_s, End::Graded);
        }
        queue_max = queue_max.max(waiting);
    }
    let step_s = now + shop.train_s + shop.publish_s;
    let of_step = |busy_s: f64, n: f64| busy_s / (n * step_s);
    Flow {
        samplers: shop.n_samplers,
        step_s,
        drawn_s,
        graded_s: now,
        sampler_busy: of_step(drawing_s, (n_slots as f64).min(in_flight * shop.n_samplers as f64)),
        executor_busy: of_step(program_s * shop.n_rows as f64, shop.n_executors.max(1) as f64),
        trainer_busy: shop.train_s / step_s,
        queue_max,
    }
}

/// Tokens of a row: exponential about the mean, cut at the limit. Completions end at any token with a like chance.
fn length(shop: &Shop, seed: Seed) -> f64 {
    (-(1.0 - seed.unit()).ln() * shop.tokens_mean).clamp(1.0, shop.tokens_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thousand rows of ten tokens each and no more, so that all can be reckoned by hand.
    fn even() -> Shop {
        Shop {
            n_rows: 1000,
            tokens_mean: 1e12,
            tokens_max: 10.0,
            programs_per_row: 1.0,
            program_s: 0.0,
            n_samplers: 1,
            slots: 100,
            tokens_per_s: 1000.0,
            row_tokens_per_s_max: 1e9,
            n_executors: 4,
            train_s: 3.0,
            publish_s: 1.0,
        }
    }

    #[test]
    fn what_is_even_comes_to_what_is_reckoned() {
        let flow = play(&even(), Seed::new(1));
        // 10,000 tokens at 1,000 a second.
        assert!((flow.drawn_s - 10.0).abs() < 1e-9 && (flow.step_s - 14.0).abs() < 1e-9, "{flow:?}");
        assert_eq!((flow.bottleneck(), flow.queue_max), ("samplers", 96));
        let eight = play(&Shop { n_samplers: 8, ..even() }, Seed::new(1));
        // Eight hundred rows in the first second and two hundred in the next, each as fast as in a full batch.
        assert!((eight.drawn_s - 2.0).abs() < 1e-9 && eight.bottleneck() == "trainer", "{eight:?}");
        let slow = play(&Shop { program_s: 0.1, ..even() }, Seed::new(1));
        // 100 seconds of programs on 4 cores, the first of which begins after a second.
        assert!((slow.graded_s - 26.0).abs() < 1e-9 && slow.bottleneck() == "executors", "{slow:?}");
        assert!(slow.queue_max > 500 && (slow.executor_busy * slow.step_s - 25.0).abs() < 1e-9);
        let alone = play(&Shop { n_samplers: 1000, row_tokens_per_s_max: 5.0, ..even() }, Seed::new(1));
        assert!(
            (alone.drawn_s - 2.0).abs() < 1e-9,
            "a row is no faster however many samplers there are: {alone:?}"
        );
    }

    #[test]
    fn equal_seeds_give_equal_steps() {
        let shop = Shop { tokens_mean: 7.0, tokens_max: 100.0, ..even() };
        assert_eq!(play(&shop, Seed::new(3)), play(&shop, Seed::new(3)));
        assert_ne!(play(&shop, Seed::new(3)), play(&shop, Seed::new(4)));
        let mean: f64 = (0..20_000).map(|it| length(&shop, Seed::new(it))).sum::<f64>() / 20_000.0;
        assert!((6.8..7.2).contains(&mean), "{mean}");
    }
}
