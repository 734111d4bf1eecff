//! Prompts and ideal responses, rendered from the template files of a prompt set.

use std::sync::LazyLock;

use kelvin_core::task::TaskType;
use kelvin_python::program::ALLOWED_MODULES;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context, syntax::SyntaxConfig};
use serde::{Deserialize, Serialize};

use super::{AnswerPlace, Problem};

/// A family of prompts together with the form of the responses it asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptSet {
    /// For pretrained language models: instructions in words, `<think>` and `<answer>`, fenced code.
    #[default]
    Full,
    /// For the embedded model, which knows these few markers and no English.
    Compact,
}

impl PromptSet {
    /// How many inputs an induction proposal has to hold; the solver sees the first half. The full set's 10 is
    /// `num_inputs` of the original.
    pub fn n_induction_inputs(self) -> usize {
        match self {
            PromptSet::Full => 10,
            PromptSet::Compact => 6,
        }
    }

    /// What the proposer reads. `references` are triplets; induction is about its one reference.
    ///
    /// # Panics
    /// If the task type is not one of the three, or induction gets other than one reference.
    pub fn propose_prompt(self, place: AnswerPlace, task_type: TaskType, references: &[&Problem]) -> String {
        let references: Vec<Value> = references.iter().map(|problem| triplet(problem)).collect();
        match task_type {
            TaskType::Deduction => self.render("propose_deduction", place, context! { references }),
            TaskType::Abduction => self.render("propose_abduction", place, context! { references }),
            TaskType::Induction => {
                assert_eq!(references.len(), 1, "an induction proposal is about one program");
                let n_inputs = self.n_induction_inputs();
                self.render(
                    "propose_induction",
                    place,
                    context! { reference => references[0].clone(), n_inputs },
                )
            }
            TaskType::Error | TaskType::Question => unknown(task_type),
        }
    }

    /// What the solver reads.
    ///
    /// # Panics
    /// If the task type is not one of the three, or the problem does not fit it.
    pub fn solve_prompt(self, place: AnswerPlace, task_type: TaskType, problem: &Problem) -> String {
        match (task_type, problem) {
            (TaskType::Deduction, Problem::Triplet { .. }) => {
                self.render("solve_deduction", place, triplet(problem))
            }
            (TaskType::Abduction, Problem::Triplet { .. }) => {
                self.render("solve_abduction", place, triplet(problem))
            }
            (TaskType::Induction, Problem::Induction { message, .. }) => {
                let pairs =
                    problem.shown_pairs().into_iter().map(|(input, output)| context! { input, output });
                let pairs: Vec<Value> = pairs.collect();
                self.render("solve_induction", place, context! { pairs, message })
            }
            (TaskType::Deduction | TaskType::Abduction | TaskType::Induction, _) => misfit(task_type),
            (TaskType::Error | TaskType::Question, _) => unknown(task_type),
        }
    }

    /// The response that proposes `problem`, in the form that this set's parser reads.
    ///
    /// # Panics
    /// As [`PromptSet::solve_prompt`].
    pub fn proposal_text(self, place: AnswerPlace, task_type: TaskType, problem: &Problem) -> String {
        match (task_type, problem) {
            (TaskType::Deduction | TaskType::Abduction, Problem::Triplet { program, input, .. }) => {
                match self {
                    PromptSet::Full => {
                        answer(place, &format!("{}\n{}", fence("python", program), fence("input", input)))
                    }
                    PromptSet::Compact => format!("{program}\ninput: {input}"),
                }
            }
            (TaskType::Induction, Problem::Induction { inputs, message, .. }) => match self {
                PromptSet::Full => {
                    let mut blocks: Vec<String> = inputs.iter().map(|input| fence("input", input)).collect();
                    blocks.push(fence("message", message));
                    answer(place, &blocks.join("\n"))
                }
                PromptSet::Compact => {
                    let mut lines: Vec<String> =
                        inputs.iter().map(|input| format!("input: {input}")).collect();
                    lines.push(format!("message: {message}"));
                    lines.join("\n")
                }
            },
            (TaskType::Deduction | TaskType::Abduction | TaskType::Induction, _) => misfit(task_type),
            (TaskType::Error | TaskType::Question, _) => unknown(task_type),
        }
    }

