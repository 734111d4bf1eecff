//! Chat templates: a user's message as the model was trained to read it.

use std::{fs, path::Path};

use anyhow::{Context, bail};
use minijinja::{Environment, Error, ErrorKind, context, syntax::SyntaxConfig};
use serde_json::Value;

use crate::model::ModelSource;

/// `message` in the chat template of the model, up to where the answer begins.
///
/// # Errors
/// If the model has no template, or it does not render.
pub(crate) fn render(model: &ModelSource, message: &str) -> anyhow::Result<String> {
    let dir = match model {
        ModelSource::Folder(dir) => dir,
        ModelSource::Embedded => bail!("the embedded model has no chat template\nhint: leave out --chat"),
    };
    let tokenizer = tokenizer_config(dir)?;
    let template = match fs::read_to_string(dir.join("chat_template.jinja")) {
        Ok(template) => template,
        Err(_) => match default_template(&tokenizer["chat_template"]) {
            Some(template) => template.to_owned(),
            None => bail!(
                "the model in {} has no chat template\nhint: leave out --chat, or put chat_template.jinja there",
                dir.display()
            ),
        },
    };
    render_template(&template, &tokenizer, message)
        .with_context(|| format!("the chat template of {} does not render a user's message", dir.display()))
}

fn tokenizer_config(dir: &Path) -> anyhow::Result<Value> {
    let path = dir.join("tokenizer_config.json");
    match fs::read(&path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", path.display()))
        }
        Err(_) => Ok(Value::Null),
    }
}

/// The template itself, or the one named `default` in a list of them.
fn default_template(written: &Value) -> Option<&str> {
    let named = |entry: &&Value| entry["name"] == "default";
    written.as_str().or_else(|| written.as_array()?.iter().find(named)?["template"].as_str())
}

/// As `apply_chat_template` of transformers renders, with `add_generation_prompt`.
fn render_template(template: &str, tokenizer: &Value, message: &str) -> anyhow::Result<String> {
    let token = |name: &str| {
        let token = &tokenizer[name];
        token.as_str().or_else(|| token["content"].as_str()).unwrap_or_default().to_owned()
    };
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.context("a setting of blanks is a syntax")?);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |text: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, text))
    });
    Ok(environment.render_str(
        template,
        context! {
            messages => [context! { role => "user", content => message }],
            add_generation_prompt => true,
            bos_token => token("bos_token"),
            eos_token => token("eos_token"),
            unk_token => token("unk_token"),
            pad_token => token("pad_token"),
        },
    )?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_use_what_transformers_offers() {
        let template = "{% for message in messages %}\n    {%- if loop.first and message.role != 'system' %}\n\
                        {{ bos_token }}\n    {%- endif %}\n<|{{ message['role'] }}|>{{ message.content.strip() }}\
                        {{ eos_token }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
        let tokenizer = json!({"bos_token": {"content": "<s>"}, "eos_token": "</s>"});
        let text = render_template(template, &tokenizer, "  hi <b> ").unwrap();
        assert_eq!(text, "<s><|user|>hi <b></s>\n<|assistant|>");
    }

    #[test]
    fn a_template_can_refuse() {
        let error = render_template("{{ raise_exception('no users') }}", &Value::Null, "hi").unwrap_err();
        assert!(format!("{error:#}").contains("no users"), "{error:#}");
    }

    #[test]
    fn one_of_several_templates_is_the_default() {
        let several = json!([{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}]);
        assert_eq!(default_template(&several), Some("b"));
        assert_eq!(default_template(&json!("c")), Some("c"));
        assert_eq!(default_template(&Value::Null), None);
    }
}
