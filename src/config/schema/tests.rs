use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use super::*;

fn vocabulary() -> Vocabulary<'static> {
    Vocabulary {
        balance: &["round-robin", "random"],
        errors: &[404, 503],
        log_variables: &["client"],
        listener_tls: |_| Vec::new(),
        pool_tls: |_, _| Vec::new(),
        otlp: |_| Vec::new(),
    }
}

struct Judge {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Judge {
    /// Fails where the schema itself is no good one of its draft.
    fn new(vocabulary: &Vocabulary<'_>) -> Self {
        let schema: Value = serde_json::from_str(&text(vocabulary)).unwrap();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("equipoise.json", schema).unwrap();
        let index = compiler.compile("equipoise.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn judge(&self, file: &str) -> Result<(), String> {
        let file: Value = toml::from_str(file).unwrap_or_else(|error| panic!("{error}\n{file}"));
        self.schemas.validate(&file, self.index).map_err(|error| format!("{error:#}"))
    }
}

const SMALLEST: &str = "[[listener]]\nbind = '127.0.0.1:80'\npool = 'a'\n[pool.a]\nbackends = 'h:1'\n";

#[test]
fn it_refuses_what_the_reader_refuses() {
    let judge = Judge::new(&vocabulary());
    judge.judge(SMALLEST).unwrap();
    let wrong = [
        "",
        "listener = []",
        "[[listener]]\npool = 'a'",
        "[[listener]]\nbind = '127.0.0.1'",
        "[[listener]]\nbind = []",
        "[[listener]]\nbind = '127.0.0.1:80'\nbinds = 1",
        "[[listener]]\nbind = '127.0.0.1:80'\nprotocols = ['h3']",
        "[[listener]]\nbind = '127.0.0.1:80'\ntimeouts = { head = 10 }",
        "[[listener]]\nbind = '127.0.0.1:80'\ntimeouts = { head = '0s' }",
        "[[listener]]\nbind = '127.0.0.1:80'\ntimeouts = { head = '10s5m' }",
        "[[listener]]\nbind = '127.0.0.1:80'\nlimits = { max_head_size = '64kb' }",
        "[[listener]]\nbind = '127.0.0.1:80'\nerror_pages = { 418 = 'tea' }",
        "[[listener]]\nbind = '127.0.0.1:80'\n[pool.'a/b']\nbackends = 'h:1'",
        "[[listener]]\nbind = '127.0.0.1:80'\n[pool.a]",
        "[[listener]]\nbind = '127.0.0.1:80'\n[pool.a]\nbackends = { address = 'h:1' }",
        "[[listener]]\nbind = '127.0.0.1:80'\n[pool.a]\nbackends = [{ weight = 1 }]",
        "[[listener]]\nbind = '127.0.0.1:80'\n[pool.a]\nbackends = 'h:1'\nbalance = 'fair'",
        "[[listener]]\nbind = '127.0.0.1:80'\n[pool.a]\nbackends = 'h:1'\nmax_connections = 'adaptiv'",
        "[[listener]]\nbind = '127.0.0.1:80'\n[pool.a]\nbackends = 'h:1'\nhedge = 1",
        "[[listener]]\nbind = '127.0.0.1:80'\n[pool.a]\nbackends = 'h:1'\nretry = { on = [200] }",
        "[[listener]]\nbind = '127.0.0.1:80'\n[pool.a]\nbackends = 'h:1'\nslo = { availability = 100 }",
        "[[listener]]\nbind = '127.0.0.1:80'\n[[route]]\npool = 'a'\nstrip_prefix = '/x'",
        "[[listener]]\nbind = '127.0.0.1:80'\n[tracing]\nsample = 2.0",
    ];
    for file in wrong {
        assert!(judge.judge(file).is_err(), "taken: {file}");
        assert!(super::super::read("f", file, &vocabulary()).config.is_none(), "the reader takes: {file}");
    }
}

#[test]
fn it_takes_what_the_reader_takes() {
    let judge = Judge::new(&vocabulary());
    let right = [
        "max_connections = 7",
        "max_connections = 'adaptive'",
        "backends = ['h:1', { address = '[::1]:80', weight = 0, backup = true }]",
        "pass_host = false\n",
        "pass_host = 'crm.example.com'",
        "slow_start = '0s'",
        "slow_start = '1m30s'",
        "retry = { on = [], attempts = 1 }",
        "retry = { on = ['connect', 503, '500-502'] }",
        "health = { expect_status = 200 }",
        "health = { expect_status = ['200-299', 401] }",
        "passive = { latency_factor = 2 }",
        "hash_key = 'cookie:session'\n",
        "balance = 'random'",
    ];
    for line in right {
        let head = "[[listener]]\nbind = ['127.0.0.1:80']\npool = 'a'\n[pool.a]\n";
        let backends = if line.starts_with("backends") { "" } else { "backends = 'h:1'\n" };
        let file = format!("{head}{backends}{line}\n");
        assert!(super::super::read("f", &file, &vocabulary()).config.is_some(), "the reader refuses: {file}");
        judge.judge(&file).unwrap_or_else(|error| panic!("{file}\n{error}"));
    }
}

#[test]
fn every_default_is_a_value_of_its_kind() {
    fn walk(keys: &[Key], judge: &mut usize) {
        for key in keys.iter().filter(|key| key.kind.supported()) {
            if let Preset::Literal(_) = key.default {
                let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
                let schema = of(&key.kind, &vocabulary());
                compiler.add_resource("key.json", schema).unwrap();
                let index = compiler.compile("key.json", &mut schemas).unwrap();
                let Preset::Literal(text) = key.default else { continue };
                schemas
                    .validate(&literal(text), index)
                    .unwrap_or_else(|error| panic!("{}: {error:#}", key.name));
                *judge += 1;
            }
            walk(key.kind.children(), judge);
        }
    }
    let mut judged = 0;
    walk(keys::ROOT, &mut judged);
    assert!(judged > 40, "{judged} defaults");
}
