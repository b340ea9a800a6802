//! Real hosts that fetch their artifacts by themselves, from a server that speaks S3 and knows nothing of rollctl.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod support;

use std::fs;
use std::net::IpAddr;

use rollctl_fleet::{Base, Fleet, FleetOptions, Host};
use rollctl_lab::Behaviour;
use rollctl_s3::{Fault, SECRET_KEY, Seen, Server};
use support::{Controller, Run, file_hash, running_hash};

struct Story {
    server: Server,
    fleet: Fleet,
    controller: Controller,
}

impl Story {
    fn new(hosts: FleetOptions) -> Self {
        let fleet = Fleet::boot(hosts.prefix("web")).unwrap();
        let controller = Controller::new();
        let buckets = controller.path("buckets");
        fs::create_dir_all(buckets.join("builds")).unwrap();
        // This machine, as the hosts see it.
        let [a, b, c, _] = fleet.host(0).address().octets();
        let server = Server::start(IpAddr::from([a, b, c, 1]), &buckets).unwrap();
        Self {
            server,
            fleet,
            controller,
        }
    }

    /// The usual service, with these lines more.
    fn inventory(&self, before: &str, service: &str) {
        let at_once = self.fleet.hosts().len().to_string();
        let usual = self.controller.usual(&at_once);
        let usual = usual.replace("[services.web]\n", &format!("[services.web]\n{service}"));
        self.controller
            .inventory(&self.fleet, "deploy", &format!("{before}{usual}"));
    }

    fn version(&self, name: &str) -> String {
        let behaviour = Behaviour {
            padding: 3_000_000,
            ..Behaviour::default()
        };
        let path = self.controller.version(name, &behaviour);
        path.to_str().unwrap().to_owned()
    }

    fn rollctl(&self, words: &[&str]) -> Run {
        let mut command = self.controller.command(words);
        command.envs(self.server.environment());
        command.env("DB_PASSWORD", "geheim-geheim");
        let run = Run::of(&command.output().unwrap());
        println!("$ rollctl {words:?}: {}\n{}", run.code, run.text());
        assert!(!run.text().contains(SECRET_KEY) && !run.text().contains("Signature"));
        run
    }

    /// What that host asked of the server since the last look, as `status path`.
    fn asked(seen: &[Seen], host: &Host) -> Vec<(u16, String)> {
        let by = seen
            .iter()
            .filter(|one| one.from == IpAddr::from(host.address()));
        by.map(|one| (one.status, one.path.clone())).collect()
    }

    #[track_caller]
    fn all_run(&self, path: &str) {
        let expected = file_hash(std::path::Path::new(path));
        for host in self.fleet.hosts() {
            assert_eq!(
                running_hash(host, "web.service"),
                expected,
                "{}",
                host.name()
            );
            let left = host
                .sh("ls -A /opt/web/revisions | grep '^[.]' || true")
                .unwrap();
            assert_eq!(left, "", "{}", host.name());
        }
    }
}

