//! `kelvin exec`: validates proposals and grades answers, a row at a time. A program's fate is a row; a broken
//! sandbox is an error.

use anyhow::Context;
use clap::Subcommand;
use kelvin_core::{
    executor::{Executor, Limits, Names},
    task::{Grade, Miss, Reason, Rejection},
};
use kelvin_env::{
    grading::{grade_error, grade_math},
    python_triplet::check::{
        Comparison, InductionReward, InductionScore, MissingResult, Valid, grade_abduction, grade_deduction,
        grade_induction, validate_program,
    },
};
use kelvin_python::{Policy, parse_arguments};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    interrupt::Interrupt,
    jsonl::{Rows, Sink, Streams},
    ordered::{self, Finished},
    sandbox::{EqualityArgs, RulesArgs, SandboxArgs, warn_of_mismatches},
};

const VALIDATE_EXAMPLE: &str = r#"{"id": 1, "program": "def f(x):\n    return x + 1", "input": "2"}"#;
const GRADE_EXAMPLE: &str = r#"{"id": 1, "task": "deduction", "output": "3", "answer": "3"}"#;

const VALIDATE_HELP: &str = "\
Reads
  {\"id\",\"program\",\"input\"}
  {\"id\",\"program\",\"inputs\":[...]}
where an input is an argument list without parentheses, and writes, in the order
of rows,
  {\"id\",\"status\":\"valid\",\"program\",\"input\",\"output\"} (or inputs, outputs)
  {\"id\",\"status\":\"rejected\",\"reason\",\"detail\"}";

const GRADE_HELP: &str = "\
Reads
  {\"id\",\"task\":\"deduction\",\"output\",\"answer\"}
  {\"id\",\"task\":\"abduction\",\"program\",\"output\",\"answer\"}
  {\"id\",\"task\":\"induction\",\"pairs\":[[\"input\",\"output\"],...],\"answer\"}
  {\"id\",\"task\":\"error\",\"output\",\"answer\"}
  {\"id\",\"task\":\"math\",\"gold\",\"answer\"}
and writes {\"id\",\"correct\",\"score\",\"reason\"}, in the order of rows.";

/// Validate proposals or grade answers from JSON lines
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Validate(ValidateArgs),
    Grade(GradeArgs),
}

/// Check that programs run, return literals, and are deterministic
#[derive(Debug, clap::Args)]
#[command(after_help = VALIDATE_HELP)]
struct ValidateArgs {
    #[command(flatten)]
    streams: Streams,
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    sandbox: SandboxArgs,
}

/// Grade answers
#[derive(Debug, clap::Args)]
#[command(after_help = GRADE_HELP)]
struct GradeArgs {
    #[command(flatten)]
    streams: Streams,
    #[command(flatten)]
    equality: EqualityArgs,
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    sandbox: SandboxArgs,
}

/// Runs the verb.
///
/// # Errors
/// If a row is bad, a file cannot be read or written, or the sandbox is broken.
pub(crate) fn run(args: &Args, interrupt: &Interrupt) -> anyhow::Result<()> {
    match &args.verb {
        Verb::Validate(args) => {
            let policy = &args.rules.policy;
            let names = match policy {
                Policy::Kelvin => Names::Literals,
                Policy::Code => Names::Program,
            };
            let rows = Rows::<Proposal>::open(&args.streams.input, VALIDATE_EXAMPLE)?;
            stream(rows, &args.streams, &args.sandbox, interrupt, |executor, limits, row: Proposal| {
                let outcome = validate_program(executor, limits, policy, &row.program, &row.inputs, names)
                    .with_context(|| format!("row {}", row.id))?;
                Ok(Verdict::new(row.id, row.is_single, outcome))
            })
        }
        Verb::Grade(args) => {
            let rows = Rows::<AnswerRow>::open(&args.streams.input, GRADE_EXAMPLE)?;
            stream(rows, &args.streams, &args.sandbox, interrupt, |executor, limits, row: AnswerRow| {
                let grade =
                    grade(executor, limits, args, &row.answer).with_context(|| format!("row {}", row.id))?;
                Ok(GradeLine::new(row.id, grade))
            })
        }
    }
}

/// Rows through the executor's threads into the output.
fn stream<T, R>(
    rows: Rows<T>,
    streams: &Streams,
    sandbox: &SandboxArgs,
    interrupt: &Interrupt,
    work: impl Fn(&dyn Executor, &Limits, T) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<()>
where
    T: serde::de::DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
{
    let (executor, limits) = (sandbox.executor()?, sandbox.limits());
    let mut sink = Lines(Sink::create(&streams.output, &streams.input)?);
    let done =
        ordered::map(rows, executor.parallelism(), interrupt, |row| work(&executor, &limits, row), &mut sink);
    warn_of_mismatches(&executor);
    done
}

/// Writes rows, and flushes when the next one is not there yet.
struct Lines(Sink);

impl<R: Serialize> Finished<R> for Lines {
    fn take(&mut self, result: R) -> anyhow::Result<()> {
        self.0.row(&result)
    }
    fn idle(&mut self) -> anyhow::Result<()> {
        self.0.flush()
    }
}

/// A row of `validate`.
#[derive(Debug, Deserialize)]
#[serde(try_from = "WrittenProposal")]
struct Proposal {
    id: Value,
    program: String,
    inputs: Vec<String>,
    /// Written as `input`; the result is written the same way.
    is_single: bool,
}

#[derive(Debug, Deserialize)]
struct WrittenProposal {
    #[serde(default)]
    id: Value,
    program: String,
    input: Option<String>,
    inputs: Option<Vec<String>>,
}

impl TryFrom<WrittenProposal> for Proposal {
    type Error = &'static str;

    fn try_from(row: WrittenProposal) -> Result<Proposal, &'static str> {
        let (inputs, is_single) = match (row.input, row.inputs) {
            (Some(_), Some(_)) => return Err("`input` and `inputs` exclude each other"),
            (None, None) => return Err("missing field `input` or `inputs`"),
            (None, Some(inputs)) if inputs.is_empty() => return Err("`inputs` is empty"),
            (None, Some(inputs)) => (inputs, false),
            (Some(input), None) => (vec![input], true),
        };
        Ok(Proposal { id: row.id, program: row.program, inputs, is_single })
    }
}

/// A result of `validate`.
#[derive(Debug, Serialize)]
struct Verdict {
    id: Value,
    #[serde(flatten)]
    fate: Fate,
}

#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Fate {
    #[serde(rename = "valid")]
    Triplet {
        program: String,
        input: String,
        output: String,
    },
    #[serde(rename = "valid")]
    Pairs {
        program: String,
        inputs: Vec<String>,
        outputs: Vec<String>,
    },
    Rejected {
        reason: Reason,
        detail: String,
    },
}

impl Verdict {
    fn new(id: Value, is_single: bool, outcome: Result<Valid, Rejection>) -> Verdict {
        let fate = match outcome {
            Err(Rejection { reason, detail }) => Fate::Rejected { reason, detail },
            Ok(Valid { program, mut inputs, mut outputs }) if is_single => {
                let input = inputs.pop().expect("a single input gives one canonical input");
                let output = outputs.pop().expect("a single input gives one output");
                Fate::Triplet { program, input, output }
            }
            Ok(Valid { program, inputs, outputs }) => Fate::Pairs { program, inputs, outputs },
        };
        Verdict { id, fate }
    }
}

/// A row of `grade`.
#[derive(Debug, Deserialize)]
struct AnswerRow {
    #[serde(default)]
    id: Value,
    #[serde(flatten)]
    answer: Answer,
}

/// An answer and what it answers. Where the right output is not a literal, no answer is right.
#[derive(Debug, Deserialize)]
#[serde(tag = "task", rename_all = "lowercase")]
enum Answer {
    Deduction { output: String, answer: String },
    Abduction { program: String, output: String, answer: String },
    Induction { pairs: Pairs, answer: String },
    Error { output: String, answer: String },
    Math { gold: String, answer: String },
}

/// Inputs and outputs, at least one.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<(ArgumentList, String)>")]
struct Pairs(Vec<(ArgumentList, String)>);

impl TryFrom<Vec<(ArgumentList, String)>> for Pairs {
    type Error = &'static str;
    fn try_from(pairs: Vec<(ArgumentList, String)>) -> Result<Pairs, &'static str> {
        if pairs.is_empty() { Err("`pairs` is empty") } else { Ok(Pairs(pairs)) }
    }
}

/// The text of an argument list, in canonical form.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct ArgumentList(String);

impl TryFrom<String> for ArgumentList {
    type Error = String;
    fn try_from(text: String) -> Result<ArgumentList, String> {
        match parse_arguments(&text) {
            Ok(arguments) => Ok(ArgumentList(arguments.canonical())),
            Err(error) => Err(format!("the input {text:?} is not an argument list of literals: {error}")),
        }
    }
}

fn grade(
    executor: &dyn Executor,
    limits: &Limits,
    args: &GradeArgs,
    answer: &Answer,
) -> anyhow::Result<Grade> {
    let (policy, comparison) = (&args.rules.policy, Comparison::exact(args.equality.equality));
    Ok(match answer {
        Answer::Deduction { output, answer } => grade_deduction(output, answer, comparison),
        Answer::Abduction { program, output, answer } => {
            grade_abduction(executor, limits, policy, comparison, program, output, answer)?
        }
        Answer::Induction { pairs, answer } => {
            let score = InductionScore { reward: InductionReward::Accuracy, missing: MissingResult::Wrong };
            let pairs: Vec<(&str, &str)> =
                pairs.0.iter().map(|(input, output)| (input.0.as_str(), output.as_str())).collect();
            grade_induction(executor, limits, policy, comparison, score, &pairs, answer)?
        }
        Answer::Error { output, answer } => grade_error(output, answer),
        Answer::Math { gold, answer } => grade_math(gold, answer),
    })
}

/// A result of `grade`.
#[derive(Debug, Serialize)]
struct GradeLine {
    id: Value,
    correct: bool,
    score: f32,
    reason: Option<Miss>,
}

impl GradeLine {
    fn new(id: Value, grade: Grade) -> GradeLine {
        GradeLine { id, correct: grade.correct, score: grade.score, reason: grade.miss }
    }
}
