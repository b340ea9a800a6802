use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::core::fleet::{Become, SshSettings};
use crate::core::ids::HostName;

fn host(name: &str, labels: &[(&str, &str)]) -> Host {
    let labels = labels
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Host {
        name: HostName::new(name),
        address: name.to_owned(),
        port: None,
        labels: labels.collect::<BTreeMap<_, _>>(),
        out_of_service: false,
        ssh: SshSettings {
            user: None,
            identity: None,
            known_hosts: None,
            jump: None,
            r#become: Become::LoginUser,
            connect_timeout: Duration::from_secs(10),
        },
    }
}

fn fleet() -> Vec<Host> {
    vec![
        host("web-01", &[("role", "web"), ("zone", "a")]),
        host("web-02", &[("role", "web"), ("zone", "b")]),
        host("web-10", &[("role", "web")]),
        host("db-01", &[("role", "db"), ("zone", "a")]),
    ]
}

#[test]
fn selectors_choose_hosts() {
    for (text, expected, why) in [
        ("role=web", "web-01 web-02 web-10", "a label's value"),
        (
            "role==web",
            "web-01 web-02 web-10",
            "kubectl's other spelling",
        ),
        (
            " role = web ",
            "web-01 web-02 web-10",
            "spaces do not matter",
        ),
        ("role!=web", "db-01", "another value"),
        (
            "zone!=a",
            "web-02 web-10",
            "a host without the label has another value",
        ),
        (
            "zone in (a,b)",
            "web-01 web-02 db-01",
            "one of several; the comma does not split",
        ),
        (
            "zone in ( a , b ),role=web",
            "web-01 web-02",
            "a comma means and",
        ),
        ("in in (a)", "", "a label may be called `in`"),
        ("*", "web-01 web-02 web-10 db-01", "every host"),
        ("web-*", "web-01 web-02 web-10", "a glob of names"),
        ("web-0?", "web-01 web-02", "one character"),
        ("web-0[2-9]", "web-02", "a class of characters"),
        (
            "{web,db}-01",
            "web-01 db-01",
            "alternatives; the comma does not split",
        ),
        ("web-01", "web-01", "a name is a glob"),
        ("web", "", "a glob matches the whole name"),
        ("!web-01", "web-02 web-10 db-01", "all but one"),
        ("! web-*", "db-01", "all but a glob"),
        ("web-*,!web-01,zone!=b", "web-10", "three conditions"),
        ("web-01,web-02", "", "and, not or"),
        ("role=we", "", "values are compared whole"),
    ] {
        let selector = parse_selector(text).unwrap();
        let found: Vec<_> = fleet()
            .iter()
            .filter(|host| selector.matches(host))
            .map(|host| host.name.to_string())
            .collect();
        assert_eq!(found.join(" "), expected, "{text}: {why}");
    }
}

#[test]
fn a_selector_that_is_wrong_says_where() {
    for (text, piece, problem) in [
        ("", "", "it is empty"),
        ("  ", "", "it is empty"),
        ("role=web,", "", "there is nothing between two commas"),
        ("a=b,,c=d", "", "there is nothing between two commas"),
        ("role=", "role=", "`role=` is not `label=value`"),
        ("=web", "=web", "`=web` is not `label=value`"),
        ("a=b,role!=", "role!=", "`role!=` is not `label!=value`"),
        ("!role=web", "!role=web", "`!role=web` is not a condition"),
        ("zone in (a,b", "(", "`)` is missing"),
        ("zone in a)", ")", "`)` closes nothing"),
        (
            "zone in ()",
            "zone in ()",
            "`zone in ()` is not `label in (a,b)`",
        ),
        (
            "zone notin (a)",
            "zone notin (a)",
            "`zone notin (a)` is not `label in (a,b)`",
        ),
        (
            "zone is a",
            "zone is a",
            "`zone is a` is not a host's name or glob",
        ),
        (
            "role=web role=db",
            "role=web role=db",
            "`role=web role=db` is not `label=value`",
        ),
        ("web-[", "web-[", "`web-[` is not a host's name or glob"),
        ("!", "!", "`!` is not a host's name or glob"),
        (
            "a=b,größe=\u{1b}",
            "größe=\u{1b}",
            "`größe=\u{1b}` is not `label=value`",
        ),
    ] {
        let error = parse_selector(text).unwrap_err();
        assert_eq!(error.problem, problem, "{text:?}");
        assert_eq!(&text[error.span.clone()], piece, "{text:?}");
        assert!(error.hint().is_some());
    }
}
