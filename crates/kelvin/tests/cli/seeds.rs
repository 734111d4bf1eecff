//! Seed files: what one run writes seeds another, and what published files come to (`KELVIN_DATA` as in `data.rs`).

use std::{fs, path::Path};

use kelvin_python::{Strip, strip};
use serde_json::{Value, json};

use crate::{
    Ran, command,
    data::{data_folder, rows, validated},
    feed,
};

/// A run that stops after its seeds, with as many of each type as `n_seeds`.
fn seed(run: &Path, n_seeds: usize, sets: &[String]) -> Ran {
    let mut args: Vec<String> =
        ["train", "--plain", "--run-dir", run.to_str().unwrap()].map(str::to_owned).into();
    let fixed =
        ["azr.seed_only=true", "eval.every=0", "azr.batch_size=1", "sampling.solve_prompt_tokens_max=100000"];
    let sets = fixed
        .map(str::to_owned)
        .into_iter()
        .chain([format!("azr.seed_factor={n_seeds}")])
        .chain(sets.to_vec());
    args.extend(sets.flat_map(|set| ["--set".to_owned(), set]));
    feed(command(&args.iter().map(String::as_str).collect::<Vec<_>>()), "")
}

fn set(key: &str, file: &Path) -> String {
    format!("azr.{key}=[{:?}]", file.to_str().unwrap())
}

#[test]
fn the_tasks_of_a_run_seed_another() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let triplets: Vec<String> = (0..3)
        .map(|n| {
            json!({"snippet": format!("def g(a):\n    return a + {n}"), "input": "1", "output": "?"})
                .to_string()
        })
        .collect();
    let bad = json!({"snippet": "def f(a):\n    return a / 0", "input": "1"}).to_string();
    fs::write(at("triplets.jsonl"), format!("{}\n{bad}\n", triplets.join("\n"))).unwrap();
    let induction = json!({"snippet": "def f(a):\n    return -a", "inputs": ["1", "2", "3"], "outputs": [], "message": "m"});
    fs::write(at("induction.jsonl"), induction.to_string()).unwrap();

    // One seed of each type, and then as many as there are.
    let files =
        [set("seed_files", &at("triplets.jsonl")), set("induction_seed_files", &at("induction.jsonl"))];
    let first = seed(&at("first"), 1, &files);
    assert_eq!(first.code, Some(0), "{}", first.err);
    let line = "3 of 4 records of ";
    assert!(
        first.err.contains(line) && first.err.contains("are seeds; refused: 1 runtime_error\n"),
        "{}",
        first.err
    );
    assert!(first.out.contains("--format azr"), "{}", first.out);
    let tasks = fs::read_to_string(at("first/tasks.jsonl")).unwrap();
    assert_eq!(tasks.lines().count(), 3, "{tasks}");
    assert!(tasks.contains("a + 0") && !tasks.contains("a + 1"), "cut to the number of seeds");

    let written = at("seeds.jsonl");
    let args =
        ["tasks", at("first").to_str().unwrap(), "--format", "azr", "--out", written.to_str().unwrap()]
            .map(str::to_owned);
    let told = feed(command(&args.iter().map(String::as_str).collect::<Vec<_>>()), "");
    assert_eq!(told.code, Some(0), "{}", told.err);
    let text = fs::read_to_string(&written).unwrap();
    assert_eq!(text.lines().count(), 2, "deduction and abduction are one line: {text}");
    for field in ["original_snippet", "imports", "composite_functions"] {
        assert!(text.contains(field), "{text}");
    }
    let again = seed(&at("again"), 1, &[set("seed_files", &written), set("induction_seed_files", &written)]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert_eq!(fs::read_to_string(at("again/tasks.jsonl")).unwrap(), tasks);
    let resumed = feed(command(&["resume", "--plain", at("again").to_str().unwrap()]), "");
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    assert_eq!(fs::read_to_string(at("again/tasks.jsonl")).unwrap(), tasks);

    let missing = seed(&at("missing"), 1, &[set("seed_files", &at("nowhere.jsonl"))]);
    assert_eq!(missing.code, Some(1), "{}", missing.err);
    assert!(
        missing.err.contains("cannot read the seed file") && missing.err.contains("hint: "),
        "{}",
        missing.err
    );
    assert!(!at("missing").exists(), "what is missing is found before a folder is made");
}

