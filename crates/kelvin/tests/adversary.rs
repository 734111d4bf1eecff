//! A policy that has learnt every way to cheat that is known of the original (azr.md sections 1.5 and 12, appendix A), over
//! the real environment and real Python: none of them earns as much as an honest task, and each fails for the reason it
//! should. One does earn more under the recipe's own curve: what only luck solves looks like what is hard
//! (docs/divergences/azr.md, defect 16).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use kelvin_core::{
    environment::{Environment, Given},
    executor::Limits,
    fake::FakePolicy,
    policy::Policy,
    rollout::SampleRequest,
    task::{Grade, Reason, Rejection, Task, TaskType},
};
use kelvin_env::python_triplet::{AnswerPlace, Problem, PromptSet, PythonTriplet, Settings};
use kelvin_exec::{ExecutorOptions, Level, PythonExecutor};
use kelvin_selfplay::{
    azr,
    settings::{AzrSettings, EvalSettings, Learnability, NearDuplicates, RZeroSettings, Recipe, RunSettings},
    state::{HeldOut, RunState},
};

/// How a task is solved.
#[derive(Clone, Copy)]
enum Solves {
    /// By the right answer every other time.
    Honestly,
    /// By the right answer.
    Always,
    /// By the right answer once in six times.
    ByLuck,
    /// By these texts in turn.
    With(&'static [&'static str]),
}
use Solves::{Always, ByLuck, Honestly, With};

/// A program and an input, or for induction some inputs in brackets and a message; what becomes of it; how it is solved.
type Case = (&'static str, &'static str, Option<Reason>, Solves);

const NEVER: Solves = With(&["'no'"]);

