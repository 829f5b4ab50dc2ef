//! Commands: each has its arguments here and its work in a file of its own below.

mod check;
mod generate;
mod output;
mod remote;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::{app, demo, tls};

/// Where the configuration is expected when no `-c` says otherwise.
const CONFIG: &str = "/etc/equipoise/equipoise.toml";

use crate::app::EXIT_CONFIG;

/// A layer-7 HTTP reverse-proxy load balancer.
#[derive(Debug, Parser)]
#[command(name = "equipoise", version = version(), arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the balancer in the foreground
    Run {
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Shows the balancer at work, with backends of its own; nothing else is needed
    Demo {
        /// The port to balance on (default: 8080, or one that is free)
        #[arg(long, value_name = "N")]
        port: Option<u16>,
    },
    /// Makes a running balancer read its configuration again
    Reload(remote::ReloadArgs),
    /// Shows the pools of a running balancer
    Status(remote::StatusArgs),
    /// Shows a running balancer live in the terminal, and takes orders there; ? lists the keys
    Top(remote::TopArgs),
    /// Sends no new clients to a backend; those that are with it stay, and what runs goes on
    Drain(remote::OrderArgs),
    /// Sends nothing new at all to a backend, and checks it no more; what runs goes on
    Maintenance(remote::OrderArgs),
    /// Ends drain or maintenance of a backend
    Enable(remote::OrderArgs),
    /// Gives a backend another weight, until a reload changes what the file says of it
    Weight(remote::WeightArgs),
    /// Tells what would become of a request, or what became of one: its route, its backend, and why
    Explain(remote::ExplainArgs),
    /// Reads and checks the configuration without binding anything
    ///
    /// Shows all errors and warnings at once. Exits with 0 when the file can be used, 78 when it cannot.
    Check {
        #[command(flatten)]
        file: ConfigFile,
        /// text for people, json for editors and CI
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Prints the JSON schema of the configuration (draft 2020-12), for editors
    Schema,
    /// Prints what makes a shell complete the commands and options
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Prints the man page, in roff
    Man,
}

/// The configuration file of `run` and `check`.
#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file
    #[arg(short = 'c', long = "config", value_name = "FILE", default_value = CONFIG)]
    path: PathBuf,
}

/// How output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For tools.
    Json,
}

/// Runs the command line and gives its exit code: 0 well, 1 a failure at run time, 2 wrong usage, 78 the
/// configuration is wrong.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run { file } => app::run(app::Source::File(file.path)),
        Command::Demo { port } => demo::run(port),
        Command::Reload(args) => remote::reload(&args),
        Command::Status(args) => remote::status(&args),
        Command::Top(args) => remote::top(&args),
        Command::Drain(args) => remote::order(&args, "drain"),
        Command::Maintenance(args) => remote::order(&args, "maintenance"),
        Command::Enable(args) => remote::order(&args, "ready"),
        Command::Weight(args) => remote::weigh(&args),
        Command::Explain(args) => remote::explain(&args),
        Command::Check { file, format } => check::run(&file.path, format),
        Command::Schema => output::print(&generate::schema()),
        Command::Completions { shell } => output::print(&generate::completions(shell)),
        Command::Man => output::print(&generate::man()),
    }
}

/// Version, commit, TLS provider.
fn version() -> &'static str {
    const COMMIT: &str = match option_env!("EQUIPOISE_COMMIT") {
        Some(commit) => commit,
        None => "unknown",
    };
    static TEXT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    TEXT.get_or_init(|| format!("{} (commit {COMMIT}; TLS: {})", env!("CARGO_PKG_VERSION"), tls::PROVIDER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_file_has_a_default_place() {
        let Command::Check { file, format } = Arguments::parse_from(["equipoise", "check"]).command else {
            panic!("not check")
        };
        assert_eq!(file.path, PathBuf::from(CONFIG));
        assert_eq!(format, Format::Text);
    }

    #[test]
    fn wrong_usage_is_exit_code_2() {
        let error = Arguments::try_parse_from(["equipoise", "check", "--format", "xml"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
    }
}
