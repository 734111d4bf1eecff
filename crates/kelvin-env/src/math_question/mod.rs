//! R-Zero's domain: a question in words with a short answer, which nobody checks but the solvers by vote
//! (r-zero.md sections 2, 3 and 5). Nothing runs, so there is no executor.

mod parse;
mod prompt;
mod settings;
mod truth;

#[cfg(test)]
mod tests;

use std::collections::HashSet;

use anyhow::ensure;
use kelvin_core::{
    environment::{Environment, Given},
    rollout::Prompt,
    seed::Seed,
    task::{Grade, Miss, Reason, Rejection, Task, TaskType},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    corpus::arithmetic,
    grading::{canonical_answer, grade_math, last_boxed},
};

pub use prompt::PromptSet;
pub use settings::{PoolFilters, Settings, Validity};
pub use truth::truth;

/// A problem of this domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// What the solver reads.
    pub text: String,
    /// What its proposer put into the box. A record: it is never taken for the truth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_answer: Option<String>,
}

/// How many words a shingle has.
const SHINGLE_WORDS: usize = 3;

/// How many draws in a row may be known already before the generator counts as exhausted.
const REPEATS_MAX: usize = 1000;

/// The environment of questions in words.
pub struct MathQuestion {
    settings: Settings,
}

impl MathQuestion {
    /// The environment under `settings`.
    ///
    /// # Errors
    /// If the settings contradict themselves; see [`Settings::check`].
    pub fn new(settings: Settings) -> anyhow::Result<MathQuestion> {
        settings.check()?;
        Ok(MathQuestion { settings })
    }
}

impl Environment for MathQuestion {
    type Payload = Question;

    fn task_types(&self) -> &'static [TaskType] {
        &[TaskType::Question]
    }

    /// One question of each size, for recipes that show references.
    fn seed_tasks(&self) -> Vec<(TaskType, Question)> {
        [
            "What is 7 + 5?",
            "3 * x = 12. What is x?",
            "There are 4 bags with 6 coins each. How many coins in all?",
        ]
        .map(|text| (TaskType::Question, Question { text: text.to_owned(), own_answer: truth(text) }))
        .into()
    }

    fn propose_prompt(&self, _task_type: TaskType, given: Given<'_, Question>) -> Prompt {
        let references: Vec<&str> = given.references.iter().map(|task| task.payload.text.as_str()).collect();
        self.settings.prompt_set.propose_prompt(&references)
    }

    fn validate(
        &self,
        _task_type: TaskType,
        _given: Given<'_, Question>,
        response: &str,
    ) -> anyhow::Result<Result<Question, Rejection>> {
        Ok(parse::question(&self.settings, response))
    }

    /// Whether both parts are there, whatever they say.
    fn proposal_is_formatted(&self, _task_type: TaskType, response: &str) -> bool {
        parse::parts(&self.settings, response).is_ok()
    }

    fn solve_prompt(&self, task: &Task<Question>) -> Prompt {
        self.settings.prompt_set.solve_prompt(&task.payload.text)
    }

    /// Compares with the task's label, by canonical form.
    ///
    /// # Panics
    /// If the task has no label: the recipe has to vote before anyone is graded.
    fn grade(&self, task: &Task<Question>, response: &str) -> anyhow::Result<Grade> {
        let label = task.label.as_ref().expect("a question is labelled before it is graded");
        Ok(match self.answer(task, response) {
            None => Grade::malformed(),
            Some(answer) if answer == canonical_answer(&label.answer) => Grade::correct(),
            Some(_) => Grade::missed(Miss::Wrong),
        })
    }

    /// The canonical form of the last box; none where it is missing or empty.
    fn answer(&self, _task: &Task<Question>, response: &str) -> Option<String> {
        Some(canonical_answer(last_boxed(response)?)).filter(|answer| !answer.is_empty())
    }

    /// See [`truth()`].
    fn truth(&self, task: &Task<Question>) -> Option<String> {
        truth(&task.payload.text)
    }

    fn truth_by_vote(&self) -> bool {
        true
    }

    /// The filters of section 5.
    fn untaught(&self, task: &Task<Question>) -> Option<Rejection> {
        let (text, winner) = (&task.payload.text, &task.label.as_ref()?.answer);
        match self.settings.pool_filters {
            PoolFilters::None => None,
            PoolFilters::Original if text.contains("证明") => {
                Some(Rejection::new(Reason::AsksProof, "the question holds the Chinese word for a proof"))
            }
            PoolFilters::Original if text.to_lowercase().contains("box") => {
                Some(Rejection::new(Reason::SpeaksOfBox, "the question holds `box`"))
            }
            PoolFilters::Original if winner.contains("text") => {
                Some(Rejection::new(Reason::TextAnswer, format!("the answer `{winner}` holds `text`")))
            }
            PoolFilters::Original => None,
        }
    }

    fn wording(&self, task: &Task<Question>) -> String {
        task.payload.text.clone()
    }

    /// The question in lower case with single blanks.
    fn identity(&self, task: &Task<Question>) -> String {
        normalised(&task.payload.text)
    }

    /// Runs of three words, or all words where there are fewer. Numbers are words: they make a question.
    fn shingles(&self, task: &Task<Question>) -> Vec<u64> {
        let text = normalised(&task.payload.text);
        let words: Vec<&str> = text.split(' ').collect();
        let hash = |run: &[&str]| {
            let hash = Sha256::digest(run.join(" "));
            u64::from_le_bytes(std::array::from_fn(|at| hash[at]))
        };
        words.windows(SHINGLE_WORDS.min(words.len())).map(hash).collect()
    }

    /// Different questions of the corpus' generator, as their proposer would have written them.
    fn held_out(&self, task_type: TaskType, n: usize, seed: Seed) -> anyhow::Result<Vec<Question>> {
        ensure!(
            task_type == TaskType::Question,
            "no {task_type} tasks are drawn here\nhint: choose question"
        );
        let root = seed.fork("held-out").fork(task_type.as_str());
        let (mut seen, mut questions, mut n_repeats) = (HashSet::new(), Vec::new(), 0);
        for at in 0.. {
            if questions.len() == n {
                break;
            }
            let drawn = arithmetic::question(&mut root.nth(at).draws());
            if seen.insert(drawn.text.clone()) {
                questions.push(Question { text: drawn.text, own_answer: Some(drawn.answer.to_string()) });
                n_repeats = 0;
                continue;
            }
            n_repeats += 1;
            ensure!(
                n_repeats < REPEATS_MAX,
                "the generator does not know {n} different questions\nhint: ask for fewer held-out tasks"
            );
        }
        Ok(questions)
    }
}

/// Grades a response by a gold answer of whoever asked, rather than by a label that was voted for: the last box, by value and
/// not by its canonical text.
pub fn grade_by_gold(gold: &str, response: &str) -> Grade {
    match last_boxed(response).filter(|it| !it.trim().is_empty()) {
        None => Grade::malformed(),
        Some(answer) => grade_math(gold, answer),
    }
}

fn normalised(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}
