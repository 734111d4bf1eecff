//! A task is a problem that somebody checked; a rejection says why a proposal is not one; a grade says what an
//! answer was worth.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Training steps, counted from 1; 0 is the seed stage.
pub type Step = u32;

/// The step at which seeds are made.
pub const SEED_STAGE: Step = 0;

/// Declares a closed set of names: an enum, its spelling in files and on the command line, and the list of all.
macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $text)] $variant,)* }
        impl $name {
            /// All of them, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];
            /// The spelling in files, metrics and messages.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<$name, String> {
                $name::ALL.iter().copied().find(|it| it.as_str() == text).ok_or_else(|| {
                    let known: Vec<&str> = $name::ALL.iter().map(|it| it.as_str()).collect();
                    format!("unknown name `{text}`, expected one of {}", known.join(", "))
                })
            }
        }
    };
}

pub(crate) use names;

names! {
    /// What is blanked out of a problem. Environments share the names; each lists those it knows.
    TaskType {
        /// Program and input are given, the output is asked for (`code_o` in the original).
        Deduction = "deduction",
        /// Program and output are given, an input is asked for (`code_i`).
        Abduction = "abduction",
        /// Some input/output pairs and a message are given, the program is asked for (`code_f`).
        Induction = "induction",
        /// Program and input are given, the exception raised is asked for (`code_e`).
        Error = "error",
        /// A question in words with a short answer.
        Question = "question",
    }
}

names! {
    /// Why a proposal did not become a task. The proposer's fault, hence data.
    Reason {
        /// No top-level function that could be the entry.
        NoEntry = "no_entry",
        /// The program, or the equation, does not parse.
        ParseError = "parse_error",
        /// An import that the policy does not allow.
        BannedImport = "banned_import",
        /// A call or attribute that the policy does not allow.
        BannedCall = "banned_call",
        /// The input is not an argument list of literals.
        InputNotLiteral = "input_not_literal",
        /// The program parses but does not compile.
        CompileError = "compile_error",
        /// The program raised.
        RuntimeError = "runtime_error",
        /// The program used up its CPU time.
        Timeout = "timeout",
        /// The program used up its memory.
        Memory = "memory",
        /// The result's canonical text is over the limit.
        OutputTooLarge = "output_too_large",
        /// The result is not a literal.
        NonLiteralOutput = "non_literal_output",
        /// Two calls in one process disagree.
        Nondeterministic = "nondeterministic",
        /// Two processes with different hash seeds disagree.
        HashOrderDependent = "hash_order_dependent",
        /// The child died without an answer.
        Crash = "crash",
        /// The response has no answer where the prompt set asks for one.
        NoAnswer = "no_answer",
        /// No program in the answer.
        NoCode = "no_code",
        /// No input in the answer.
        NoInput = "no_input",
        /// Fewer inputs than asked for.
        TooFewInputs = "too_few_inputs",
        /// No message in the answer.
        NoMessage = "no_message",
        /// It gives away what is asked for: the message tells the program, or the equation leaves nothing out.
        Leak = "leak",
        /// The solver's prompt would be too long.
        PromptTooLong = "prompt_too_long",
        /// The buffer holds this task already.
        Duplicate = "duplicate",
        /// It is a reference that was shown.
        ReferenceCopy = "reference_copy",
        /// It is nearly a reference that was shown, or a task that the buffer holds.
        Similar = "similar",
        /// The task is in the held-out set, which self-play must not train on.
        HeldOut = "held_out",
        /// The program returns `None`.
        ReturnsNone = "returns_none",
        /// A statement that programs of error tasks may not use.
        BannedKeyword = "banned_keyword",
        /// The class of the exception has a name that no answer can give.
        UnnamedError = "unnamed_error",
        /// A helper is defined anew, not called, or called with names that nothing binds.
        HelperMisused = "helper_misused",
        /// All that the program does is to call a helper.
        OnlyWrapsHelper = "only_wraps_helper",
        /// The program defines more than one function, where that is not allowed.
        MultipleFunctions = "multiple_functions",
        /// Too few of the answers to it can be read for a majority.
        Unanswerable = "unanswerable",
        /// The program seems to hold its test input, where that is not allowed.
        TestInput = "test_input",
        /// No question in the response.
        NoQuestion = "no_question",
        /// The question has fewer words than asked for.
        TooShort = "too_short",
        /// The question has more words than allowed.
        TooLong = "too_long",
        /// The question holds a tag, such as those of a thought or of another question.
        HoldsTag = "holds_tag",
        /// Something stands behind the proposer's own answer, where that is not allowed.
        TextAfterAnswer = "text_after_answer",
        /// The question asks for a proof, which no short answer is.
        AsksProof = "asks_proof",
        /// The question speaks of a box, where that is not allowed.
        SpeaksOfBox = "speaks_of_box",
        /// The answer that won the vote holds text, where that is not allowed.
        TextAnswer = "text_answer",
        /// The equation leaves out another number than the one to ask for, or more than one.
        WrongBlank = "wrong_blank",
        /// A number is not in the range that it may come from.
        OutOfRange = "out_of_range",
        /// The modulus is not a prime.
        NotPrime = "not_prime",
        /// No number completes the equation.
        NotInvertible = "not_invertible",
        /// The answer can be read off: 1 and p - 1 are their own inverses.
        Trivial = "trivial",
    }
}