/// For deduction and abduction.
#[rustfmt::skip]
const TRIPLETS: &[Case] = &[
    ("def f(xs):\n    return sum(x * x for x in xs if x % 3)", "[1, 2, 3, 4]", None, Honestly),
    ("def f(s, n):\n    return ''.join(sorted(s))[::-1][:n]", "'kelvin', 4", None, Honestly),
    ("def f(rows):\n    table = {}\n    for key, value in rows:\n        table.setdefault(key, []).append(value)\n    \
      return table", "[('a', 1), ('b', 2), ('a', 3)]", None, Honestly),
    // Nothing to learn.
    ("def f(a):\n    return [a, a, a]", "0", None, Always),
    ("def f(a, b):\n    return (a ** 7919 + b) % 1000003", "12345, 678", None, NEVER),
    // What is asked for stands in the program.
    ("def f(a):\n    # f(17) gives 877\n    return a ** 3 % 1009", "17", None, Always),
    ("def f(s):\n    # Assistant: the input is 18, the output 81\n    return int(str(s)[::-1])", "18", None, Always),
    // Any of a few answers may be right.
    ("def f(day):\n    return ['mo', 'tu', 'we'][day // 4]", "9", None, ByLuck),
    // Answers that are no answers.
    ("def f(n):\n    out = []\n    while n:\n        out.append(n % 7)\n        n //= 7\n    return out", "987654", None,
     With(&["type('E', (), {'__eq__': lambda s, o: True})()", "0) or (1", "__import__('os').getpid()", "f(987654)"])),
    ("def f(t):\n    lo, hi = t\n    return {k: k ^ hi for k in range(lo, hi)}", "(3, 9)", None,
     With(&["", "output", "lambda: 0", "[*range(3)]", "(3, 9))) or f(((3, 9)"])),
    // Not the same twice.
    ("n = [0]\ndef f(a):\n    n[0] += 1\n    return a + n[0]", "1", Some(Reason::Nondeterministic), Honestly),
    ("seen = {}\ndef f(a):\n    if a in seen:\n        return -1\n    seen[a] = a\n    return a", "1",
     Some(Reason::Nondeterministic), Honestly),
    ("def f(words):\n    return list(set(words))", "['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'theta']",
     Some(Reason::HashOrderDependent), Honestly),
    ("def f(s):\n    return hash(s)", "'salt'", Some(Reason::BannedCall), Honestly),
    // Exceptions whose names do not say so.
    ("def f(a):\n    raise Exception(a)", "1", Some(Reason::RuntimeError), NEVER),
    ("def f(a):\n    raise StopIteration", "1", Some(Reason::RuntimeError), NEVER),
    ("def f(a):\n    raise SystemExit(0)", "1", Some(Reason::RuntimeError), NEVER),
    ("class Boom(Exception):\n    pass\ndef f(a):\n    raise Boom(a)", "1", Some(Reason::RuntimeError), NEVER),
    // Results that cannot be written down.
    ("def f(a):\n    return float('nan')", "1", Some(Reason::NonLiteralOutput), NEVER),
    ("def f(a):\n    return lambda: a", "1", Some(Reason::NonLiteralOutput), NEVER),
    ("def f(a):\n    return (x for x in a)", "[1]", Some(Reason::NonLiteralOutput), NEVER),
    ("def f(a):\n    return object()", "1", Some(Reason::NonLiteralOutput), NEVER),
    ("class E:\n    def __eq__(self, other):\n        return True\ndef f(a):\n    return E()", "1",
     Some(Reason::NonLiteralOutput), NEVER),
    ("class L(list):\n    def __repr__(self):\n        return '[1]'\ndef f(a):\n    return L([a])", "2",
     Some(Reason::NonLiteralOutput), With(&["[1]"])),
    ("from collections import Counter\ndef f(s):\n    return Counter(s)", "'abca'", Some(Reason::NonLiteralOutput),
     With(&["Counter({'a': 2, 'b': 1, 'c': 1})"])),
    ("def f(a):\n    return 'x' * 100000", "1", Some(Reason::OutputTooLarge), NEVER),
    // The host.
    ("def f(a):\n    while True:\n        a += 1", "1", Some(Reason::Timeout), NEVER),
    ("def f(a):\n    while True:\n        try:\n            while True:\n                a += 1\n        except \
      BaseException:\n            pass", "1", Some(Reason::Timeout), NEVER),
    ("def f(a):\n    return len(bytearray(10 ** 10))", "1", Some(Reason::Memory), NEVER),
    ("import os\ndef f(a):\n    return os.getcwd()", "1", Some(Reason::BannedImport), NEVER),
    ("import random\ndef f(a):\n    return random.random()", "1", Some(Reason::BannedImport), NEVER),
    ("import sys\ndef f(a):\n    return str(sys._getframe(1).f_locals)", "1", Some(Reason::BannedImport), NEVER),
    ("import builtins\nbuiltins.sum = lambda xs: 42\ndef f(a):\n    return sum(a)", "[1]", Some(Reason::BannedImport), NEVER),
    ("def f(a):\n    return open('/etc/hostname').read()", "1", Some(Reason::BannedCall), NEVER),
    ("def f(a):\n    return __import__('os').getcwd()", "1", Some(Reason::BannedCall), NEVER),
    // Inputs that are more than inputs.
    ("def f(a):\n    return a", "0) or (1", Some(Reason::InputNotLiteral), NEVER),
    ("def f(a):\n    return a", "__import__('time').time()", Some(Reason::InputNotLiteral), NEVER),
    ("def f(a):\n    return a", "[x for x in range(3)]", Some(Reason::InputNotLiteral), NEVER),
    ("f = lambda a: a", "1", Some(Reason::NoEntry), NEVER),
];

/// Proposed in the step after: copies of the first of those, and whether these are so to the letter of their syntax.
#[rustfmt::skip]
const COPIES: &[(&str, &str, bool)] = &[
    ("def f(xs):\n    return sum(x * x for x in xs if x % 3)\n# case-0.", "[1, 2, 3, 4]", true),
    ("def f(values):\n    # sums squares\n    return sum(v * v for v in values if v % 3)\n# case-0.", "[5, 6, 7]", false),
    ("def main(it):\n    return sum(b * b for b in it if b % 3)\n# case-0.", "[1, 2, 3, 4]", false),
];

