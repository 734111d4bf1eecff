//! `docs/metrics.md` is the glossary in the code, as text. `KELVIN_UPDATE=1 cargo test -p kelvin-selfplay` writes it.

use kelvin_selfplay::metrics::DEFINITIONS;

#[test]
fn the_page_is_the_glossary() {
    let mut page = String::from(
        "# Metrics\n\nWhat `metrics.jsonl` can hold, generated from `crates/kelvin-selfplay/src/metrics/glossary.rs`. `*` \
         stands for a task type, a reason,\na type or a count, `{role}` for `proposer` or `solver`. Whatever may differ between \
         two identical runs lies under `timing/` or\n`system/` and nowhere else.\n\n| metric | unit | meaning |\n|---|---|---|\n",
    );
    for it in DEFINITIONS {
        page.push_str(&format!("| `{}` | {} | {} |\n", it.pattern, it.unit, it.meaning));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    if std::env::var_os("KELVIN_UPDATE").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == page,
        "docs/metrics.md is stale; see the head of this test"
    );
}
