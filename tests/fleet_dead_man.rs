//! The dead-man's switch on a real host: nobody confirms, and the host goes back by itself.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    reason = "in a test, what goes wrong is a failed test; the bench serves other tests too"
)]

#[path = "fleet_host/bench.rs"]
mod bench;

use std::time::Duration;

use bench::{Bench, Login, Recipe, elf, runs};
use rollctl::core::event::{Runs, Started, Unproven};
use rollctl::core::revision::Revision;
use rollctl::ports::{HostErrorKind, Hosts, Switch};

/// A real host with a service on it, and whose systemd guards its switches.
struct Scene {
    bench: Bench,
    /// `systemctl` as whoever is guarded would run it.
    systemctl: &'static str,
    unit_dir: &'static str,
    /// Where the service is.
    dir: &'static str,
    unit: &'static str,
    /// The unit file that a revision brings.
    text: Option<&'static str>,
}

const AS_SVC: &str =
    "runuser -u svc -- env XDG_RUNTIME_DIR=/run/user/$(id -u svc) systemctl --user";
const AS_LIMITED: &str =
    "runuser -u limited -- env XDG_RUNTIME_DIR=/run/user/$(id -u limited) systemctl --user";

impl Scene {
    async fn root() -> Option<Self> {
        Some(Self {
            bench: Bench::boot(Login::ROOT).await?,
            systemctl: "systemctl",
            unit_dir: "/etc/systemd/system",
            dir: "/opt/api",
            unit: "api.service",
            text: Some(
                "[Service]\nExecStart=/opt/api/current/api infinity\n[Install]\nWantedBy=multi-user.target\n",
            ),
        })
    }

    async fn user() -> Option<Self> {
        Some(Self {
            bench: Bench::boot(Login::SVC).await?,
            systemctl: AS_SVC,
            unit_dir: "/home/svc/.config/systemd/user",
            dir: "/home/svc/api",
            unit: "api.service",
            text: Some(
                "[Service]\nExecStart=%h/api/current/api infinity\n[Install]\nWantedBy=default.target\n",
            ),
        })
    }

    async fn restricted() -> Option<Self> {
        let bench = Bench::boot(Login::LIMITED).await?;
        let unit = "[Service]\nUser=nobody\nExecStart=/srv/web/current/web infinity\n[Install]\nWantedBy=multi-user.target\n";
        let host = bench.host();
        host.write_file("/etc/systemd/system/web.service", unit.as_bytes(), 0o644)
            .unwrap();
        host.sh("systemctl daemon-reload && systemctl enable web.service && install -d -o limited /srv/web")
            .unwrap();
        Some(Self {
            bench,
            systemctl: AS_LIMITED,
            unit_dir: "/home/limited/.config/systemd/user",
            dir: "/srv/web",
            unit: "web.service",
            text: None,
        })
    }

    fn add(&self, name: &str, number: u32) -> Revision {
        let recipe = Recipe::new(elf(name));
        let recipe = match self.text {
            Some(text) => recipe.unit(text),
            None => recipe,
        };
        self.bench.add(name, number, &recipe)
    }

    async fn claim(&self) {
        let (hosts, me) = (self.bench.hosts(), self.bench.controller());
        hosts.claim(&self.bench.name(), &me).await.unwrap();
    }

    /// stage and a guarded switch; its time is short when that is asked for.
    async fn switch(
        &self,
        from: &Runs,
        to: &Revision,
        hash: &str,
        seconds: Option<u32>,
    ) -> (Switch, Started) {
        let (hosts, me, name) = (
            self.bench.hosts(),
            self.bench.controller(),
            self.bench.name(),
        );
        hosts.stage(&name, &me, to, &|_, _| ()).await.unwrap();
        let switch = Switch {
            from: from.clone(),
            to: runs(to),
            event_hash: hash.into(),
            guarded: true,
            side: None,
        };
        let started = hosts.switch(&name, &me, &switch).await.unwrap();
        let facts = hosts.observe(&name).await.unwrap();
        let before = from.clone();
        assert_eq!(facts.unproven, Some(Unproven { before }));
        assert_eq!(self.running().as_deref(), Some(sum(to).as_str()));
        if let Some(seconds) = seconds {
            self.shorten(seconds);
        }
        (switch, started)
    }