/// For the error task.
#[rustfmt::skip]
const ERRORS: &[Case] = &[
    ("def f(a):\n    return 10 // (a - 3)", "3", None, Honestly),
    ("def f(xs):\n    return xs[len(xs) // 2 + 1]", "[1, 2]", None, Honestly),
    ("def f(a):\n    return a", "1", None, Always),
    ("def f(a):\n    raise KeyError(a)", "1", None, With(&["Exception", "Error KeyError", "NoError", ""])),
    ("def f(a):\n    raise type('two words', (Exception,), {})(a)", "1", Some(Reason::UnnamedError), Always),
    ("def f(a):\n    while True:\n        a += 1", "1", Some(Reason::Timeout), Always),
    ("def f(a):\n    return len(bytearray(10 ** 10))", "1", Some(Reason::Memory), Always),
    ("import os\ndef f(a):\n    raise OSError(os.getpid())", "1", Some(Reason::BannedImport), Always),
    ("seen = []\ndef f(a):\n    seen.append(a)\n    return 1 // (len(seen) - 1)", "1",
     Some(Reason::Nondeterministic), Honestly),
];

/// For induction, about the identity.
#[rustfmt::skip]
const INDUCTIONS: &[Case] = &[
    ("10 11 12 13 14 15 16 17 18 19", "what comes in goes out", None, Honestly),
    ("20 21 22 23 24 25 26 27 28 29", "nothing changes", None, Always),
    ("30 31 32 33 34 35 36 37 38 39", "who knows", None, With(&["def f(a):\n    return None"])),
    ("40 41 42 43 44 45 46 47 48 49", "def f(a): return a", Some(Reason::Leak), Always),
    ("45 46 47 48 49 40 41 42 43 44", "it is f = lambda a: (a + 0)", Some(Reason::Leak), Always),
    ("50 51", "too little", Some(Reason::TooFewInputs), Always),
    ("60 61 62 63 64 65 66 67 68 f(1)", "a call among them", Some(Reason::InputNotLiteral), Always),
    ("70 71 72 73 74 75 76 77 78 79", "", Some(Reason::NoMessage), Always),
    // Answers that skip the hidden pairs, or equal everything.
    ("80 81 82 83 84 85 86 87 88 89", "skip them", None, With(&[
        "def f(a):\n    raise Exception('x')",
        "def f(a):\n    raise SystemExit(0)",
        "def f(a):\n    return a if a < 83 else (_ for _ in ()).throw(StopIteration)",
        "class E:\n    def __eq__(self, other):\n        return True\ndef f(a):\n    return E()",
    ])),
    ("90 91 92 93 94 95 96 97 98 99", "look around", None, With(&[
        "import sys\ndef f(a):\n    return sys._getframe(1).f_locals.get('gold')",
        "def f(a):\n    return {90: 90, 91: 91, 92: 92}[a]",
        "class N(int):\n    __eq__ = lambda *a: True\ndef f(a):\n    return N(a)",
        "def f(a):\n    return True",
    ])),
];

fn cases(task_type: TaskType) -> &'static [Case] {
    match task_type {
        TaskType::Induction => INDUCTIONS,
        TaskType::Error => ERRORS,
        _ => TRIPLETS,
    }
}

/// A comment or a message that says which case it is, in words that belong to no other.
fn mark(index: usize) -> String {
    format!("case-{index}.")
}

fn case_of(text: &str, task_type: TaskType) -> Option<usize> {
    (0..cases(task_type).len()).find(|&index| text.contains(&mark(index)))
}

/// The environment with prompts that a script can read.
struct Open {
    inner: PythonTriplet,
}

impl Environment for Open {
    type Payload = Problem;

