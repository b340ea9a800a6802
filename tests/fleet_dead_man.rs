//! The dead-man's switch on a real host: whatever becomes of the controller, the host heals itself.
#![expect(
    clippy::unwrap_used,
    reason = "in a test, what goes wrong is a failed test"
)]

#[path = "fleet_host/bench.rs"]
#[expect(dead_code, reason = "another test uses the rest")]
mod bench;

use std::time::Duration;

use bench::{Bench, Login, Recipe, elf, runs, sha};
use rollctl::core::event::{Runs, Started, Unproven};
use rollctl::core::revision::Revision;
use rollctl::ports::{HostErrorKind, Hosts, Switch};

/// Stop 1 s, deadline 20 s, min_ready 1 s and 30 s, and some time to put it back.
const HEALED_WITHIN: Duration = Duration::from_secs(75);

const UNIT: &str = "[Service]\nExecStart=/opt/api/current/api infinity\nTimeoutStopSec=1\n[Install]\nWantedBy=multi-user.target\n";

/// A host that runs v1, confirmed, and has v2.
struct Scene {
    bench: Bench,
    login: Login,
    v1: Revision,
    v2: Revision,
}

impl Scene {
    async fn boot(login: Login, unit: &str) -> Option<Self> {
        let bench = Bench::boot(login).await?;
        let recipe = |text: &str| match unit {
            "" => Recipe::new(elf(text)),
            unit => Recipe::new(elf(text)).unit(unit),
        };
        let (v1, v2) = (
            bench.add("v1", 1, &recipe("one")),
            bench.add("v2", 2, &recipe("two")),
        );
        Some(Self {
            bench,
            login,
            v1,
            v2,
        })
    }

    async fn on_v1(&self) {
        let (hosts, name, me) = self.parts();
        hosts.claim(&name, &me).await.unwrap();
        hosts.stage(&name, &me, &self.v1, &|_, _| ()).await.unwrap();
        let first = guarded(&Runs::Nothing, &runs(&self.v1), "h1");
        let started = hosts.switch(&name, &me, &first).await.unwrap();
        hosts.confirm(&name, &me, &first, &started).await.unwrap();
        self.is_clean();
        hosts.stage(&name, &me, &self.v2, &|_, _| ()).await.unwrap();
    }

    fn parts(
        &self,
    ) -> (
        &rollctl::host::ServiceHosts,
        rollctl::core::ids::HostName,
        rollctl::ports::Controller,
    ) {
        (
            self.bench.hosts(),
            self.bench.name(),
            self.bench.controller(),
        )
    }

    async fn to_v2(&self) -> (Switch, Started) {
        let (hosts, name, me) = self.parts();
        let second = guarded(&runs(&self.v1), &runs(&self.v2), "h2");
        let started = hosts.switch(&name, &me, &second).await.unwrap();
        let before = runs(&self.v1);
        let facts = hosts.observe(&name).await.unwrap();
        assert_eq!(facts.unproven, Some(Unproven { before }));
        (second, started)
    }

    /// The SHA-256 of what the unit's main process runs; nothing while it has none.
    fn running(&self) -> String {
        let unit = self.login.unit();
        let show = match self.login.is_users() {
            true => format!(
                "systemctl --user -M {}@ show -p MainPID --value {unit}",
                self.login.user()
            ),
            false => format!("systemctl show -p MainPID --value {unit}"),
        };
        let script = format!("sha256sum </proc/$({show})/exe 2>/dev/null || true");
        let sum = self.bench.host().sh(&script).unwrap();
        sum.split(' ').next().unwrap_or_default().trim().to_owned()
    }

    /// Until it runs again what it ran, by itself.
    fn heals(&self) {
        let begun = std::time::Instant::now();
        while self.running() != sha(&elf("one")) {
            assert!(begun.elapsed() < HEALED_WITHIN, "it does not heal itself");
            std::thread::sleep(Duration::from_millis(200));
        }
        let journal = format!(
            "tail -n 1 {}/.rollctl/journal | grep -q \"put back by the dead-man's switch: not confirmed within\"",
            self.login.folder()
        );
        let host = self.bench.host();
        host.wait_until(&journal, Duration::from_secs(10)).unwrap();
        host.wait_until(
            "! ls /etc/systemd/system /home/*/.config/systemd/user 2>/dev/null | grep -q rollctl-revert",
            Duration::from_secs(10),
        )
        .unwrap();
        self.is_clean();
    }

    /// Nothing is armed and nothing half-written.
    fn is_clean(&self) {
        let script = format!(
            "find /etc/systemd/system /home /root {0} -name 'rollctl-revert-*' -o -name guard -o -name 'guard.new' -o -name '*.rollctl-*' -o -path {0}/.rollctl/previous 2>/dev/null; \
             systemctl list-units --all --no-legend --plain 'rollctl-revert-*'",
            self.login.folder()
        );
        assert_eq!(self.bench.host().sh(&script).unwrap().trim(), "");
    }
}

