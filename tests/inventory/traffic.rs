//! `[services.*.traffic]`, read as if a rollout could use it already.

use std::path::PathBuf;
use std::time::Duration;

use rollctl::core::ids::HostName;
use rollctl::core::program::{Program, RunsOn};
use rollctl::core::traffic::{
    DrainMark, HaproxyEndpoint, Moves, RemoteFile, Traffic, TrafficDriver, TrafficRequest,
};
use rollctl::inventory::{check_files, load};

fn inventory(traffic: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fleet.toml");
    let text = format!(
        "[hosts.\"web-[1-2]\"]\nlabels = {{ slot = \"s{{n}}\" }}\n[hosts.lb-01]\n[services.web]\nhosts = \"web-*\"\nunit = \"web.service\"\n\
         port = 8080\ninstall_dir = \"/opt/web\"\nhealth.unit = true\n[services.web.traffic]\n{traffic}\n"
    );
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn read(traffic: &str) -> Traffic {
    let (_dir, path) = inventory(traffic);
    let mut loaded = load(&path).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    loaded.fleet.services.remove(0).traffic.unwrap()
}

fn on_balancer(path: &str) -> RemoteFile {
    RemoteFile {
        host: HostName::new("lb-01"),
        path: path.to_owned(),
    }
}

const THIRTY: Duration = Duration::from_secs(30);

#[test]
fn haproxy() {
    let least =
        read("driver = \"haproxy\"\nendpoints = [\"tcp://192.0.2.5:9999\"]\nbackend = \"web\"");
    let expected = Traffic {
        driver: TrafficDriver::Haproxy {
            endpoints: vec![HaproxyEndpoint::Tcp {
                host: "192.0.2.5".to_owned(),
                port: 9999,
            }],
            backend: "web".to_owned(),
            server: "{host}".to_owned(),
        },
        drain_timeout: THIRTY,
    };
    assert_eq!(least, expected);

    let all = read(
        "driver = \"haproxy\"\nendpoints = [\"tcp://[2001:db8::5]:9999\", \"unix:/run/haproxy/admin.sock\", \
         \"ssh://lb-01/run/haproxy/admin.sock\"]\nbackend = \"web\"\nserver = \"{label.slot}-{port}\"\ndrain_timeout = \"0s\"",
    );
    let TrafficDriver::Haproxy {
        endpoints, server, ..
    } = &all.driver
    else {
        panic!("{all:?}");
    };
    let names: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "tcp://[2001:db8::5]:9999",
            "unix:/run/haproxy/admin.sock",
            "ssh://lb-01/run/haproxy/admin.sock"
        ]
    );
    assert_eq!(server, "{label.slot}-{port}");
    assert_eq!(all.drain_timeout, Duration::ZERO);
}

#[test]
fn nginx() {
    let path = "/etc/nginx/conf.d/web-upstream.conf";
    let least = read(&format!(
        "driver = \"nginx\"\nendpoints = [\"ssh://lb-01{path}\"]"
    ));
    let expected = TrafficDriver::Nginx {
        endpoints: vec![on_balancer(path)],
        upstream: "web".to_owned(),
        server: "{address}:{port}".to_owned(),
        nginx: vec!["nginx".to_owned()],
    };
    assert_eq!(least.driver, expected);
}

#[test]
fn command() {
    let (dir, path) = inventory(
        "driver = \"command\"\ndrain_timeout = \"5s\"\nattach = { run = [\"./lb\", \"in\"] }\n\
         drain = { on = \"host\", run = [\"lb\", \"\"] }\nobserve = { run = [\"./lb\"], timeout = \"1s\" }",
    );
    let mut loaded = load(&path).unwrap();
    let missing: Vec<_> = check_files(&loaded)
        .iter()
        .map(|one| one.render(false).replace(dir.path().to_str().unwrap(), "."))
        .collect();
    insta::assert_snapshot!(missing.join("\n\n"));
    let traffic = loaded.fleet.services.remove(0).traffic.unwrap();
    let lb = dir.path().join("lb");
    let lb = lb.to_str().unwrap();
    let command = |on, run: &[&str], seconds| Program {
        on,
        run: run.iter().map(|word| (*word).to_owned()).collect(),
        timeout: Duration::from_secs(seconds),
    };
    let expected = TrafficDriver::Command(Box::new(Moves {
        attach: command(RunsOn::Controller, &[lb, "in"], 30),
        // The time of its own and of the sessions that it may wait for.
        drain: command(RunsOn::Host, &["lb", ""], 35),
        observe: command(RunsOn::Controller, &[lb], 1),
    }));
    assert_eq!(traffic.driver, expected);
}

#[test]
fn http() {
    let traffic = read(
        "driver = \"http\"\nattach = { url = \"http://lb:8000/{host}\", method = \"PUT\", expect_status = 204, body = '{\"up\": true}' }\n\
         drain = { url = \"http://lb:8000/{host}\" }\nobserve = { url = \"http://lb:8000/{host}\", expect_body = \"up\" }",
    );
    let request = |method: &str, expect_status, expect_body: Option<&str>, body: Option<&str>| {
        TrafficRequest {
            url: "http://lb:8000/{host}".to_owned(),
            method: method.to_owned(),
            expect_status,
            expect_body: expect_body.map(str::to_owned),
            body: body.map(str::to_owned),
            timeout: Duration::from_secs(10),
        }
    };
    let expected = TrafficDriver::Http(Box::new(Moves {
        attach: request("PUT", 204, None, Some("{\"up\": true}")),
        drain: request("POST", 200, None, None),
        observe: request("GET", 200, Some("up"), None),
    }));
    assert_eq!(traffic.driver, expected);
}

#[test]
fn health() {
    let least = read("driver = \"health\"\ndrain_file = \"/run/web/drain\"");
    let expected = TrafficDriver::Health {
        through: DrainMark::File("/run/web/drain".to_owned()),
        poll: Duration::from_secs(2),
        fall: 3,
        rise: 2,
    };
    assert_eq!(least.driver, expected);
    let url = read(
        "driver = \"health\"\ndrain_url = \"http://{address}:{port}/drain\"\npoll = \"10s\"\nfall = 2\nrise = 5",
    );
    let expected = TrafficDriver::Health {
        through: DrainMark::Url("http://{address}:{port}/drain".to_owned()),
        poll: Duration::from_secs(10),
        fall: 2,
        rise: 5,
    };
    assert_eq!(url.driver, expected);
}
