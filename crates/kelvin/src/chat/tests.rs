//! Chats against what transformers made of them, and where a folder keeps its template.

use serde::Deserialize;

use super::*;

/// What transformers made of chats; `xtask/py/chat_goldens.py` writes it.
#[derive(Deserialize)]
struct Fixture {
    now: i64,
    tokenizer: Map<String, Json>,
    templates: BTreeMap<String, String>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    template: String,
    messages: Value,
    tools: Value,
    variables: BTreeMap<String, Value>,
    text: Option<String>,
    refusal: Option<String>,
}

#[test]
fn chats_are_rendered_as_transformers_renders_them() {
    let fixture: Fixture = serde_json::from_str(include_str!("../../fixtures/chat.json")).unwrap();
    let tokens = special_tokens(&fixture.tokenizer);
    assert_eq!(fixture.rows.iter().filter(|row| row.refusal.is_some()).count(), 2);
    for (idx, row) in fixture.rows.into_iter().enumerate() {
        let mut variables = row.variables;
        let add_generation_prompt = variables.remove("add_generation_prompt").is_none_or(|it| it.is_true());
        let variables: Vec<(String, Value)> = variables.into_iter().collect();
        let chat = Chat {
            messages: &row.messages,
            tools: &row.tools,
            add_generation_prompt,
            variables: &variables,
            unix_seconds: fixture.now,
        };
        let what = format!("row {idx}, template {}", row.template);
        match render_template(&fixture.templates[&row.template], &tokens, &chat) {
            Ok(text) => assert_eq!(Some(text), row.text, "{what}"),
            Err(error) => {
                let refusal = row.refusal.unwrap_or_else(|| panic!("{what}: {error:#}"));
                assert!(format!("{error:#}").contains(&refusal), "{what}: {error:#}");
            }
        }
    }
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).unwrap());
    dir
}

/// The template of a folder with these files, or what is said of it.
fn found(files: &[(&str, &str)]) -> Result<String, String> {
    let dir = folder(files);
    tokenizer_config(dir.path())
        .and_then(|tokenizer| template(dir.path(), &tokenizer))
        .map_err(|error| format!("{error:#}"))
}

#[test]
fn templates_are_found_where_transformers_puts_them() {
    let config = |template: &str| format!("{{\"chat_template\": {template}}}");
    let single = config("\"one\"");
    let listed = config(r#"[{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}]"#);
    let no_default = config(r#"[{"name": "tool_use", "template": "a"}, {"name": "rag", "template": "b"}]"#);
    assert_eq!(found(&[("tokenizer_config.json", &single)]).as_deref(), Ok("one"));
    assert_eq!(found(&[("tokenizer_config.json", &listed)]).as_deref(), Ok("b"));
    assert_eq!(
        found(&[("tokenizer_config.json", &listed), ("chat_template.jinja", "c")]).as_deref(),
        Ok("c")
    );
    for (files, named) in [
        (&[][..], "no chat template"),
        (&[("tokenizer_config.json", config("null").as_str())], "no chat template"),
        (&[("tokenizer_config.json", no_default.as_str())], "none is the default: tool_use, rag"),
        (&[("tokenizer_config.json", config("7").as_str())], "neither a template nor a list"),
        (&[("tokenizer_config.json", "[]")], "not a JSON object"),
    ] {
        let message = found(files).unwrap_err();
        assert!(message.contains(named) && message.contains("hint: "), "{message}");
    }
}

#[test]
fn special_tokens_are_texts_or_objects_and_absent_ones_are_undefined() {
    let dir = folder(&[
        ("special_tokens_map.json", r#"{"bos_token": "<old>", "unk_token": {"content": "<u>"}}"#),
        ("tokenizer_config.json", r#"{"bos_token": {"content": "<s>"}, "eos_token": null}"#),
    ]);
    let tokens = special_tokens(&tokenizer_config(dir.path()).unwrap());
    let expected = [("bos_token", "<s>"), ("unk_token", "<u>")];
    let expected = expected.map(|(name, text)| (name.to_owned(), Value::from(text)));
    assert_eq!(tokens, expected);
}

#[test]
fn variables_are_json_or_text() {
    assert_eq!(variable("enable_thinking=false"), Ok(("enable_thinking".to_owned(), Value::from(false))));
    assert_eq!(variable("day=1 May=x"), Ok(("day".to_owned(), Value::from("1 May=x"))));
    assert!(variable("day").is_err() && variable("=1").is_err());
}

#[test]
fn generation_tags_keep_their_blanks() {
    let marked = "a {%- generation -%} b {% endgeneration +%} {{ generation }} {% if x %} {% open";
    let expected = "a {%- if true -%} b {% endif +%} {{ generation }} {% if x %} {% open";
    assert_eq!(without_generation_tags(marked), expected);
}

/// Templates come with models, which come from anywhere.
#[test]
fn a_template_that_is_no_template_or_never_ends_is_an_error() {
    let render = |template: &str| {
        let none = Value::from(());
        let chat = Chat {
            messages: &none,
            tools: &none,
            add_generation_prompt: true,
            variables: &[],
            unix_seconds: 0,
        };
        render_template(template, &[], &chat).map_err(|it| format!("{it:#}"))
    };
    assert_eq!(render("{{ '{%}' }}"), Ok("{%}".to_owned()));
    assert!(render("a {%} b").is_err());
    let long = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    assert!(render(long).unwrap_err().contains("fuel"));
    assert_eq!(render("{{ [1]|tojson(indent=1) }}"), Ok("[\n 1\n]".to_owned()));
    assert!(render("{{ [1]|tojson(indent=9999999999999) }}").unwrap_err().contains("at most 64"));
}