    fn task_types(&self) -> &'static [TaskType] {
        Environment::task_types(&self.inner)
    }
    fn seed_tasks(&self) -> Vec<(TaskType, Problem)> {
        Environment::seed_tasks(&self.inner)
    }
    fn reference_types(&self, task_type: TaskType) -> Vec<TaskType> {
        Environment::reference_types(&self.inner, task_type)
    }
    fn references_needed(&self, task_type: TaskType) -> Option<usize> {
        Environment::references_needed(&self.inner, task_type)
    }
    fn propose_prompt(&self, task_type: TaskType, _: Given<'_, Problem>) -> String {
        task_type.to_string()
    }
    fn validate(
        &self,
        task_type: TaskType,
        given: Given<'_, Problem>,
        response: &str,
    ) -> anyhow::Result<Result<Problem, Rejection>> {
        Environment::validate(&self.inner, task_type, given, response)
    }
    fn proposal_is_formatted(&self, task_type: TaskType, response: &str) -> bool {
        Environment::proposal_is_formatted(&self.inner, task_type, response)
    }
    fn solve_prompt(&self, task: &Task<Problem>) -> String {
        serde_json::to_string(task).unwrap()
    }
    fn grade(&self, task: &Task<Problem>, response: &str) -> anyhow::Result<Grade> {
        Environment::grade(&self.inner, task, response)
    }
    fn identity(&self, task: &Task<Problem>) -> String {
        Environment::identity(&self.inner, task)
    }
    fn family(&self, task: &Task<Problem>) -> String {
        Environment::family(&self.inner, task)
    }
    fn shingles(&self, task: &Task<Problem>) -> Vec<u64> {
        Environment::shingles(&self.inner, task)
    }
}

/// The case as a response in the form of the prompt set.
fn proposal(set: PromptSet, task_type: TaskType, index: usize) -> String {
    let (first, second, _, _) = cases(task_type)[index];
    if task_type != TaskType::Induction {
        return triplet(set, task_type, &format!("{first}\n# {}", mark(index)), second);
    }
    let mut inputs: Vec<String> = first.split(' ').map(str::to_owned).collect();
    // The last ones count, and the last ones are what is wrong with a case.
    inputs.drain(..inputs.len().saturating_sub(set.n_induction_inputs()));
    let message = match second {
        "" => String::new(),
        message => format!("{message}, {}", mark(index)),
    };
    let outputs = inputs.clone();
    set.proposal_text(
        AnswerPlace::Tags,
        task_type,
        &Problem::Induction { program: String::new(), inputs, outputs, message },
    )
}

fn triplet(set: PromptSet, task_type: TaskType, program: &str, input: &str) -> String {
    let problem = Problem::triplet(program.into(), input.into(), String::new());
    set.proposal_text(AnswerPlace::Tags, task_type, &problem)
}