/// Of each published file: what the preset `kelvin` says of its records.
const PUBLISHED: [(&str, &str, &str); 6] = [
    (
        "14b_code_f_seed_io",
        "induction_seed_files",
        "242 of 256 records are seeds; \
         refused: 2 banned_import, 5 input_not_literal, 2 output_too_large, 3 non_literal_output, 1 hash_order_dependent, 1 leak",
    ),
    (
        "14b_seed_io",
        "seed_files",
        "247 of 256 records are seeds; \
         refused: 4 banned_import, 1 input_not_literal, 1 non_literal_output, 3 hash_order_dependent",
    ),
    (
        "7b_code_f_seed_io",
        "induction_seed_files",
        "240 of 256 records are seeds; \
         refused: 1 banned_import, 8 input_not_literal, 1 output_too_large, 2 non_literal_output, 3 leak, 1 prompt_too_long",
    ),
    (
        "7b_coder_code_f_seed_io",
        "induction_seed_files",
        "234 of 256 records are seeds; \
         refused: 3 banned_import, 7 input_not_literal, 1 output_too_large, 3 non_literal_output, 1 hash_order_dependent, 6 leak, 1 prompt_too_long",
    ),
    (
        "7b_coder_seed_io",
        "seed_files",
        "246 of 256 records are seeds; \
         refused: 2 banned_import, 2 input_not_literal, 3 non_literal_output, 3 hash_order_dependent",
    ),
    (
        "7b_seed_io",
        "seed_files",
        "240 of 256 records are seeds; \
         refused: 6 banned_import, 1 banned_call, 4 input_not_literal, 1 runtime_error, 1 output_too_large, 3 non_literal_output",
    ),
];

#[test]
fn published_files_are_seeds_but_for_named_reasons() {
    let Some(folder) = data_folder() else { return };
    let mut wrong = Vec::new();
    for (name, key, expected) in PUBLISHED {
        let dir = tempfile::tempdir().unwrap();
        let file = folder.join(format!("azr_seeds/{name}.jsonl"));
        let types = match key {
            "seed_files" => "python.task_types=[\"deduction\"]",
            _ => "python.task_types=[\"induction\"]",
        };
        let limits = ["python.timeout_s=10", "python.memory_mb=512", "python.output_bytes=4096"];
        let mut sets = vec![set(key, &file), types.to_owned()];
        sets.extend(limits.map(str::to_owned));
        let ran = seed(&dir.path().join("run"), 1, &sets);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let line = ran.err.lines().find(|line| line.contains(" records of ")).expect("a line of counts");
        let told = line.replace(&format!(" of {}", file.display()), "");
        if told != expected {
            wrong.push(format!("{name}: {told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What `exec validate` says of programs on an input each.
fn outputs(programs: &[(String, String)]) -> Vec<Value> {
    let rows: Vec<Value> =
        programs.iter().map(|(program, input)| json!({"program": program, "input": input})).collect();
    let verdicts = validated(&rows, "code").into_iter();
    verdicts.map(|verdict| json!([verdict["status"], verdict["output"]])).collect()
}

/// The programs without comments, docstrings and prints, and without globals too.
fn stripped(programs: &[(String, String)]) -> [Vec<(String, String)>; 2] {
    let quiet = Strip { remove_comments: true, remove_print: true, remove_after_return: false };
    let all = Strip { remove_after_return: true, ..quiet };
    [quiet, all].map(|what| {
        let stripped = |(program, input): &(String, String)| (strip(program, what).unwrap(), input.clone());
        programs.iter().map(stripped).collect()
    })
}

#[test]
fn a_stripped_program_does_the_same_unless_it_needs_a_global() {
    let programs = [
        (
            "# c\nimport math\n'no docstring'\ndef f(a):\n    '''doc'''\n    print(a)  # c\n    return math.floor(a)",
            "2.5",
        ),
        (
            "class T:\n    'doc'\n    def __init__(self, v): self.v = v; print(v)\n\
             def f(a):\n    for x in a: print(x)\n    return [T(x).v for x in a]\nprint(f([1]))",
            "[1, 2]",
        ),
        (
            "def f(a):\n    if not a: print('#')\n    else:\n        # nothing\n        return '#'\n    return a  # '#'",
            "3",
        ),
        ("K = 2  # a global\ndef f(a):\n    return a * K", "4"),
    ]
    .map(|(program, input)| (program.to_owned(), input.to_owned()));
    let [quiet, bare] = stripped(&programs);
    let whole = outputs(&programs);
    let values = ["2", "[1, 2]", "'#'", "8"].map(|value| json!(["valid", value]));
    assert_eq!(whole, values);
    assert_eq!(outputs(&quiet), whole);
    let bare = outputs(&bare);
    assert_eq!(bare[..3], whole[..3]);
    assert_eq!(bare[3][0], "rejected", "the global is gone");
}

#[test]
fn published_programs_do_the_same_without_comments_and_prints() {
    let Some(folder) = data_folder() else { return };
    for (name, ..) in PUBLISHED.iter().filter(|it| it.1 == "seed_files") {
        let records = rows(&folder.join(format!("azr_seeds/{name}.jsonl")));
        let text = |record: &Value, field: &str| record[field].as_str().unwrap().to_owned();
        let programs: Vec<(String, String)> =
            records.iter().map(|it| (text(it, "snippet"), text(it, "input"))).collect();
        let [quiet, _] = stripped(&programs);
        assert_eq!(outputs(&quiet), outputs(&programs), "{name}");
    }
}
