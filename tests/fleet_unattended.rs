//! A timer against people, by a real systemd on a real host: what it is not to undo, and what it is not to try again.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use rollctl_fleet::{Base, Fleet, FleetOptions, Host};
use rollctl_lab::{Behaviour, demo_service};
use sha2::{Digest, Sha256};
use support::{UNIT, running_hash};

/// Runs come every five seconds; a rollout over two hosts takes a few.
const PATIENCE: Duration = Duration::from_secs(120);

/// Its name has to be quoted, for systemd and for the shell.
const FLEET: &str = "/srv/our fleet, 50%";

const NAME: &str = "rollctl-release-production-web";

/// The fleet: the first host has rollctl and its timer, the others the service.
struct Site(Fleet);

impl Site {
    fn boot() -> Self {
        let fleet = Fleet::boot(FleetOptions::hosts(3, Base::Full).prefix("web")).unwrap();
        let site = Self(fleet);
        let controller = site.controller();
        let rollctl = fs::read(env!("CARGO_BIN_EXE_rollctl")).unwrap();
        controller
            .write_file("/usr/local/bin/rollctl", &rollctl, 0o755)
            .unwrap();
        let put = |name: &str, content: &[u8], mode| {
            let path = format!("{FLEET}/{name}");
            controller.write_file(&path, content, mode).unwrap();
        };
        put("key", &fs::read(site.0.identity()).unwrap(), 0o600);
        put(
            "known_hosts",
            &fs::read(site.0.known_hosts()).unwrap(),
            0o644,
        );
        put("web.service", UNIT.as_bytes(), 0o644);
        put("production.toml", site.inventory().as_bytes(), 0o644);
        controller
            .sh(&format!(
                "mkdir '{FLEET}/builds' && chown -R deploy '{FLEET}'"
            ))
            .unwrap();
        site
    }

    fn controller(&self) -> &Host {
        self.0.host(0)
    }

    fn targets(&self) -> &[Host] {
        &self.0.hosts()[1..]
    }

    /// The ledger is where it is by default: in the home of whoever the timer runs as.
    fn inventory(&self) -> String {
        let mut text =
            "[ssh]\nuser = \"root\"\nidentity = \"key\"\nknown_hosts = \"known_hosts\"\n"
                .to_owned();
        for host in self.targets() {
            let (name, address) = (host.name(), host.address());
            writeln!(text, "[hosts.{name}]\naddress = \"{address}\"").unwrap();
        }
        text + r#"
[services.web]
hosts = "*"
unit = "web.service"
unit_file = "web.service"
install_dir = "/opt/web"
port = 8080
artifact = "builds/web-{version}"
version_from = { folder = "builds" }
[services.web.strategy]
min_ready = "500ms"
progress_deadline = "2m"
[services.web.health]
http = "http://{address}:{port}/healthz"
interval = "100ms"
successes = 2
deadline = "10s"
"#
    }

    /// A build as a CI server leaves it: the digest file comes last.
    fn build(&self, version: &str, behaviour: &Behaviour) -> String {
        let content = demo_service(version, behaviour);
        let digest = hex::encode(Sha256::digest(&content));
        let path = format!("{FLEET}/builds/web-{version}");
        let controller = self.controller();
        controller.write_file(&path, &content, 0o755).unwrap();
        let line = format!("{digest}  web-{version}\n");
        controller
            .write_file(&format!("{path}.sha256"), line.as_bytes(), 0o644)
            .unwrap();
        digest
    }

