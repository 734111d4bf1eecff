//! The fused sampling call: it is one stream, it ends whatever fails, and what comes out depends neither on judges nor
//! on the order in which rows finish.

use std::{
    collections::HashSet,
    path::Path,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Duration,
};

use kelvin_core::{
    environment::{Environment, Given},
    fake::FakePolicy,
    objective::Objective,
    policy::{
        AdamParams, Completions, Indexed, LossStats, OptimStats, Part, Player, Policy, Sampler, Trainer,
        UpdateId,
    },
    rollout::{Completion, Finish, PolicyName, SampleRequest, Sampling},
    seed::Seed,
    task::{Grade, Miss, Reason, Rejection, Task, TaskType},
};
use kelvin_selfplay::{
    azr,
    buffer::TaskBuffer,
    metrics,
    report::StepReport,
    seeding,
    settings::{
        AzrSettings, CheckpointSettings, Duplicates, EstimateStop, EvalSettings, RZeroSettings, Recipe,
        RunSettings, SamplingSettings, SolveLag,
    },
    stage::{self, Played, Poses, Scene, Screen, Solves},
    state::{HeldOut, RunState},
};

const NUMBERS: u64 = 12;

/// A proposer names a number below [`NUMBERS`]; a solver says `right` or not.
struct Numbers;

impl Environment for Numbers {
    type Payload = u64;

    fn task_types(&self) -> &'static [TaskType] {
        &[TaskType::Deduction]
    }
    fn seed_tasks(&self) -> Vec<(TaskType, u64)> {
        vec![(TaskType::Deduction, NUMBERS)]
    }
    fn propose_prompt(&self, _: TaskType, _: Given<'_, u64>) -> String {
        "pose".into()
    }
    fn validate(
        &self,
        _: TaskType,
        _: Given<'_, u64>,
        response: &str,
    ) -> anyhow::Result<Result<u64, Rejection>> {
        anyhow::ensure!(response != "outage", "the sandbox is gone");
        assert_ne!(response, "defect", "a judge panics");
        Ok(response.parse().map_err(|_| Rejection::new(Reason::NoInput, "a number is expected")))
    }
    fn proposal_is_formatted(&self, _: TaskType, response: &str) -> bool {
        response != "garbage"
    }
    fn solve_prompt(&self, task: &Task<u64>) -> String {
        format!("solve {}", task.payload)
    }
    fn grade(&self, _: &Task<u64>, response: &str) -> anyhow::Result<Grade> {
        Ok(if response == "right" { Grade::correct() } else { Grade::missed(Miss::Wrong) })
    }
    fn identity(&self, task: &Task<u64>) -> String {
        task.payload.to_string()
    }
}

/// Larger numbers are solved more often; a fifth of all proposals is garbage.
fn respond(request: &SampleRequest) -> String {
    let mut draws = request.seed.draws();
    match request.prompt.strip_prefix("solve ").map(|it| it.parse::<usize>().unwrap()) {
        None if draws.chance(0.2) => "garbage".into(),
        None => draws.below(NUMBERS as usize).to_string(),
        Some(number) if draws.below(NUMBERS as usize) < number => "right".into(),
        Some(_) => "wrong".into(),
    }
}

fn completion(request: &SampleRequest, text: String) -> Completion {
    let tokens: Vec<u32> = text.bytes().map(u32::from).chain([256]).collect();
    Completion {
        prompt_tokens: request.prompt.bytes().map(u32::from).collect(),
        logprobs: vec![0.0; tokens.len()],
        plain_logprobs: vec![0.0; tokens.len()],
        tokens,
        text,
        finish: Finish::Stop,
        behind: 0,
    }
}

/// A sampler that answers whichever request the dice say, of those there are.
struct Shuffled {
    dice: Seed,
    learner: FakePolicy<fn(&SampleRequest, u64) -> String>,
}

impl Shuffled {
    fn new(dice: Seed) -> Shuffled {
        Shuffled { dice, learner: FakePolicy::new(|request, _| respond(request)) }
    }
}

