use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::core::fleet::{Probe, Through};
use crate::core::ids::{HostName, RevisionName};
use crate::ports::{HostErrorKind, ProbeAnswer, Prober as _};

use super::super::ServiceProber;
use super::answers::{expect_body, expect_json};
use super::{Act, FakeHosts, Server, answer, host, http, service};

pub(super) const BOTH: [Through; 2] = [Through::Direct, Through::Ssh];
/// Long enough for every answer that is meant to come.
pub(super) const AMPLE: Duration = Duration::from_secs(20);
/// For answers that are not meant to come.
const SHORT: Duration = Duration::from_millis(300);

pub(super) fn prober(
    probe: Probe,
    through: Through,
    timeout: Duration,
    hosts: FakeHosts,
) -> ServiceProber {
    let mut service = service(probe, through, timeout);
    service.port = Some(8080);
    ServiceProber::new(&service, &[host("127.0.0.1")], Arc::new(hosts)).unwrap()
}

pub(super) async fn ask(prober: &ServiceProber) -> ProbeAnswer {
    let revision = RevisionName::given("v1.4.2").unwrap();
    prober
        .probe(&HostName::new("web-01"), Some(&revision), None)
        .await
}

/// The text with the address and the time taken out: they differ from run to run.
pub(super) fn plain(text: &str, server: &Server) -> String {
    let text = text.replace(&server.address.to_string(), "HOST");
    let mut words: Vec<&str> = text.split(' ').collect();
    for at in 0..words.len().saturating_sub(2) {
        if words[at] == "in" && words[at + 1].parse::<f64>().is_ok() {
            words[at + 1] = "N";
        }
    }
    words.join(" ")
}

#[tokio::test]
async fn servers_that_do_not_answer_in_time() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello".to_vec();
    for (act, expected, sentence) in [
        (
            Act::AnswerAndHang(Vec::new()),
            " did not answer within 300ms",
            "not a byte",
        ),
        (
            Act::AnswerAndHang(b"HTTP/1.1 200 O".to_vec()),
            " did not answer within 300ms",
            "half a head",
        ),
        (
            Act::AnswerAndHang(half),
            " answered 200 but the body did not end within 300ms",
            "half a body",
        ),
    ] {
        for through in BOTH {
            let server = Server::start(vec![act.clone()]).await;
            let probe = http(&format!("http://{}/", server.address));
            let prober = prober(probe, through, SHORT, FakeHosts::default());
            let found = ask(&prober).await;
            assert_eq!(
                found.passed,
                Some(false),
                "{sentence}, {through:?}: {found:?}"
            );
            assert!(
                found.stored.ends_with(expected),
                "{sentence}, {through:?}: {found:?}"
            );
            assert!(
                found.latency >= SHORT && found.latency < 10 * SHORT,
                "{found:?}"
            );
        }
    }
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for through in BOTH {
        let prober = prober(
            http(&format!("http://{address}/")),
            through,
            AMPLE,
            FakeHosts::default(),
        );
        let found = ask(&prober).await;
        assert_eq!(found.passed, Some(false));
        assert_eq!(
            found.shown,
            format!("GET http://{address}/: connection refused"),
            "{through:?}"
        );
    }
}

#[tokio::test]
async fn connections_are_kept_and_a_stale_one_is_no_failure() {
    let (keep, close) = (
        Act::Answer(answer(200, "ok")),
        Act::AnswerAndClose(answer(200, "ok")),
    );
    for through in BOTH {
        let server = Server::start(vec![keep.clone()]).await;
        let probe = http(&format!("http://{}/", server.address));
        let kept = prober(probe, through, AMPLE, FakeHosts::default());
        for _ in 0..5 {
            assert_eq!(ask(&kept).await.passed, Some(true));
        }
        assert_eq!(server.connections(), 1, "{through:?}");

        // The server promises to keep the connection and closes it: after its answer, or upon the next request.
        let server = Server::start(vec![close.clone()]).await;
        let probe = http(&format!("http://{}/", server.address));
        let closed = prober(probe, through, AMPLE, FakeHosts::default());
        for _ in 0..20 {
            let found = ask(&closed).await;
            assert_eq!(found.passed, Some(true), "{through:?}: {found:?}");
        }
        let mute = Act::AnswerAndClose(Vec::new());
        let server = Server::start(vec![
            keep.clone(),
            mute.clone(),
            keep.clone(),
            mute.clone(),
            mute,
        ])
        .await;
        let probe = http(&format!("http://{}/", server.address));
        let muted = prober(probe, through, AMPLE, FakeHosts::default());
        let mut passed = Vec::new();
        for _ in 0..3 {
            passed.push(ask(&muted).await.passed);
        }
        assert_eq!(passed, [Some(true), Some(true), Some(false)], "{through:?}");
    }
}

