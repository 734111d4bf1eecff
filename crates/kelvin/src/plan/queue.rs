//! Steps as a queue: samplers draw the rows that the loop asks for when it asks for them, executors run what judges them, and
//! once all are graded the trainer learns and publishes. A discrete-event model with lengths drawn by seed: equal inputs give
//! equal numbers.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
};

use kelvin_core::seed::Seed;
use kelvin_selfplay::simulation::{Purpose, Workload};

use super::{flow::Flow, workload::Lengths};

/// What a step is done with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shop {
    /// Tokens of proposals, solutions and estimates.
    pub(super) lengths: [Lengths; 3],
    /// Seconds of a sampler for the prompt of one of them, in which it draws nothing.
    pub(super) prompt_s: [f64; 3],
    /// Seconds of a core for a program.
    pub(super) program_s: f64,
    /// Samplers, rows that each draws at once, its tokens per second with all of them, and those of a row at most.
    pub(super) n_samplers: usize,
    pub(super) slots: usize,
    pub(super) tokens_per_s: f64,
    pub(super) row_tokens_per_s_max: f64,
    /// Cores that run programs.
    pub(super) n_executors: usize,
    /// Publishing the weights.
    pub(super) publish_s: f64,
}

/// Plays one step, whose learning takes `train_s`.
pub(super) fn play(workload: &Workload, shop: &Shop, train_s: f64, seed: Seed) -> Flow {
    let mut floor = Floor::open(workload, shop, seed);
    floor.move_on();
    while let Some(end) = floor.next_end() {
        match end {
            End::Read(row) => floor.draw(row),
            End::Drawn(row) => {
                floor.flow.drawn_s = floor.now;
                match workload.rows[row].n_programs {
                    0 => floor.graded(row),
                    _ => floor.to_grade.push_back(row),
                }
            }
            End::Graded(row) => floor.graded(row),
        }
        floor.move_on();
    }
    assert!(floor.to_draw.is_empty() && floor.n_ungraded == 0, "every ask comes to be asked");
    let (graded_s, program_s) = (floor.now, workload.n_programs() as f64 * shop.program_s);
    let step_s = graded_s + train_s + shop.publish_s;
    let of_step = |busy_s: f64, n: usize| if step_s == 0.0 { 0.0 } else { busy_s / (n as f64 * step_s) };
    Flow {
        samplers: shop.n_samplers,
        step_s,
        graded_s,
        sampler_busy: of_step(floor.read_s + floor.n_tokens / shop.tokens_per_s, shop.n_samplers),
        executor_busy: of_step(program_s, shop.n_executors.max(1)),
        trainer_busy: of_step(train_s, 1),
        ..floor.flow
    }
}

/// What ends, and of which row.
enum End {
    /// Its prompt is read.
    Read(usize),
    Drawn(usize),
    Graded(usize),
}

/// Rows by when something of theirs ends, the first that began first where several do.
type Ends = BinaryHeap<Reverse<(At, usize, usize)>>;

/// A step as it goes.
struct Floor<'step> {
    workload: &'step Workload,
    shop: &'step Shop,
    seed: Seed,
    now: f64,
    /// Tokens of a row that is drawn from the beginning on. Rows share the samplers evenly, so that a row is done when this
    /// has grown by its own tokens.
    drawn_each: f64,
    reading: Ends,
    drawing: Ends,
    grading: Ends,
    n_begun: usize,
    /// Of each ask, the rows before it that are not graded.
    n_awaited: Vec<usize>,
    /// Of each row, the asks that wait for it.
    awaited_by: Vec<Vec<usize>>,
    n_ungraded: usize,
    to_draw: VecDeque<usize>,
    to_grade: VecDeque<usize>,
    /// Seconds for the prompts that were begun, and tokens of the rows whose drawing began.
    read_s: f64,
    n_tokens: f64,
    flow: Flow,
}

