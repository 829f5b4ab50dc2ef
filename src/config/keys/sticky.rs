//! `[pool.NAME.sticky]`

use super::{Key, Kind, Preset, Syntax};

pub(super) static STICKY: &[Key] = &[
    Key {
        name: "cookie",
        kind: Kind::Text(Syntax::Cookie),
        default: Preset::Words("EQ_ and the pool's name"),
        doc: "Its name. It is removed from requests before the backend sees them.",
    },
    Key {
        name: "key_file",
        kind: Kind::Text(Syntax::File),
        default: Preset::Words("none: it must stand in the table"),
        doc: "A secret of at least 32 bytes, the same on every node; `openssl rand -base64 48` makes one. Two lines \
              while rotating: the first makes cookies, both read them. Read again at each reload.",
    },
    Key {
        name: "ttl",
        kind: Kind::Duration { zero: false },
        default: Preset::Words("a session cookie"),
        doc: "How long a cookie holds, at least 1s. It is enforced here too, and a client that comes back gets a new \
              one when half of it is over.",
    },
];
