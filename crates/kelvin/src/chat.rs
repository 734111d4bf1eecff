//! Chat templates: messages as the model was trained to read them, rendered as `apply_chat_template` of
//! transformers does.

mod date;
mod python;

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind as IoKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use minijinja::{Environment, Error, ErrorKind, Value, context, syntax::SyntaxConfig};
use serde_json::{Map, Value as Json};

use crate::{clock, model::ModelSource};

/// Names under which `tokenizer_config.json` spells special tokens; templates see those that are there.
const SPECIAL_TOKENS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What a template is told.
struct Chat<'it> {
    /// Objects with `role` and `content`, and what else the template reads.
    messages: &'it Value,
    /// A list of JSON schemas, or none.
    tools: &'it Value,
    /// Whether the answer is to follow.
    add_generation_prompt: bool,
    /// More of what the template may ask for, such as `enable_thinking`; it wins over special tokens.
    variables: &'it [(String, Value)],
    /// What `strftime_now` says, in seconds since 1970.
    unix_seconds: i64,
}

/// `message` of a user, after that of a `system` if there is one, in the chat template of the model, up to where the answer
/// begins, with `variables` as the template's own settings.
///
/// # Errors
/// If the model has no template, or it does not render.
pub(crate) fn render(
    model: &ModelSource,
    system: Option<&str>,
    message: &str,
    variables: &[(String, Value)],
) -> anyhow::Result<String> {
    let dir = match model {
        ModelSource::Folder(dir) => dir,
        ModelSource::Embedded => bail!("the embedded model has no chat template\nhint: leave out --chat"),
    };
    let tokenizer = tokenizer_config(dir)?;
    let template = template(dir, &tokenizer)?;
    let system = system.map(|it| context! { role => "system", content => it });
    let user = context! { role => "user", content => message };
    let messages: Vec<Value> = system.into_iter().chain([user]).collect();
    let chat = Chat {
        messages: &Value::from(messages),
        tools: &Value::from(()),
        add_generation_prompt: true,
        variables,
        unix_seconds: clock::unix_seconds(),
    };
    render_template(&template, &special_tokens(&tokenizer), &chat)
        .with_context(|| format!("the chat template of {} does not render a user's message", dir.display()))
        .map_err(|error| {
            anyhow!("{error:#}\nhint: give the prompt as the template would write it, and leave out --chat")
        })
}

/// A variable of `--chat-set`, `name=value`; what is not JSON is text.
///
/// # Errors
/// If there is no name.
pub(crate) fn variable(written: &str) -> Result<(String, Value), String> {
    match written.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
            Ok((name.trim().to_owned(), value))
        }
        _ => Err("it is written name=value, such as enable_thinking=false".to_owned()),
    }
}

/// A file's text; `None` if there is no such file.
fn read(path: PathBuf) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == IoKind::NotFound => Ok(None),
        Err(error) => Err(error)
            .with_context(|| format!("reading {}\nhint: it must be readable and UTF-8", path.display())),
    }
}

/// `tokenizer_config.json`, with what older folders have in `special_tokens_map.json` instead.
fn tokenizer_config(dir: &Path) -> anyhow::Result<Map<String, Json>> {
    let mut fields = Map::new();
    for name in ["special_tokens_map.json", "tokenizer_config.json"] {
        if let Some(text) = read(dir.join(name))? {
            let own: Map<String, Json> = serde_json::from_str(&text).with_context(|| {
                format!("{} is not a JSON object\nhint: fetch the file again", dir.join(name).display())
            })?;
            fields.extend(own);
        }
    }
    Ok(fields)
}

/// `chat_template.jinja`, or what `tokenizer_config.json` holds: a template, or several by name.
fn template(dir: &Path, tokenizer: &Map<String, Json>) -> anyhow::Result<String> {
    if let Some(template) = read(dir.join("chat_template.jinja"))? {
        return Ok(template);
    }
    let hint = "hint: leave out --chat, or put the template to use there as chat_template.jinja";
    let by_name = match tokenizer.get("chat_template") {
        None | Some(Json::Null) => bail!("the model in {} has no chat template\n{hint}", dir.display()),
        Some(Json::String(template)) => return Ok(template.clone()),
        Some(by_name) => templates_by_name(by_name).with_context(|| {
            format!("chat_template in {} is neither a template nor a list of them\n{hint}", dir.display())
        })?,
    };
    match by_name.iter().find(|(name, _)| *name == "default") {
        Some((_, template)) => Ok((*template).to_owned()),
        None => {
            let names: Vec<&str> = by_name.iter().map(|(name, _)| *name).collect();
            bail!(
                "the model in {} has several chat templates and none is the default: {}\n{hint}",
                dir.display(),
                names.join(", ")
            )
        }
    }
}

fn templates_by_name(written: &Json) -> Option<Vec<(&str, &str)>> {
    match written {
        Json::Array(list) => {
            list.iter().map(|it| Some((it["name"].as_str()?, it["template"].as_str()?))).collect()
        }
        Json::Object(map) => map.iter().map(|(name, it)| Some((name.as_str(), it.as_str()?))).collect(),
        _ => None,
    }
}

/// The special tokens that are named, by name.
fn special_tokens(tokenizer: &Map<String, Json>) -> Vec<(String, Value)> {
    let spelled = |name: &&str| {
        let token = tokenizer.get(*name)?;
        let text = token.as_str().or_else(|| token["content"].as_str())?;
        Some(((*name).to_owned(), Value::from(text)))
    };
    SPECIAL_TOKENS.iter().filter_map(spelled).collect()
}

/// Steps that a template may take, so that each of them ends.
const FUEL: u64 = 20_000_000;

fn render_template(template: &str, tokens: &[(String, Value)], chat: &Chat<'_>) -> anyhow::Result<String> {
    let mut environment = Environment::new();
    // A template is somebody else's program.
    environment.set_fuel(Some(FUEL));
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.context("a setting of blanks is a syntax")?);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_formatter(|out, _, value| Ok(out.write_str(&python::str(value))?));
    environment.add_filter("tojson", |value: Value, kwargs| python::tojson(&value, kwargs));
    environment.add_filter("string", |value: Value| python::str(&value));
    environment.add_function("raise_exception", |text: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, text))
    });
    let now = chat.unix_seconds;
    environment.add_function("strftime_now", move |format: &str| {
        date::strftime(format, now).map_err(|directive| {
            Error::new(ErrorKind::InvalidOperation, format!("strftime_now knows no {directive}"))
        })
    });
    let own = [
        ("messages", chat.messages.clone()),
        ("tools", chat.tools.clone()),
        ("documents", Value::from(())),
        ("add_generation_prompt", Value::from(chat.add_generation_prompt)),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    let all: BTreeMap<String, Value> = tokens.iter().chain(chat.variables).cloned().chain(own).collect();
    Ok(environment.render_str(&without_generation_tags(template), all)?)
}

/// `{% generation %}` marks what an assistant said, for training on it; the text does not depend on it. Jinja
/// knows the tag in transformers only, so a block that always shows stands in.
fn without_generation_tags(template: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some(start) = rest.find("{%") {
        let Some(len) = rest[start + 2..].find("%}").map(|it| it + 2) else { break };
        let tag = &rest[start + 2..start + len];
        text.push_str(&rest[..start + 2]);
        match tag.trim_matches(|letter: char| letter.is_whitespace() || "-+".contains(letter)) {
            "generation" => text.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => text.push_str(&tag.replace("endgeneration", "endif")),
            _ => text.push_str(tag),
        }
        rest = &rest[start + len..];
    }
    text + rest
}

#[cfg(test)]
mod tests;
