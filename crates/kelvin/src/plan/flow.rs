//! What a step came to that was played as a queue: seconds, who was busy, what waited, and what for.

use serde::Serialize;

/// What came of a step, or of several on average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Flow {
    pub(crate) samplers: usize,
    pub(crate) step_s: f64,
    /// Until the last row is drawn, and until the last one is graded.
    pub(crate) drawn_s: f64,
    pub(crate) graded_s: f64,
    /// Seconds in which the step waits for executors: nothing is drawn, or all that there is to draw is drawn already while
    /// rows wait to be graded.
    pub(crate) executors_s: f64,
    /// Seconds in which it waits for rows that are drawn as fast as a row can be, with no other left to draw.
    pub(crate) rows_s: f64,
    /// Shares of what each could do in the step; of samplers and executors, on average.
    pub(crate) sampler_busy: f64,
    pub(crate) executor_busy: f64,
    pub(crate) trainer_busy: f64,
    /// Most rows that waited for a sampler at once, and most that waited for an executor.
    pub(crate) sampler_queue_max: usize,
    pub(crate) executor_queue_max: usize,
}

impl Flow {
    /// What most of the step waits for.
    pub(crate) fn bottleneck(&self) -> &'static str {
        let parts = [
            ("samplers", self.graded_s - self.executors_s - self.rows_s),
            ("the longest rows", self.rows_s),
            ("executors", self.executors_s),
            ("trainer", self.step_s - self.graded_s),
        ];
        let longest = parts.into_iter().reduce(|a, b| if a.1 < b.1 { b } else { a });
        longest.expect("there are four").0
    }

    /// Steps one after the other: means, and the longest queues.
    pub(super) fn mean(flows: &[Flow]) -> Flow {
        let mean = |of: fn(&Flow) -> f64| flows.iter().map(of).sum::<f64>() / flows.len() as f64;
        let most = |of: fn(&Flow) -> usize| flows.iter().map(of).max().unwrap_or(0);
        // Shares weigh by the seconds that they are of.
        let step_s = mean(|it| it.step_s);
        Flow {
            samplers: most(|it| it.samplers),
            step_s,
            drawn_s: mean(|it| it.drawn_s),
            graded_s: mean(|it| it.graded_s),
            executors_s: mean(|it| it.executors_s),
            rows_s: mean(|it| it.rows_s),
            sampler_busy: mean(|it| it.sampler_busy * it.step_s) / step_s,
            executor_busy: mean(|it| it.executor_busy * it.step_s) / step_s,
            trainer_busy: mean(|it| it.trainer_busy * it.step_s) / step_s,
            sampler_queue_max: most(|it| it.sampler_queue_max),
            executor_queue_max: most(|it| it.executor_queue_max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_steps_are_means_and_the_longest_queues() {
        let short = Flow {
            step_s: 11.0,
            graded_s: 10.0,
            sampler_busy: 10.0 / 11.0,
            executor_queue_max: 96,
            ..Flow::default()
        };
        let long = Flow {
            step_s: 33.0,
            trainer_busy: 22.0 / 33.0,
            sampler_busy: 10.0 / 33.0,
            executor_queue_max: 4,
            ..short
        };
        let both = Flow::mean(&[short, long]);
        assert_eq!((both.step_s, both.graded_s, both.executor_queue_max), (22.0, 10.0, 96));
        assert!((both.trainer_busy - 0.5).abs() < 1e-12 && (both.sampler_busy * 22.0 - 10.0).abs() < 1e-9);
    }

    #[test]
    fn most_of_a_step_is_what_it_waits_for() {
        let flow = Flow { step_s: 10.0, graded_s: 8.0, ..Flow::default() };
        let told = [(0.0, 0.0), (1.0, 5.0), (5.0, 1.0), (2.0, 5.5), (3.5, 3.5)]
            .map(|(executors_s, rows_s)| Flow { executors_s, rows_s, ..flow }.bottleneck());
        let (rows, executors) = ("the longest rows", "executors");
        assert_eq!(told, ["samplers", rows, executors, rows, rows]);
        assert_eq!(Flow { graded_s: 4.0, ..flow }.bottleneck(), "trainer");
    }
}