#[tokio::test]
async fn what_a_server_is_asked() {
    for through in BOTH {
        let server = Server::start(vec![Act::Answer(answer(200, "v1.4.2"))]).await;
        let port = server.address.port();
        let url = format!(
            "http://us%65r:ge%3Aheim@{{address}}:{port}/a%20b/{{label.zone}}?r={{revision}}#x"
        );
        let prober = prober(http(&url), through, AMPLE, FakeHosts::default());
        let found = ask(&prober).await;
        assert_eq!(found.passed, Some(true), "{found:?}");
        let text = format!("{found:?} {prober:?}");
        assert!(!text.contains("heim") && !text.contains("us"), "{text}");
        let requests = server.requests.lock().unwrap().clone();
        let request = requests[0].to_ascii_lowercase();
        assert!(
            request.starts_with("get /a%20b/a?r=v1.4.2 http/1.1\r\n"),
            "{request}"
        );
        assert!(
            request.contains(&format!("\r\nhost: 127.0.0.1:{port}\r\n")),
            "{request}"
        );
        assert!(request.contains("\r\nuser-agent: rollctl/"), "{request}");
        // user:ge:heim
        assert!(
            requests[0].contains(" Basic dXNlcjpnZTpoZWlt\r\n"),
            "{requests:?}"
        );
    }
}

#[tokio::test]
async fn without_a_revision_only_what_does_not_name_it_is_asked() {
    let server = Server::start(vec![Act::Answer(answer(
        200,
        r#"{"ready":true,"zones":[{"n":3}]}"#,
    ))])
    .await;
    let mut probe = http(&format!("http://{}/", server.address));
    expect_body(&mut probe);
    expect_json(&mut probe);
    let host = HostName::new("web-01");
    let unknown = prober(probe, Through::Direct, AMPLE, FakeHosts::default());
    let found = unknown.probe(&host, None, None).await;
    assert_eq!(found.passed, Some(true), "{found:?}");
    assert_eq!(ask(&unknown).await.passed, Some(false));

    let probe = http(&format!("http://{}/{{revision}}", server.address));
    let by_revision = prober(probe, Through::Direct, AMPLE, FakeHosts::default());
    assert_eq!(by_revision.probe(&host, None, None).await.passed, None);
    let stranger = HostName::new("web-02");
    assert_eq!(by_revision.probe(&stranger, None, None).await.passed, None);
}

