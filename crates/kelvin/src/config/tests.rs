//! What resolves, what is refused, and in which words.

use std::path::Path;

use kelvin_core::task::TaskType;
use kelvin_selfplay::settings::SolveLag;

use super::*;
use crate::error::render;

fn parse(text: &str) -> anyhow::Result<Resolved> {
    resolve(&[&Raw::parse(text, "run.toml")?])
}

fn message(text: &str) -> String {
    let error = parse(text).unwrap_err();
    assert_eq!(crate::error::exit_code(&error), crate::error::EXIT_USAGE);
    render(&error)
}

#[test]
fn every_preset_resolves_and_reads_back_the_same() {
    for preset in ["kelvin", "paper", "code"] {
        let first = parse(&format!("preset = \"{preset}\"\nsampling.solve.top_p = 0.9\nseed = 7")).unwrap();
        let second = parse(&first.text).unwrap();
        assert_eq!(first, second, "{preset}");
        assert_eq!(first.config.seed, 7);
    }
}

#[test]
fn the_resolved_file_has_every_key() {
    insta::assert_snapshot!(parse("").unwrap().text);
}

#[test]
fn later_sources_win_and_words_need_no_quotes() {
    let file = Raw::parse("preset = \"paper\"\n[azr]\nbatch_size = 4\nn_estimate = 2", "run.toml").unwrap();
    let sets = [
        "azr.batch_size=3",
        "policy.model=runs/a",
        "python.task_types=[\"induction\"]",
        "optimizer.learning_rate=1",
        "azr={n_references=1}",
        "policy.threads=2",
    ];
    let set = Raw::from_sets(&sets.map(str::to_owned)).unwrap();
    let config = resolve(&[&file, &set]).unwrap().config;
    assert_eq!((config.azr.batch_size, config.azr.n_estimate, config.azr.n_references), (3, 2, 1));
    assert_eq!(config.azr.solve_lag, SolveLag::Zero);
    assert_eq!((config.policy.model.as_str(), config.policy.options.threads), ("runs/a", 2));
    assert_eq!(config.python.task_types, [TaskType::Induction]);
    assert_eq!(config.optimizer.learning_rate, 1.0);
    let preset = Raw::from_sets(&["preset=code".to_owned()]).unwrap();
    assert_eq!(resolve(&[&file, &preset]).unwrap().config.preset, Preset::Code);
}

