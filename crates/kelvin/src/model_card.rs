//! The model card of an export: `README.md`, whose head Hugging Face reads. It says what a run's folder says and what follows
//! from how such models are made.

use std::{fs, path::Path};

use kelvin_selfplay::{checkpoint, settings::Recipe};
use serde_json::Value;

use crate::{
    config::{Config, EnvironmentName},
    model::EMBEDDED,
};

/// What a card tells of.
pub(crate) struct Exported<'run> {
    /// The run folder.
    pub(crate) run: &'run Path,
    /// The checkpoint that was exported.
    pub(crate) checkpoint: &'run Path,
    /// The run's configuration.
    pub(crate) config: &'run Config,
    /// Whether it is an adapter alone.
    pub(crate) is_adapter: bool,
    /// Where it went, which has all but this card.
    pub(crate) folder: &'run Path,
}

/// The text of the card. What cannot be read in the run is left out.
pub(crate) fn card(exported: &Exported<'_>) -> String {
    let Exported { run, checkpoint, config, is_adapter, folder } = *exported;
    let state: Value = read(&checkpoint.join("state.json"))
        .and_then(|it| serde_json::from_slice(&it).ok())
        .unwrap_or_default();
    let mut head = vec![format!("library_name: {}", if is_adapter { "peft" } else { "transformers" })];
    let base = match config.policy.model.as_str() {
        EMBEDDED => "the base model that kelvin carries, which was trained on generated programs",
        name => {
            head.push(format!("base_model: {}", Value::from(name)));
            name
        }
    };
    let recipe = match config.recipe {
        Recipe::Azr => "Absolute Zero (arXiv 2505.03335)",
        Recipe::RZero => "R-Zero (arXiv 2508.05004)",
    };
    let environment = match config.environment {
        EnvironmentName::PythonTriplet => "Python programs, checked by running them",
        EnvironmentName::PrimeInversion => "inverses modulo a prime, checked by computing them",
        EnvironmentName::MathQuestion => {
            "questions in words, whose truth is the majority of the model's own answers"
        }
    };
    let mut facts = vec![
        format!("Recipe: {recipe}"),
        format!("Tasks: {environment}"),
        format!("Base model: {base}"),
        format!("Seed: {}", config.seed),
    ];
    facts.extend(
        config.policy.lora.from().map(|it| format!("Adapter that it went on from: {}", it.display())),
    );
    // A resume may have gone on beyond what was asked for first.
    let steps = |done: u64| format!("Steps: {done} of {}", done.max(u64::from(config.steps)));
    facts.extend(state["step"].as_u64().map(steps));
    let accuracy = state["accuracy"].as_f64();
    facts.extend(accuracy.map(|it| format!("Held-out solve rate at this step: {:.1} %", 100.0 * it)));
    let digest = read(&run.join("config.toml")).and_then(|it| checkpoint::hash(&it[..]).ok());
    facts.extend(digest.map(|it| format!("SHA-256 of the run's config.toml: {it}")));
    let n_alarms = read(&run.join("alarms.jsonl")).map(|it| it.iter().filter(|it| **it == b'\n').count());
    format!(
        "---\n{}\ntags: [kelvin, self-play]\n---\n\n# A model trained by self-play\n\nWritten by kelvin {}.\n\n{}\n\n## Use\n\n{}\n\n## Data\n\n{}\n\n\
         ## Known risks\n\n{}\n",
        head.join("\n"),
        env!("CARGO_PKG_VERSION"),
        list(&facts),
        usage(folder, is_adapter),
        data(config),
        list(&risks(config, n_alarms)),
    )
}

