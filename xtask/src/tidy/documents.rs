//! Documents and every other text: links lead somewhere, files and functions that are named exist, the changelog
//! knows this version, and no file speaks of one machine or of work that was put off.

use super::{Findings, tree::Tree};

/// Documents that tell what was, and so may name what is gone.
const HISTORIES: [&str; 2] = ["CHANGELOG.md", "docs/log.md"];

/// Words of work put off, and tests that are switched off. Cut in two, so that this file passes its own check.
const MARKS: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("#[", "ignore")];

/// Where people's home folders lie.
const HOMES: [&str; 3] = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];

pub(super) fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::new();
    for (path, text) in &tree.files {
        if path != "Cargo.lock" {
            findings.extend(check_words(tree, path, text));
        }
    }
    for (path, text) in tree.with_extension("md") {
        findings.extend(check_links(tree, path, text));
        if !HISTORIES.contains(&path) {
            findings.extend(check_names(tree, path, text));
        }
    }
    findings.extend(check_sections(tree));
    findings.extend(check_changelog(tree));
    findings
}

/// Sources cite the rules of a paper as `azr.md section 5.1`: that heading stands in docs/papers/azr.md.
fn check_sections(tree: &Tree) -> Findings {
    let mut findings = Findings::new();
    for (path, text) in tree.with_extension("rs").filter(|(path, _)| path.starts_with("crates/")) {
        for (before, cited) in text.match_indices(".md section ").map(|(at, it)| text.split_at(at + it.len()))
        {
            let paper =
                before.trim_end_matches(".md section ").rsplit([' ', '(', '/']).next().unwrap_or_default();
            let number = cited.split(|it: char| !it.is_ascii_digit() && it != '.').next().unwrap_or_default();
            let number = number.trim_end_matches('.');
            let rules = tree.files.get(&format!("docs/papers/{paper}.md")).map_or("", String::as_str);
            let is_there = rules.lines().any(|line| {
                let heading = line.trim_start_matches('#').trim_start();
                line.starts_with('#')
                    && heading.split(' ').next().unwrap_or_default().trim_end_matches('.') == number
            });
            if !is_there {
                findings.push(format!("{path}: docs/papers/{paper}.md has no section {number}"));
            }
        }
    }
    findings
}

fn check_words(tree: &Tree, path: &str, text: &str) -> Findings {
    let root = tree.root.display().to_string();
    let is_written =
        ["rs", "py", "md", "toml", "sh", "jinja"].iter().any(|it| path.ends_with(&format!(".{it}")));
    let mut findings = Findings::new();
    for (line_idx, line) in text.lines().enumerate() {
        let at = format!("{path}:{}", line_idx + 1);
        if [root.as_str()].iter().chain(&HOMES).any(|place| has_absolute(line, place)) {
            findings.push(format!("{at}: a path of one machine"));
        }
        if is_written && MARKS.iter().any(|mark| has_word(line, mark)) {
            findings.push(format!("{at}: work that was put off; do it or write an issue"));
        }
    }
    findings
}

/// Whether the path `place` stands in `line` from its root: `crates/a/src` does not hold `/src`.
fn has_absolute(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        !before.is_some_and(|it| it.is_alphanumeric() || "._-}".contains(it))
    })
}

/// Whether `word` stands in `line` with no letter on either side.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        ![before, after].iter().flatten().any(|it| it.is_alphanumeric())
    })
}

/// Relative links of a document lead to a file or folder of the checkout.
fn check_links(tree: &Tree, path: &str, text: &str) -> Findings {
    let folder = path.rsplit_once('/').map_or("", |it| it.0);
    prose(text)
        .flat_map(|(number, line)| line.split("](").skip(1).map(move |rest| (number, rest)))
        .filter_map(|(number, rest)| {
            let target = rest.split([')', '#', ' ']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                return None;
            }
            let resolved = resolve(folder, target);
            let exists = tree.root.join(&resolved).exists() || tree.files.contains_key(&resolved);
            (!exists).then(|| format!("{path}:{number}: the link to {target} leads nowhere"))
        })
        .collect()
}

fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// In backticks, `name.rs` is the end of a file's path, and `name.rs::item` is a word in that file.
fn check_names(tree: &Tree, path: &str, text: &str) -> Findings {
    let mut findings = Findings::new();
    for (number, line) in prose(text) {
        for quoted in line.split('`').skip(1).step_by(2) {
            let (file, item) = quoted.split_once("::").unwrap_or((quoted, ""));
            if !file.ends_with(".rs") || file.contains(['*', '<', ' ']) {
                continue;
            }
            let mut sources = tree.with_extension("rs").filter(|(it, _)| is_end_of(it, file)).peekable();
            if sources.peek().is_none() {
                findings.push(format!("{path}:{number}: there is no {file}"));
            } else if !item.is_empty()
                && !sources.any(|(_, text)| item.split("::").all(|part| defines(text, part)))
            {
                findings.push(format!("{path}:{number}: {file} has no {item}"));
            }
        }
    }
    findings
}

fn is_end_of(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

fn defines(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(start, _)| {
        let is_part = |it: char| it.is_alphanumeric() || it == '_';
        let before = text[..start].chars().next_back();
        let after = text[start + name.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Numbered lines outside fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(line_idx, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((line_idx + 1, line))
    })
}

fn check_changelog(tree: &Tree) -> Option<String> {
    let manifest = tree.files.get("Cargo.toml")?.parse::<toml::Table>().ok()?;
    let version = manifest.get("workspace")?.get("package")?.get("version")?.as_str()?;
    let changelog = tree.files.get("CHANGELOG.md").map_or("", String::as_str);
    let is_there = changelog.lines().any(|line| line.starts_with("## ") && line.contains(version));
    (!is_there).then(|| format!("CHANGELOG.md: no heading for version {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_names_that_lead_nowhere_are_found() {
        let tree = Tree::of(&[
            (
                "docs/a.md",
                "[x](../README.md) [y](b.md#z) `run.rs::step` `run.rs::gone`\n```\n[q](q.md)\n```\n`old.rs`",
            ),
            ("README.md", "[web](https://example.org) [a](docs/a.md)"),
            ("crates/a/src/run.rs", "fn step() {}"),
            ("docs/log.md", "`old.rs` was cut"),
        ]);
        assert_eq!(
            check(&tree),
            [
                "docs/a.md:1: the link to b.md leads nowhere",
                "docs/a.md:1: run.rs has no gone",
                "docs/a.md:5: there is no old.rs",
            ]
        );
    }

    #[test]
    fn cited_sections_exist() {
        let tree = Tree::of(&[
            ("docs/papers/azr.md", "## 3. Validation\n### 5.1 TRR++\n5.2 is no heading\n"),
            (
                "crates/a/src/lib.rs",
                "//! (azr.md section 5.1), azr.md section 3, step 2; azr.md section 3.\n//! azr.md section 5.2\n",
            ),
        ]);
        assert_eq!(check(&tree), ["crates/a/src/lib.rs: docs/papers/azr.md has no section 5.2"]);
    }

    #[test]
    fn machine_paths_and_marks_are_found() {
        let text = format!(
            "see {}someone/x\n// {}: later\nmktemp a.XXXXXX\n/nowhere/at/all/x\n",
            HOMES[0], MARKS[0]
        );
        let findings = check(&Tree::of(&[("a.py", &text)]));
        assert_eq!(findings.len(), 3, "{findings:?}");
    }

    #[test]
    fn the_changelog_knows_the_version() {
        let manifest = "[workspace.package]\nversion = '1.2.3'\n";
        assert_eq!(check(&Tree::of(&[("Cargo.toml", manifest), ("CHANGELOG.md", "## 1.2.2\n")])).len(), 1);
        assert!(check(&Tree::of(&[("Cargo.toml", manifest), ("CHANGELOG.md", "## 1.2.3\n")])).is_empty());
    }
}