#[tokio::test]
async fn the_way_to_the_host_is_told_from_the_instance() {
    let server = Server::start(vec![Act::AnswerAndHang(Vec::new())]).await;
    let probes = [
        http(&format!("http://{}/", server.address)),
        Probe::Tcp {
            address: server.address.to_string(),
        },
    ];
    for probe in probes {
        for (kind, passed) in [
            (HostErrorKind::Unreachable, None),
            (HostErrorKind::Lost, None),
            (HostErrorKind::Refused, None),
            (HostErrorKind::Failed, Some(false)),
        ] {
            let hosts = FakeHosts {
                dial_error: Some(kind).into(),
                ..FakeHosts::default()
            };
            let found = ask(&prober(probe.clone(), Through::Ssh, AMPLE, hosts)).await;
            assert_eq!(found.passed, passed, "{kind:?}: {found:?}");
            assert!(found.stored.ends_with("connection lost"), "{found:?}");
        }
        for (is_cut, passed) in [(true, None), (false, Some(false))] {
            let hosts = FakeHosts {
                dial_hangs: true,
                is_cut,
                ..FakeHosts::default()
            };
            let found = ask(&prober(probe.clone(), Through::Ssh, SHORT, hosts)).await;
            assert_eq!(found.passed, passed, "dial hangs, cut: {is_cut}: {found:?}");
        }
    }
    let probe = http(&format!("http://{}/", server.address));
    let hosts = FakeHosts {
        is_cut: true,
        ..FakeHosts::default()
    };
    let found = ask(&prober(probe, Through::Ssh, SHORT, hosts)).await;
    assert_eq!(
        found.passed, None,
        "the stream hangs and the host too: {found:?}"
    );
}

#[tokio::test]
async fn tcp_is_accepted_or_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed_port = closed.local_addr().unwrap().port();
    drop(closed);
    for through in BOTH {
        let tcp = |port| Probe::Tcp {
            address: format!("{{address}}:{port}"),
        };
        let found = ask(&prober(tcp(port), through, AMPLE, FakeHosts::default())).await;
        assert_eq!(found.passed, Some(true));
        assert_eq!(found.stored, format!("TCP 127.0.0.1:{port} accepted"));
        let found = ask(&prober(
            tcp(closed_port),
            through,
            AMPLE,
            FakeHosts::default(),
        ))
        .await;
        assert_eq!(found.passed, Some(false));
        assert_eq!(
            found.shown,
            format!("TCP 127.0.0.1:{closed_port}: connection refused")
        );
    }
}

#[tokio::test]
async fn commands_and_units() {
    for (said, is_cut, passed, shown, stored) in [
        (
            Some(Ok((0, "fine".to_owned()))),
            false,
            Some(true),
            "health command exited 0 in N ms",
            "health command exited 0",
        ),
        (
            Some(Ok((7, "log\n no disk\x07 \n\n".to_owned()))),
            false,
            Some(false),
            "health command exited 7 \"no disk\\u{7}\" in N ms",
            "health command exited 7",
        ),
        (
            Some(Err(HostErrorKind::Lost)),
            false,
            None,
            "health command could not be asked: it said so",
            "health command could not be asked: it said so",
        ),
        (
            Some(Err(HostErrorKind::Failed)),
            false,
            Some(false),
            "health command: it said so",
            "health command: it said so",
        ),
        (
            None,
            false,
            Some(false),
            "health command did not end within 300ms",
            "health command did not end within 300ms",
        ),
        (
            None,
            true,
            None,
            "health command could not be asked: neither it nor the host answered through SSH",
            "health command could not be asked: neither it nor the host answered through SSH",
        ),
    ] {
        let hosts = Arc::new(FakeHosts {
            check: said,
            is_cut,
            ..FakeHosts::default()
        });
        let command =
            "test {port} = ${PORT} && awk '{print}' {revision} {label.zone} {address}".to_owned();
        let mut service = service(Probe::Command { command }, Through::Ssh, SHORT);
        service.port = Some(8080);
        let remote = Arc::clone(&hosts);
        let prober = ServiceProber::new(&service, &[host("2001:db8::1")], remote).unwrap();
        let found = ask(&prober).await;
        assert_eq!(found.passed, passed, "{found:?}");
        let server = Server::start(Vec::new()).await;
        assert_eq!(plain(&found.shown, &server), shown);
        assert_eq!(found.stored, stored);
        assert_eq!(
            hosts.commands.lock().unwrap()[0],
            "test 8080 = ${PORT} && awk '{print}' v1.4.2 a 2001:db8::1"
        );
    }
    let units = ask(&prober(
        Probe::Unit,
        Through::Direct,
        AMPLE,
        FakeHosts::default(),
    ))
    .await;
    assert_eq!(
        (units.passed, units.shown.as_str()),
        (Some(true), "units only")
    );
}
