use std::sync::Arc;
use std::time::Duration;

use crate::core::fleet::{Probe, Through};
use crate::core::ids::{RevisionName, ServiceName};

use super::super::ServiceProber;
use super::super::template::{Place, Values};
use super::{FakeHosts, host, http, service};

#[test]
fn placeholders_and_other_braces() {
    let (v4, v6) = (host("192.0.2.1"), host("2001:db8::1"));
    let revision = RevisionName::given("v1").unwrap();
    for (host, text, place, expected) in [
        (
            &v4,
            "http://{address}:{port}/{host}",
            Place::Target,
            "http://192.0.2.1:80/web-01",
        ),
        (
            &v6,
            "http://{address}:{port}/",
            Place::Target,
            "http://[2001:db8::1]:80/",
        ),
        (&v6, "ping {address}", Place::Command, "ping 2001:db8::1"),
        (&v4, "a{label.zone}b{revision}", Place::Target, "aabv1"),
        (
            &v4,
            "echo ${port} {port} {a,b} {",
            Place::Command,
            "echo ${port} 80 {a,b} {",
        ),
        (
            &v4,
            r#"{"v":"{revision}","x":{}}"#,
            Place::Expectation,
            r#"{"v":"v1","x":{}}"#,
        ),
        (&v4, "{label.owner}", Place::Expectation, "o'neil $(id)"),
        (&v4, "", Place::Target, ""),
        (
            &v4,
            "{what}",
            Place::Target,
            "contains the unknown placeholder `{what}`",
        ),
        (
            &v4,
            "x{port",
            Place::Target,
            "contains the unknown placeholder `{port`",
        ),
        (
            &v4,
            "{label.rack}",
            Place::Expectation,
            "contains `{label.rack}`, which host `web-01` does not have",
        ),
        (
            &v4,
            "echo {label.owner}",
            Place::Command,
            "characters that a shell acts upon",
        ),
    ] {
        let service = ServiceName::new("web");
        let values = Values {
            service: &service,
            host,
            port: Some(80),
            revision: Some(&revision),
        };
        match values.fill(text, place) {
            Ok(filled) => assert_eq!(filled, expected, "{text}"),
            Err(error) => {
                assert!(error.to_string().contains(expected), "{text}: {error}");
                assert!(error.hint().is_some());
            }
        }
    }
}

#[test]
fn checks_that_cannot_be_asked_are_refused_at_once() {
    let tcp = |text: &str| Probe::Tcp {
        address: text.to_owned(),
    };
    for (probe, through, expected) in [
        (
            http("http://{address}:{port}/"),
            Through::Direct,
            "contains `{port}`, but the service has no `port`",
        ),
        (
            http("ftp://{address}/"),
            Through::Direct,
            "is not a URL of http or https: `ftp://192.0.2.1/`",
        ),
        (
            http("http://u:geheim@{address}:x/"),
            Through::Direct,
            "is not a URL of http or https: `...@192.0.2.1:x/`",
        ),
        (http("{address}/healthz"), Through::Direct, "is not a URL"),
        (
            http("https://{address}/"),
            Through::Ssh,
            "asks https through SSH, which is not supported",
        ),
        (
            tcp("{address}"),
            Through::Direct,
            "is not a host and port: `192.0.2.1`",
        ),
        (
            tcp("{address}:0"),
            Through::Direct,
            "is not a host and port",
        ),
        (
            tcp("{address}:99999"),
            Through::Direct,
            "is not a host and port",
        ),
        (tcp("::1:80"), Through::Direct, "is not a host and port"),
        (tcp(":80"), Through::Direct, "is not a host and port"),
    ] {
        let service = service(probe, through, Duration::from_secs(1));
        let hosts = Arc::new(FakeHosts::default());
        let error = ServiceProber::new(&service, &[host("192.0.2.1")], hosts).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error:?}").contains("geheim"));
    }
    // https is fine directly, where root certificates are; other hosts than the service's own do not matter.
    let mut other = host("not a host");
    other.name = crate::core::ids::HostName::new("db-01");
    let service = service(
        http("http://{address}:1/"),
        Through::Direct,
        Duration::from_secs(1),
    );
    let hosts = Arc::new(FakeHosts::default());
    ServiceProber::new(&service, &[host("::1"), other], hosts).unwrap();
}