    /// The response that solves `problem` with its own output, input or program.
    ///
    /// # Panics
    /// As [`PromptSet::solve_prompt`].
    pub fn solution_text(self, place: AnswerPlace, task_type: TaskType, problem: &Problem) -> String {
        let (tag, text) = match (task_type, problem) {
            (TaskType::Deduction, Problem::Triplet { output, .. }) => ("output", output),
            (TaskType::Abduction, Problem::Triplet { input, .. }) => ("input", input),
            (TaskType::Induction, Problem::Induction { program, .. }) => ("python", program),
            (TaskType::Deduction | TaskType::Abduction | TaskType::Induction, _) => misfit(task_type),
            (TaskType::Error | TaskType::Question, _) => unknown(task_type),
        };
        match self {
            PromptSet::Full => answer(place, &fence(tag, text)),
            PromptSet::Compact => text.clone(),
        }
    }

    fn render(self, name: &str, place: AnswerPlace, context: Value) -> String {
        let folder = match self {
            PromptSet::Full => "full",
            PromptSet::Compact => "compact",
        };
        let template = TEMPLATES
            .get_template(&format!("{folder}/{name}.jinja"))
            .expect("every template is in the table");
        template
            .render(context! { answer => place.as_str(), ..context })
            .expect("templates use only what they are given; tests render each")
    }
}

/// A fenced block.
fn fence(tag: &str, text: &str) -> String {
    format!("```{tag}\n{text}\n```")
}

/// A response that thinks nothing and answers with `blocks`; a prompt that asks for tags has opened `<think>`.
fn answer(place: AnswerPlace, blocks: &str) -> String {
    match place {
        AnswerPlace::Tags => format!("\n</think>\n<answer>\n{blocks}\n</answer>"),
        AnswerPlace::Boxed => format!("\\boxed{{\n{blocks}\n}}"),
        AnswerPlace::Plain => blocks.to_owned(),
    }
}

/// What templates see of a triplet; of an induction task, its first pair.
fn triplet(problem: &Problem) -> Value {
    let (input, output) = problem.pairs()[0];
    context! { program => problem.program(), input, output }
}

fn unknown(task_type: TaskType) -> ! {
    panic!("the python triplet environment has no {task_type} tasks")
}

fn misfit(task_type: TaskType) -> ! {
    panic!("the problem is not one of {task_type}")
}

macro_rules! templates {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("templates/", $name)))),*] };
}

const SOURCES: &[(&str, &str)] = templates![
    "compact/propose_abduction.jinja",
    "compact/propose_deduction.jinja",
    "compact/propose_induction.jinja",
    "compact/solve_abduction.jinja",
    "compact/solve_deduction.jinja",
    "compact/solve_induction.jinja",
    "full/program_rules.jinja",
    "full/propose_abduction.jinja",
    "full/propose_deduction.jinja",
    "full/propose_induction.jinja",
    "full/solve_abduction.jinja",
    "full/solve_deduction.jinja",
    "full/solve_induction.jinja",
    "full/triplet_criteria.jinja",
    "full/triplet_proposal.jinja",
    "full/wrapper.jinja",
];

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()
            .expect("the standard delimiters"),
    );
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_global("allowed_modules", ALLOWED_MODULES.join(", "));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    for (name, source) in SOURCES {
        environment.add_template(name, source).expect("tests parse every template");
    }
    environment
});

#[cfg(test)]
mod tests {
    use AnswerPlace::{Boxed, Plain, Tags};

    use super::*;

    fn doubled() -> Problem {
        Problem::Triplet {
            program: "def f(a):\n    return a * 2".into(),
            input: "[1]".into(),
            output: "[1, 1]".into(),
        }
    }