impl<'step> Floor<'step> {
    fn open(workload: &'step Workload, shop: &'step Shop, seed: Seed) -> Floor<'step> {
        let mut awaited_by = vec![Vec::new(); workload.rows.len()];
        for (ask_idx, ask) in workload.asks.iter().enumerate() {
            ask.after.clone().for_each(|row| awaited_by[row].push(ask_idx));
        }
        let at_once = workload.asks.iter().filter(|it| it.after.is_empty());
        Floor {
            workload,
            shop,
            seed,
            now: 0.0,
            drawn_each: 0.0,
            reading: Ends::new(),
            drawing: Ends::new(),
            grading: Ends::new(),
            n_begun: 0,
            n_awaited: workload.asks.iter().map(|it| it.after.len()).collect(),
            awaited_by,
            n_ungraded: workload.rows.len(),
            to_draw: at_once.flat_map(|it| it.rows.clone()).collect(),
            to_grade: VecDeque::new(),
            read_s: 0.0,
            n_tokens: 0.0,
            flow: Flow::default(),
        }
    }

    /// Tokens per second of a row: its share of the samplers that read no prompt, but no more than a row can have.
    fn row_rate(&self) -> f64 {
        let Shop { n_samplers, tokens_per_s, row_tokens_per_s_max, .. } = *self.shop;
        let n_free = n_samplers - self.reading.len();
        let share = (n_free as f64 / self.drawing.len() as f64).min(1.0);
        (share * tokens_per_s).min(row_tokens_per_s_max)
    }

    /// Lets time go by until something ends; nothing where nothing goes on.
    fn next_end(&mut self) -> Option<End> {
        let drawn = self.drawing.peek().map(|Reverse((At(tokens), _, row))| {
            // Rounding may take a row past its end.
            let left = (tokens - self.drawn_each).max(0.0);
            let s = if left == 0.0 { 0.0 } else { left / self.row_rate() };
            (self.now + s, End::Drawn(*row))
        });
        let read = self.reading.peek().map(|Reverse((At(at), _, row))| (*at, End::Read(*row)));
        let graded = self.grading.peek().map(|Reverse((At(at), _, row))| (*at, End::Graded(*row)));
        // Of what ends at once, what is drawn comes first.
        let (at, end) = [drawn, read, graded].into_iter().flatten().min_by(|a, b| a.0.total_cmp(&b.0))?;
        self.wait(at - self.now);
        match end {
            End::Drawn(_) => {
                let Reverse((At(tokens), ..)) = self.drawing.pop().expect("it was looked at");
                self.drawn_each = tokens;
            }
            End::Read(_) | End::Graded(_) => {
                if !self.drawing.is_empty() {
                    self.drawn_each += (at - self.now) * self.row_rate();
                }
                let ended = if matches!(end, End::Read(_)) { &mut self.reading } else { &mut self.grading };
                ended.pop();
            }
        }
        self.now = at;
        Some(end)
    }

    /// Counts the seconds until the next end to what they are spent on, where that is not the samplers.
    fn wait(&mut self, s: f64) {
        let none_to_draw = self.to_draw.is_empty();
        let samplers_rest = self.drawing.is_empty() && self.reading.is_empty();
        if samplers_rest || (none_to_draw && !self.to_grade.is_empty()) {
            self.flow.executors_s += s;
        } else if none_to_draw && self.reading.is_empty() && self.row_rate() == self.shop.row_tokens_per_s_max
        {
            self.flow.rows_s += s;
        }
    }

    /// A row has its verdict; what waited for it alone is asked for.
    fn graded(&mut self, row: usize) {
        self.n_ungraded -= 1;
        for &ask in &self.awaited_by[row] {
            self.n_awaited[ask] -= 1;
            if self.n_awaited[ask] == 0 {
                self.to_draw.extend(self.workload.asks[ask].rows.clone());
            }
        }
    }

    /// Whoever is free takes what waits.
    fn move_on(&mut self) {
        let n_samplers = self.shop.n_samplers;
        while self.drawing.len() + self.reading.len() < n_samplers * self.shop.slots
            && self.reading.len() < n_samplers
            && let Some(row) = self.to_draw.pop_front()
        {
            let prompt_s = self.shop.prompt_s[self.purpose(row)];
            if prompt_s == 0.0 {
                self.draw(row);
                continue;
            }
            self.read_s += prompt_s;
            self.n_begun += 1;
            self.reading.push(Reverse((At(self.now + prompt_s), self.n_begun, row)));
        }
        while self.grading.len() < self.shop.n_executors.max(1)
            && let Some(row) = self.to_grade.pop_front()
        {
            let program_s = self.workload.rows[row].n_programs as f64 * self.shop.program_s;
            self.n_begun += 1;
            self.grading.push(Reverse((At(self.now + program_s), self.n_begun, row)));
        }
        let Flow { sampler_queue_max, executor_queue_max, .. } = &mut self.flow;
        *sampler_queue_max = self.to_draw.len().max(*sampler_queue_max);
        *executor_queue_max = self.to_grade.len().max(*executor_queue_max);
    }

    /// Begins to draw a row.
    fn draw(&mut self, row: usize) {
        let tokens = self.shop.lengths[self.purpose(row)].draw(self.seed.nth(row as u64));
        self.n_tokens += tokens;
        self.n_begun += 1;
        self.drawing.push(Reverse((At(self.drawn_each + tokens), self.n_begun, row)));
    }

    /// The place of a row's purpose in what a shop has of each.
    fn purpose(&self, row: usize) -> usize {
        match self.workload.rows[row].purpose {
            Purpose::Propose => 0,
            Purpose::Solve => 1,
            Purpose::Estimate => 2,
        }
    }
}