    /// The time of the switch that is armed, from now on.
    fn shorten(&self, seconds: u32) {
        let (systemctl, dir) = (self.systemctl, self.unit_dir);
        self.sh(&format!(
            "sed -i 's/^OnActiveSec=.*/OnActiveSec={seconds}s/' {dir}/rollctl-revert-*.timer && \
             {systemctl} daemon-reload && {systemctl} restart \"$(cd {dir} && echo rollctl-revert-*.timer)\""
        ));
    }

    async fn confirm(
        &self,
        switch: &Switch,
        started: &Started,
    ) -> Result<rollctl::ports::Confirmed, rollctl::ports::HostError> {
        let (hosts, me) = (self.bench.hosts(), self.bench.controller());
        hosts
            .confirm(&self.bench.name(), &me, switch, started)
            .await
    }

    fn sh(&self, script: &str) -> String {
        self.bench.host().sh(script).unwrap()
    }

    /// Nothing is armed, running, failed or left behind.
    fn assert_disarmed(&self) {
        let listed = self.sh(&format!(
            "{} list-units --all --plain --no-legend 'rollctl-revert-*'",
            self.systemctl
        ));
        assert_eq!(listed.trim(), "");
        let left = self.sh(&format!(
            "find {} -name '*rollctl-revert*'; ls -A {}/.rollctl | grep -E '^(guard|previous)' || true",
            self.unit_dir, self.dir
        ));
        assert_eq!(left.trim(), "");
    }

    fn wait(&self, condition: &str) {
        let host = self.bench.host();
        if let Err(error) = host.wait_until(condition, Duration::from_secs(40)) {
            let about = host.sh(&format!(
                "cat {0}/.rollctl/journal; ls -la {0} {0}/.rollctl; {1} list-units --all 'rollctl-revert-*'; {1} status 'rollctl-revert-*'",
                self.dir, self.systemctl
            ));
            panic!("{condition}: {error}: {about:?}");
        }
    }

    fn wait_for_revert(&self) {
        self.wait(&format!(
            "tail -n 1 {0}/.rollctl/journal | grep -q \"put back by the dead-man's switch\" && ! [ -e {0}/.rollctl/guard ]",
            self.dir
        ));
        // Its oneshot ends after its last words.
        self.wait(&format!(
            "! {} list-units --all --plain --no-legend 'rollctl-revert-*' | grep -q .",
            self.systemctl
        ));
    }

    /// SHA-256 of what the unit runs; nothing: it does not run.
    fn running(&self) -> Option<String> {
        let systemctl = if self.unit_dir.contains("/home/svc") {
            AS_SVC
        } else {
            "systemctl"
        };
        let sum = self.sh(&format!(
            "pid=$({systemctl} show -p MainPID --value {}); [ \"$pid\" = 0 ] || sha256sum </proc/$pid/exe",
            self.unit
        ));
        sum.split(' ')
            .next()
            .map(str::trim)
            .filter(|sum| !sum.is_empty())
            .map(str::to_owned)
    }

    fn journal(&self) -> String {
        self.sh(&format!("cat {}/.rollctl/journal", self.dir))
    }

    /// Unconfirmed it goes back, confirmed it stays.
    async fn goes_back_unless_confirmed(&self) {
        self.claim().await;
        let (one, two) = (self.add("v1", 1), self.add("v2", 2));

        // A first release: stopped and gone.
        self.switch(&Runs::Nothing, &one, "h1", Some(1)).await;
        self.wait_for_revert();
        assert_eq!(self.running(), None);
        self.assert_disarmed();
        let (switch, started) = self.switch(&Runs::Nothing, &one, "h2", Some(30)).await;
        self.confirm(&switch, &started).await.unwrap();
        self.assert_disarmed();

        let (switch, started) = self.switch(&runs(&one), &two, "h3", Some(1)).await;
        self.wait_for_revert();
        assert_eq!(self.running().unwrap(), sum(&one));
        self.assert_disarmed();
        let last = self.journal().lines().last().unwrap().to_owned();
        assert!(last.contains("\tv2\tv1\tput back"), "{last}");
        assert!(last.contains("not confirmed within "), "{last}");
        let facts = self.bench.hosts().observe(&self.bench.name()).await;
        let facts = facts.unwrap();
        assert_eq!((facts.runs, facts.unproven), (runs(&one), None));
        let late = self.confirm(&switch, &started).await.unwrap_err();
        assert_eq!(late.kind, HostErrorKind::Failed);
        assert!(
            late.message
                .contains("dead-man's switch has put `v1` back at"),
            "{late}"
        );

        // Tried again, and confirmed in time: nothing comes when the time is over.
        let (switch, started) = self.switch(&runs(&one), &two, "h4", Some(3)).await;
        self.confirm(&switch, &started).await.unwrap();
        self.assert_disarmed();
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(self.running().unwrap(), sum(&two));
        assert!(self.journal().trim_end().ends_with("\tconfirmed\th4"));
    }

