//! The README's own commands. A block whose info string is `sh ci` is run as written, from the root, so that what
//! a stranger types is what is checked.

use std::path::Path;

use anyhow::{Context, ensure};

use crate::shell;

const MARK: &str = "```sh ci";

/// Runs the marked blocks in order; the first failure ends the task.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(root.join("README.md")).context("cannot read README.md")?;
    let blocks = marked_blocks(&text)?;
    ensure!(!blocks.is_empty(), "README.md has no block marked `{MARK}`");
    for block in blocks {
        eprintln!("{}", block.trim_end());
        shell::run(root, "bash", &["-euo", "pipefail", "-c", &block], &[])?;
    }
    Ok(())
}

fn marked_blocks(text: &str) -> anyhow::Result<Vec<String>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_end() != MARK {
            continue;
        }
        let mut block = String::new();
        loop {
            let line = lines.next().context("a marked block of README.md is not closed")?;
            if line.trim_end() == "```" {
                break;
            }
            block.push_str(line);
            block.push('\n');
        }
        blocks.push(block);
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_blocks_are_taken_and_in_order() {
        let text = "a\n```sh ci\none\n```\n```sh\nno\n```\n```sh ci\ntwo\nthree\n```\n";
        assert_eq!(marked_blocks(text).unwrap(), ["one\n", "two\nthree\n"]);
        assert!(marked_blocks("```sh ci\nopen\n").is_err());
    }
}
