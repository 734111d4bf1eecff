//! What is noted of a step while the loop plays it: a policy and an executor that answer at once and write down what was
//! asked of them. Each response has words of its own, by which sampler, executor, trainer and the step's own report name the
//! same row; so a recording depends neither on threads nor on what finished first.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, mpsc::Receiver},
};

use kelvin_core::{
    executor::{Executor, Job, Outcome},
    fake::FakePolicy,
    objective::Objective,
    policy::{
        AdamParams, Completions, Indexed, LossStats, OptimStats, Part, Policy, Sampler, Trainer, UpdateId,
    },
    rollout::SampleRequest,
};

use super::{domain::add, recording::Habits};

/// What is noted of a step, by the text of a response.
#[derive(Default)]
pub(super) struct Notes {
    /// After how many others of the step a row was drawn, which only says what cannot have waited for it.
    pub(super) drawn: HashMap<String, usize>,
    /// Programs that its verdict ran.
    pub(super) programs: HashMap<String, usize>,
    /// By [`mark`]: how often its log-probabilities were asked for.
    pub(super) scored: HashMap<String, usize>,
    /// How often weights were published.
    pub(super) n_published: usize,
}

#[derive(Default)]
pub(super) struct Tape(Mutex<Notes>);

impl Tape {
    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().expect("nobody panics holding it")
    }
}

/// The text of tokens that are bytes; what is none ends the response.
pub(super) fn text(tokens: &[u32]) -> String {
    tokens.iter().filter_map(|&it| u8::try_from(it).ok()).map(char::from).collect()
}

/// What sets a response apart, of its text or of one that ends with it.
pub(super) fn mark(text: &str) -> &str {
    text.rsplit_once('#').expect("each response has a mark").1
}

/// The executor.
pub(super) struct Counting(pub(super) Arc<Tape>);

impl Executor for Counting {
    fn run(&self, job: &Job) -> anyhow::Result<Vec<Outcome>> {
        *self.0.notes().programs.entry(job.program.clone()).or_default() += job.inputs.len();
        Ok(job.inputs.iter().map(|it| add(it)).collect())
    }
    fn parallelism(&self) -> usize {
        1
    }
}

type Respond = Box<dyn Fn(&SampleRequest, u64) -> String + Send + Sync>;

/// The policy, and what is frozen of it.
pub(super) struct Writing {
    fake: FakePolicy<Respond>,
    habits: Habits,
    tape: Arc<Tape>,
}

impl Writing {
    pub(super) fn new(habits: Habits, tape: Arc<Tape>) -> Writing {
        let heard = tape.clone();
        let fake = FakePolicy::new(Box::new(move |request: &SampleRequest, _| {
            let text = respond(request, habits);
            let mut notes = heard.notes();
            let nth = notes.drawn.len();
            notes.drawn.insert(text.clone(), nth);
            text
        }) as Respond);
        Writing { fake, habits, tape }
    }

    pub(super) fn called(self, name: &str) -> Policy {
        Policy { name: name.into(), version: 0, trainer: Box::new(self) }
    }
}

impl Sampler for Writing {
    fn serve(
        &self,
        requests: Receiver<Indexed<SampleRequest>>,
        completions: Completions,
    ) -> anyhow::Result<()> {
        self.fake.serve(requests, completions)
    }
    fn logprobs(&self, sequences: &[Vec<u32>], temperature: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        let mut notes = self.tape.notes();
        for sequence in sequences {
            *notes.scored.entry(mark(&text(sequence)).to_owned()).or_default() += 1;
        }
        drop(notes);
        self.fake.logprobs(sequences, temperature)
    }
    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        self.fake.prompt_len(prompt)
    }
}

impl Trainer for Writing {
    fn forward_backward_part(
        &mut self,
        update: UpdateId,
        part: Part<'_>,
        objective: &Objective,
    ) -> anyhow::Result<LossStats> {
        self.fake.forward_backward_part(update, part, objective)
    }
    fn optim_step(&mut self, update: UpdateId, adam: &AdamParams) -> anyhow::Result<OptimStats> {
        self.fake.optim_step(update, adam)
    }
    fn publish(&mut self, update: UpdateId) -> anyhow::Result<()> {
        self.tape.notes().n_published += 1;
        self.fake.publish(update)
    }
    fn sampler(&self) -> &dyn Sampler {
        self
    }
    fn reset_optimizer(&mut self) -> anyhow::Result<()> {
        self.fake.reset_optimizer()
    }
    fn freeze(&self) -> anyhow::Result<Box<dyn Sampler>> {
        Ok(Box::new(Writing::new(self.habits, self.tape.clone())))
    }
    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        self.fake.save(dir)
    }
    fn restore(&mut self, dir: &Path) -> anyhow::Result<()> {
        self.fake.restore(dir)
    }
}

/// Proposals are sums of any size, the first number of which says how often the sum is found.
fn respond(request: &SampleRequest, habits: Habits) -> String {
    const N_NUMBERS: usize = 1 << 31;
    let mut draws = request.seed.draws();
    // What sets equal answers apart.
    let mark = request.seed.fork("mark").value();
    match request.prompt.split_once(" + ") {
        None if draws.chance(habits.valid) => {
            format!("{} {} #{mark:x}", draws.below(N_NUMBERS), draws.below(N_NUMBERS))
        }
        None => format!("nothing #{mark:x}"),
        Some((a, b)) => {
            let number = |text: &str| text.parse::<u64>().expect("the domain writes numbers");
            let (a, b) = (number(a), number(b));
            let [first, second] = habits.solve_rates;
            let share = (a as f64 + 0.5) / N_NUMBERS as f64;
            let rate = (1.0 - (1.0 - share).powf(1.0 / second)).powf(1.0 / first);
            let sum = if draws.chance(rate) { a + b } else { a + b + 1 };
            format!("{sum} #{mark:x}")
        }
    }
}
