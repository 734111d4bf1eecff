//! The star of crates, read from the manifests; and a line in docs/dependencies.md for everything from outside.

use std::collections::BTreeSet;

use super::{Findings, tree::Tree};

/// Who may know whom. `kelvin-core` and `kelvin-python` stand at the centre, the binary knows everything.
const STAR: [(&str, &[&str]); 10] = [
    ("kelvin-core", &[]),
    ("kelvin-python", &[]),
    ("kelvin-exec", &["kelvin-core"]),
    ("kelvin-env", &["kelvin-core", "kelvin-python"]),
    ("kelvin-model", &["kelvin-core"]),
    ("kelvin-remote", &["kelvin-core"]),
    ("kelvin-selfplay", &["kelvin-core"]),
    ("kelvin-serve", &["kelvin-core"]),
    (
        "kelvin",
        &[
            "kelvin-core",
            "kelvin-python",
            "kelvin-exec",
            "kelvin-env",
            "kelvin-model",
            "kelvin-remote",
            "kelvin-selfplay",
            "kelvin-serve",
        ],
    ),
    ("xtask", &["kelvin-core"]),
];

const KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

pub(super) fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::new();
    let mut used = BTreeSet::new();
    for (path, text) in tree.with_extension("toml") {
        let in_crate = path.starts_with("crates/") || path.starts_with("xtask/");
        if !in_crate || !path.ends_with("/Cargo.toml") {
            continue;
        }
        match text.parse::<toml::Table>() {
            Ok(manifest) => {
                let dependencies = dependencies(&manifest);
                findings.extend(check_star(path, &manifest, &dependencies));
                used.extend(dependencies);
            }
            Err(error) => findings.push(format!("{path}: {error}")),
        }
    }
    findings.extend(check_outside(tree, &used));
    findings
}

/// The names of a crate's dependencies of every kind, also those of a single platform.
fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let platforms = manifest.get("target").and_then(toml::Value::as_table);
    let tables = std::iter::once(manifest)
        .chain(platforms.iter().flat_map(|it| it.values()).filter_map(toml::Value::as_table));
    tables
        .flat_map(|table| KINDS.iter().filter_map(|kind| table.get(*kind)?.as_table()))
        .flat_map(toml::Table::keys)
        .cloned()
        .collect()
}

fn check_star(path: &str, manifest: &toml::Table, dependencies: &BTreeSet<String>) -> Findings {
    let name = manifest.get("package").and_then(|it| it.get("name")).and_then(toml::Value::as_str);
    let Some((name, may_know)) = name.and_then(|name| STAR.iter().find(|it| it.0 == name)) else {
        return vec![format!("{path}: this crate is not in the star; give it its place in tidy's table")];
    };
    dependencies
        .iter()
        .filter(|it| STAR.iter().any(|(known, _)| known == it) && !may_know.contains(&it.as_str()))
        .map(|it| format!("{path}: {name} must not know {it}"))
        .collect()
}

/// Every outside dependency of the workspace is used by a crate and explained.
fn check_outside(tree: &Tree, used: &BTreeSet<String>) -> Findings {
    let explained = tree.files.get("docs/dependencies.md").map_or("", String::as_str);
    let manifest = tree.files.get("Cargo.toml").and_then(|text| text.parse::<toml::Table>().ok());
    let declared = manifest
        .as_ref()
        .and_then(|it| it.get("workspace")?.get("dependencies")?.as_table())
        .map(|table| table.keys().map(String::as_str).collect::<Vec<_>>())
        .unwrap_or_default();
    let mut findings = Findings::new();
    for name in declared {
        if !used.contains(name) && name != "kelvin" {
            findings.push(format!("Cargo.toml: no crate uses {name}"));
        }
        if !STAR.iter().any(|(known, _)| *known == name) && !explained.contains(&format!("`{name}`")) {
            findings.push(format!("docs/dependencies.md: no line for `{name}`"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_that_knows_a_leaf_is_found() {
        let tree = Tree::of(&[
            (
                "crates/kelvin-selfplay/Cargo.toml",
                "[package]\nname = 'kelvin-selfplay'\n[dependencies]\nkelvin-core = {}\n\
                 [target.'cfg(unix)'.dev-dependencies]\nkelvin-env = {}\n",
            ),
            ("crates/new/Cargo.toml", "[package]\nname = 'new'\n"),
        ]);
        let findings = check(&tree);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings.iter().any(|it| it.contains("kelvin-selfplay must not know kelvin-env")));
        assert!(findings.iter().any(|it| it.contains("not in the star")));
    }

    #[test]
    fn an_unused_or_unexplained_dependency_is_found() {
        let tree = Tree::of(&[
            ("Cargo.toml", "[workspace.dependencies]\none = '1'\ntwo = '2'\n"),
            ("crates/kelvin/Cargo.toml", "[package]\nname = 'kelvin'\n[dependencies]\none = {}\n"),
            ("docs/dependencies.md", "| `two` | unused |"),
        ]);
        let findings = check(&tree);
        assert_eq!(findings, ["docs/dependencies.md: no line for `one`", "Cargo.toml: no crate uses two"]);
    }
}
