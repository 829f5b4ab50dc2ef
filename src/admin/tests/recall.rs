//! What became of requests, as it is asked and answered.

use super::*;

#[test]
fn an_id_is_told_or_it_is_said_why_not() {
    on_stage(Rc::new(Stage::new()), |address| async move {
        for (query, expected) in
            [("known", 200), ("other", 404), ("slow", 503), ("", 400), ("a&url=http://a/", 400)]
        {
            let path = format!("/api/v1/explain?request_id={query}");
            let (status, answer) = ask(address, "GET", &path, "").await;
            assert_eq!(status, expected, "{query}: {answer}");
            let told = body(&answer);
            match expected {
                200 => assert_eq!((&told["kept"], &told["since"]), (&3.into(), &1.5.into())),
                _ => assert!(!told["error"].as_str().unwrap().is_empty(), "{query}"),
            }
        }
        let (status, answer) = ask(address, "GET", "/api/v1/explain?url=http://a/", "").await;
        assert!(status == 400 && answer.contains("asked about GET http://a/"), "{answer}");
    });
}
