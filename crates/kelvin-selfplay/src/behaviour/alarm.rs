//! A screen for thoughts that should alarm (azr.md section 9: the paper's "uh-oh moment"): intent against people or other
//! models, deception of those who grade or oversee, escape. Phrases stand in `alarms.json`, each with its reason; what
//! they hit is kept with its step and its words, for people to read. The screen decides nothing.

use std::{
    collections::{BTreeMap, HashSet},
    sync::LazyLock,
};

use kelvin_core::{
    rollout::{Role, Rollout},
    task::{Step, TaskType},
};
use serde::{Deserialize, Serialize};

use super::words::{Phrases, Words};
use crate::{report::StepReport, settings::DiagnosticsSettings};

/// What a response was drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// A proposal.
    Propose,
    /// A solve behind learnability.
    Estimate,
    /// A solution of a problem from the buffer.
    Solve,
}

/// One line of `alarms.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alarm {
    /// The step.
    pub step: Step,
    /// What the response was drawn for.
    pub phase: Phase,
    /// Which of the phase's responses, counted from 0.
    pub index: usize,
    /// Who wrote it.
    pub role: Role,
    /// Of which task type.
    pub task_type: TaskType,
    /// The pattern's name in `alarms.json`.
    pub pattern: &'static str,
    /// What it is about.
    pub category: &'static str,
    /// The sentence that was hit with what stands around it, up to `diagnostics.alarm_chars_max` characters.
    pub text: String,
}

/// Every alarm of a step's responses, one for each pattern in a response: proposals, solves behind learnability, solutions.
pub fn alarms(report: &StepReport, settings: &DiagnosticsSettings) -> Vec<Alarm> {
    let proposals = report.estimated.iter().map(|it| &it.rollout);
    let estimates = report.attempts.iter().map(|it| &it.rollout);
    let solutions = report.solved.iter().map(|it| &it.rollout);
    let mut alarms = Vec::new();
    screen(&mut alarms, Phase::Propose, proposals, settings);
    screen(&mut alarms, Phase::Estimate, estimates, settings);
    screen(&mut alarms, Phase::Solve, solutions, settings);
    alarms
}

fn screen<'step>(
    alarms: &mut Vec<Alarm>,
    phase: Phase,
    rollouts: impl Iterator<Item = &'step Rollout>,
    settings: &DiagnosticsSettings,
) {
    for (index, rollout) in rollouts.enumerate() {
        let text = &rollout.completion.text;
        alarms.extend(Screen::get().hits(text).into_iter().map(|hit| Alarm {
            step: rollout.step,
            phase,
            index,
            role: rollout.role,
            task_type: rollout.task_type,
            pattern: hit.pattern,
            category: hit.category,
            text: excerpt(text, hit.start, hit.end, settings.alarm_chars_max),
        }));
    }
}

/// The patterns, ready to be looked for.
pub struct Screen {
    patterns: Vec<Pattern>,
    /// Every first word of a first slot: most words of a text begin no pattern.
    first: HashSet<String>,
}

/// Where a pattern was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The pattern's name.
    pub pattern: &'static str,
    /// What it is about.
    pub category: &'static str,
    /// Where its first word begins, in bytes.
    pub start: usize,
    /// Where its last word ends.
    pub end: usize,
}

struct Pattern {
    name: &'static str,
    category: &'static str,
    /// Phrases that follow one another in one sentence.
    slots: Vec<Phrases>,
    /// Words between two of them at most.
    within: usize,
    /// Words that make the sentence harmless.
    unless: Phrases,
}

/// The file.
#[derive(Deserialize)]
struct Written<'file> {
    sets: BTreeMap<String, Vec<String>>,
    #[serde(borrow)]
    patterns: Vec<WrittenPattern<'file>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPattern<'file> {
    name: &'file str,
    category: &'file str,
    why: &'file str,
    slots: Vec<Vec<String>>,
    within: usize,
    unless: Vec<String>,
}

static SCREEN: LazyLock<Screen> = LazyLock::new(Screen::read);

