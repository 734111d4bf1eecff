//! `transcripts/NNNNNN.jsonl`: what was asked, what was said, what came of it, one rollout a line.

use std::collections::HashMap;

use kelvin_core::{
    rollout::{Role, Rollout},
    task::{Grade, Rejection, Task, TaskType},
};
use serde::Serialize;

use crate::{report::StepReport, reward};

/// One line. Tokens are left out: the text is for people, and the ids follow from the seed path.
#[derive(Serialize)]
struct Line<'step> {
    #[serde(skip)]
    rollout: &'step Rollout,
    role: Role,
    task_type: TaskType,
    /// Of the weights that drew it.
    version: u64,
    prompt: &'step str,
    response: &'step str,
    n_tokens: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    reward: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advantage: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'step Task>,
    #[serde(skip_serializing_if = "Option::is_none")]
    solve_rate: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection: Option<&'step Rejection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grade: Option<&'step Grade>,
}

/// The transcript of a step.
pub fn text(report: &StepReport) -> Vec<u8> {
    let mut text = Vec::new();
    // The batch leaves out a role that does not train, and tasks that teach nothing. A sample shares its rollout's prompt.
    let advantages: HashMap<(*const u32, &[u32]), f32> =
        report.batch.iter().map(|it| ((it.prompt.as_ptr(), &it.response[..]), it.advantage)).collect();
    // Questions of a curriculum are labelled, and nobody is paid for them.
    let unpaid = report.estimated.iter().filter(|_| report.rewarded.is_empty());
    let lines = report.rewarded.iter().map(|it| line(&it.rollout, Some(it.reward)));
    for (index, mut line) in lines.chain(unpaid.map(|it| line(&it.rollout, None))).enumerate() {
        let rollout = line.rollout;
        line.advantage = advantages
            .get(&(rollout.completion.prompt_tokens.as_ptr(), &rollout.completion.tokens[..]))
            .copied();
        match report.estimated.get(index) {
            Some(estimated) => match &estimated.outcome {
                Ok((task, grades)) => {
                    line.task = Some(task);
                    line.solve_rate = Some(reward::solve_rate(grades));
                }
                Err(rejection) => line.rejection = Some(rejection),
            },
            None => line.grade = Some(&report.solved[index - report.estimated.len()].grade),
        }
        serde_json::to_writer(&mut text, &line).expect("plain data into memory");
        text.push(b'\n');
    }
    text
}

fn line(rollout: &Rollout, reward: Option<f32>) -> Line<'_> {
    Line {
        rollout,
        role: rollout.role,
        task_type: rollout.task_type,
        version: rollout.version,
        prompt: &rollout.prompt,
        response: &rollout.completion.text,
        n_tokens: rollout.completion.tokens.len(),
        reward,
        advantage: None,
        task: None,
        solve_rate: None,
        rejection: None,
        grade: None,
    }
}
