//! Prompts, rendered from the template files of a prompt set.

use std::sync::LazyLock;

use minijinja::{Environment, Value, context};
use serde::{Deserialize, Serialize};

use crate::templates;

/// A family of prompts together with the form of the responses it asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromptSet {
    /// For pretrained language models: instructions in words, `<question>` and `\boxed{}` (r-zero.md appendix A). The
    /// policy's chat template, if it has one, makes a turn of it.
    #[default]
    Full,
    /// For the embedded model: the few markers of its corpus.
    Compact,
}

impl PromptSet {
    /// What the proposer reads. R-Zero shows no references.
    pub fn propose_prompt(self, references: &[&str]) -> String {
        let references: Vec<Value> = references.iter().map(|&it| it.into()).collect();
        self.render("propose", context! { references })
    }

    /// What the solver reads.
    pub fn solve_prompt(self, question: &str) -> String {
        self.render("solve", context! { question })
    }

    fn render(self, name: &str, context: Value) -> String {
        let folder = match self {
            PromptSet::Full => "full",
            PromptSet::Compact => "compact",
        };
        let template = TEMPLATES
            .get_template(&format!("{folder}/{name}.jinja"))
            .expect("every template is in the table");
        template.render(context).expect("templates use only what they are given; tests render each")
    }
}

static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    templates::environment(&[
        ("compact/propose.jinja", include_str!("templates/compact/propose.jinja")),
        ("compact/solve.jinja", include_str!("templates/compact/solve.jinja")),
        ("full/propose.jinja", include_str!("templates/full/propose.jinja")),
        ("full/solve.jinja", include_str!("templates/full/solve.jinja")),
    ])
});
