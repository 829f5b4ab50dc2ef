use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn with(lines: &str) -> String {
    format!("{SMALL}[pool.crm.sticky]\n{lines}\n")
}

#[test]
fn a_sticky_pool_has_a_name_a_secret_and_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sticky.key");
    let key = format!("key_file = '{}'", file.display());
    std::fs::write(&file, format!("{SECRET}\n\n{SECRET}x\r\n")).unwrap();
    let sticky = config(&with(&key)).pools[0].sticky.clone().unwrap();
    assert_eq!((sticky.cookie.as_str(), sticky.ttl), ("EQ_crm", None));
    assert_eq!(sticky.secrets.iter().map(|secret| secret.0.len()).collect::<Vec<_>>(), [32, 33]);
    let own = config(&with(&format!("{key}\ncookie = '__Host-home'\nttl = '8h'"))).pools[0].sticky.clone();
    let own = own.unwrap();
    assert_eq!((own.cookie.as_str(), own.ttl), ("__Host-home", Some(Duration::from_secs(28_800))));
    assert_eq!(config(SMALL).pools[0].sticky, None);

    for (lines, expected) in [
        (format!("{key}\nttl = '999ms'"), "8:7 bad-value"),
        (format!("{key}\nttl = '0s'"), "8:7 bad-value"),
        (format!("{key}\ncookie = 'a b'"), "8:10 bad-value"),
        (format!("{key}\ncookie = ''"), "8:10 bad-value"),
        ("cookie = 'x'".to_owned(), "6:1 missing-key"),
        ("key_file = '/nowhere/to/be/found'".to_owned(), "7:12 unreadable"),
    ] {
        assert_eq!(found(&with(&lines)), [expected], "{lines}");
    }
    let other = SMALL.replace("crm", "'c r m'").replace("''c r m''", "'c r m'");
    assert_eq!(found(&format!("{other}[pool.'c r m'.sticky]\n{key}\n")), ["6:1 missing-key"]);
    let thrice = [SECRET; 3].join("\n");
    for wrong in
        ["", "\n", &SECRET[1..], &format!("{SECRET}\nshort"), &format!("{SECRET}\n{SECRET}"), &thrice]
    {
        std::fs::write(&file, wrong).unwrap();
        assert_eq!(found(&with(&key)), ["7:12 bad-value"], "{wrong}");
    }
    assert!(!format!("{sticky:?}").contains("0123"), "secrets are not shown");
}