    /// The time counts anew after a reboot, and the host goes back.
    async fn goes_back_after_a_reboot(&self) {
        self.claim().await;
        let (one, two) = (self.add("v1", 1), self.add("v2", 2));
        let (switch, started) = self.switch(&Runs::Nothing, &one, "h1", None).await;
        self.confirm(&switch, &started).await.unwrap();
        self.switch(&runs(&one), &two, "h2", Some(6)).await;
        self.bench.hosts().close(&self.bench.name()).await;
        self.bench.host().reboot().unwrap();
        self.wait_for_revert();
        assert_eq!(self.running().unwrap(), sum(&one));
        self.assert_disarmed();
    }
}

fn sum(revision: &Revision) -> String {
    bench::sha(&elf(revision.names[0].as_str()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_service_goes_back_unless_confirmed() {
    let Some(scene) = Scene::root().await else {
        return;
    };
    scene.goes_back_unless_confirmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_service_goes_back_unless_confirmed() {
    let Some(scene) = Scene::user().await else {
        return;
    };
    scene.goes_back_unless_confirmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_restricted_rights_it_goes_back_unless_confirmed() {
    let Some(scene) = Scene::restricted().await else {
        return;
    };
    scene.goes_back_unless_confirmed().await;
    // Where the user's timers end with its login, nothing is switched.
    scene.sh("loginctl disable-linger limited");
    let three = scene.add("v3", 3);
    let (hosts, me) = (scene.bench.hosts(), scene.bench.controller());
    let name = scene.bench.name();
    let refused = hosts
        .stage(&name, &me, &three, &|_, _| ())
        .await
        .unwrap_err();
    assert_eq!(refused.kind, HostErrorKind::Refused);
    assert!(refused.hint.unwrap().contains("enable-linger limited"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reboot_in_between_does_not_disarm_it() {
    let Some(scene) = Scene::root().await else {
        return;
    };
    scene.goes_back_after_a_reboot().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reboot_in_between_does_not_disarm_a_users_timer() {
    let Some(scene) = Scene::restricted().await else {
        return;
    };
    scene.goes_back_after_a_reboot().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_and_a_revert_never_both_happen() {
    let Some(scene) = Scene::root().await else {
        return;
    };
    scene.claim().await;
    let (one, two) = (scene.add("v1", 1), scene.add("v2", 2));
    let (switch, started) = scene.switch(&Runs::Nothing, &one, "h0", None).await;
    scene.confirm(&switch, &started).await.unwrap();
    let mut seen = [0, 0];
    for round in 0..8_u32 {
        let (switch, started) = scene
            .switch(&runs(&one), &two, &format!("h{}", round + 1), None)
            .await;
        // The revert starts a little sooner or later than the confirmation.
        scene.sh(&format!(
            "(sleep 0.0{round}; exec systemctl start --no-block \"$(cd {} && echo rollctl-revert-*.service)\") >/dev/null 2>&1 &",
            scene.unit_dir
        ));
        let confirmed = scene.confirm(&switch, &started).await;
        scene.wait("! [ -e /opt/api/.rollctl/guard ]");
        let last = scene.journal().lines().last().unwrap().to_owned();
        match confirmed {
            Ok(_) => {
                assert_eq!(scene.running().unwrap(), sum(&two), "{round}: {last}");
                assert!(last.contains("\tconfirmed\t"), "{round}: {last}");
                seen[0] += 1;
                let back = Switch {
                    from: runs(&two),
                    to: runs(&one),
                    event_hash: format!("b{round}"),
                    guarded: false,
                    side: None,
                };
                let (hosts, me) = (scene.bench.hosts(), scene.bench.controller());
                let name = scene.bench.name();
                let started = hosts.switch(&name, &me, &back).await.unwrap();
                scene.confirm(&back, &started).await.unwrap();
            }
            Err(error) => {
                assert_eq!(error.kind, HostErrorKind::Failed, "{round}: {error}");
                scene.wait_for_revert();
                assert_eq!(scene.running().unwrap(), sum(&one), "{round}: {error}");
                seen[1] += 1;
            }
        }
        scene.assert_disarmed();
    }
    println!("confirmed {}, put back {}", seen[0], seen[1]);
}