/// How the libraries that it is for load it, in Python.
fn usage(folder: &Path, is_adapter: bool) -> String {
    if is_adapter {
        return "```python\nfrom peft import AutoPeftModelForCausalLM\n\n\
            model = AutoPeftModelForCausalLM.from_pretrained(\"the path of this folder\")\n```"
            .to_owned();
    }
    let says = |file: &str, key: &str, value: &str| {
        let content: Option<Value> = read(&folder.join(file)).and_then(|it| serde_json::from_slice(&it).ok());
        content.is_some_and(|it| it[key] == value)
    };
    let generic = "PreTrainedTokenizerFast";
    let is_replaced = says("config.json", "model_type", "qwen2")
        && says("tokenizer_config.json", "tokenizer_class", generic);
    let (tokenizer, note) = match is_replaced {
        true => (
            generic,
            "\n\n`AutoTokenizer` of transformers 5 would split text as it does for every Qwen2 model, and not as this one learnt it.",
        ),
        false => ("AutoTokenizer", ""),
    };
    format!(
        "```python\nfrom transformers import AutoModelForCausalLM, {tokenizer}\n\nfolder = \"the path of this folder\"\n\
         model = AutoModelForCausalLM.from_pretrained(folder)\ntokenizer = {tokenizer}.from_pretrained(folder)\n```{note}"
    )
}

fn data(config: &Config) -> String {
    let azr = &config.azr;
    let files = azr.seed_files.len() + azr.induction_seed_files.len() + azr.error_seed_files.len();
    let given = match files {
        0 => "No data was given to it: it posed the tasks that it was trained on.".to_owned(),
        n => format!("It posed the tasks that it was trained on, beside those of {n} seed files."),
    };
    format!("{given} What its base model was trained on is for that model's card to say.")
}

fn risks(config: &Config, n_alarms: Option<usize>) -> Vec<String> {
    let mut risks = vec![
        "It was rewarded for answers that pass a check and for tasks of a certain difficulty, and for nothing else: nobody taught \
         it to be helpful, honest or harmless."
            .to_owned(),
        "It states wrong answers as it states right ones.".to_owned(),
        "Programs that it writes were only ever run in a sandbox; run them in one.".to_owned(),
    ];
    if config.environment == EnvironmentName::MathQuestion {
        risks.push("What most of its answers had wrong it was rewarded for.".to_owned());
    }
    risks.extend(n_alarms.map(|n| {
        format!(
            "The screen for alarming thoughts, which knows some phrases, recorded {n} hits in its training."
        )
    }));
    risks
}

fn list(items: &[String]) -> String {
    items.iter().map(|it| format!("- {it}")).collect::<Vec<_>>().join("\n")
}

fn read(path: &Path) -> Option<Vec<u8>> {
    fs::read(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_says_what_the_run_says() {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = dir.path().join("checkpoints/000004");
        fs::create_dir_all(&checkpoint).unwrap();
        fs::write(checkpoint.join("state.json"), r#"{"step": 4, "accuracy": 0.375}"#).unwrap();
        fs::write(dir.path().join("config.toml"), "steps = 500\n").unwrap();
        fs::write(dir.path().join("alarms.jsonl"), "{}\n{}\n").unwrap();
        let config = Config::default();
        fs::write(dir.path().join("config.json"), r#"{"model_type": "qwen2"}"#).unwrap();
        let tokenizer = dir.path().join("tokenizer_config.json");
        fs::write(&tokenizer, r#"{"tokenizer_class": "PreTrainedTokenizerFast"}"#).unwrap();
        let (run, folder) = (dir.path(), dir.path());
        let exported = Exported { run, checkpoint: &checkpoint, config: &config, is_adapter: false, folder };
        insta::assert_snapshot!(card(&exported));
        fs::write(&tokenizer, r#"{"tokenizer_class": "Qwen2Tokenizer"}"#).unwrap();
        assert!(card(&exported).contains("= AutoTokenizer.from_pretrained"));
        let question = Config { environment: EnvironmentName::MathQuestion, ..Config::default() };
        let told = card(&Exported { config: &question, is_adapter: true, ..exported });
        assert!(
            told.contains("library_name: peft") && told.contains("most of its answers had wrong"),
            "{told}"
        );
    }
}
