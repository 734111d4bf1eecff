//! Proposals and answers out of responses (azr.md sections 1.1 to 1.4). Reading is separate from the format
//! score: a proposal without `</think>` can still be a valid task.

use kelvin_core::task::{Reason, Rejection, TaskType};

use super::{
    CodeLocation, Form, PromptSet,
    fence::{after_marker, between, find_ignoring_case, tagged, untagged},
};

/// What a proposer's response holds, unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposal {
    /// For deduction, abduction and error tasks.
    Triplet {
        /// Python source.
        program: String,
        /// An argument list.
        input: String,
    },
    /// For induction, about the program that the prompt showed.
    Induction {
        /// As many argument lists as the prompt set asks for.
        inputs: Vec<String>,
        /// What the solver is to be told.
        message: String,
    },
}

impl PromptSet {
    /// Reads a proposal.
    ///
    /// # Errors
    /// If a part is missing: `no_answer`, `no_code`, `no_input`, `too_few_inputs` or `no_message`.
    pub fn parse_proposal(
        self,
        form: Form,
        task_type: TaskType,
        response: &str,
    ) -> Result<Proposal, Rejection> {
        let body = match self {
            PromptSet::Full => form.body(response),
            PromptSet::Compact => Some(response.trim()),
        };
        let body = body
            .filter(|body| !body.is_empty())
            .ok_or_else(|| Rejection::new(Reason::NoAnswer, "the response holds no answer"))?;
        match (task_type, self) {
            (TaskType::Deduction | TaskType::Abduction | TaskType::Error, PromptSet::Full) => {
                fenced_triplet(body, form.code_location)
            }
            (TaskType::Deduction | TaskType::Abduction | TaskType::Error, PromptSet::Compact) => {
                lined_triplet(body)
            }
            (TaskType::Induction, PromptSet::Full) => {
                let inputs = tagged(body, "input").into_iter().map(|input| input.trim().to_owned()).collect();
                self.induction(inputs, fenced_message(body))
            }
            (TaskType::Induction, PromptSet::Compact) => {
                let lines = |marker| body.lines().filter_map(move |line| line.strip_prefix(marker));
                let inputs = lines("input:").map(|input| input.trim().to_owned()).collect();
                self.induction(inputs, lines("message:").next().map(str::trim))
            }
            (TaskType::Question, _) => panic!("the python triplet environment has no {task_type} tasks"),
        }
    }