    /// A person at the controller, who tries again while the timer's run is at work.
    fn person(&self, name: &str, words: &str) -> String {
        let script = format!("USER={name} rollctl --inventory '{FLEET}/production.toml' {words}");
        let begun = Instant::now();
        loop {
            let ran = self.controller().exec_as("deploy", &script).unwrap();
            println!(
                "{name}$ rollctl {words}   # {:?}\n{}{}",
                ran.code, ran.stdout, ran.stderr
            );
            match ran.code {
                Some(0) => return ran.stdout,
                Some(4) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(300))
                }
                code => panic!("{words} ended with {code:?}"),
            }
        }
    }

    /// Puts the units there as they are printed, and starts the timer.
    fn install(&self) {
        let controller = self.controller();
        for part in ["service", "timer"] {
            let words = format!(
                "timer web --on-calendar '*:*:0/5' --randomized-delay 0s --user deploy --only {part}"
            );
            let unit = self.person("ann", &words);
            println!("{unit}");
            let path = format!("/etc/systemd/system/{NAME}.{part}");
            controller
                .write_file(&path, unit.as_bytes(), 0o644)
                .unwrap();
        }
        let verified = controller
            .exec(&format!("cd /etc/systemd/system && systemd-analyze verify --man=no {NAME}.timer {NAME}.service 2>&1"))
            .unwrap();
        assert_eq!((verified.code, verified.stdout.as_str()), (Some(0), ""));
        controller
            .sh(&format!(
                "systemctl daemon-reload && systemctl enable --now {NAME}.timer"
            ))
            .unwrap();
    }

    /// What the unit's runs have said so far.
    fn said(&self) -> String {
        self.controller()
            .sh(&format!("journalctl -q -o cat -u {NAME}.service"))
            .unwrap()
    }

    /// Runs that have ended: each says so, well or not.
    fn runs(&self) -> usize {
        let said = self.said();
        let ended =
            |line: &&str| line.starts_with("Finished ") || line.starts_with("Failed to start ");
        said.lines().filter(ended).count()
    }

    /// Waits for so many more whole runs, and gives back what they said.
    #[track_caller]
    fn after_runs(&self, more: usize) -> String {
        let before = self.said();
        // One may be under way.
        let wanted = self.runs() + more + 1;
        self.wait("runs", || self.runs() >= wanted);
        self.said()
            .get(before.len()..)
            .unwrap_or_default()
            .to_owned()
    }

    #[track_caller]
    fn wait(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(
                begun.elapsed() < PATIENCE,
                "never happened: {what}\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// The exit code of the last run.
    fn status(&self) -> String {
        self.controller()
            .sh(&format!(
                "systemctl show -p ExecMainStatus --value {NAME}.service"
            ))
            .unwrap()
    }

    #[track_caller]
    fn all_run(&self, digest: &str) {
        let runs = |host: &Host| {
            let active = host.exec("systemctl is-active web.service").unwrap();
            active.is_success() && running_hash(host, "web.service") == digest
        };
        self.wait("they all run it", || self.targets().iter().all(runs));
    }

    /// What was done on the hosts, and which processes run there.
    fn touched(&self) -> Vec<String> {
        let look =
            "cat /opt/web/.rollctl/journal; systemctl show -p MainPID,InvocationID web.service";
        self.targets()
            .iter()
            .map(|host| host.sh(look).unwrap())
            .collect()
    }
}

#[test]
fn a_timer_undoes_no_rollback_and_tries_nothing_again_that_failed() {
    if rollctl_fleet::skip() {
        return;
    }
    let site = Site::boot();
    let usual = Behaviour::default();
    let first = site.build("1.9.0", &usual);
    site.install();
    site.all_run(&first);
    // Nothing new: nothing is said, nothing is done.
    site.after_runs(1);
    let before = site.touched();
    let said = site.after_runs(2);
    assert_eq!(site.status(), "0");
    for word in ["nothing to do", "warning", "note"] {
        assert!(!said.contains(word), "{said}");
    }
    assert_eq!(site.touched(), before);
    let second = site.build("1.10.0", &usual);
    site.all_run(&second);
    site.after_runs(1);

    // At night somebody goes back. The timer brings nothing again, and says who did it and when.
    site.person("ann", "rollback web");
    site.all_run(&first);
    site.after_runs(1);
    let before = site.touched();
    let said = site.after_runs(3);
    assert_eq!(site.status(), "5");
    assert!(
        said.contains(
            "this build of `web` is not released: ann@web-01 rolled back to `1.9.0` (rollout 3, 20"
        ),
        "{said}"
    );
    assert!(said.contains("nothing was touched"), "{said}");
    assert_eq!(site.touched(), before);
    site.all_run(&first);

    // The next build goes out. It fails, is taken back, and is not tried again.
    let broken = Behaviour {
        exit_at_once: Some(3),
        ..usual.clone()
    };
    site.build("1.11.0", &broken);
    site.wait("it fails", || {
        site.said().contains("failed and was rolled back")
    });
    let before = site.touched();
    let said = site.after_runs(3);
    assert_eq!(site.status(), "5");
    assert!(
        said.contains("`1.11.0` is not tried again: its rollout 4 (release by deploy@web-01, 20"),
        "{said}"
    );
    assert_eq!(site.touched(), before);
    site.all_run(&first);

    // Held, not even the next one goes out, until somebody lifts that.
    site.person("bob", "hold web --cause 'the database moves'");
    let last = site.build("1.12.0", &usual);
    let before = site.touched();
    let said = site.after_runs(2);
    assert_eq!(site.status(), "5");
    assert!(
        said.contains("`web` is held by bob@web-01 since 20"),
        "{said}"
    );
    assert_eq!(site.touched(), before);
    site.person("bob", "unhold web");
    site.all_run(&last);
    site.after_runs(1);
    assert_eq!(site.status(), "0");
    let history = site.person("ann", "history web");
    assert!(history.contains("1.12.0"), "{history}");
}