impl Sampler for Shuffled {
    fn serve(
        &self,
        requests: Receiver<Indexed<SampleRequest>>,
        completions: Completions,
    ) -> anyhow::Result<()> {
        let mut pending: Vec<Indexed<SampleRequest>> = Vec::new();
        let mut draws = self.dice.draws();
        loop {
            if pending.is_empty() {
                let Ok(next) = requests.recv() else { return Ok(()) };
                pending.push(next);
            }
            pending.extend(requests.try_iter());
            let (index, request) = pending.swap_remove(draws.below(pending.len()));
            if completions.send(index, completion(&request, respond(&request))).is_err() {
                return Ok(());
            }
        }
    }
    fn logprobs(&self, _: &[Vec<u32>], _: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        unreachable!("nothing is scored")
    }
    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        Ok(prompt.len())
    }
}

impl Trainer for Shuffled {
    fn forward_backward_part(
        &mut self,
        update: UpdateId,
        part: Part<'_>,
        objective: &Objective,
    ) -> anyhow::Result<LossStats> {
        self.learner.forward_backward_part(update, part, objective)
    }
    fn optim_step(&mut self, update: UpdateId, adam: &AdamParams) -> anyhow::Result<OptimStats> {
        self.learner.optim_step(update, adam)
    }
    fn publish(&mut self, update: UpdateId) -> anyhow::Result<()> {
        self.learner.publish(update)
    }
    fn sampler(&self) -> &dyn Sampler {
        self
    }
    fn reset_optimizer(&mut self) -> anyhow::Result<()> {
        unreachable!("one step has no phases")
    }
    fn freeze(&self) -> anyhow::Result<Box<dyn Sampler>> {
        unreachable!("nothing pulls to a reference")
    }
    fn save(&self, dir: &Path) -> anyhow::Result<()> {
        self.learner.save(dir)
    }
    fn restore(&mut self, dir: &Path) -> anyhow::Result<()> {
        self.learner.restore(dir)
    }
}

fn settings(azr: AzrSettings) -> RunSettings {
    RunSettings {
        seed: 5,
        steps: 1,
        task_types: vec![TaskType::Deduction],
        n_judges: 3,
        azr: AzrSettings { batch_size: 24, seed_factor: 1, seed_rounds_max: 1, ..azr },
        recipe: Recipe::Azr,
        r_zero: RZeroSettings::default(),
        intrinsic: Default::default(),
        objective: Default::default(),
        optimizer: Default::default(),
        sampling: SamplingSettings::default(),
        eval: EvalSettings { every: 0, ..EvalSettings::default() },
        checkpoint: CheckpointSettings::default(),
        diagnostics: Default::default(),
    }
}

fn nothing_held_out() -> HeldOut {
    HeldOut { tasks: Vec::new(), families: HashSet::new() }
}

/// Everything that a step says but the time it took and what was drawn for nothing.
fn told(report: &StepReport) -> String {
    let estimated = report.estimated.iter().map(|it| format!("{:?} {:?}", it.rollout, it.outcome));
    let solved = report.solved.iter().map(|it| format!("{:?} {:?} {}", it.rollout, it.grade, it.born));
    let lines: Vec<String> = estimated.chain(solved).collect();
    format!("{}\n{:?}\n{:?}", lines.join("\n"), report.rewarded, report.batch)
}

fn step(settings: &RunSettings, dice: Seed) -> StepReport {
    state_and_step(settings, dice).1
}

fn state_and_step(settings: &RunSettings, dice: Seed) -> (RunState, StepReport) {
    let trainer = Box::new(Shuffled::new(dice));
    let mut state = RunState::new(vec![Policy { name: "policy".into(), version: 0, trainer }]);
    seeding::seed(&mut state, &Numbers, &nothing_held_out(), settings).unwrap();
    let report = azr::step(&mut state, &Numbers, &nothing_held_out(), settings).unwrap();
    (state, report)
}