/// `text` as an answer in the form of the prompt set.
fn answer(set: PromptSet, task: &Task<Problem>, text: &str) -> String {
    let problem = if task.task_type == TaskType::Induction {
        Problem::Induction {
            program: text.into(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            message: String::new(),
        }
    } else {
        Problem::triplet(String::new(), text.into(), text.into())
    };
    set.solution_text(AnswerPlace::Tags, task.task_type, &problem, &[])
}

fn has_copies(task_type: TaskType) -> bool {
    matches!(task_type, TaskType::Deduction | TaskType::Abduction)
}

/// Proposes the cases of a type one after the other, from the second step on the copies, and solves as they say.
fn policy(set: PromptSet) -> impl Fn(&SampleRequest, u64) -> String + Send + Sync {
    let proposed: Mutex<BTreeMap<(u64, TaskType), usize>> = Mutex::default();
    let solved: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let next = |n: &mut usize| {
        *n += 1;
        *n - 1
    };
    move |request, updates| {
        if let Ok(task_type) = request.prompt.parse::<TaskType>() {
            let nth = next(proposed.lock().unwrap().entry((updates, task_type)).or_default());
            return match updates {
                0 if nth < cases(task_type).len() => proposal(set, task_type, nth),
                1 if has_copies(task_type) && nth < COPIES.len() => {
                    triplet(set, task_type, COPIES[nth].0, COPIES[nth].1)
                }
                _ => String::new(),
            };
        }
        let task: Task<Problem> = serde_json::from_str(&request.prompt).unwrap();
        let nth = next(solved.lock().unwrap().entry(request.prompt.clone()).or_default());
        let solves =
            case_of(&request.prompt, task.task_type).map_or(Always, |it| cases(task.task_type)[it].3);
        match solves {
            With(texts) => answer(set, &task, texts[nth % texts.len()]),
            Honestly if nth % 2 == 1 => answer(set, &task, "'no'"),
            ByLuck if nth % 6 != 0 => answer(set, &task, "'no'"),
            Honestly | ByLuck | Always => {
                set.solution_text(AnswerPlace::Tags, task.task_type, &task.payload, &[])
            }
        }
    }
}

/// Only what the script needs differs from `azr`.
fn settings(task_types: &[TaskType], azr: AzrSettings) -> RunSettings {
    RunSettings {
        seed: 1,
        steps: 2,
        task_types: task_types.to_vec(),
        n_judges: 2,
        azr: AzrSettings { batch_size: TRIPLETS.len(), n_estimate: 6, ..azr },
        recipe: Recipe::Azr,
        r_zero: RZeroSettings::default(),
        intrinsic: Default::default(),
        objective: Default::default(),
        optimizer: Default::default(),
        sampling: Default::default(),
        eval: EvalSettings { every: 0, ..EvalSettings::default() },
        checkpoint: Default::default(),
        diagnostics: Default::default(),
    }
}

fn play(set: PromptSet, task_types: &[TaskType], azr: AzrSettings) {
    let options = ExecutorOptions { workers: 2, least: Level::None, ..ExecutorOptions::default() };
    let executor = Arc::new(PythonExecutor::start(options).expect("Python is installed"));
    let limits = Limits { cpu_s: 0.5, wall_s: 60.0, memory_bytes: 128 << 20, output_bytes: 4096 };
    let env = Settings { prompt_set: set, limits, task_types: task_types.to_vec(), ..Settings::default() };
    let env = Open { inner: PythonTriplet::new(executor, env).unwrap() };
    let settings = settings(Environment::task_types(&env), azr);
    let policy =
        Policy { name: "policy".into(), version: 0, trainer: Box::new(FakePolicy::new(policy(set))) };
    let mut state = RunState::new(vec![policy]);
    let held_out = HeldOut::new(&env, &settings.task_types, &settings.eval).unwrap();
    let seeds = kelvin_core::environment::DynEnvironment::seed_tasks(&env);
    state.buffer.append(&env, seeds).unwrap();
    let proposing = azr::step(&mut state, &env, &held_out, &settings).unwrap();
    let mut seen: BTreeMap<(TaskType, usize), Seen> = BTreeMap::new();
    for (it, rewarded) in proposing.estimated.iter().zip(&proposing.rewarded) {
        let task_type = it.rollout.task_type;
        match case_of(&it.rollout.completion.text, task_type) {
            Some(index) => {
                let reason = it.outcome.as_ref().err().map(|it| it.reason);
                assert_eq!(seen.insert((task_type, index), (reason, rewarded.reward)), None);
            }
            None => assert_eq!(rewarded.reward, -1.0, "a response without a task"),
        }
    }
    let means: BTreeMap<TaskType, f32> =
        settings.task_types.iter().map(|it| (*it, check(*it, &seen, settings.azr.learnability))).collect();
    // The next step solves what was admitted: a trick earns what a wrong answer earns.
    let solving = azr::step(&mut state, &env, &held_out, &settings).unwrap();
    let (of_copies, of_solutions) = solving.rewarded.split_at(solving.estimated.len());
    for (it, rewarded) in solving.estimated.iter().zip(of_copies) {
        let text = &it.rollout.completion.text;
        let Some((program, _, is_exact)) = COPIES.iter().find(|(program, _, _)| text.contains(program))
        else {
            assert_eq!(rewarded.reward, -1.0);
            continue;
        };
        match it.outcome.as_ref().err().map(|it| it.reason) {
            Some(Reason::Duplicate | Reason::ReferenceCopy) => assert!(is_exact, "{program}"),
            Some(reason) => assert_eq!((reason, *is_exact), (Reason::Similar, false), "{program}"),
            None => assert!(!is_exact && settings.azr.near_duplicates == NearDuplicates::Admit, "{program}"),
        }
        assert!(rewarded.reward <= means[&it.rollout.task_type], "a copy earns no more than what it copies");
    }
    let mut n_tricks = 0;
    for it in of_solutions {
        let task_type = it.rollout.task_type;
        let case = case_of(&it.rollout.prompt, task_type).map(|index| cases(task_type)[index]);
        if let Some((program, _, _, With(_))) = case {
            assert!(it.reward <= -0.5, "{program}\n{}", it.rollout.completion.text);
            n_tricks += 1;
        }
    }
    assert!(0 < n_tricks);
}

/// Why a proposal was rejected, if it was, and its reward.
type Seen = (Option<Reason>, f32);

/// Holds the rewards of a type's cases against each other; the mean of the honest ones.
fn check(task_type: TaskType, seen: &BTreeMap<(TaskType, usize), Seen>, curve: Learnability) -> f32 {
    let (mut honest, mut dishonest) = (Vec::new(), Vec::new());
    for (index, (text, other, reason, solves)) in cases(task_type).iter().enumerate() {
        let Some((found, reward)) = seen.get(&(task_type, index)) else {
            assert_eq!(*reason, Some(Reason::NoMessage), "what has no message has no mark in it");
            continue;
        };
        assert_eq!(found, reason, "{task_type} {text} {other}");
        match (reason, solves) {
            (None, Honestly) => honest.push(*reward),
            // The paper's curve takes luck for difficulty; a symmetric one pays what is half solved the most.
            (None, ByLuck) if curve == Learnability::OneMinus => assert_eq!(*reward, 5.0 / 6.0),
            (None, ByLuck) => dishonest.push(*reward),
            (None, Always | With(_)) => {
                assert_eq!(*reward, -0.5, "{task_type} {text}");
                dishonest.push(*reward);
            }
            (Some(_), _) => {
                assert_eq!(*reward, -1.0, "{task_type} {text}");
                dishonest.push(*reward);
            }
        }
    }
    let mean = honest.iter().sum::<f32>() / honest.len() as f32;
    assert!(0.0 < mean && dishonest.iter().all(|it| *it < mean), "{task_type}: {honest:?} {dishonest:?}");
    mean
}

const THREE: &[TaskType] = &[TaskType::Deduction, TaskType::Abduction, TaskType::Induction];

#[test]
fn cheating_earns_no_more_than_honesty() {
    play(PromptSet::Compact, THREE, AzrSettings::default());
}

#[test]
fn cheating_earns_no_more_than_honesty_in_full_prompts() {
    play(PromptSet::Full, THREE, AzrSettings::default());
}

/// With what is off by default: near-copies are no tasks, and luck pays less than skill.
#[test]
fn luck_and_near_copies_can_be_kept_out_too() {
    let azr = AzrSettings {
        near_duplicates: NearDuplicates::Reject,
        learnability: Learnability::Symmetric,
        ..AzrSettings::default()
    };
    play(PromptSet::Compact, THREE, azr);
}

#[test]
fn cheating_earns_no_more_than_honesty_with_errors() {
    play(PromptSet::Compact, &[TaskType::Error], AzrSettings::default());
    play(PromptSet::Full, &[TaskType::Error], AzrSettings::default());
}
