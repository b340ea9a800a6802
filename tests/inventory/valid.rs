//! Good inventories, field by field.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollctl::core::budget::Quantity;
use rollctl::core::fleet::{
    Become, Domain, EnvironmentValue, Fleet, HealthCheck, Host, OnFailure, Probe, Scope, Service,
    SshSettings, Step, Strategy, Through,
};
use rollctl::core::ids::{FleetName, HostName, ServiceName, UnitName};
use rollctl::core::revision::Architecture;
use rollctl::core::source::ArtifactSource;
use rollctl::inventory::{Loaded, Severity, load};

fn good(path: &str) -> Loaded {
    load(Path::new(path)).unwrap_or_else(|errors| panic!("{}", errors.render(false)))
}

fn here(path: &str) -> PathBuf {
    let root = std::path::absolute("tests/inventory/valid").unwrap();
    if path.is_empty() {
        root
    } else {
        root.join(path)
    }
}

fn home(path: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("HOME").unwrap()).join(path)
}

fn map<V>(entries: impl IntoIterator<Item = (&'static str, V)>) -> BTreeMap<String, V> {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn labels(entries: &[(&'static str, &str)]) -> BTreeMap<String, String> {
    map(entries
        .iter()
        .map(|(key, value)| (*key, (*value).to_owned())))
}

fn names(names: &[&str]) -> Vec<HostName> {
    names.iter().map(|name| HostName::new(*name)).collect()
}

fn fleet_ssh() -> SshSettings {
    SshSettings {
        user: Some("deploy".to_owned()),
        identity: Some(home(".ssh/fleet")),
        known_hosts: Some(here("known_hosts")),
        jump: Some("jump@bastion.example.net:2222,inner".to_owned()),
        r#become: Become::Sudo,
        connect_timeout: Duration::from_secs(90),
    }
}