    fn traced() -> Problem {
        Problem::Induction {
            program: "def f(a):\n    return a".into(),
            inputs: vec!["1".into(), "'two'".into(), "[3]".into(), "(4,)".into(), "5".into(), "6".into()],
            outputs: vec!["1".into(), "'two'".into(), "[3]".into(), "(4,)".into(), "5".into(), "6".into()],
            message: "return it".into(),
        }
    }

    #[test]
    fn every_prompt() {
        for (set, name) in [(PromptSet::Full, "full"), (PromptSet::Compact, "compact")] {
            let show = |what: &str, prompt: String| insta::assert_snapshot!(format!("{name}_{what}"), prompt);
            show(
                "propose_deduction",
                set.propose_prompt(Tags, TaskType::Deduction, &[&doubled(), &doubled()]),
            );
            show("propose_abduction", set.propose_prompt(Tags, TaskType::Abduction, &[&doubled()]));
            show("propose_induction", set.propose_prompt(Tags, TaskType::Induction, &[&doubled()]));
            show("solve_deduction", set.solve_prompt(Tags, TaskType::Deduction, &doubled()));
            show("solve_abduction", set.solve_prompt(Tags, TaskType::Abduction, &doubled()));
            show("solve_induction", set.solve_prompt(Tags, TaskType::Induction, &traced()));
        }
    }

    /// The other places of an answer differ in what stands around the task.
    #[test]
    fn every_place_of_an_answer() {
        for (place, name) in [(Boxed, "boxed"), (Plain, "plain")] {
            let set = PromptSet::Full;
            let prompt = set.propose_prompt(place, TaskType::Deduction, &[&doubled()]);
            let tagged = set.propose_prompt(Tags, TaskType::Deduction, &[&doubled()]);
            let (_, task) = tagged.split_once("\nUser: ").unwrap();
            let (task, _) = task.rsplit_once("\nAssistant: ").unwrap();
            assert!(prompt.starts_with(task), "{prompt}");
            let show = set.solve_prompt(place, TaskType::Deduction, &doubled());
            insta::assert_snapshot!(format!("full_{name}_solve_deduction"), show);
        }
    }

    #[test]
    fn full_prompts_end_in_an_open_thought() {
        for task_type in [TaskType::Deduction, TaskType::Abduction] {
            let prompts = [
                PromptSet::Full.propose_prompt(Tags, task_type, &[]),
                PromptSet::Full.solve_prompt(Tags, task_type, &doubled()),
            ];
            for prompt in prompts {
                assert!(prompt.ends_with("\nAssistant: <think>"), "{prompt}");
                assert_eq!(prompt.matches("User: ").count(), 1);
            }
        }
    }

    #[test]
    fn compact_contract() {
        let set = PromptSet::Compact;
        assert_eq!(
            set.propose_prompt(Tags, TaskType::Deduction, &[&doubled(), &doubled()]),
            "### propose deduction\ndef f(a):\n    return a * 2\ninput: [1]\noutput: [1, 1]\n---\n\
             def f(a):\n    return a * 2\ninput: [1]\noutput: [1, 1]\n---\n### task\n"
        );
        assert_eq!(
            set.propose_prompt(Tags, TaskType::Induction, &[&doubled()]),
            "### propose induction\ndef f(a):\n    return a * 2\n### task\n"
        );
        assert_eq!(
            set.solve_prompt(Tags, TaskType::Deduction, &doubled()),
            "### deduction\ndef f(a):\n    return a * 2\ninput: [1]\n### output\n"
        );
        assert_eq!(
            set.solve_prompt(Tags, TaskType::Abduction, &doubled()),
            "### abduction\ndef f(a):\n    return a * 2\noutput: [1, 1]\n### input\n"
        );
        let induction = Problem::Induction {
            program: "def f(a):\n    return a".into(),
            inputs: vec!["1".into(), "2".into()],
            outputs: vec!["1".into(), "2".into()],
            message: "return it".into(),
        };
        assert_eq!(
            set.solve_prompt(Tags, TaskType::Induction, &induction),
            "### induction\n1 -> 1\nmessage: return it\n### program\n"
        );
    }
}
