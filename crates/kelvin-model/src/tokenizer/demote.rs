//! Added tokens made ordinary text again (azr.md section 1.1): a base model never learnt `<think>` as one token.

use anyhow::{Context, anyhow, bail, ensure};
use serde_json::{Map, Value};

use super::{TOKENIZER_CONFIG_JSON, TOKENIZER_JSON, Tokenizer};

impl Tokenizer {
    /// The tokenizer without the added tokens of these ids: their spellings are tokenized as any text, and the ids
    /// decode to nothing. Its files lose them too, so that what is saved reads the same in transformers.
    ///
    /// # Errors
    /// If an id is not that of an added token, or its token is one of those that `tokenizer_config.json` names
    /// for a purpose, such as `eos_token`.
    pub fn demote(&self, ids: &[u32]) -> anyhow::Result<Tokenizer> {
        if ids.is_empty() {
            return Ok(self.clone());
        }
        let mut json: Value = serde_json::from_slice(self.json())
            .map_err(|error| anyhow!("{TOKENIZER_JSON} is not JSON: {error}"))?;
        let added = json["added_tokens"].as_array_mut();
        let added = added.with_context(|| format!("{TOKENIZER_JSON} has no added tokens to demote"))?;
        let id_of = |token: &Value| token["id"].as_u64().and_then(|id| u32::try_from(id).ok());
        let mut spellings = Vec::new();
        for &id in ids {
            let Some(token) = added.iter().find(|token| id_of(token) == Some(id)) else {
                let known: Vec<String> = added.iter().filter_map(id_of).map(|id| id.to_string()).collect();
                bail!(
                    "token {id} is not an added token and cannot be demoted\nhint: the added tokens are {}; a \
                     model that was saved after demoting needs it no more",
                    known.join(", ")
                );
            };
            spellings.push(token["content"].as_str().unwrap_or_default().to_owned());
        }
        added.retain(|token| !id_of(token).is_some_and(|id| ids.contains(&id)));
        let mut demoted = Tokenizer::from_bytes(&pretty(&json))?;
        for (name, bytes) in &self.files[1..] {
            let bytes = match name.as_str() {
                TOKENIZER_CONFIG_JSON | "special_tokens_map.json" | "added_tokens.json" => {
                    let mut fields: Map<String, Value> =
                        serde_json::from_slice(bytes).with_context(|| {
                            format!("{name} is not a JSON object\nhint: fetch the file again")
                        })?;
                    forget(name, &mut fields, ids, &spellings)?;
                    pretty(&Value::Object(fields))
                }
                _ => bytes.clone(),
            };
            demoted.files.push((name.clone(), bytes));
        }
        Ok(demoted)
    }
}

/// Removes the tokens from one of the files beside `tokenizer.json`, all of which transformers adds again from.
fn forget(
    file: &str,
    fields: &mut Map<String, Value>,
    ids: &[u32],
    spellings: &[String],
) -> anyhow::Result<()> {
    let demoted = |token: &Value| {
        let text = token.as_str().or_else(|| token["content"].as_str());
        text.is_some_and(|text| spellings.iter().any(|it| it == text))
    };
    for (name, token) in fields.iter() {
        ensure!(
            !(name.ends_with("_token") && demoted(token)),
            "the {name} of {file} cannot be demoted\nhint: leave its id out, or name another {name}"
        );
    }
    fields.retain(|name, _| !spellings.contains(name));
    if let Some(by_id) = fields.get_mut("added_tokens_decoder").and_then(Value::as_object_mut) {
        by_id.retain(|id, _| !ids.iter().any(|it| it.to_string() == *id));
    }
    for list in ["additional_special_tokens", "extra_special_tokens"] {
        match fields.get_mut(list) {
            Some(Value::Array(tokens)) => tokens.retain(|token| !demoted(token)),
            Some(Value::Object(tokens)) => tokens.retain(|_, token| !demoted(token)),
            _ => {}
        }
    }
    Ok(())
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("a JSON value can be written");
    text.push(b'\n');
    text
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use serde_json::json;

    use super::*;

    fn read_folder(dir: &Path) -> Tokenizer {
        Tokenizer::from_files(|name| Ok(fs::read(dir.join(name)).ok())).unwrap()
    }

    /// A tokenizer of Qwen2's kind that transformers saved, with `<|endoftext|>` 290 and `<|im_end|>` 291.
    fn golden() -> Tokenizer {
        read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens/decode_tied"))
    }

    /// With and without `split_special_tokens=True`, transformers 5.23 gives these ids.
    #[test]
    fn a_demoted_token_reads_as_any_text() {
        let text = "x<|im_end|> y\n<|im_end|>";
        assert_eq!(golden().encode(text).unwrap(), [87, 291, 220, 88, 198, 291]);
        let demoted = golden().demote(&[291]).unwrap();
        let spelled = [27, 91, 72, 76, 62, 68, 77, 67, 91, 29];
        let expected = [&[87][..], &spelled, &[220, 88, 198], &spelled].concat();
        assert_eq!(demoted.encode(text).unwrap(), expected);
        assert_eq!(demoted.decode(&expected).unwrap(), text);
        assert_eq!(demoted.decode(&[87, 291]).unwrap(), "x");
        assert_eq!(demoted.encode("<|endoftext|>").unwrap(), [290], "others stay");
    }

    #[test]
    fn what_is_saved_reads_the_same() {
        let (demoted, dir) = (golden().demote(&[291]).unwrap(), tempfile::tempdir().unwrap());
        demoted.save(dir.path()).unwrap();
        let again = read_folder(dir.path());
        assert_eq!(again.json(), demoted.json());
        assert_eq!(again.encode("<|im_end|>").unwrap(), demoted.encode("<|im_end|>").unwrap());
    }

    #[test]
    fn the_files_beside_it_forget_the_token() {
        let mut tokenizer = golden();
        let config = json!({
            "eos_token": "<|endoftext|>",
            "added_tokens_decoder": {"290": {"content": "<|endoftext|>"}, "291": {"content": "<|im_end|>"}},
            "additional_special_tokens": ["<|im_end|>", {"content": "<|endoftext|>"}],
            "extra_special_tokens": {"turn_end": "<|im_end|>"},
        });
        tokenizer.files.retain(|(name, _)| name != TOKENIZER_CONFIG_JSON);
        tokenizer.files.push((TOKENIZER_CONFIG_JSON.to_owned(), pretty(&config)));
        let added = json!({"<|im_end|>": 291, "<|endoftext|>": 290});
        tokenizer.files.push(("added_tokens.json".to_owned(), pretty(&added)));
        let demoted = tokenizer.demote(&[291]).unwrap();
        let file = |wanted: &str| -> Value {
            let (_, bytes) = demoted.files.iter().find(|(name, _)| name == wanted).unwrap();
            serde_json::from_slice(bytes).unwrap()
        };
        let expected = json!({
            "eos_token": "<|endoftext|>",
            "added_tokens_decoder": {"290": {"content": "<|endoftext|>"}},
            "additional_special_tokens": [{"content": "<|endoftext|>"}],
            "extra_special_tokens": {},
        });
        assert_eq!(file(TOKENIZER_CONFIG_JSON), expected);
        assert_eq!(file("added_tokens.json"), json!({"<|endoftext|>": 290}));
    }

    #[test]
    fn what_cannot_be_demoted_is_said() {
        for (id, named) in
            [(87, "token 87 is not an added token"), (290, "the eos_token of tokenizer_config")]
        {
            let message = golden().demote(&[id]).unwrap_err().to_string();
            assert!(message.contains(named) && message.contains("\nhint: "), "{message}");
        }
    }
}