const MISTAKES: &[&str] = &[
    "steps = 3\n\n[azr]\nbach_size = 8",
    "batch_size = 8",
    "[zzz]\nqqq = 1",
    "azr = 5",
    "[azr]\nbatch_size = \"eight\"",
    "[azr]\nlearnability = \"one_plus\"",
    "[azr]\nsolve_lag = 2",
    "[policy.lora]\nrank = 4\ntargets = [\"lm_head\"]",
    "[policy.lora]\nrank = 4\nalpha = 0",
    "[policy.lora]\nalpha = 32",
    "policy.dtype = \"bf16\"\npolicy.lora.rank = 4",
    "policy.dtype = \"bf16\"\npolicy.lora.from = \"../kelvin-model/goldens/peft\"",
    "[policy.lora]\nfrom = \"../kelvin-model/goldens/peft\"\nrank = 8",
    "[policy.lora]\nfrom = \"../kelvin-model/goldens/peft\"\ntargets = [\"q_proj\"]",
    "[policy.lora]\nfrom = \"../kelvin-model/goldens/tied\"",
    "[policy.lora]\nfrom = \"gone\"\nrank = 0\nalpha = 16\ntargets = [\"q_proj\"]\nrslora = false",
    "[objective]\nentropy_coefficient = 0\n[policy]\nbackend = \"tinker\"\nremote.url = \"http://b\"\nlora.from = \"gone\"",
    "preset = \"fixed\"",
    "steps = ",
    "steps = 0",
    "[python]\ntask_types = [\"question\"]",
    "[eval]\ntask_types = [\"question\"]",
    "[eval]\ntask_types = [\"error\", \"error\"]",
    "[python]\nbanned_error_keywords = [\"rise\"]",
    "[azr.composite]\nchance = 2",
    "[azr.composite]\nchance = 0.5\nn_min = 4",
    "[python]\ntimeout_s = inf",
    "azr.train_estimates = false\n[sampling.estimate]\ntemperature = 0",
    "[sampling.solve]\ntemperature = 0.5",
    "[sampling.estimate]\ntemperature = 0.5",
    "sampling.eval.temperature = 1e-40",
    "[sampling.solve]\ntop_p = nan",
    "[sampling.solve]\nstop = [\"</answer>\", \"\"]",
    "[sampling.solve]\nstop = \"</answer>\"",
    "[objective]\nloss = \"grpo\"",
    "[objective]\naggregation = \"constant\"",
    "[objective]\nkl_estimator = \"k4\"",
    "[objective]\nkl_estimator = \"k2\"",
    "[objective]\nloss = \"gspo\"\ndual_clip = 5",
    "[optimizer]\nfloor = 0.1",
    "[optimizer]\nschedule = \"cosine\"",
    "[optimizer]\nbeta1 = 1",
    "[azr]\ngroup_advantage = \"grpo\"\ntrain_estimates = false",
    "[azr]\nadvantage = \"grpo\"",
    "[azr]\nestimate_stop = \"unanimous\"\nestimate_round = 8",
    "[azr]\nestimate_width = nan",
    "[azr]\nerror_seed_files = [\"errors.jsonl\"]",
    "[azr]\ninduction_seed_files = [\"f.jsonl\"]\n[python]\ntask_types = [\"deduction\"]",
    "[python]\nanswer = \"boxed\"\nprompt_set = \"compact\"",
    "[python]\nboxed_retry = true\nanswer = \"plain\"",
    "[python]\nfloat_tolerance = -1",
    "[python]\nentry = \"first\"",
    "[python.seeds]\nremove_prints = true",
    "environment = \"prime\"",
    "environment = \"prime_inversion\"",
    "environment = \"prime_inversion\"\n[eval]\nn_tasks = 216\ntask_types = [\"error\"]",
    "environment = \"prime_inversion\"\n[azr]\nseed_files = [\"seeds.jsonl\"]\n[eval]\nevery = 0",
    "[inversion]\np_min = 24\np_max = 28",
    "[inversion]\neval_p_max = 700",
    "[inversion]\ntask_types = [\"question\"]",
    "[inversion]\ninduction = \"all\"",
    "[inversion]\nn_seeds = 0",
    "[inversion]\npairs = 2",
    "recipe = \"rzero\"",
    "recipe = \"r_zero\"\n[r_zero]\npatience = 1",
    "[r_zero]\nsolver_rollouts = 1",
    "[r_zero]\nband_low = 0.8",
    "[r_zero]\nuncertainty = \"cone\"",
    "environment = \"math_question\"\n[azr]\nestimate_stop = \"interval\"",
    "environment = \"math_question\"\n[eval]\ntask_types = [\"deduction\"]",
    "[question]\nwords_min = 9\nwords_max = 8",
    "[policy.rollouts]\nservers = [\"http://localhost:8000\"]",
    "[policy.rollouts]\nengine = \"vllm\"\nservers = [\"http://localhost:8000\"]",
    "[policy.rollouts]\nengine = \"vllm\"\nservers = [\"http://localhost:8000\"]\nfolder = \"weights\"",
    "[policy.rollouts]\nengine = \"sglang\"\nservers = [\"http://a\", \"http://a\"]\nfolder = \"weights\"",
    "[policy.rollouts]\nengine = \"sglang\"\nservers = [\"http://a\"]\nfolder = \"w\"\n[sampling.solve]\ntop_p = 0.9",
    "[objective]\ndual_clip = inf\nentropy_coefficient = 0\n[policy]\nbackend = \"tinker\"\n[policy.remote]\nurl = \"http://b\"\nlosses = \"server\"\n\
     [policy.rollouts]\nengine = \"vllm\"\nservers = [\"http://a\"]\nfolder = \"w\"",
];

#[test]
fn mistakes_are_named() {
    let told: Vec<String> = MISTAKES.iter().map(|text| format!("{text}\n-----\n{}", message(text))).collect();
    insta::assert_snapshot!(told.join("\n=====\n"));
}

