//! What both roles' responses have: rewards, advantages, lengths, and what their words show.

use kelvin_core::{
    rollout::{Finish, Role},
    task::TaskType,
};

use super::{Recorder, mean_of, share, spread};
use crate::{
    behaviour::{cues, mixes_scripts},
    report::StepReport,
};

/// The metrics `{role}/{task_type}/...` of all responses that were rewarded.
pub(super) fn record(metrics: &mut Recorder, report: &StepReport, role: Role, task_type: TaskType) {
    let group = format!("{}/{task_type}", role.as_str());
    let name = |key: &str| format!("{group}/{key}");
    let own: Vec<_> = report
        .rewarded
        .iter()
        .filter(|it| it.rollout.role == role && it.rollout.task_type == task_type)
        .collect();
    let completions = || own.iter().map(|it| &it.rollout.completion);
    mean_of(metrics, name("reward"), own.iter().map(|it| f64::from(it.reward)));
    spread(metrics, &name("reward"), own.iter().map(|it| f64::from(it.reward)));
    let advantages = || report.batch.iter().filter(|it| it.group == group).map(|it| f64::from(it.advantage));
    mean_of(metrics, name("advantage_mean"), advantages());
    spread(metrics, &name("advantage"), advantages());
    let lengths = || completions().map(|it| it.tokens.len() as f64);
    mean_of(metrics, name("response_tokens"), lengths());
    spread(metrics, &name("response_tokens"), lengths());
    mean_of(metrics, name("truncated"), completions().map(|it| share(it.finish == Finish::Length)));
    let prompts = || completions().map(|it| it.prompt_tokens.len() as f64);
    mean_of(metrics, name("prompt_tokens"), prompts());
    spread(metrics, &name("prompt_tokens"), prompts());
    let cues: Vec<_> = completions().map(|it| cues(&it.text)).collect();
    mean_of(metrics, name("reflection"), cues.iter().map(|it| share(0 < it.n_reflections)));
    mean_of(metrics, name("corrections"), cues.iter().map(|it| it.n_corrections as f64));
    mean_of(metrics, name("language_mix"), completions().map(|it| share(mixes_scripts(&it.text))));
}