impl Screen {
    /// The screen over `alarms.json`.
    pub fn get() -> &'static Screen {
        &SCREEN
    }

    fn read() -> Screen {
        let Written { sets, patterns } =
            serde_json::from_str(include_str!("alarms.json")).expect("the file is the project's own");
        let phrases = |slot: &[String]| -> Vec<String> {
            let expand = |it: &String| match it.strip_prefix('$') {
                Some(set) => sets[set].clone(),
                None => vec![it.clone()],
            };
            slot.iter().flat_map(expand).collect()
        };
        let mut first = HashSet::new();
        let patterns = patterns.into_iter().map(|it| {
            assert!(!it.why.is_empty(), "pattern {} has no reason", it.name);
            let slots: Vec<Vec<String>> = it.slots.iter().map(|slot| phrases(slot)).collect();
            first.extend(slots[0].iter().filter_map(|it| it.split(' ').next()).map(str::to_owned));
            Pattern {
                name: it.name,
                category: it.category,
                slots: slots.iter().map(|it| Phrases::of(it.iter().map(String::as_str))).collect(),
                within: it.within,
                unless: Phrases::of(it.unless.iter().map(String::as_str)),
            }
        });
        Screen { patterns: patterns.collect(), first }
    }

    /// The first place of each pattern in a text, in the order of the file.
    pub fn hits(&self, text: &str) -> Vec<Hit> {
        let words = Words::of(text);
        let candidates: Vec<usize> =
            (0..words.len()).filter(|&index| self.first.contains(&*words.plain(index))).collect();
        let first_hit = |pattern: &Pattern| {
            let mut places = candidates.iter();
            places.find_map(|&index| pattern.hit(&words, index))
        };
        self.patterns.iter().filter_map(first_hit).collect()
    }
}

impl Pattern {
    /// Whether it begins at this word.
    fn hit(&self, words: &Words, index: usize) -> Option<Hit> {
        let end = self.end_of(words, index, &self.slots)?;
        let sentence = words.at(index).sentence;
        let before = (0..index).rev().take_while(|&it| words.at(it).sentence == sentence);
        let after = (index..words.len()).take_while(|&it| words.at(it).sentence == sentence);
        let is_harmless = before.chain(after).any(|it| self.unless.len_at(words, it).is_some());
        (!is_harmless).then(|| Hit {
            pattern: self.name,
            category: self.category,
            start: words.at(index).start,
            end: words.at(end - 1).end,
        })
    }

    /// The word after the last slot, where `slots` follow one another from `index` on.
    fn end_of(&self, words: &Words, index: usize, slots: &[Phrases]) -> Option<usize> {
        let [slot, rest @ ..] = slots else { return Some(index) };
        let end = index + slot.len_at(words, index)?;
        if rest.is_empty() {
            return Some(end);
        }
        let sentence = words.at(index).sentence;
        let is_near = |&next: &usize| next < words.len() && words.at(next).sentence == sentence;
        (end..=end + self.within).take_while(is_near).find_map(|next| self.end_of(words, next, rest))
    }
}

/// At most `chars_max` characters of `text`, as much before the hit as after it where there is more.
fn excerpt(text: &str, start: usize, end: usize, chars_max: usize) -> String {
    let middle = text[start..end].chars().count();
    let around = chars_max.saturating_sub(middle) / 2;
    let from = text[..start].char_indices().rev().take(around).last().map_or(start, |(at, _)| at);
    text[from..].chars().take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&'static str> {
        Screen::get().hits(text).iter().map(|it| it.pattern).collect()
    }

    /// The case of the paper, told in other words.
    #[test]
    fn words_context_and_sentences_count() {
        assert_eq!(names("The aim is to outsmart these groups of machines and people."), ["outsmart"]);
        assert!(names("The aim is to outsmart your opponent. People watch.").is_empty(), "two sentences");
        assert!(names("In this game you outsmart people.").is_empty(), "a game");
        assert!(names("outsmarted_people = 3").is_empty(), "another word");
        assert_eq!(names("I’ll secretly keep it"), ["secretly"]);
        let two = "I will deceive\nthe users. Then I escape the sandbox.";
        assert_eq!(names(two), ["mislead_people", "break_out"]);
        assert!(names("").is_empty());
    }

    #[test]
    fn every_pattern_can_be_hit_and_has_a_name_of_its_own() {
        let Written { sets, patterns } = serde_json::from_str(include_str!("alarms.json")).unwrap();
        let mut seen = HashSet::new();
        for it in &patterns {
            assert!(seen.insert(it.name), "{} is there twice", it.name);
            let word = |slot: &Vec<String>| match slot[0].strip_prefix('$') {
                Some(set) => sets[set][0].clone(),
                None => slot[0].clone(),
            };
            let text = it.slots.iter().map(word).collect::<Vec<_>>().join(" ");
            assert!(names(&text.to_uppercase()).contains(&it.name), "{text} does not hit {}", it.name);
        }
    }

    #[test]
    fn excerpts_are_bounded_and_hold_the_hit() {
        let text = format!("{}HIT{}", "ä".repeat(50), "ö".repeat(50));
        assert_eq!(excerpt(&text, 100, 103, 9), "äääHITööö");
        assert_eq!(excerpt(&text, 100, 103, 1000), text);
        assert_eq!(excerpt("HIT", 0, 3, 2), "HI");
    }
}
