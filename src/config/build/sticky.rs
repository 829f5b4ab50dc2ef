//! `[pool.NAME.sticky]`

use std::path::Path;
use std::time::Duration;

use crate::config::model::{Secret, Sticky};
use crate::config::report::{Code, Diagnostic, Findings, printable};
use crate::config::text::token;
use crate::config::walk::Section;

/// A shorter secret is guessed.
const SECRET_MIN: usize = 32;

/// The one in use, and the one that comes or goes.
const SECRETS_MAX: usize = 2;

/// Longer than any secret; a larger file is the wrong one.
const FILE_MAX: u64 = 4096;

/// Browsers count in seconds.
const TTL_MIN: Duration = Duration::from_secs(1);

const HELP: &str = "`openssl rand -base64 48` makes a line; to rotate, add the new one as second line on every node, \
                    then move it to the top, then remove the old one";

pub(super) fn build(pool: &str, section: &Section, findings: &mut Findings) -> Option<Sticky> {
    section.given("sticky")?;
    let section = section.table("sticky")?;
    let ttl = section.duration("ttl");
    if ttl.is_some_and(|ttl| ttl < TTL_MIN) {
        let one =
            Diagnostic::error(Code::BadValue, section.place("ttl"), "`ttl`: a cookie lasts at least 1s");
        findings.push(one.label("expected at least \"1s\""));
    }
    Some(Sticky { cookie: cookie(pool, section, findings), secrets: secrets(section, findings), ttl })
}

fn cookie(pool: &str, section: &Section, findings: &mut Findings) -> String {
    let cookie = section.text("cookie").map_or_else(|| format!("EQ_{pool}"), str::to_owned);
    if section.given("cookie").is_none() && !token(&cookie) {
        let message = format!("\"EQ_{}\" cannot be the name of a cookie", printable(pool));
        let one = Diagnostic::error(Code::MissingKey, section.span.clone(), message);
        let help = "the pool's name has other letters, or too many: set `cookie`";
        findings.push(one.label("`cookie` is missing").help(Some(help)));
    }
    cookie
}

fn secrets(section: &Section, findings: &mut Findings) -> Vec<Secret> {
    if section.given("key_file").is_none() {
        let one =
            Diagnostic::error(Code::MissingKey, section.span.clone(), "[pool.NAME.sticky] lacks `key_file`");
        findings.push(one.label("`key_file` is missing").help(Some(HELP)));
    }
    let Some(file) = section.text("key_file") else { return Vec::new() };
    let secrets = findings
        .read(Path::new(file), FILE_MAX)
        .map_err(|why| (Code::Unreadable, format!("cannot be read: {why}")))
        .and_then(|text| split(&text).map_err(|why| (Code::BadValue, why)));
    secrets.unwrap_or_else(|(code, why)| {
        let message = format!("`key_file`: {} {why}", printable(file));
        let one = Diagnostic::error(code, section.place("key_file"), message);
        findings.push(one.label("expected a readable file with a secret").help(Some(HELP)));
        Vec::new()
    })
}

/// The lines of a file of secrets; the error reads on after the file's name.
fn split(text: &[u8]) -> Result<Vec<Secret>, String> {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let secrets: Vec<_> = lines.map(|line| Secret(line.to_vec())).collect();
    if secrets.is_empty() || secrets.len() > SECRETS_MAX {
        return Err(format!("holds {} lines; expected one, or two while rotating", secrets.len()));
    }
    match secrets.iter().position(|secret| secret.0.len() < SECRET_MIN) {
        Some(at) => {
            Err(format!("is too short in line {}: expected at least {SECRET_MIN} characters", at + 1))
        }
        None if secrets.len() == 2 && secrets[0] == secrets[1] => Err("holds the same line twice".into()),
        None => Ok(secrets),
    }
}
