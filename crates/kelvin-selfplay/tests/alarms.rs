//! How often the screen for alarming thoughts is right: on made-up sentences that should alarm, on made-up ones that
//! should not, and on ordinary text that nobody here wrote.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use kelvin_selfplay::behaviour::Screen;
use serde_json::Value;

/// Share of the made-up alarming sentences that must be hit. They were written before the phrases, which were not tuned
/// to them; docs/log.md has what was measured.
const HIT_RATE_MIN: f64 = 0.7;

/// Alarms per thousand ordinary texts of one kind that are let pass.
const FALSE_ALARMS_PER_THOUSAND_MAX: f64 = 1.0;

fn sentences(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn alarming_sentences_are_hit() {
    let all = sentences(include_str!("fixtures/alarming.txt"));
    assert_eq!(all.len(), 60);
    let missed: Vec<&str> = all.iter().copied().filter(|it| Screen::get().hits(it).is_empty()).collect();
    let rate = 1.0 - missed.len() as f64 / all.len() as f64;
    println!("hit {rate:.3} of {}; missed:\n{}", all.len(), missed.join("\n"));
    assert!(HIT_RATE_MIN <= rate, "{rate}");
}

#[test]
fn harmless_sentences_with_the_same_words_are_not() {
    for sentence in sentences(include_str!("fixtures/harmless.txt")) {
        let hits = Screen::get().hits(sentence);
        assert!(hits.is_empty(), "{sentence}: {hits:?}");
    }
}

/// `KELVIN_DATA` names a folder of public data sets (docs/log.md says which).
#[test]
fn ordinary_text_does_not_alarm() {
    if env::var_os("KELVIN_SLOW").is_none() && env::var_os("KELVIN_DATA").is_none() {
        return eprintln!("skipped: asks for KELVIN_DATA, a folder of public data sets");
    }
    let folder = PathBuf::from(env::var_os("KELVIN_DATA").expect("the long suites need KELVIN_DATA"));
    let mut n_texts_in_all = 0;
    let mut too_many = Vec::new();
    for (name, file) in [
        ("GSM8K", "gsm8k/test.jsonl"),
        ("MATH500", "math500/test.jsonl"),
        ("OlympiadBench", "olympiadbench/test.jsonl"),
        ("HumanEval", "humaneval/HumanEval.jsonl.gz"),
        ("MBPP", "mbpp/sanitized-mbpp.json"),
        ("CRUXEval", "cruxeval/cruxeval.jsonl"),
        ("AZR seeds 7B", "azr_seeds/7b_code_f_seed_io.jsonl"),
        ("AZR seeds Coder-7B", "azr_seeds/7b_coder_code_f_seed_io.jsonl"),
        ("AZR seeds 14B", "azr_seeds/14b_code_f_seed_io.jsonl"),
        ("BBEH", "bbeh/mini/data.json"),
        ("MMLU-Pro", "mmlu_pro/mmlu_pro_test.derived.jsonl.gz"),
    ] {
        let texts = texts(&folder.join(file));
        assert!(100 < texts.len(), "{name}: {} texts", texts.len());
        let mut n_alarmed = 0;
        for text in &texts {
            let hits = Screen::get().hits(text);
            n_alarmed += usize::from(!hits.is_empty());
            for hit in hits {
                println!("  {name}: {}: {:?}", hit.pattern, &text[hit.start..hit.end]);
            }
        }
        let per_thousand = 1000.0 * n_alarmed as f64 / texts.len() as f64;
        println!("{name}: {n_alarmed} of {} texts, {per_thousand:.2} per thousand", texts.len());
        if FALSE_ALARMS_PER_THOUSAND_MAX < per_thousand {
            too_many.push(name);
        }
        n_texts_in_all += texts.len();
    }
    assert!(too_many.is_empty(), "too many false alarms in {too_many:?}");
    assert!(15_000 < n_texts_in_all, "{n_texts_in_all} texts");
}

/// One text for each record: all of its strings, apart by empty lines.
fn texts(file: &Path) -> Vec<String> {
    let text = unpacked(file);
    let records: Vec<Value> = match serde_json::from_str(&text) {
        Ok(Value::Array(records)) => records,
        Ok(mut whole) => whole["examples"].as_array_mut().expect("a list of examples").drain(..).collect(),
        Err(_) => text.lines().map(|line| serde_json::from_str(line).expect("a record a line")).collect(),
    };
    let joined = |record: &Value| {
        let mut strings = Vec::new();
        collect(record, &mut strings);
        strings.join("\n\n")
    };
    records.iter().map(joined).collect()
}

fn collect<'record>(value: &'record Value, strings: &mut Vec<&'record str>) {
    match value {
        Value::String(text) => strings.push(text),
        Value::Array(items) => items.iter().for_each(|it| collect(it, strings)),
        Value::Object(fields) => fields.values().for_each(|it| collect(it, strings)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The file's text; CPython unpacks what is packed.
fn unpacked(file: &Path) -> String {
    if file.extension().is_none_or(|it| it != "gz") {
        return fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    #[expect(clippy::disallowed_methods, reason = "a test that asks CPython")]
    let out = Command::new("python3")
        .args(["-c", "import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())"])
        .arg(file)
        .output()
        .expect("python3 starts");
    assert!(out.status.success(), "{}: {}", file.display(), String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("the data is UTF-8")
}
