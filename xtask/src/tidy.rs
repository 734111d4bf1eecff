//! Checks of the house that the compiler does not make. `cargo xtask tidy` prints what is wrong; the same checks
//! are a test of this crate, so that `cargo test --workspace` makes them too.

mod documents;
mod manifests;
mod sources;
mod tree;

use std::path::Path;

use anyhow::ensure;

use tree::Tree;

/// What is wrong, one line each: the file, then what to change.
type Findings = Vec<String>;

/// Prints findings and warnings; fails if there is a finding.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let tree = Tree::read(root)?;
    for warning in sources::long_files(&tree) {
        println!("warning: {warning}");
    }
    let findings = check(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    ensure!(findings.is_empty(), "the house is not tidy: {} findings", findings.len());
    println!("tidy: {} files", tree.files.len());
    Ok(())
}

fn check(tree: &Tree) -> Findings {
    let mut findings = manifests::check(tree);
    findings.extend(sources::check(tree));
    findings.extend(documents::check(tree));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let findings = check(&Tree::read(crate::root()).unwrap());
        assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    }
}
