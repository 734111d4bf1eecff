//! The tables of `docs/divergences/` that name settings, so that a report can say which way its run went.

use serde_json::{Value, json};

const AZR: &str = include_str!("../../../../docs/divergences/azr.md");
const R_ZERO: &str = include_str!("../../../../docs/divergences/r-zero.md");

/// Heads, rows, and which column names the settings, of a recipe's divergences; without rows for a recipe unknown here.
pub(super) fn table(recipe: &str) -> Value {
    let text = match recipe {
        "azr" => AZR,
        "r_zero" => R_ZERO,
        _ => "",
    };
    let mut lines = text.lines().map(cells);
    let heads = lines.by_ref().flatten().find(|it| it.iter().any(|cell| cell == "setting"));
    let heads = heads.unwrap_or_default();
    // The line below the heads draws the rule.
    let rows: Vec<Vec<String>> = lines.skip(1).map_while(|it| it).collect();
    let setting = heads.iter().position(|it| it == "setting");
    json!({ "heads": heads, "rows": rows, "setting": setting })
}

/// The cells of a line of a table.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(|it| it.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_whole() {
        for (recipe, n_rows) in [("azr", 20), ("r_zero", 10), ("unknown", 0)] {
            let table = table(recipe);
            let rows = table["rows"].as_array().unwrap();
            assert!(n_rows <= rows.len(), "{recipe}: {}", rows.len());
            let n_heads = table["heads"].as_array().unwrap().len();
            assert!(rows.iter().all(|it| it.as_array().unwrap().len() == n_heads), "{recipe}");
            assert!(recipe == "unknown" || table["setting"].is_u64());
        }
    }
}
