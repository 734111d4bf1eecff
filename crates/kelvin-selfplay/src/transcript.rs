//! `transcripts/NNNNNN.jsonl`: what was asked, what was said, what came of it, one rollout a line.

use kelvin_core::{
    rollout::{Rewarded, Role, Sample},
    task::{Grade, Rejection, Task, TaskType},
};
use serde::Serialize;

use crate::{report::StepReport, reward};

/// One line. Tokens are left out: the text is for people, and the ids follow from the seed path.
#[derive(Serialize)]
struct Line<'step> {
    role: Role,
    task_type: TaskType,
    prompt: &'step str,
    response: &'step str,
    n_tokens: usize,
    reward: f32,
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
    // The batch begins with the rewarded rollouts, unless it leaves out a role that does not train.
    let same = |(sample, it): (&Sample, &Rewarded)| sample.response == it.rollout.completion.tokens;
    let all_trained =
        report.rewarded.len() <= report.batch.len() && report.batch.iter().zip(&report.rewarded).all(same);
    for (index, it) in report.rewarded.iter().enumerate() {
        let mut line = line(it);
        line.advantage = all_trained.then(|| report.batch[index].advantage);
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

fn line(it: &Rewarded) -> Line<'_> {
    Line {
        role: it.rollout.role,
        task_type: it.rollout.task_type,
        prompt: &it.rollout.prompt,
        response: &it.rollout.completion.text,
        n_tokens: it.rollout.completion.tokens.len(),
        reward: it.reward,
        advantage: None,
        task: None,
        solve_rate: None,
        rejection: None,
        grade: None,
    }
}