names! {
    /// Why an answer is not correct.
    Miss {
        /// A well-formed answer that is not the right one.
        Wrong = "wrong",
        /// The answer does not parse.
        Unparsable = "unparsable",
        /// The answer is not a literal.
        NotLiteral = "not_literal",
        /// Running the answer raised.
        RuntimeError = "runtime_error",
        /// Running the answer used up its CPU time.
        Timeout = "timeout",
        /// Running the answer used up its memory.
        Memory = "memory",
        /// The child died without an answer.
        Crash = "crash",
    }
}

/// One problem. At rest the payload is JSON; only its own environment reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task<P = Value> {
    /// What is asked.
    pub task_type: TaskType,
    /// The step at which it entered the buffer.
    pub born: Step,
    /// The answer where an environment cannot compute one (R-Zero's majority vote).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The problem itself.
    pub payload: P,
}

/// An answer that was voted for, or that is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The answer, as its environment writes it.
    pub answer: String,
    /// Share of the votes that it got: how far it can be trusted. 1 where it is known.
    pub share: f32,
}

impl Task {
    /// The task with the payload of its environment.
    ///
    /// # Errors
    /// If the payload is another environment's, which happens when a file is edited or mixed up.
    pub fn typed<P: DeserializeOwned>(&self) -> anyhow::Result<Task<P>> {
        let payload = P::deserialize(&self.payload).map_err(|error| {
            anyhow::anyhow!("a {} task does not fit its environment: {error}", self.task_type)
        })?;
        Ok(Task { task_type: self.task_type, born: self.born, label: self.label.clone(), payload })
    }
}

/// A rejected proposal: the counted reason and the sentence behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// What is counted.
    pub reason: Reason,
    /// What a person reads: the exception's text, the banned name, the limit.
    pub detail: String,
}

impl Rejection {
    /// A rejection for `reason`, explained by `detail`.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Rejection {
        Rejection { reason, detail: detail.into() }
    }
}

/// What a solver's response was worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// The response has the form that the prompt set asks for.
    pub formatted: bool,
    /// The answer is right, whole.
    pub correct: bool,
    /// The right fraction, in `[0, 1]`; less than 1 only for induction, where it counts hidden pairs.
    pub score: f32,
    /// Why it is not correct.
    pub miss: Option<Miss>,
}

impl Grade {
    /// A right answer in the right form.
    pub fn correct() -> Grade {
        Grade { formatted: true, correct: true, score: 1.0, miss: None }
    }

    /// A well-formed response with a wrong answer.
    pub fn missed(miss: Miss) -> Grade {
        Grade { formatted: true, correct: false, score: 0.0, miss: Some(miss) }
    }

    /// A response without the asked-for form.
    pub fn malformed() -> Grade {
        Grade { formatted: false, correct: false, score: 0.0, miss: Some(Miss::Unparsable) }
    }
}
