//! `docs/cli.md` is the help of every command. `KELVIN_UPDATE=1 cargo test -p kelvin --lib reference` writes it.

use std::{fmt::Write, fs, path::Path};

use clap::{Command, CommandFactory};

use super::Cli;

const HEAD: &str = "# Command line

The help of every command, generated from the code. `kelvin completions SHELL` prints a completion script, and `kelvin man` the manual
page.
";

/// Columns of the page.
const WIDTH: usize = 100;

#[test]
fn the_page_is_the_help_of_every_command() {
    let mut page = HEAD.to_owned();
    let mut root = Cli::command().term_width(WIDTH);
    root.build();
    section(&mut page, &mut root, "kelvin");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    if std::env::var_os("KELVIN_UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(written == page, "docs/cli.md is stale; the head of this test says how to write it");
}

fn section(page: &mut String, command: &mut Command, name: &str) {
    let help = command.clone().term_width(WIDTH).render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(page, "\n## {name}\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    let names: Vec<String> = command.get_subcommands().map(|it| it.get_name().to_owned()).collect();
    for below in names.iter().filter(|it| *it != "help") {
        let inner = command.find_subcommand_mut(below).expect("it was just named");
        section(page, inner, &format!("{name} {below}"));
    }
}