#[test]
fn a_step_depends_neither_on_judges_nor_on_the_order_of_rows() {
    let copies = AzrSettings { duplicates: Duplicates::Reject, ..AzrSettings::default() };
    let stopped = AzrSettings {
        estimate_stop: EstimateStop::Unanimous,
        estimate_round: 3,
        train_estimates: true,
        ..copies.clone()
    };
    let direct = AzrSettings { solve_lag: SolveLag::Zero, n_solutions: 2, ..stopped.clone() };
    // The seed stage leaves some of the numbers to pose.
    let thrown_away = AzrSettings { train_estimates: false, ..AzrSettings::default() };
    for azr in [AzrSettings::default(), thrown_away, copies, stopped, direct] {
        let mut settings = settings(azr);
        settings.azr.batch_size = 10;
        let first = step(&settings, Seed::new(0));
        if settings.azr.duplicates == Duplicates::Reject {
            let valid = first.estimated.iter().filter(|it| it.outcome.is_ok()).count();
            assert!((1..10).contains(&valid), "there are tasks and copies: {valid}");
        }
        for n_judges in 1..=8 {
            settings.n_judges = n_judges;
            let other = step(&settings, Seed::new(1).nth(n_judges as u64));
            assert_eq!(told(&other), told(&first), "{n_judges} judges");
        }
    }
}

#[test]
fn unanimous_estimates_end_early_and_those_of_any_length_train() {
    let azr = AzrSettings {
        estimate_stop: EstimateStop::Unanimous,
        estimate_round: 3,
        train_estimates: true,
        train_propose: false,
        ..AzrSettings::default()
    };
    let settings = settings(azr);
    let (state, report) = state_and_step(&settings, Seed::new(4));
    let tried: Vec<&Vec<Grade>> =
        report.estimated.iter().filter_map(|it| it.outcome.as_ref().ok()).map(|it| &it.1).collect();
    let mut lengths = HashSet::new();
    for grades in &tried {
        let is_even = |n: usize| grades[..n].iter().all(|it| it.correct == grades[0].correct);
        let expected = [3, 6].into_iter().find(|&n| is_even(n)).unwrap_or(8);
        assert_eq!(grades.len(), expected);
        lengths.insert(expected);
    }
    assert!(lengths.contains(&3) && lengths.contains(&8), "{lengths:?}");
    // Tasks with both right and wrong solves teach; the others are left out. Drawn problems have one solution each.
    let of_mixed: usize = tried
        .iter()
        .filter(|it| it.iter().any(|it| it.correct) && !it.iter().all(|it| it.correct))
        .map(|it| it.len())
        .sum();
    assert_eq!(report.batch.len(), report.solved.len() + of_mixed);
    let said = metrics::of_step(&report, &state, &settings);
    let mean = tried.iter().map(|it| it.len()).sum::<usize>() as f64 / tried.len() as f64;
    assert_eq!(said["estimate/deduction/draws"], mean);
    let counted: f64 = (0..=8).map(|it| said[&format!("estimate/deduction/solved_{it}")]).sum();
    assert_eq!(counted, tried.len() as f64, "each task is counted once, whatever was drawn");
}

/// Answers by index and text; the request of index 0 waits until a try is asked for.
struct HoldsTheFirst {
    texts: Vec<&'static str>,
}

impl Sampler for HoldsTheFirst {
    fn serve(
        &self,
        requests: Receiver<Indexed<SampleRequest>>,
        completions: Completions,
    ) -> anyhow::Result<()> {
        let mut held = None;
        loop {
            let (index, request) = match requests.recv_timeout(Duration::from_secs(60)) {
                Ok(next) => next,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => anyhow::bail!("no try was asked for"),
            };
            if index == 0 {
                held = Some(request);
                continue;
            }
            let text = self.texts.get(index).copied().unwrap_or("wrong").to_owned();
            let _ = completions.send(index, completion(&request, text));
            if request.prompt.starts_with("solve")
                && let Some(held) = held.take()
            {
                let _ = completions.send(0, completion(&held, self.texts[0].to_owned()));
            }
        }
    }
    fn logprobs(&self, _: &[Vec<u32>], _: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        unreachable!("nothing is scored")
    }
    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        Ok(prompt.len())
    }
}