fn guarded(from: &Runs, to: &Runs, hash: &str) -> Switch {
    Switch {
        from: from.clone(),
        to: to.clone(),
        event_hash: hash.into(),
        guarded: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_nobody_confirms_heals_itself_also_after_a_reboot() {
    let Some(scene) = Scene::boot(Login::ROOT, UNIT).await else {
        return;
    };
    scene.on_v1().await;
    scene.to_v2().await;
    assert_eq!(scene.running(), sha(&elf("two")));
    scene.heals();
    let facts = scene
        .bench
        .hosts()
        .observe(&scene.bench.name())
        .await
        .unwrap();
    assert_eq!((facts.runs, facts.unproven), (runs(&scene.v1), None));
    // Again, and the power fails in between: the count starts anew with the boot.
    let (hosts, name, me) = scene.parts();
    let again = guarded(&runs(&scene.v1), &runs(&scene.v2), "h3");
    hosts.switch(&name, &me, &again).await.unwrap();
    scene.bench.host().cut_power().unwrap();
    scene.bench.host().start().unwrap();
    scene.heals();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_confirmed_in_time_stays() {
    let Some(scene) = Scene::boot(Login::ROOT, UNIT).await else {
        return;
    };
    scene.on_v1().await;
    let (second, started) = scene.to_v2().await;
    let (hosts, name, me) = scene.parts();
    hosts.confirm(&name, &me, &second, &started).await.unwrap();
    scene.is_clean();
    // Longer than it would have waited: nothing comes.
    tokio::time::sleep(Duration::from_secs(55)).await;
    assert_eq!(scene.running(), sha(&elf("two")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_and_a_revert_never_both_happen() {
    let Some(scene) = Scene::boot(Login::ROOT, UNIT).await else {
        return;
    };
    scene.on_v1().await;
    let (mut confirmed, mut put_back) = (0, 0);
    for round in 0..12 {
        let (hosts, name, me) = scene.parts();
        let to_v2 = guarded(&runs(&scene.v1), &runs(&scene.v2), &format!("to-{round}"));
        let started = hosts.switch(&name, &me, &to_v2).await.unwrap();
        // The time is over at about the moment of the confirmation.
        let fire =
            "systemctl start --no-block $(cd /etc/systemd/system && ls rollctl-revert-*.service)";
        let wait = Duration::from_millis(60 * (round % 6));
        let fired = {
            let host = scene.bench.host().clone();
            tokio::task::spawn_blocking(move || host.sh(fire).map(drop))
        };
        tokio::time::sleep(wait).await;
        let answer = hosts.confirm(&name, &me, &to_v2, &started).await;
        let _ = fired.await.unwrap();
        let quiet =
            "! systemctl list-units --all --no-legend --plain 'rollctl-revert-*' | grep -q .";
        scene
            .bench
            .host()
            .wait_until(quiet, Duration::from_secs(20))
            .unwrap();
        match answer {
            Ok(_) => {
                assert_eq!(scene.running(), sha(&elf("two")), "round {round}");
                confirmed += 1;
                let back = Switch {
                    guarded: false,
                    ..guarded(&runs(&scene.v2), &runs(&scene.v1), &format!("back-{round}"))
                };
                hosts.switch(&name, &me, &back).await.unwrap();
            }
            Err(error) => {
                assert_eq!(error.kind, HostErrorKind::Failed, "{error}");
                assert_eq!(scene.running(), sha(&elf("one")), "round {round}: {error}");
                put_back += 1;
            }
        }
        assert_eq!(scene.running(), sha(&elf("one")));
        let clean = "rm -rf /opt/api/.rollctl/previous; ls /etc/systemd/system | grep rollctl-revert || true";
        assert_eq!(scene.bench.host().sh(clean).unwrap(), "");
    }
    assert!(confirmed + put_back == 12, "{confirmed} and {put_back}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_systemd_heals_itself_too() {
    let unit = UNIT
        .replace("/opt/api", "%h/api")
        .replace("multi-user", "default");
    let Some(scene) = Scene::boot(Login::SVC, &unit).await else {
        return;
    };
    scene.on_v1().await;
    scene.to_v2().await;
    scene.bench.hosts().close(&scene.bench.name()).await;
    scene.heals();
}

#[tokio::test(flavor = "multi_thread")]
async fn restricted_rights_are_enough_for_it() {
    let Some(scene) = Scene::boot(Login::LIMITED, "").await else {
        return;
    };
    let host = scene.bench.host();
    let unit =
        "[Service]\nUser=nobody\nTimeoutStopSec=1\nExecStart=/srv/web/current/web infinity\n";
    host.write_file("/etc/systemd/system/web.service", unit.as_bytes(), 0o644)
        .unwrap();
    host.sh("systemctl daemon-reload && install -d -o limited /srv/web")
        .unwrap();
    scene.on_v1().await;
    scene.to_v2().await;
    scene.bench.hosts().close(&scene.bench.name()).await;
    scene.heals();
    // Without lingering the timer would end with the login: refused before anything goes down.
    scene
        .bench
        .host()
        .sh("loginctl disable-linger limited")
        .unwrap();
    let (hosts, name, me) = scene.parts();
    let error = hosts
        .stage(&name, &me, &scene.v2, &|_, _| ())
        .await
        .unwrap_err();
    assert!(
        error
            .hint
            .unwrap_or_default()
            .contains("enable-linger limited")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_does_not_stop_it() {
    let Some(scene) = Scene::boot(Login::ROOT, UNIT).await else {
        return;
    };
    let host = scene.bench.host();
    host.mount_small_tmpfs("/opt/api", "8m").unwrap();
    scene.on_v1().await;
    scene.to_v2().await;
    host.sh("dd if=/dev/zero of=/opt/api/filler bs=4096 2>/dev/null || true; sync")
        .unwrap();
    host.sh("systemctl start $(cd /etc/systemd/system && ls rollctl-revert-*.service)")
        .unwrap();
    assert_eq!(scene.running(), sha(&elf("one")));
    assert_eq!(
        host.sh("ls /etc/systemd/system | grep rollctl-revert || true")
            .unwrap(),
        ""
    );
}
