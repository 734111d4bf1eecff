//! What was read out of responses that publishers gave out with their verdicts: MMLU-Pro's of many models, LiveCodeBench's
//! of o1, BIG-Bench Hard's of code-davinci-002. Over data that is not in this repository: `KELVIN_OUTPUTS` is a folder with
//! `mmlu_pro/*.json` (eval_results of TIGER-AI-Lab/MMLU-Pro, unpacked), `livecodebench/*.json` (of LiveCodeBench/submissions)
//! and `bbh`, a clone of suzgunmirac/BIG-Bench-Hard.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use kelvin_core::benchmark::{Profile, PromptMode};
use kelvin_env::{
    benchmarks::{DataFolder, named},
    grading::{choice::chosen, code::between_last_fences, paper::mmlu_pro_choice},
};
use serde_json::Value;

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let Some(root) = env::var_os("KELVIN_OUTPUTS") else {
        eprintln!("skipped: asks for KELVIN_OUTPUTS, a folder of published outputs");
        return Vec::new();
    };
    let folder = PathBuf::from(root).join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|it| it.unwrap().path())
        .filter(|it| it.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn stem(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_stem().unwrap().to_string_lossy()
}

/// The publisher's rule gives the publisher's letters, where there are any: where it finds none the file has one by lot, and
/// older files have none where the last of the three patterns would find one.
#[test]
fn letters_of_mmlu_pro_are_the_publishers() {
    for path in files("mmlu_pro", ".json") {
        let (mut n, mut n_differ, mut n_none, mut n_clean, mut n_clean_none) = (0, 0, 0, 0, 0);
        let (mut right, mut right_clean) = (0, 0);
        for row in json(&path).as_array().unwrap() {
            let Some(response) = row["generated_text"].as_str().or_else(|| row["model_outputs"].as_str())
            else {
                continue;
            };
            n += 1;
            let options: Vec<&str> =
                row["options"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
            let published = row["pred"].as_str().and_then(|it| it.chars().next());
            let gold = row["answer"].as_str().and_then(|it| it.chars().next());
            let own = mmlu_pro_choice(response);
            let clean = chosen(response, &options).map(|it| char::from(b'A' + it as u8));
            n_none += usize::from(own.is_none());
            n_differ += usize::from(own.is_some() && published.is_some() && own != published);
            n_clean_none += usize::from(clean.is_none());
            n_clean += usize::from(clean.is_some() && clean == published);
            right += usize::from(published == gold);
            right_clean += usize::from(clean == gold);
        }
        let percent = |part: usize| 100.0 * part as f64 / f64::from(n);
        println!(
            "{}: {n} responses, {n_differ} letters differ, {n_none} without one; clean: {:.2} % alike, {n_clean_none} without; \
             right {:.2} %, clean {:.2} %",
            stem(&path),
            percent(n_clean),
            percent(right),
            percent(right_clean)
        );
        assert_eq!(n_differ, 0, "{}", stem(&path));
    }
}

/// What stands between the last fences is what LiveCodeBench ran.
#[test]
fn programs_of_livecodebench_are_the_publishers() {
    for path in files("livecodebench", ".json") {
        let mut n = 0;
        for row in json(&path).as_array().unwrap() {
            let lists = ["output_list", "code_list"].map(|name| row[name].as_array().unwrap());
            for (response, program) in lists[0].iter().zip(lists[1]) {
                n += 1;
                let program = program.as_str().unwrap();
                let ours = between_last_fences(response.as_str().unwrap()).unwrap_or_default();
                assert_eq!(ours, program, "{}: {}", stem(&path), row["question_id"]);
            }
        }
        println!("{}: {n} programs", stem(&path));
    }
}

/// The share of right responses to each task is the published one.
#[test]
fn scores_of_bbh_are_the_publishers() {
    let folder = "bbh/code-davinci-002-outputs/code-davinci-002-cot";
    let outputs = files(folder, "0-255000.json");
    if outputs.is_empty() {
        return;
    }
    let data = DataFolder::at(Path::new(&env::var_os("KELVIN_OUTPUTS").unwrap())).unwrap();
    let bench = named("bbh").unwrap().open(&data, Profile::Paper, || unreachable!("nothing runs")).unwrap();
    let mut item_idx = 0;
    for path in outputs {
        let mut n_right = 0;
        let rows = json(&path);
        let rows = rows["outputs"].as_array().unwrap();
        for row in rows {
            let task = &bench.items()[item_idx].group;
            assert!(stem(&path).starts_with(task.as_str()), "{task} {}", stem(&path));
            let response = row["prediction"].as_str().unwrap();
            n_right += usize::from(bench.grade(item_idx, PromptMode::Plain, response).unwrap().is_correct());
            item_idx += 1;
        }
        let metrics = json(&path.with_file_name(format!("{}_eval_metrics.jsonl", stem(&path))));
        let accuracy = 100.0 * n_right as f64 / rows.len() as f64;
        println!("{}: {accuracy:.2} %, published {}", stem(&path), metrics["accuracy"]);
        assert!((accuracy - metrics["accuracy"].as_f64().unwrap()).abs() < 1e-9, "{}", stem(&path));
    }
    assert_eq!(item_idx, bench.items().len());
}