/// What is resolved needs the adapter's file no more.
#[test]
fn an_adapter_that_learns_on_says_what_it_is() {
    let from = "policy.lora.from = \"../kelvin-model/goldens/peft\"";
    let first = parse(from).unwrap();
    let lora = first.config.policy.training(1).unwrap().lora;
    assert_eq!((lora.rank, lora.alpha, lora.targets.len(), lora.rslora), (4, 6.0, 4, false));
    // What is written and true is no contradiction.
    let same = format!(
        "{from}\npolicy.lora.rank = 4\npolicy.lora.targets = [\"down_proj\", \"k_proj\", \"q_proj\", \"up_proj\"]"
    );
    assert_eq!(parse(&same).unwrap().config.policy.lora.rank, 4);
    let gone = first.text.replace("../kelvin-model/goldens/peft", "gone");
    assert_eq!(parse(&gone).unwrap().config.policy.lora.config(), first.config.policy.lora.config());
}

/// What docs/papers/objectives.md calls GRPO, Dr. GRPO, DAPO, RLOO, GSPO and CISPO.
#[test]
fn methods_of_the_field_resolve() {
    for keys in [
        "azr.group_advantage=grpo objective.clip_high=0.2 objective.dual_clip=1e9 objective.aggregation=sequence \
         objective.kl_coefficient=0.04",
        "azr.group_advantage=dr_grpo objective.clip_high=0.2 objective.dual_clip=1e9 \
         objective.aggregation=constant objective.constant_length=3000",
        "azr.group_advantage=grpo objective.dual_clip=1e9 objective.aggregation=token",
        "azr.group_advantage=rloo objective.loss=reinforce objective.aggregation=constant \
         objective.constant_length=1",
        "azr.group_advantage=grpo objective.loss=gspo objective.clip_low=3e-4 objective.clip_high=4e-4 \
         objective.aggregation=sequence",
        "azr.group_advantage=grpo objective.loss=cispo objective.clip_low=1 objective.clip_high=4 \
         objective.aggregation=token",
        "objective.importance_cap=2 optimizer.schedule=cosine optimizer.decay_steps=400 optimizer.floor=0.1",
    ] {
        let sets: Vec<String> = keys.split(' ').chain(["azr.n_solutions=8"]).map(str::to_owned).collect();
        let resolved = resolve(&[&Raw::from_sets(&sets).unwrap()]).unwrap();
        assert_eq!(parse(&resolved.text).unwrap(), resolved);
    }
}

/// The domain in play says what is played, whatever the other's table holds.
#[test]
fn task_types_are_those_of_the_environment() {
    let types = |text: &str| parse(text).unwrap().config.run_settings(1).task_types;
    let tables = "[inversion]\ntask_types = [\"induction\"]\n[python]\ntask_types = [\"error\"]\n[eval]\nn_tasks = 216";
    assert_eq!(types(tables), [TaskType::Error]);
    assert_eq!(types(&format!("environment = \"prime_inversion\"\n{tables}")), [TaskType::Induction]);
    // A narrower range is whole with fewer tasks.
    let narrow = "environment = \"prime_inversion\"\n[inversion]\neval_p_max = 23\n[eval]\nn_tasks = 40";
    assert_eq!(types(narrow).len(), 3);
    assert!(message(&narrow.replace("40", "39")).contains("eval.n_tasks = 39 cuts the evaluation short"));
}

#[test]
fn an_empty_section_changes_nothing() {
    assert_eq!(parse("[azr]\n").unwrap(), parse("").unwrap());
}

#[test]
fn an_assignment_has_a_key_and_a_value() {
    for bad in ["steps", "=3"] {
        let error = Raw::from_sets(&[bad.to_owned()]).unwrap_err();
        assert!(render(&error).contains("hint: write --set key=value"), "{bad}");
    }
    let unknown = Raw::from_sets(&["step=3".to_owned()]).unwrap();
    let error = resolve(&[&unknown]).unwrap_err();
    assert_eq!(render(&error), "error: --set: unknown key `step`\nhint: did you mean `steps`?\n");
}

/// The file of a run has every key, and defaults change between versions.
#[test]
fn a_run_whose_unread_settings_are_of_another_version_is_read() {
    let of_then = Raw::from_sets(&["policy.remote.entropy=\"refuse\"".to_owned()]).unwrap();
    assert!(resolve(&[&of_then]).unwrap_err().to_string().contains("policy.remote are read by"));
    let run = Raw::parse(&resolve_run(&[&of_then]).unwrap().text, "config.toml").unwrap();
    require_whole(&run, Path::new("run")).unwrap();
    assert!(resolve_run(&[&run]).unwrap().text.contains("entropy = \"refuse\""));
}
