//! `[[route]]`

use super::{Key, Kind, NONE, Preset, Syntax, key, later};

pub(super) static ROUTE: &[Key] = &[
    Key {
        name: "name",
        kind: Kind::Text(Syntax::Name),
        default: Preset::Words("route-1, route-2, …"),
        doc: "Unique; stands in logs and metrics.",
    },
    Key {
        name: "listeners",
        kind: Kind::List { of: &Kind::Text(Syntax::Reference), empty: false },
        default: Preset::Words("all"),
        doc: "Names of the listeners whose requests it takes.",
    },
    Key {
        name: "match",
        kind: Kind::Table(MATCH),
        default: Preset::Words("every request"),
        doc: "Conditions. Paths are matched in a normal form (unreserved octets decoded, dot segments \
              removed); the backend gets the client's bytes.",
    },
    Key {
        name: "pool",
        kind: Kind::Text(Syntax::Reference),
        default: Preset::Required,
        doc: "Where the requests go.",
    },
    later("split", "list of tables", "none", "Several pools by weight, instead of one."),
    later("redirect", "table", "none", "An answer with a Location, instead of a pool."),
    later("respond", "table", "none", "A fixed answer, instead of a pool."),
    Key {
        name: "mirror",
        kind: Kind::Later("table", &MIRROR),
        default: NONE,
        doc: "A copy is sent, its answer thrown away.",
    },
    later("strip_prefix", "string", "none", "Taken from the path before the backend sees it."),
    Key {
        name: "replace_path",
        kind: Kind::Later("table", &REPLACE),
        default: NONE,
        doc: "Rewrites the path.",
    },
    Key {
        name: "request_headers",
        kind: Kind::Later("table", &EDITS),
        default: NONE,
        doc: "Edits of the request's fields.",
    },
    Key {
        name: "response_headers",
        kind: Kind::Later("table", &EDITS),
        default: NONE,
        doc: "Edits of the response's fields.",
    },
    Key {
        name: "timeout",
        kind: Kind::Duration { zero: false },
        default: NONE,
        doc: "The whole request, queue and retries included; 504.",
    },
    Key {
        name: "timeouts",
        kind: Kind::Later("table", &TIMEOUTS),
        default: Preset::Words("the pool's"),
        doc: "Other waits than the pool's.",
    },
    key(
        "priority",
        Kind::Choice { now: &["low", "normal", "high"], later: &[] },
        "\"normal\"",
        "Who leaves the pool's queue first, and who is dropped last where it is full.",
    ),
    later("compress", "boolean", "false", "zstd, br or gzip as the client accepts."),
    Key {
        name: "rate_limit",
        kind: Kind::Later("table", &RATE),
        default: NONE,
        doc: "How many requests of one key are taken; 429.",
    },
    later("allow", "list of networks", "none", "Only these clients; 403."),
    later("deny", "list of networks", "none", "Not these clients; 403."),
    Key {
        name: "basic_auth",
        kind: Kind::Later("table", &AUTH),
        default: NONE,
        doc: "Asks for a password; 401.",
    },
    Key {
        name: "cache",
        kind: Kind::Later("table", &CACHE),
        default: NONE,
        doc: "Keeps answers (RFC 9111).",
    },
    Key {
        name: "slo",
        kind: Kind::Table(super::slo::SLO),
        default: NONE,
        doc: "Objectives for its requests: error budget and burn rates.",
    },
    key(
        "access_log",
        Kind::Boolean,
        "true",
        "Whether its requests are written to the access log; where not, its errors are not either.",
    ),
];

static MATCH: &[Key] = &[
    Key {
        name: "host",
        kind: Kind::List { of: &Kind::Text(Syntax::HostPattern), empty: false },
        default: Preset::Words("any"),
        doc: "Case-insensitive, port and trailing dot ignored; `*.x`: one or more labels before x, never x \
              itself.",
    },
    Key {
        name: "path",
        kind: Kind::List { of: &Kind::Text(Syntax::Path), empty: false },
        default: Preset::Words("any"),
        doc: "The whole path.",
    },
    Key {
        name: "path_prefix",
        kind: Kind::List { of: &Kind::Text(Syntax::Path), empty: false },
        default: Preset::Words("any"),
        doc: "On whole segments: \"/api\" takes /api and /api/x, not /apix; \"/api/\" takes /api/ and below.",
    },
    later("path_regex", "string", "any", "A regular expression over the path."),
    later("method", "list of strings", "any", "Methods."),
    later("header", "table of name = value", "any", "Fields: exact, by regular expression, or present."),
    later("query", "table of name = value", "any", "Query parameters."),
    later("source", "list of networks", "any", "The client's address as trusted_proxies give it."),
];

static MIRROR: [Key; 2] = [
    later("pool", "string", "none", "Where the copy goes."),
    later("percent", "number", "none", "Share of the requests that are copied."),
];
static REPLACE: [Key; 2] = [
    later("regex", "string", "none", "What is replaced."),
    later("with", "string", "none", "What takes its place."),
];
static EDITS: [Key; 3] = [
    later("set", "table of name = value", "none", "Replaces or appends."),
    later("add", "table of name = value", "none", "Appends."),
    later("remove", "list of strings", "none", "Removes."),
];
static TIMEOUTS: [Key; 5] = [
    later("connect", "duration", "the pool's", "As the pool's."),
    later("response", "duration", "the pool's", "As the pool's."),
    later("idle", "duration", "the pool's", "As the pool's."),
    later("tunnel", "duration", "the pool's", "As the pool's."),
    later("keep_alive", "duration", "the pool's", "As the pool's."),
];
static RATE: [Key; 4] = [
    later("requests", "integer", "none", "How many."),
    later("per", "duration", "none", "In which time."),
    later("burst", "integer", "none", "How many at once."),
    later(
        "key",
        "client-ip, header:NAME, cookie:NAME or route",
        "none",
        "Whose requests are counted together.",
    ),
];
static AUTH: [Key; 2] = [
    later("realm", "string", "none", "Shown to the user."),
    later("users_file", "string", "none", "Users and hashes."),
];
static CACHE: [Key; 4] = [
    later("store", "memory", "none", "Where answers are kept."),
    later("policy", "lru or lfu", "none", "Which answer makes room."),
    later("max_size", "size", "none", "How much is kept."),
    later("ttl", "duration", "none", "For how long."),
];