/// Seconds or tokens that can be put in order; none is NaN.
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

#[cfg(test)]
mod tests {
    use kelvin_core::task::TaskType;
    use kelvin_selfplay::simulation::{Ask, Row};

    use super::*;

    fn rows(purpose: Purpose, n: usize, n_programs: usize) -> Vec<Row> {
        let task_type = TaskType::Abduction;
        vec![Row { purpose, task_type, prompt: 0, n_programs, is_trained: true, n_scored: 0 }; n]
    }

    fn asked(rows: Vec<Row>, asks: Vec<Ask>) -> Workload {
        Workload { rows, asks, n_published: 1 }
    }

    /// A thousand rows of ten tokens each and no more, so that all can be reckoned by hand.
    fn even() -> (Workload, Shop) {
        let rows = rows(Purpose::Solve, 1000, 1);
        let asks = vec![Ask { after: 0..0, rows: 0..1000 }];
        let lengths = Lengths { response_mean: 1e12, response_max: 10.0, prompt_mean: 0.0 };
        let shop = Shop {
            lengths: [lengths; 3],
            prompt_s: [0.0; 3],
            program_s: 0.0,
            n_samplers: 1,
            slots: 100,
            tokens_per_s: 1000.0,
            row_tokens_per_s_max: 1e9,
            n_executors: 4,
            publish_s: 1.0,
        };
        (asked(rows, asks), shop)
    }

    #[test]
    fn what_is_even_comes_to_what_is_reckoned() {
        let (workload, even) = even();
        let play = |shop: Shop| play(&workload, &shop, 3.0, Seed::new(1));
        let flow = play(even);
        // 10,000 tokens at 1,000 a second.
        assert!((flow.drawn_s - 10.0).abs() < 1e-9 && (flow.step_s - 14.0).abs() < 1e-9, "{flow:?}");
        assert_eq!(
            (flow.bottleneck(), flow.sampler_queue_max, flow.executor_queue_max),
            ("samplers", 900, 96)
        );
        assert!(
            (flow.sampler_busy * 14.0 - 10.0).abs() < 1e-9 && flow.trainer_busy == 3.0 / 14.0,
            "{flow:?}"
        );
        let eight = play(Shop { n_samplers: 8, ..even });
        // Eight hundred rows in the first second; then two hundred have all samplers to themselves.
        assert!((eight.drawn_s - 1.25).abs() < 1e-9 && eight.bottleneck() == "trainer", "{eight:?}");
        let slow = play(Shop { program_s: 0.1, ..even });
        // 100 seconds of programs on 4 cores, the first of which begins after a second.
        assert!((slow.graded_s - 26.0).abs() < 1e-9 && slow.bottleneck() == "executors", "{slow:?}");
        assert!(slow.executor_queue_max > 500 && (slow.executor_busy * slow.step_s - 25.0).abs() < 1e-9);
        let alone = play(Shop { n_samplers: 1000, row_tokens_per_s_max: 5.0, ..even });
        assert!(
            (alone.drawn_s - 2.0).abs() < 1e-9 && (alone.rows_s - 2.0).abs() < 1e-9,
            "a row is no faster however many samplers there are: {alone:?}"
        );
        let least = play(Shop { n_samplers: 1000, row_tokens_per_s_max: 2.0, ..even });
        assert_eq!(
            least.bottleneck(),
            "the longest rows",
            "nothing of it is for want of samplers: {least:?}"
        );
    }

