//! Configuration files for the daemon under test.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

/// A file in the making: one listener «web», one pool «crm».
#[derive(Debug, Clone)]
pub(crate) struct Config {
    server: String,
    admin: String,
    admin_lines: String,
    listener: String,
    pool: String,
    backends: Vec<String>,
    rest: String,
    level: &'static str,
}

/// Backends by their addresses.
pub(crate) fn over(backends: &[SocketAddr]) -> Config {
    Config {
        server: "workers = 2\ndrain_timeout = \"5s\"".into(),
        admin: "127.0.0.1:0".into(),
        admin_lines: String::new(),
        listener: "bind = \"127.0.0.1:0\"".into(),
        pool: String::new(),
        backends: backends.iter().map(|address| format!("\"{address}\"")).collect(),
        rest: String::new(),
        level: "debug",
    }
}

impl Config {
    /// Replaces what stands below [server].
    pub(crate) fn server(mut self, lines: &str) -> Self {
        self.server = lines.into();
        self
    }

    /// Replaces the level of the log.
    pub(crate) fn level(mut self, level: &'static str) -> Self {
        self.level = level;
        self
    }

    /// Replaces the address of the admin endpoint.
    pub(crate) fn admin(mut self, bind: SocketAddr) -> Self {
        self.admin = bind.to_string();
        self
    }

    /// Replaces what stands below [admin] beside the address.
    pub(crate) fn admin_lines(mut self, lines: &str) -> Self {
        self.admin_lines = lines.into();
        self
    }

    /// Asks those who change something for the token of a file.
    pub(crate) fn token(self, file: &Path) -> Self {
        self.admin_lines(&format!("token_file = \"{}\"", file.display()))
    }

    /// Replaces the address of the listener.
    pub(crate) fn bind(mut self, address: SocketAddr) -> Self {
        self.listener = self.listener.replacen("127.0.0.1:0", &address.to_string(), 1);
        self
    }

    /// Adds lines to the listener.
    pub(crate) fn listener(mut self, lines: &str) -> Self {
        let _ = write!(self.listener, "\n{lines}");
        self
    }

    /// Adds lines to the pool.
    pub(crate) fn pool(mut self, lines: &str) -> Self {
        let _ = write!(self.pool, "\n{lines}");
        self
    }

    /// Adds a backend as an inline table.
    pub(crate) fn backend(mut self, table: &str) -> Self {
        self.backends.push(format!("{{ {table} }}"));
        self
    }

    /// Adds further tables at the end.
    pub(crate) fn and(mut self, tables: &str) -> Self {
        let _ = write!(self.rest, "\n{tables}");
        self
    }

    /// The file.
    pub(crate) fn text(&self) -> String {
        let Self { server, admin, admin_lines, listener, pool, backends, rest, level } = self;
        let backends = backends.join(", ");
        format!(
            "[server]\n{server}\n\n[admin]\nbind = \"{admin}\"\n{admin_lines}\n\n[log]\nformat = \"json\"\nlevel = \"{level}\"\n\n\
             [[listener]]\nname = \"web\"\npool = \"crm\"\n{listener}\n\n\
             [pool.crm]\nbackends = [{backends}]\n{pool}\n{rest}\n"
        )
    }
}