fn host(name: &str, address: &str, port: Option<u16>, pairs: &[(&'static str, &str)]) -> Host {
    Host {
        name: HostName::new(name),
        address: address.to_owned(),
        port,
        labels: labels(pairs),
        out_of_service: false,
        ssh: fleet_ssh(),
    }
}

fn hosts() -> Vec<Host> {
    vec![
        Host {
            ssh: SshSettings {
                user: Some("root".to_owned()),
                identity: Some("/etc/keys/web-02".into()),
                known_hosts: Some(here("other_known_hosts")),
                jump: Some("none".to_owned()),
                r#become: Become::LoginUser,
                connect_timeout: Duration::from_secs(5),
            },
            ..host(
                "web-02",
                "web-02.example.net",
                Some(2222),
                &[("role", "web"), ("zone", "b")],
            )
        },
        host(
            "web-01",
            "192.0.2.11",
            None,
            &[("role", "web"), ("zone", "a")],
        ),
        Host {
            out_of_service: true,
            ..host(
                "web-03",
                "2001:db8::3",
                Some(22),
                &[("role", "web"), ("zone", "a")],
            )
        },
        host(
            "db-09",
            "192.0.2.9",
            None,
            &[("role", "db"), ("rack", "r09")],
        ),
        host(
            "db-10",
            "192.0.2.10",
            None,
            &[("role", "db"), ("rack", "r10")],
        ),
        host(
            "db-11",
            "192.0.2.11",
            None,
            &[("role", "db"), ("rack", "r11")],
        ),
        host("bare", "bare", None, &[]),
    ]
}

fn step(to: Quantity, bake: u64, approve: bool) -> Step {
    Step {
        to,
        bake: Duration::from_secs(bake),
        approve,
    }
}

fn web() -> Service {
    Service {
        name: ServiceName::new("web"),
        hosts: names(&["web-02", "web-01"]),
        spare_hosts: Vec::new(),
        out_of_service: names(&["web-03"]),
        units: vec![
            UnitName::new("web.service"),
            UnitName::new("web-worker.service"),
        ],
        scope: Scope::User,
        socket: None,
        unit_files: BTreeMap::from([(UnitName::new("web.service"), here("units/web.service"))]),
        install_dir: "~/apps/web".to_owned(),
        binary: "bin/web".to_owned(),
        link: Some("/usr/local/bin/web".to_owned()),
        artifact: Some(ArtifactSource::PerArchitecture(BTreeMap::from([
            (
                Architecture("x86_64".to_owned()),
                here("target/x86_64/web").into(),
            ),
            (
                Architecture("aarch64".to_owned()),
                here("../aarch64/web").into(),
            ),
        ]))),
        environment: map([
            ("RUST_LOG", EnvironmentValue::Plain("info".to_owned())),
            ("EMPTY", EnvironmentValue::Plain(String::new())),
            (
                "DB_URL",
                EnvironmentValue::Secret {
                    env: "WEB_DB_URL".to_owned(),
                },
            ),
        ]),
        files: map([("etc/config.toml", here("web-config.toml"))]),
        port: Some(8080),
        ports: None,
        revision_history_limit: 3,
        strategy: Strategy {
            max_surge: Quantity::Percent(25),
            max_unavailable: Quantity::Percent(50),
            min_ready: Duration::ZERO,
            progress_deadline: Duration::from_secs(3600),
            max_failures: 2,
            on_failure: OnFailure::Continue,
            steps: vec![
                step(Quantity::Count(1), 0, false),
                step(Quantity::Percent(75), 300, true),
                step(Quantity::Percent(100), 0, false),
            ],
            order: [("web-03", 0), ("web-01", 0), ("web-02", 2)]
                .map(|(host, rank)| (HostName::new(host), rank))
                .into(),
            domains: vec![
                Domain {
                    label: "zone".to_owned(),
                    at_once: Some(1),
                    max_unavailable: Some(Quantity::Percent(50)),
                },
                Domain {
                    label: "role".to_owned(),
                    at_once: None,
                    max_unavailable: Some(Quantity::Count(1)),
                },
            ],
        },
        health: HealthCheck {
            probe: Probe::Http {
                url: "http://{address}:{port}/healthz?zone={label.zone}&host={host}".to_owned(),
                expect_status: 204,
                expect_body: Some("{revision}".to_owned()),
                expect_json: labels(&[("/version", "{revision}"), ("", "x")]),
            },
            through: Through::Ssh,
            interval: Duration::from_millis(250),
            timeout: Duration::from_secs(1),
            successes: 3,
            deadline: Duration::from_secs(120),
        },
        traffic: None,
        hooks: Default::default(),
        trust: None,
        channel: Default::default(),
        window: None,
    }
}

/// A service that says only what it must.
fn plain(name: &str, hosts: &[&str], out_of_service: &[&str]) -> Service {
    Service {
        name: ServiceName::new(name),
        hosts: names(hosts),
        spare_hosts: Vec::new(),
        out_of_service: names(out_of_service),
        units: vec![UnitName::new(format!("{name}.service"))],
        scope: Scope::System,
        socket: None,
        unit_files: BTreeMap::new(),
        install_dir: format!("/opt/{name}"),
        binary: name.to_owned(),
        link: None,
        artifact: None,
        environment: BTreeMap::new(),
        files: BTreeMap::new(),
        port: None,
        ports: None,
        revision_history_limit: 10,
        strategy: Strategy {
            max_surge: Quantity::Count(0),
            max_unavailable: Quantity::Count(1),
            min_ready: Duration::from_secs(10),
            progress_deadline: Duration::from_secs(600),
            max_failures: 0,
            on_failure: OnFailure::Rollback,
            steps: Vec::new(),
            order: BTreeMap::new(),
            domains: Vec::new(),
        },
        health: HealthCheck {
            probe: Probe::Unit,
            through: Through::Ssh,
            interval: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
            successes: 2,
            deadline: Duration::from_secs(60),
        },
        traffic: None,
        hooks: Default::default(),
        trust: None,
        channel: Default::default(),
        window: None,
    }
}

fn with_probe(service: Service, probe: Probe, through: Through) -> Service {
    let health = HealthCheck {
        probe,
        through,
        ..service.health.clone()
    };
    Service { health, ..service }
}

#[test]
fn a_file_with_everything() {
    let loaded = good("tests/inventory/valid/production.toml");
    let db = Service {
        socket: None,
        unit_files: BTreeMap::from([(UnitName::new("db.service"), here("db.service"))]),
        artifact: Some(ArtifactSource::Any(here("db.tar.zst").into())),
        ..plain("db", &["db-09", "db-11"], &[])
    };
    let cron = Service {
        units: vec![UnitName::new("cron@1.service")],
        ..plain("cron", &["web-02", "bare"], &[])
    };
    let expected = Fleet {
        name: FleetName::new("production-eu"),
        folder: here(""),
        ledger_url: Some(format!("sqlite:{}", here("state/production.db").display())),
        artifacts_url: Some("file:/srv/artifacts".to_owned()),
        notify: None,
        max_uploads: 4,
        hosts: hosts(),
        services: vec![
            web(),
            with_probe(
                db,
                Probe::Tcp {
                    address: "{address}:5432".to_owned(),
                },
                Through::Direct,
            ),
            with_probe(
                cron,
                Probe::Command {
                    command: "test -e /run/cron.pid &&\nawk '{print}' ${HOME}/x".to_owned(),
                },
                Through::Ssh,
            ),
            plain(
                "plain",
                &["web-02", "web-01", "db-09", "db-10", "db-11", "bare"],
                &["web-03"],
            ),
        ],
    };
    assert_eq!(loaded.fleet.hosts, expected.hosts);
    for (found, expected) in loaded.fleet.services.iter().zip(&expected.services) {
        assert_eq!(found, expected);
    }
    assert_eq!(loaded.fleet, expected);
    // web-01 and db-11 share an address; nothing can carry a surge; nobody is left for a selector of `order`.
    let warnings: Vec<_> = loaded
        .warnings
        .iter()
        .map(|w| (w.severity, w.line))
        .collect();
    assert_eq!(
        warnings,
        [39, 60, 67].map(|line| (Severity::Warning, Some(line)))
    );
}

#[test]
fn a_folder_is_one_fleet() {
    let loaded = good("tests/inventory/valid/folder");
    let bare_ssh = SshSettings {
        user: None,
        identity: None,
        known_hosts: None,
        jump: None,
        r#become: Become::LoginUser,
        connect_timeout: Duration::from_secs(10),
    };
    let bare = |name: &str| Host {
        ssh: bare_ssh.clone(),
        ..host(name, name, None, &[])
    };
    let service = Service {
        socket: None,
        unit_files: BTreeMap::from([(UnitName::new("web.service"), here("folder/web.service"))]),
        ..plain("web", &["b", "a"], &[])
    };
    let probe = Probe::Http {
        url: "http://{address}/".to_owned(),
        expect_status: 200,
        expect_body: None,
        expect_json: BTreeMap::new(),
    };
    let expected = Fleet {
        name: FleetName::new("folder"),
        folder: here("folder"),
        ledger_url: None,
        artifacts_url: None,
        notify: None,
        max_uploads: 16,
        hosts: vec![bare("b"), bare("a")],
        services: vec![with_probe(service, probe, Through::Direct)],
    };
    assert_eq!(loaded.fleet, expected);
    assert!(loaded.warnings.is_empty());
}

#[test]
fn a_service_behind_a_jump_host_is_asked_through_ssh() {
    for (ssh, host, through, expected, why) in [
        ("", "", "", Through::Direct, "no jump host"),
        (
            "jump = \"b\"",
            "",
            "",
            Through::Ssh,
            "the fleet's jump host",
        ),
        ("", "jump = \"b\"", "", Through::Ssh, "one host's own"),
        (
            "jump = \"b\"",
            "jump = \"none\"",
            "",
            Through::Direct,
            "a host's `none` over the fleet's",
        ),
        (
            "jump = \"b\"",
            "",
            "through = \"direct\"",
            Through::Direct,
            "what is written holds",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet.toml");
        let text = format!(
            "[ssh]\n{ssh}\n[hosts.a]\n{host}\n[services.web]\nhosts = \"*\"\nunit = \"web.service\"\n\
             install_dir = \"/opt/web\"\n[services.web.health]\nhttp = \"http://{{address}}/\"\n{through}\n"
        );
        std::fs::write(&path, text).unwrap();
        let loaded = good(path.to_str().unwrap());
        assert_eq!(loaded.fleet.services[0].health.through, expected, "{why}");
    }
}

#[test]
fn the_contracts_own_example_is_an_inventory() {
    let loaded = good("tests/inventory/contract.toml");
    // It has one web host and no spare one, so that a step, its order and the spare hosts are warnings.
    let keys: Vec<_> = loaded
        .warnings
        .iter()
        .filter_map(|mistake| mistake.key.as_deref())
        .collect();
    assert_eq!(
        keys,
        [
            "hosts.\"db-[01-40]\"",
            "services.web.spare_hosts",
            "services.web.strategy.steps[1]",
            "services.web.strategy.order[0]",
            "services.web.strategy.order[1]",
        ]
    );
}

#[test]
fn spare_hosts_are_hosts_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleet.toml");
    let read = |spare: &str, more: &str| {
        let text = format!(
            "[hosts.\"web-[1-2]\"]\n[hosts.\"spare-[1-2]\"]\n[hosts.spare-3]\nout_of_service = true\n[services.web]\n\
             hosts = \"web-*\"\nspare_hosts = \"{spare}\"\nunit = \"web.service\"\ninstall_dir = \"/opt/web\"\n\
             health.unit = true\n{more}"
        );
        std::fs::write(&path, text).unwrap();
        load(&path)
    };
    let surge = "[services.web.strategy]\nmax_surge = 1\nmax_unavailable = 0\n";
    let loaded = read("spare-*", surge).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let web = &loaded.fleet.services[0];
    assert_eq!(web.hosts, names(&["web-1", "web-2"]));
    assert_eq!(web.spare_hosts, names(&["spare-1", "spare-2"]));
    assert_eq!(web.out_of_service, names(&["spare-3"]));
    assert_eq!(web.carriers().count(), 4);
    for (spare, more, warning) in [
        (
            "spare-*",
            "",
            "`spare_hosts` carry nothing: `max_surge` is 0",
        ),
        (
            "gone-*",
            surge,
            "matches no host: nothing carries the surge",
        ),
    ] {
        let loaded = read(spare, more).unwrap();
        let said: Vec<_> = loaded.warnings.iter().map(|one| &one.message).collect();
        let found = said.iter().any(|message| message.contains(warning));
        assert!(found, "{warning:?} is not in {said:?}");
    }
    let errors = read("web-2", surge).unwrap_err();
    let said = &errors.mistakes[0].message;
    assert!(
        said.contains("`web-2` is in `hosts` and in `spare_hosts`"),
        "{said}"
    );
}