    /// A sampler reads one prompt after the other, and draws nothing meanwhile; two read two at once.
    #[test]
    fn a_prompt_is_read_before_its_row_is_drawn() {
        let (_, even) = even();
        let workload = asked(rows(Purpose::Solve, 2, 0), vec![Ask { after: 0..0, rows: 0..2 }]);
        let shop = Shop { tokens_per_s: 10.0, prompt_s: [0.0, 3.0, 0.0], publish_s: 0.0, ..even };
        // Three seconds for each prompt, and two for twenty tokens.
        let flow = play(&workload, &shop, 0.0, Seed::new(1));
        assert!((flow.drawn_s - 8.0).abs() < 1e-9 && (flow.sampler_busy - 1.0).abs() < 1e-9, "{flow:?}");
        assert_eq!((flow.sampler_queue_max, flow.bottleneck()), (1, "samplers"));
        let flow = play(&workload, &Shop { n_samplers: 2, ..shop }, 0.0, Seed::new(1));
        assert!((flow.drawn_s - 4.0).abs() < 1e-9 && (flow.sampler_busy - 1.0).abs() < 1e-9, "{flow:?}");
        // With one place the second row waits for the first: its prompt is read when that one is drawn.
        let flow = play(&workload, &Shop { slots: 1, ..shop }, 0.0, Seed::new(1));
        assert!((flow.drawn_s - 8.0).abs() < 1e-9, "{flow:?}");
    }

    /// Two rows of different lengths share a sampler until the short one is done.
    #[test]
    fn what_is_left_is_drawn_faster() {
        let (_, even) = even();
        let mut shop = Shop { tokens_per_s: 10.0, ..even };
        shop.lengths[0].response_max = 30.0;
        let rows = [rows(Purpose::Propose, 1, 0), rows(Purpose::Solve, 1, 0)].concat();
        let workload = asked(rows, vec![Ask { after: 0..0, rows: 0..2 }]);
        // Ten tokens of each in two seconds, the other twenty in two more.
        let flow = play(&workload, &shop, 0.0, Seed::new(1));
        assert!((flow.drawn_s - 4.0).abs() < 1e-9 && flow.executors_s == 0.0, "{flow:?}");
        // A row has half of the sampler at most.
        let flow = play(&workload, &Shop { row_tokens_per_s_max: 5.0, ..shop }, 0.0, Seed::new(1));
        assert!(
            (flow.drawn_s - 6.0).abs() < 1e-9 && (flow.sampler_busy * 7.0 - 4.0).abs() < 1e-9,
            "{flow:?}"
        );
    }

    /// A proposal of ten tokens is drawn in a second and validated in two, its two tries are drawn in one and graded in
    /// another; so is a second round of two, and then comes what waits for all of them.
    #[test]
    fn what_waits_for_a_verdict_is_drawn_behind_it() {
        let (_, even) = even();
        let shop = Shop { program_s: 1.0, slots: 1000, row_tokens_per_s_max: 10.0, ..even };
        let proposal = [rows(Purpose::Propose, 1, 2), rows(Purpose::Estimate, 2, 1)].concat();
        let asks = vec![Ask { after: 0..0, rows: 0..1 }, Ask { after: 0..1, rows: 1..3 }];
        let one = asked(proposal.clone(), asks.clone());
        let flow = play(&one, &shop, 0.0, Seed::new(1));
        assert_eq!((flow.drawn_s, flow.graded_s, flow.executors_s), (4.0, 5.0, 3.0));
        let rounds = asked(
            [proposal, rows(Purpose::Estimate, 2, 1), rows(Purpose::Solve, 1, 0)].concat(),
            [asks, vec![Ask { after: 1..3, rows: 3..5 }, Ask { after: 0..5, rows: 5..6 }]].concat(),
        );
        let flow = play(&rounds, &shop, 0.0, Seed::new(1));
        // 1 + 2 for the proposal, 1 + 1 for each round, and a second for what runs nothing.
        assert_eq!((flow.drawn_s, flow.graded_s, flow.step_s), (8.0, 8.0, 9.0));
        let alone = play(&rounds, &Shop { n_executors: 1, ..shop }, 0.0, Seed::new(1));
        assert_eq!((alone.graded_s, alone.executor_queue_max), (10.0, 1), "one waits in each round");
    }

    #[test]
    fn equal_seeds_give_equal_steps() {
        let (workload, even) = even();
        let lengths = Lengths { response_mean: 7.0, response_max: 100.0, prompt_mean: 0.0 };
        let shop = Shop { lengths: [lengths; 3], ..even };
        let of = |seed| play(&workload, &shop, 3.0, Seed::new(seed));
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
        let mean: f64 = (0..20_000).map(|it| lengths.draw(Seed::new(it))).sum::<f64>() / 20_000.0;
        assert!((6.8..7.2).contains(&mean), "{mean}");
    }
}