#[test]
fn hosts_fetch_from_a_bucket_and_are_sent_what_they_cannot_get() {
    if rollctl_fleet::skip() {
        return;
    }
    let story = Story::new(FleetOptions::hosts(5, Base::Full).and(1, Base::Minimal));
    story.inventory(
        "[artifacts]\nurl = \"s3://builds/rollctl\"\n",
        "environment = { PASSWORD = { env = \"DB_PASSWORD\" } }\n",
    );
    story
        .rollctl(&["check", "--connect"])
        .exits(0)
        .says("no `curl`: artifacts come through SSH");
    let hosts = story.fleet.hosts();
    let (good, poor) = (&hosts[0], &hosts[5]);

    // All that can, fetch; what only SSH may carry is with them.
    let v1 = story.version("v1");
    let run = story
        .rollctl(&["release", "web", &v1, "--name", "v1"])
        .exits(0);
    story.all_run(&v1);
    let seen = story.server.seen();
    for host in &hosts[..5] {
        let asked = Story::asked(&seen, host);
        assert!(
            matches!(asked.as_slice(), [(200, path)] if path.ends_with("/any.tar.zst")),
            "{}: {asked:?}",
            host.name()
        );
    }
    assert_eq!(Story::asked(&seen, poor), []);
    assert_eq!(run.text().matches("came through SSH").count(), 1);
    let run = run.says("web-06: warning: could not fetch `v1` by itself, it came through SSH: the host has no `curl`");
    assert!(!run.text().contains("geheim-geheim"));
    for host in hosts {
        host.sh("grep -q geheim-geheim /opt/web/current/.rollctl/environment")
            .unwrap();
    }
    // No secret lies in the bucket, packed or not.
    let mut kept = 0;
    for entry in walk(&story.controller.path("buckets")) {
        let bytes = fs::read(&entry).unwrap();
        let plain = zstd::decode_all(bytes.as_slice()).unwrap_or_default();
        for bytes in [bytes, plain] {
            assert!(!bytes.windows(13).any(|window| window == b"geheim-geheim"));
        }
        kept += 1;
    }
    assert!(kept >= 2, "a package and its contents");

    // Whatever goes wrong between a host and the store, the host gets the revision, whole.
    for (host, fault) in
        hosts[1..5]
            .iter()
            .zip([Fault::Deny, Fault::Alter, Fault::Stall, Fault::Cut])
    {
        story.server.fail(IpAddr::from(host.address()), fault);
    }
    let v2 = story.version("v2");
    let run = story
        .rollctl(&["release", "web", &v2, "--name", "v2"])
        .exits(0)
        .says("web-02: warning: could not fetch `v2` by itself, it came through SSH: the host cannot fetch it: curl: (22) The requested URL returned error: 403")
        .says("web-03: warning: could not fetch `v2` by itself, it came through SSH: what the host fetched has another SHA-256")
        .says("web-04: warning: could not fetch `v2` by itself, it came through SSH: the host cannot fetch it: curl: (28)")
        .says("web-05: warning: could not fetch `v2` by itself, it came through SSH: the host cannot fetch it: curl: (18)");
    assert_eq!(run.text().matches("came through SSH").count(), 5);
    story.all_run(&v2);
    let seen = story.server.seen();
    assert_eq!(Story::asked(&seen, good).len(), 1);
    assert_eq!(Story::asked(&seen, &hosts[1])[0].0, 403);

    // A controller that has lost its own copies takes them back, and proves them.
    let artifacts = story.controller.path("inventory/ledger.artifacts");
    fs::remove_dir_all(&artifacts).unwrap();
    good.sh("rm -rf /opt/web/revisions/v1").unwrap();
    story.rollctl(&["rollback", "web", "--to", "v1"]).exits(0);
    story.all_run(&v1);
    assert_eq!(Story::asked(&story.server.seen(), good).len(), 1);

    // A bucket that cannot be written stops a release before anything is touched.
    let v3 = story.version("v3");
    let mut command = story.controller.command(&["release", "web", &v3]);
    command.envs(story.server.environment());
    command.env("DB_PASSWORD", "geheim-geheim");
    command.env("AWS_SECRET_ACCESS_KEY", "another-geheim");
    let run = Run::of(&command.output().unwrap()).exits(2);
    let run = run
        .says("artifact store s3://builds/rollctl: access is denied (403)")
        .says("AWS_SECRET_ACCESS_KEY");
    assert!(!run.text().contains("geheim"), "{}", run.text());
    story.all_run(&v1);
}

#[test]
fn an_artifact_by_url_is_fetched_from_there() {
    if rollctl_fleet::skip() {
        return;
    }
    let story = Story::new(FleetOptions::hosts(2, Base::Full));
    story
        .controller
        .write("inventory/web.conf", "answer = 42\n");
    story.inventory(
        "",
        "files = { \"etc/web.conf\" = \"web.conf\" }\nartifact = \"s3://builds/web\"\n",
    );
    let bucket = story.controller.path("buckets/builds");
    let v1 = story.version("v1");
    fs::copy(&v1, bucket.join("web")).unwrap();
    story
        .rollctl(&["release", "web", "--name", "v1"])
        .exits(0)
        .says("reading s3://builds/web");
    story.all_run(&v1);
    let seen = story.server.seen();
    for host in story.fleet.hosts() {
        assert_eq!(Story::asked(&seen, host), [(200, "/builds/web".to_owned())]);
        assert_eq!(
            host.sh("cat /opt/web/current/etc/web.conf").unwrap(),
            "answer = 42"
        );
    }
    // The same from here is the same revision.
    story
        .rollctl(&["release", "web", &v1])
        .exits(0)
        .says("nothing to do");
    story
        .rollctl(&["release", "web", "s3://builds/nothing"])
        .exits(2)
        .says("artifact `s3://builds/nothing` cannot be fetched: there is no such object");
}

/// All files below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => walk(&path),
            false => vec![path],
        })
        .collect()
}
