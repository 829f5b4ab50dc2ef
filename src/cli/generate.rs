//! `equipoise schema`, `completions` and `man`: what is made from the table of keys and from the commands.

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Arguments;
use crate::config;
use crate::snapshot;

/// What stands in the man page after the commands.
const REST: &str = include_str!("generate/man.roff");

/// The schema of the configuration.
pub(super) fn schema() -> String {
    config::schema::text(&snapshot::vocabulary())
}

/// What completes the commands in a shell.
pub(super) fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command(), "equipoise", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The man page: of the command and, one after the other, of all that it does.
pub(super) fn man() -> String {
    let mut page = Vec::new();
    // Writing to memory fails never.
    let _ = whole(&mut page);
    String::from_utf8_lossy(&page).into_owned()
}

fn whole(page: &mut Vec<u8>) -> std::io::Result<()> {
    let mut command = command();
    command.build();
    let man = Man::new(command.clone())
        .manual("Equipoise")
        .source(concat!("equipoise ", env!("CARGO_PKG_VERSION")));
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    page.extend_from_slice(b".SH COMMANDS\n");
    for one in command.get_subcommands().filter(|one| one.get_name() != "help") {
        section(one, page)?;
    }
    page.extend_from_slice(REST.as_bytes());
    Ok(())
}

/// One command as a part of the page: what would be sections of a page of its own are paragraphs.
fn section(command: &Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    let man = Man::new(command.clone());
    let mut text = Vec::new();
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    page.extend_from_slice(format!(".SS {}\n", command.get_name()).as_bytes());
    let text = String::from_utf8_lossy(&text);
    for line in text.lines() {
        match line {
            // What the title has defined already.
            line if line.starts_with(".ie ") || line.starts_with(".el ") => {}
            ".SH SYNOPSIS" => {}
            ".SH DESCRIPTION" | ".SH OPTIONS" => page.extend_from_slice(b".PP\n"),
            line => page.extend_from_slice(format!("{}\n", line.trim_end()).as_bytes()),
        }
    }
    Ok(())
}

/// The commands, with a version that is the same in every build of it.
fn command() -> Command {
    Arguments::command().version(env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    /// The checked-in copies. `UPDATE_DOCS=1 cargo test --lib cli::generate` writes them anew.
    #[test]
    fn the_checked_in_copies_are_what_is_made() {
        let mut copies = vec![
            ("docs/equipoise.1".to_owned(), man()),
            ("config/equipoise.schema.json".to_owned(), schema()),
        ];
        for shell in Shell::value_variants() {
            copies.push((format!("config/completions/equipoise.{}", ending(*shell)), completions(*shell)));
        }
        for (name, text) in copies {
            let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
            if std::env::var_os("UPDATE_DOCS").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            assert!(std::fs::read_to_string(&path).unwrap() == text, "{name} is out of date");
        }
    }

    fn ending(shell: Shell) -> &'static str {
        match shell {
            Shell::Bash => "bash",
            Shell::Elvish => "elv",
            Shell::Fish => "fish",
            Shell::PowerShell => "ps1",
            Shell::Zsh => "zsh",
            _ => "other",
        }
    }

    /// Every example that is passed on, and every block of the reference page.
    #[test]
    fn the_schema_takes_the_examples() {
        let root = env!("CARGO_MANIFEST_DIR");
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        compiler.add_resource("equipoise.json", serde_json::from_str(&schema()).unwrap()).unwrap();
        let index = compiler.compile("equipoise.json", &mut schemas).unwrap();
        let page = std::fs::read_to_string(format!("{root}/docs/configuration.md")).unwrap();
        let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let mut examples: Vec<String> = blocks.map(str::to_owned).collect();
        for entry in std::fs::read_dir(format!("{root}/config")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                examples.push(std::fs::read_to_string(&path).unwrap());
            }
        }
        assert!(examples.len() > 4, "{} examples", examples.len());
        for example in examples {
            let file: serde_json::Value = toml::from_str(&example).unwrap();
            let judged = schemas.validate(&file, index);
            assert!(judged.is_ok(), "{example}\n{:#}", judged.unwrap_err());
        }
    }

    #[test]
    fn the_man_page_and_the_completions_hold_every_command_and_long_option() {
        let (page, mut command) = (man(), command());
        command.build();
        let shells: Vec<String> = Shell::value_variants().iter().map(|shell| completions(*shell)).collect();
        for one in command.get_subcommands().filter(|one| one.get_name() != "help") {
            assert!(page.contains(&format!("\n.SS {}\n", one.get_name())), "{}", one.get_name());
            assert!(shells.iter().all(|text| text.contains(one.get_name())), "{}", one.get_name());
            for long in one.get_arguments().filter_map(|argument| argument.get_long()) {
                let escaped = format!("\\-\\-{}", long.replace('-', "\\-"));
                assert!(page.contains(&escaped), "{} --{long}", one.get_name());
                assert!(shells.iter().all(|text| text.contains(long)), "{} --{long}", one.get_name());
            }
        }
    }
}
