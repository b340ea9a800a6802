use crate::core::fleet::{Probe, Through};

use super::asking::{AMPLE, BOTH, ask, plain, prober};
use super::{Act, FakeHosts, Server, answer, http};

struct Row {
    sentence: &'static str,
    act: Act,
    expect: fn(&mut Probe),
    passed: bool,
    shown: &'static str,
    stored: &'static str,
}

pub(super) fn expect_body(probe: &mut Probe) {
    if let Probe::Http { expect_body, .. } = probe {
        *expect_body = Some("\"version\":\"{revision}\"".into());
    }
}

pub(super) fn expect_json(probe: &mut Probe) {
    if let Probe::Http { expect_json, .. } = probe {
        expect_json.insert("/version".into(), "{revision}".into());
        expect_json.insert("/ready".into(), "true".into());
        expect_json.insert("/zones/0/n".into(), "3".into());
    }
}

fn expect_204(probe: &mut Probe) {
    if let Probe::Http { expect_status, .. } = probe {
        *expect_status = 204;
    }
}

fn rows() -> Vec<Row> {
    let row = |sentence, act, expect, passed, shown, stored| Row {
        sentence,
        act,
        expect,
        passed,
        shown,
        stored,
    };
    let json = |version: &str| {
        answer(
            200,
            &format!(r#"{{"version":"{version}","ready":true,"zones":[{{"n":3}}]}}"#),
        )
    };
    let huge = "x".repeat(200_000);
    let long = answer(503, &format!("{}ü{}", "a".repeat(119), "b".repeat(50)));
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec();
    let broken = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello".to_vec();
    let redirect =
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/login\r\ncontent-length: 0\r\n\r\n"
            .to_vec();
    let none: fn(&mut Probe) = |_| {};
    let long_shown: &'static str = Box::leak(
        format!(
            "GET http://HOST/healthz answered 503 \"{}ü…\" in N ms",
            "a".repeat(119)
        )
        .into_boxed_str(),
    );
    vec![
        row(
            "a fine answer",
            Act::Answer(answer(200, "ok")),
            none,
            true,
            "GET http://HOST/healthz answered 200 in N ms",
            "GET http://HOST/healthz answered 200",
        ),
        row(
            "a service that says why not",
            Act::Answer(answer(503, "db: connection refused\n")),
            none,
            false,
            "GET http://HOST/healthz answered 503 \"db: connection refused\" in N ms",
            "GET http://HOST/healthz answered 503",
        ),
        row(
            "control characters",
            Act::Answer(answer(500, "a\nb\x1b[31m\u{202e}\0")),
            none,
            false,
            "GET http://HOST/healthz answered 500 \"a\\nb\\u{1b}[31m\\u{202e}\\0\" in N ms",
            "GET http://HOST/healthz answered 500",
        ),
        row(
            "a long body",
            Act::Answer(long),
            none,
            false,
            long_shown,
            "GET http://HOST/healthz answered 503",
        ),
        row(
            "a redirect, which is not followed",
            Act::Answer(redirect),
            none,
            false,
            "GET http://HOST/healthz answered 302 in N ms, a redirect to \"http://127.0.0.1:1/login\"",
            "GET http://HOST/healthz answered 302",
        ),
        row(
            "another status that was expected",
            Act::Answer(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
            expect_204,
            true,
            "GET http://HOST/healthz answered 204 in N ms",
            "GET http://HOST/healthz answered 204",
        ),
        row(
            "200 where 204 was expected",
            Act::Answer(answer(200, "")),
            expect_204,
            false,
            "GET http://HOST/healthz answered 200 in N ms, not 204",
            "GET http://HOST/healthz answered 200, not 204",
        ),
        row(
            "the new revision's body",
            Act::Answer(json("v1.4.2")),
            expect_body,
            true,
            "GET http://HOST/healthz answered 200 in N ms",
            "GET http://HOST/healthz answered 200",
        ),
        row(
            "the old revision's body",
            Act::Answer(answer(200, "v1.4.1")),
            expect_body,
            false,
            "GET http://HOST/healthz answered 200 \"v1.4.1\" in N ms but the body lacks \"\"version\":\"v1.4.2\"\"",
            "GET http://HOST/healthz answered 200 but the body lacks \"\"version\":\"v1.4.2\"\"",
        ),
        row(
            "the new revision's JSON, text, true and a number",
            Act::Answer(json("v1.4.2")),
            expect_json,
            true,
            "GET http://HOST/healthz answered 200 in N ms",
            "GET http://HOST/healthz answered 200",
        ),
        row(
            "the old revision's JSON",
            Act::Answer(json("v1.4.1")),
            expect_json,
            false,
            "GET http://HOST/healthz answered 200 \"{\"version\":\"v1.4.1\",\"ready\":true,\"zones\":[{\"n\":3}]}\" in N ms but /version is \"v1.4.1\", not \"v1.4.2\"",
            "GET http://HOST/healthz answered 200 but /version is not \"v1.4.2\"",
        ),
        row(
            "JSON that lacks the value",
            Act::Answer(answer(200, "{}")),
            expect_json,
            false,
            "GET http://HOST/healthz answered 200 \"{}\" in N ms but the body has no /ready",
            "GET http://HOST/healthz answered 200 but the body has no /ready",
        ),
        row(
            "no JSON",
            Act::Answer(answer(200, "<html>")),
            expect_json,
            false,
            "GET http://HOST/healthz answered 200 \"<html>\" in N ms but the body is not JSON",
            "GET http://HOST/healthz answered 200 but the body is not JSON",
        ),
        row(
            "a huge body where any will do",
            Act::AnswerAndClose(answer(200, &huge)),
            none,
            true,
            "GET http://HOST/healthz answered 200 in N ms",
            "GET http://HOST/healthz answered 200",
        ),
        row(
            "a body that breaks off",
            Act::AnswerAndClose(broken),
            none,
            false,
            "GET http://HOST/healthz answered 200 \"hello\" in N ms but the body broke off: BREAK",
            "GET http://HOST/healthz answered 200 but the body broke off: BREAK",
        ),
        row(
            "chunks that break off",
            Act::AnswerAndClose(chunked),
            none,
            false,
            "GET http://HOST/healthz answered 200 \"hello\" in N ms but the body broke off: BREAK",
            "GET http://HOST/healthz answered 200 but the body broke off: BREAK",
        ),
        row(
            "garbage",
            Act::AnswerAndClose(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()),
            none,
            false,
            "GET http://HOST/healthz: invalid HTTP version parsed",
            "GET http://HOST/healthz: invalid HTTP version parsed",
        ),
        row(
            "a connection closed without a word",
            Act::AnswerAndClose(Vec::new()),
            none,
            false,
            "GET http://HOST/healthz: connection closed before message completed",
            "GET http://HOST/healthz: connection closed before message completed",
        ),
    ]
}

#[tokio::test]
async fn answers_and_what_is_said_of_them() {
    for row in rows() {
        for through in BOTH {
            let server = Server::start(vec![row.act.clone()]).await;
            let mut probe = http(&format!("http://{}/healthz", server.address));
            (row.expect)(&mut probe);
            let prober = prober(probe, through, AMPLE, FakeHosts::default());
            let found = ask(&prober).await;
            let context = format!("{}, {through:?}: {found:?}", row.sentence);
            assert_eq!(found.passed, Some(row.passed), "{context}");
            // How hyper words a broken body is its own matter.
            let unbroken = |text: &str| match text.split_once("broke off: ") {
                Some((before, _)) => format!("{before}broke off: BREAK"),
                None => text.to_owned(),
            };
            assert_eq!(
                unbroken(&plain(&found.shown, &server)),
                row.shown,
                "{context}"
            );
            assert_eq!(
                unbroken(&plain(&found.stored, &server)),
                row.stored,
                "{context}"
            );
        }
    }
}

#[tokio::test]
async fn a_huge_body_is_no_json() {
    let server = Server::start(vec![Act::AnswerAndClose(answer(200, &"[".repeat(200_000)))]).await;
    let mut probe = http(&format!("http://{}/", server.address));
    expect_json(&mut probe);
    let prober = prober(probe, Through::Direct, AMPLE, FakeHosts::default());
    let found = ask(&prober).await;
    assert!(
        found.stored.ends_with("but the body is longer than 64 KiB"),
        "{found:?}"
    );
}