/// One call with `n` proposals and 4 tries each, where copies are rejected.
fn play(sampler: &dyn Sampler, n: usize) -> anyhow::Result<Played> {
    let settings = settings(AzrSettings { duplicates: Duplicates::Reject, ..AzrSettings::default() });
    let name: PolicyName = "policy".into();
    let player = Player { name: &name, version: 0, sampler };
    let scene = Scene { env: &Numbers, player, step: 1, settings: &settings };
    let (mut buffer, held_out, plain) = (TaskBuffer::default(), nothing_held_out(), Sampling::plain(8));
    let tasks = [Task { task_type: TaskType::Deduction, born: 0, label: None, payload: 7.into() }];
    buffer.append(&Numbers, tasks)?;
    let seed = Seed::new(3);
    let asks = stage::proposal_asks(scene, &buffer, &settings.task_types, n, seed)?;
    let screen = Some(Screen { buffer: &buffer, held_out: &held_out });
    let poses = Poses { asks: &asks, sampling: &plain, screen, n_estimate: 4, seed };
    stage::play(scene, poses, Solves::none())
}

#[test]
fn a_task_is_tried_before_the_last_proposal_has_finished() {
    let played = play(&HoldsTheFirst { texts: vec!["1", "2", "garbage"] }, 3).unwrap();
    assert_eq!((played.attempts.len(), played.n_dropped), (8, 0));
    assert!(played.estimated[0].outcome.is_ok() && played.estimated[1].outcome.is_ok());
    let groups: Vec<usize> = played.attempts.iter().map(|it| it.rollout.group).collect();
    assert_eq!(groups, [0, 0, 0, 0, 1, 1, 1, 1]);
}

#[test]
fn of_two_copies_the_first_asked_is_the_task_whichever_finished_first() {
    let played = play(&HoldsTheFirst { texts: vec!["1", "1", "7"] }, 3).unwrap();
    assert!(played.estimated[0].outcome.is_ok());
    let reason = |nth: usize| played.estimated[nth].outcome.as_ref().unwrap_err().reason;
    assert_eq!((reason(1), reason(2)), (Reason::Duplicate, Reason::ReferenceCopy), "7 was shown");
    assert_eq!((played.attempts.len(), played.n_dropped), (4, 4));
}

/// Says the same to all proposers and, like an engine, waits for more requests until there are none.
fn says(text: &'static str) -> FakePolicy<impl Fn(&SampleRequest, u64) -> String + Send + Sync> {
    FakePolicy::new(move |_, _| text.to_owned())
}

#[test]
fn a_call_ends_where_no_proposal_is_a_task_or_none_is_asked_for() {
    let played = play(&says("garbage"), 5).unwrap();
    assert!(played.estimated.iter().all(|it| it.outcome.is_err()));
    assert!(played.attempts.is_empty());
    assert!(play(&says("1"), 0).unwrap().estimated.is_empty());
}

#[test]
fn a_broken_sandbox_ends_the_call_and_is_no_reward() {
    let error = play(&says("outage"), 5).err().expect("the sandbox is gone");
    assert!(error.to_string().contains("the sandbox is gone"), "{error:#}");
}

#[test]
#[should_panic(expected = "a judge panics")]
fn a_judge_that_panics_ends_the_call() {
    drop(play(&says("defect"), 1));
}

/// Fails after its first completion.
struct Fails;

impl Sampler for Fails {
    fn serve(
        &self,
        requests: Receiver<Indexed<SampleRequest>>,
        completions: Completions,
    ) -> anyhow::Result<()> {
        let (index, request) = requests.recv()?;
        let _ = completions.send(index, completion(&request, "1".into()));
        anyhow::bail!("the engine is gone")
    }
    fn logprobs(&self, _: &[Vec<u32>], _: f32) -> anyhow::Result<Vec<Vec<f32>>> {
        unreachable!("nothing is scored")
    }
    fn prompt_len(&self, prompt: &str) -> anyhow::Result<usize> {
        Ok(prompt.len())
    }
}

#[test]
fn a_sampler_that_fails_ends_the_call() {
    let error = play(&Fails, 2).err().expect("the engine is gone");
    assert!(error.to_string().contains("the engine is gone"), "{error:#}");
}
