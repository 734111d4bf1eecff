//! Help is an interface: a change is seen.

use crate::run;

#[test]
fn every_command_explains_itself() {
    let commands: &[&[&str]] = &[
        &[],
        &["train"],
        &["resume"],
        &["pretrain"],
        &["serve"],
        &["plan"],
        &["report"],
        &["tasks"],
        &["audit"],
        &["sample"],
        &["logprobs"],
        &["update"],
        &["export"],
        &["eval"],
        &["exec"],
        &["exec", "validate"],
        &["exec", "grade"],
        &["bench"],
        &["bench", "exec"],
        &["bench", "decode"],
        &["bench", "train"],
        &["bench", "step"],
        &["bench", "serve"],
        &["doctor"],
        &["completions"],
        &["man"],
    ];
    for command in commands {
        let ran = run(&[*command, &["--help"]].concat());
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{command:?}");
        let widest = ran.out.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= 80, "{command:?} is {widest} columns wide");
        let name = if command.is_empty() { "kelvin".to_owned() } else { command.join("_") };
        insta::assert_snapshot!(name, ran.out);
    }
}

#[test]
fn generated_documents_name_the_commands() {
    let page = run(&["man"]);
    assert_eq!(page.code, Some(0));
    assert!(page.out.contains(".TH kelvin 1") && page.out.contains("doctor"), "{}", page.out);
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert_eq!(script.code, Some(0));
        assert!(script.out.contains("logprobs"), "{shell}");
    }
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(run(&["man", "--out", dir.path().to_str().unwrap()]).code, Some(0));
    assert!(dir.path().join("kelvin-exec-validate.1").is_file());
}