    /// Reads what a solver's response commits to: the text of an output, an input, a program or the name
    /// of an exception.
    pub fn parse_solution(self, form: Form, task_type: TaskType, response: &str) -> Option<String> {
        let text = match self {
            // A program may keep its comments.
            PromptSet::Compact if task_type == TaskType::Induction => response,
            PromptSet::Compact => after_comments(response),
            PromptSet::Full => {
                let body = form.body(response)?;
                match task_type {
                    TaskType::Deduction | TaskType::Error | TaskType::Abduction if form.whole_answer => body,
                    TaskType::Deduction | TaskType::Error => cascade(body, "output"),
                    TaskType::Abduction => cascade(body, "input"),
                    TaskType::Induction => last_program(body)?,
                    TaskType::Question => {
                        panic!("the python triplet environment has no {task_type} tasks")
                    }
                }
            }
        };
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The format score of a proposer's response.
    pub fn proposal_is_formatted(self, form: Form, task_type: TaskType, response: &str) -> bool {
        match self {
            PromptSet::Full => form.is_kept_by(response),
            PromptSet::Compact => self.parse_proposal(form, task_type, response).is_ok(),
        }
    }

    /// The format score of a solver's response. An induction answer without code is malformed (azr.md
    /// section 4.1).
    pub fn solution_is_formatted(self, form: Form, task_type: TaskType, response: &str) -> bool {
        let committed = || self.parse_solution(form, task_type, response).is_some();
        match self {
            PromptSet::Full => form.is_kept_by(response) && (task_type != TaskType::Induction || committed()),
            PromptSet::Compact => committed(),
        }
    }

    /// An induction proposal of the last inputs, as many as asked for.
    fn induction(self, mut inputs: Vec<String>, message: Option<&str>) -> Result<Proposal, Rejection> {
        let n_inputs = self.n_induction_inputs();
        if inputs.len() < n_inputs {
            let detail = format!("{} inputs of {n_inputs}", inputs.len());
            return Err(Rejection::new(Reason::TooFewInputs, detail));
        }
        inputs.drain(..inputs.len() - n_inputs);
        let message = message
            .filter(|message| !message.is_empty())
            .ok_or_else(|| Rejection::new(Reason::NoMessage, "the answer holds no message"))?;
        Ok(Proposal::Induction { inputs, message: message.to_owned() })
    }
}

fn fenced_triplet(body: &str, location: CodeLocation) -> Result<Proposal, Rejection> {
    let program = match location {
        CodeLocation::First => first_program(body),
        CodeLocation::Last => last_program(body),
    };
    let program = program
        .filter(|program| !program.is_empty())
        .ok_or_else(|| Rejection::new(Reason::NoCode, "the answer holds no fenced program"))?;
    let input = tagged(body, "input")
        .first()
        .copied()
        .or_else(|| after_marker(body, "# input:"))
        .map(str::trim)
        .filter(|input| !input.is_empty())
        .ok_or_else(|| Rejection::new(Reason::NoInput, "the answer holds no fenced input"))?;
    Ok(Proposal::Triplet { program: program.to_owned(), input: input.to_owned() })
}

/// What follows the comment lines at the beginning, which are the working of a compact answer.
fn after_comments(response: &str) -> &str {
    let mut rest = response.trim_start();
    while rest.starts_with('#') {
        rest = rest.split_once('\n').map_or("", |(_, after)| after.trim_start());
    }
    rest
}

/// The program, then a line that starts with `input:`; what follows that line is not read.
fn lined_triplet(body: &str) -> Result<Proposal, Rejection> {
    let mut at = 0;
    for line in body.split_inclusive('\n') {
        if let Some(input) = line.strip_prefix("input:") {
            let (program, input) = (body[..at].trim(), input.trim());
            if program.is_empty() {
                return Err(Rejection::new(Reason::NoCode, "nothing stands before the input"));
            }
            if input.is_empty() {
                return Err(Rejection::new(Reason::NoInput, "the input line is empty"));
            }
            return Ok(Proposal::Triplet { program: program.to_owned(), input: input.to_owned() });
        }
        at += line.len();
    }
    Err(Rejection::new(Reason::NoInput, "no line starts with `input:`"))
}

/// The first fence tagged as Python, or else the first without a tag: the order of the fences does not matter.
fn first_program(body: &str) -> Option<&str> {
    let python = tagged(body, "python").first().copied();
    python.or_else(|| untagged(body).first().copied()).map(str::trim)
}

fn last_program(body: &str) -> Option<&str> {
    let python = tagged(body, "python").last().copied();
    python.or_else(|| untagged(body).last().copied()).map(str::trim)
}

fn fenced_message(body: &str) -> Option<&str> {
    let fenced = tagged(body, "message").first().copied();
    let message = fenced
        .or_else(|| between(body, "<message>", "</message>"))
        .or_else(|| after_marker(body, "# message:"));
    message.map(str::trim)
}

/// The stages of azr.md section 1.4: the first that matches wins, and inside a stage the last match.
fn cascade<'body>(body: &'body str, word: &str) -> &'body str {
    let last_fence = || tagged(body, word).last().copied();
    let last_of = |opening: String| {
        let at = *find_ignoring_case(body, &opening).last()?;
        Some(&body[at + opening.len()..])
    };
    let marked = || {
        let text = last_of(format!("# {word}:"))?;
        Some(text.split_once("```").map_or(text, |(before, _)| before))
    };
    let called = || {
        let places = find_ignoring_case(body, &format!("{word}("));
        places.into_iter().rev().find_map(|at| {
            let inside = &body[at + word.len() + 1..];
            inside.split_once(')').map(|(inside, _)| inside)
        })
    };
    let in_tags = || {
        let text = last_of(format!("<{word}>"))?;
        let end = find_ignoring_case(text, &format!("</{word}>")).first().copied();
        Some(&text[..end.unwrap_or(text.len())])
    };
    let said = || {
        let text = last_of(format!("the {word} is"))?.trim();
        Some(text.strip_suffix('.').unwrap_or(text))
    };
    last_fence().or_else(marked).or_else(called).or_else(in_tags).or_else(said).unwrap_or(body)
}
