//! Rust sources: budgets, a purpose on every module, `unsafe` in its two rooms, no file that nobody declares.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::{Block, Signature, visit::Visit};

use super::{Findings, tree::Tree};

/// Lines of a file: what to aim at, and what not to pass.
const FILE_LINES: (usize, usize) = (400, 600);
const FUNCTION_LINES: usize = 70;

/// Functions over the budget, each with the reason why cutting it would not help a reader.
const LONG_FUNCTIONS: [(&str, &str, &str); 0] = [];

const UNSAFE_ROOMS: [&str; 2] = ["crates/kelvin-exec/src/", "crates/kelvin-model/src/kernels"];

pub(super) fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::new();
    let mut declared = BTreeSet::new();
    let mut long = BTreeSet::new();
    for (path, text) in tree.with_extension("rs") {
        let n_lines = text.lines().count();
        if FILE_LINES.1 < n_lines {
            findings.push(format!("{path}: {n_lines} lines, the limit is {}", FILE_LINES.1));
        }
        let (file, tokens) = match (syn::parse_file(text), text.parse::<TokenStream>()) {
            (Ok(file), Ok(tokens)) => (file, tokens),
            (Err(error), _) => {
                findings.push(format!("{path}: {error}"));
                continue;
            }
            (_, Err(error)) => {
                findings.push(format!("{path}: {error}"));
                continue;
            }
        };
        if !file.attrs.iter().any(is_inner_doc) {
            findings.push(format!("{path}: no `//!` that says what the module is for"));
        }
        if !UNSAFE_ROOMS.iter().any(|room| path.starts_with(room)) {
            for line in unsafe_lines(tokens) {
                findings.push(format!("{path}:{line}: `unsafe` outside its rooms"));
            }
        }
        for (name, n_lines) in functions(&file) {
            if FUNCTION_LINES < n_lines {
                long.insert((path, name.clone()));
                if !LONG_FUNCTIONS.iter().any(|it| it.0 == path && it.1 == name) {
                    findings.push(format!(
                        "{path}: fn {name} has {n_lines} lines, the limit is {FUNCTION_LINES}"
                    ));
                }
            }
        }
        declared.extend(declared_files(path, &file.items));
    }
    for (path, name, _) in LONG_FUNCTIONS {
        if !long.contains(&(path, name.to_owned())) {
            findings.push(format!("{path}: fn {name} is within the budget; take it off tidy's list"));
        }
    }
    findings.extend(dead_files(tree, &declared));
    findings
}

/// Files over the aim but under the limit.
pub(super) fn long_files(tree: &Tree) -> Findings {
    tree.with_extension("rs")
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, n_lines)| FILE_LINES.0 < *n_lines)
        .map(|(path, n_lines)| format!("{path}: {n_lines} lines, aim at {}", FILE_LINES.0))
        .collect()
}

fn is_inner_doc(attribute: &syn::Attribute) -> bool {
    matches!(attribute.style, syn::AttrStyle::Inner(_)) && attribute.path().is_ident("doc")
}

/// Lines with the keyword, also inside macros, which the syntax tree leaves as tokens.
fn unsafe_lines(tokens: TokenStream) -> Vec<usize> {
    tokens
        .into_iter()
        .flat_map(|token| match token {
            TokenTree::Ident(ident) if ident == "unsafe" => vec![ident.span().start().line],
            TokenTree::Group(group) => unsafe_lines(group.stream()),
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => Vec::new(),
        })
        .collect()
}

/// Every function with a body and its lines from `fn` to the closing brace.
fn functions(file: &syn::File) -> Vec<(String, usize)> {
    struct Functions(Vec<(String, usize)>);
    impl Functions {
        fn push(&mut self, signature: &Signature, body: &Block) {
            let (first, last) = (signature.fn_token.span, body.brace_token.span.close());
            self.0.push((signature.ident.to_string(), last.end().line + 1 - first.start().line));
        }
    }
    impl<'ast> Visit<'ast> for Functions {
        fn visit_item_fn(&mut self, it: &'ast syn::ItemFn) {
            self.push(&it.sig, &it.block);
            syn::visit::visit_item_fn(self, it);
        }
        fn visit_impl_item_fn(&mut self, it: &'ast syn::ImplItemFn) {
            self.push(&it.sig, &it.block);
            syn::visit::visit_impl_item_fn(self, it);
        }
        fn visit_trait_item_fn(&mut self, it: &'ast syn::TraitItemFn) {
            if let Some(body) = &it.default {
                self.push(&it.sig, body);
            }
            syn::visit::visit_trait_item_fn(self, it);
        }
    }
    let mut functions = Functions(Vec::new());
    functions.visit_file(file);
    functions.0
}

