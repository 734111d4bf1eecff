//! `docs/config.md` is every key with what the code says of it. `KELVIN_UPDATE=1 cargo test -p kelvin --lib reference`
//! writes it.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use kelvin_selfplay::settings::Recipe;
use toml::{Table, Value};

use super::Preset;
use crate::documented::Sources;

const HEAD: &str = "# Configuration

Every key of a configuration, generated from the code. A file holds any of them, `--set key=value` goes over the file, and what
neither says has the default of the preset. `kelvin train CONFIG --dry-run` prints what a configuration comes to. Names of the
original are read, too, and translated with a note ([divergences/azr.md](divergences/azr.md)).

Defaults are those of preset `kelvin` and recipe `azr`; where another preset or recipe has another one, it stands behind. An
empty text means that there is none.
";

/// Presets and recipes beside preset `kelvin` and recipe `azr`, and whose values each is compared with.
const OTHERS: &[(Preset, Recipe, &str)] = &[
    (Preset::Paper, Recipe::Azr, "`paper`"),
    (Preset::Code, Recipe::Azr, "`code`"),
    (Preset::Kelvin, Recipe::RZero, "R-Zero"),
    (Preset::Paper, Recipe::RZero, "R-Zero, `paper`"),
    (Preset::Code, Recipe::RZero, "R-Zero, `code`"),
];

#[test]
fn the_page_is_the_configuration() {
    let sources = Sources::read();
    let defaults = table(Preset::Kelvin, Recipe::Azr);
    let others: Vec<(Table, &str)> =
        OTHERS.iter().map(|&(preset, recipe, name)| (table(preset, recipe), name)).collect();
    let mut page = Page { text: HEAD.to_owned(), sources: &sources, others: &others };
    page.section(&defaults, &[], "Config");
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/config.md");
    if std::env::var_os("KELVIN_UPDATE").is_some() {
        fs::write(&path, &page.text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(written == page.text, "docs/config.md is stale; the head of this test says how to write it");
}

fn table(preset: Preset, recipe: Recipe) -> Table {
    Table::try_from(preset.config(recipe)).unwrap()
}

struct Page<'it> {
    text: String,
    sources: &'it Sources,
    others: &'it [(Table, &'it str)],
}

impl Page<'_> {
    /// Keys of a table whose struct is `of`; the tables below it follow.
    fn section(&mut self, table: &Table, path: &[&str], of: &str) {
        let (mut rows, mut below) = (String::new(), Vec::new());
        for (key, value) in table {
            let field = self.sources.field(of, key);
            let here: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
            match value {
                Value::Table(inner) => below.push((inner, here, field)),
                value => {
                    let otherwise = self.otherwise(value, &here);
                    let _ = writeln!(rows, "| `{key}` | {} | {} |", shown(value) + &otherwise, field.says());
                }
            }
        }
        if !rows.is_empty() {
            let name =
                if path.is_empty() { "At the top".to_owned() } else { format!("`[{}]`", path.join(".")) };
            let _ = write!(self.text, "\n## {name}\n\n| key | default | meaning |\n|---|---|---|\n{rows}");
        }
        for (inner, here, field) in below {
            self.section(inner, &here, &field.of);
        }
    }

    /// What others have in the place of a default.
    fn otherwise(&self, default: &Value, path: &[&str]) -> String {
        let at = |table: &Table| {
            let (last, tables) = path.split_last().expect("a key has a name");
            let table = tables.iter().try_fold(table.clone(), |it, key| it.get(*key)?.as_table().cloned());
            table.and_then(|it| it.get(*last).cloned())
        };
        let mut text = String::new();
        let mut of_r_zero = None;
        for (table, name) in self.others {
            let value = at(table);
            // R-Zero's other presets are compared with R-Zero's own default.
            let usual = if name.starts_with("R-Zero, ") { of_r_zero.clone() } else { Some(default.clone()) };
            if *name == "R-Zero" {
                of_r_zero.clone_from(&value);
            }
            if value != usual {
                let _ = write!(text, "; {name}: {}", value.as_ref().map_or("none".to_owned(), shown));
            }
        }
        text
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        // A number of 32 bits has fewer digits than its neighbour of 64.
        Value::Float(it) if f64::from(*it as f32) == *it => {
            Value::Float((*it as f32).to_string().parse().unwrap())
        }
        value => value.clone(),
    };
    format!("`{text}`").replace('|', "\\|")
}