/// The files that `mod name;` of this file may mean.
fn declared_files(path: &str, items: &[syn::Item]) -> Vec<String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.trim_end_matches(".rs");
    let is_root = ["mod", "lib", "main", "build"].contains(&stem) || is_entry(path);
    let beside = if is_root { folder.to_owned() } else { format!("{folder}/{stem}") };
    modules(&beside, items)
}

fn modules(folder: &str, items: &[syn::Item]) -> Vec<String> {
    items
        .iter()
        .filter_map(|item| if let syn::Item::Mod(module) = item { Some(module) } else { None })
        .flat_map(|module| match &module.content {
            Some((_, items)) => modules(&format!("{folder}/{}", module.ident), items),
            None => {
                vec![format!("{folder}/{}.rs", module.ident), format!("{folder}/{}/mod.rs", module.ident)]
            }
        })
        .collect()
}

/// Files that cargo finds by their place.
fn is_entry(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let in_crate = if parts[0] == "crates" { &parts[2.min(parts.len())..] } else { &parts[1..] };
    match in_crate {
        ["build.rs"] | ["src", "lib.rs" | "main.rs"] | ["src", "bin", _] => true,
        ["tests" | "benches" | "examples", name] => name.ends_with(".rs"),
        ["tests" | "benches" | "examples", _, name] => *name == "main.rs",
        _ => false,
    }
}

fn dead_files(tree: &Tree, declared: &BTreeSet<String>) -> Findings {
    let by_path: BTreeMap<&str, &str> = tree.with_extension("rs").collect();
    by_path
        .keys()
        .filter(|path| !is_entry(path) && !path.contains("/fixtures/") && !declared.contains(**path))
        .map(|path| format!("{path}: no module declares this file"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_of(path: &str, text: &str) -> Findings {
        check(&Tree::of(&[(path, text)]))
    }

    #[test]
    fn a_module_says_what_it_is_for() {
        assert!(findings_of("crates/a/src/lib.rs", "//! For tests.\nfn f() {}\n").is_empty());
        assert_eq!(findings_of("crates/a/src/lib.rs", "/// No.\nfn f() {}\n").len(), 1);
    }

    #[test]
    fn unsafe_is_found_in_macros_and_not_in_words() {
        let text = "//! unsafe\nfn f() { let _ = \"unsafe\"; }\nmacro_rules! m { () => { unsafe {} } }\n";
        assert_eq!(
            findings_of("crates/kelvin/src/main.rs", text),
            ["crates/kelvin/src/main.rs:3: `unsafe` outside its rooms"]
        );
        assert!(findings_of("crates/kelvin-exec/src/lib.rs", text).is_empty());
    }

    #[test]
    fn budgets_count_from_the_signature_to_the_brace() {
        let body = "    g();\n".repeat(FUNCTION_LINES - 2);
        let within = format!("//! x\n/// Not\n/// counted.\nfn f() {{\n{body}}}\n");
        assert!(findings_of("crates/a/src/lib.rs", &within).is_empty());
        let over = within.replace("fn f() {\n", "fn f() {\n    g();\n");
        assert_eq!(findings_of("crates/a/src/lib.rs", &over).len(), 1);
        let long = format!("//! x\n{}", "// y\n".repeat(FILE_LINES.1));
        assert_eq!(findings_of("crates/a/src/lib.rs", &long).len(), 1);
    }

    #[test]
    fn a_file_without_a_declaration_is_dead() {
        let tree = Tree::of(&[
            ("crates/a/src/lib.rs", "//! x\nmod b;\nmod inner { mod c; }\n"),
            ("crates/a/src/b.rs", "//! x\nmod d;\n"),
            ("crates/a/src/b/d.rs", "//! x\n"),
            ("crates/a/src/inner/c.rs", "//! x\n"),
            ("crates/a/src/d.rs", "//! x\n"),
            ("crates/a/tests/t.rs", "//! x\nmod common;\n"),
            ("crates/a/tests/common/mod.rs", "//! x\n"),
        ]);
        assert_eq!(check(&tree), ["crates/a/src/d.rs: no module declares this file"]);
    }
}
