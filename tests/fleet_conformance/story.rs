//! What one host is asked, from an empty host to an empty host. The same words for both.

use std::time::{Duration, Instant};

use rollctl::core::event::{Runs, Started};
use rollctl::core::ids::LedgerId;
use rollctl::core::revision::Revision;
use rollctl::ports::{Controller, HostError, Hosts, JournalExcerpt, Owner, Switch, UnitState};
use rollctl_lab::{Behaviour, demo_service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::answers::Answers;
use crate::place::{Place, controller};

const UNIT: &str = "[Unit]\nDescription=a demo\n\n[Service]\nExecStart=%h/web/current/web\n\n\
[Install]\nWantedBy=default.target\n";

/// A host that is being asked, and what it answered.
pub(crate) struct Story {
    place: Place,
    answers: Answers,
    service: &'static str,
    me: Controller,
    hash: u32,
}

fn runs(revision: &Revision) -> Runs {
    Runs::Revision {
        revision: revision.reference(),
    }
}

/// The usual unit with more lines in its `[Service]`.
fn unit_with(lines: &str) -> String {
    UNIT.replace("\n\n[Install]", &format!("\n{lines}\n\n[Install]"))
}

impl Story {
    /// Asks everything.
    pub(crate) async fn told_by(place: Place) -> Answers {
        let mut own = vec![
            (place.home.clone(), "~".to_owned()),
            (
                format!("{}:{}", place.address, place.ssh_port),
                "(sshd)".to_owned(),
            ),
            (place.address.clone(), "(address)".to_owned()),
            ("0.0.0.0".to_owned(), "(address)".to_owned()),
        ];
        let boot = place.sh("cat /proc/sys/kernel/random/boot_id").await;
        own.push((boot.trim().to_owned(), "(boot)".to_owned()));
        let mut story = Self {
            place,
            answers: Answers::new(own),
            service: "web",
            me: controller(1),
            hash: 0,
        };
        let v1 = story.from_nothing().await;
        let v2 = story.to_a_second(&v1).await;
        story.strangers(&v1, &v2).await;
        story.failures(&v2).await;
        story.commands().await;
        story.prune(&v2).await;
        story.to_nothing(&v2).await;
        story.pair().await;
        story.adopt_a_file().await;
        story.adopt_a_folder().await;
        story.place.service("web").close(&story.place.host()).await;
        story.answers
    }

    // ---- asking

    fn hosts(&self) -> &rollctl::host::ServiceHosts {
        self.place.service(self.service)
    }

    async fn observe(&mut self, step: &str) -> Runs {
        let answer = self.hosts().observe(&self.place.host()).await;
        self.answers.take(&format!("observe {step}"), &answer);
        answer.map_or(Runs::Nothing, |facts| facts.runs)
    }

    async fn units(&mut self, step: &str) {
        let answer = self.hosts().units(&self.place.host()).await;
        self.answers.take(&format!("units {step}"), &answer);
    }

    async fn journal(&mut self, step: &str) {
        let mut answer = self.hosts().journal(&self.place.host(), 20).await;
        if let Ok(JournalExcerpt::Lines(lines)) = &mut answer {
            // What a process and systemd say at one moment comes to journald in either order; and the last words of
            // the process before may come so late that it counts them to the new invocation.
            lines.retain(|line| !line.contains(": got SIGTERM") && !line.ends_with(": stopped"));
            lines.sort_by_key(|line| line.contains(" systemd["));
        }
        self.answers.take(&format!("journal {step}"), &answer);
    }

    async fn claim(&mut self, step: &str, who: &Controller) {
        let answer = self.hosts().claim(&self.place.host(), who).await;
        self.answers.take(&format!("claim {step}"), &answer);
    }

    async fn stage(&mut self, step: &str, who: &Controller, revision: &Revision) {
        let answer = self
            .hosts()
            .stage(&self.place.host(), who, revision, &|_, _| ())
            .await;
        self.answers.take(&format!("stage {step}"), &answer);
    }

    /// A step that was not asked before.
    fn step(&mut self, from: &Runs, to: &Runs) -> Switch {
        self.hash += 1;
        Switch {
            from: from.clone(),
            to: to.clone(),
            event_hash: format!("h{}", self.hash),
            guarded: false,
        }
    }

    async fn switch(&mut self, step: &str, wanted: &Switch) -> Result<Started, HostError> {
        let answer = self
            .hosts()
            .switch(&self.place.host(), &self.me, wanted)
            .await;
        self.answers.take(&format!("switch {step}"), &answer);
        answer
    }

    async fn confirm(&mut self, step: &str, wanted: &Switch, started: &Started) {
        let answer = self
            .hosts()
            .confirm(&self.place.host(), &self.me, wanted, started)
            .await;
        self.answers.take(&format!("confirm {step}"), &answer);
    }

    /// Switch, confirm, and what is then to be seen.
    async fn go(&mut self, step: &str, from: &Runs, to: &Runs) {
        let wanted = self.step(from, to);
        let Ok(started) = self.switch(step, &wanted).await else {
            return;
        };
        self.confirm(step, &wanted, &started).await;
        self.observe(step).await;
        self.units(step).await;
        self.files(step).await;
    }

    /// What lies on the host, and what rollctl wrote there.
    async fn files(&mut self, step: &str) {
        let service = self.service;
        let commands = [
            format!("cd ~/{service} && find . -path '*/releases/*' -prune -o -printf '%m %y %P %l\\n' | sort"),
            "cd ~/.config/systemd && find . -printf '%m %y %P %l\\n' | sort".to_owned(),
            format!("cd ~/{service}/.rollctl && cat step owner epoch && cat journal"),
            "cd ~/.config/systemd/user && find . -type f | sort | while read -r f; do echo \"# $f\"; cat \"$f\"; done".to_owned(),
        ];
        for (n, command) in commands.iter().enumerate() {
            let answer = self
                .hosts()
                .run_check(&self.place.host(), command, Duration::from_secs(20))
                .await;
            self.answers.take(&format!("files {n} {step}"), &answer);
        }
    }

    /// Waits for what systemd does by itself.
    async fn wait(&self, what: &str, is_so: impl Fn(&[UnitState]) -> bool) {
        let begun = Instant::now();
        loop {
            let (_, units) = self.hosts().units(&self.place.host()).await.unwrap();
            if is_so(&units) {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{what} never came: {units:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn wait_until_it_says(&self, text: &str) {
        let begun = Instant::now();
        loop {
            let journal = self.hosts().journal(&self.place.host(), 50).await.unwrap();
            if format!("{journal:?}").contains(text) {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{text:?} is not in {journal:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    // ---- the story

    async fn from_nothing(&mut self) -> Revision {
        let check = self.hosts().check(&self.place.host()).await;
        self.answers.take("check an empty host", &check);
        self.observe("an empty host").await;
        self.units("on an empty host").await;
        self.journal("of an empty host").await;
        let me = self.me.clone();
        let v1 = self
            .place
            .revision("web", "v1", &Behaviour::default(), &[("web.service", UNIT)]);
        self.stage("before the claim", &me, &v1).await;
        let wanted = self.step(&Runs::Nothing, &runs(&v1));
        let _refused = self.switch("before the claim", &wanted).await;
        self.claim("an empty host", &me).await;
        self.claim("it again", &me).await;
        let _refused = self.switch("to what was not staged", &wanted).await;
        self.stage("v1", &me, &v1).await;
        self.stage("v1 again", &me, &v1).await;
        self.observe("after staging").await;
        self.files("after staging").await;
        let check = self.hosts().check(&self.place.host()).await;
        self.answers.take("check a claimed host", &check);

        let wanted = self.step(&Runs::Nothing, &runs(&v1));
        let started = self.switch("from nothing", &wanted).await.unwrap();
        let _same = self.switch("from nothing again", &wanted).await;
        self.wait_until_it_says("listening").await;
        self.units("of v1").await;
        self.confirm("v1", &wanted, &started).await;
        self.confirm("v1 again", &wanted, &started).await;
        self.observe("v1").await;
        self.journal("of v1").await;
        self.files("with v1").await;
        let environ = "cat /proc/$(systemctl --user show -p MainPID --value web.service)/environ | \
            grep -z -E '^(GREETING|LINES|EMPTY|BLANK|PORT|ROLLCTL_REVISION)=' | sort -z";
        let answer = self
            .hosts()
            .run_check(&self.place.host(), environ, Duration::from_secs(5))
            .await;
        self.answers.take("the environment of v1", &answer);
        v1
    }

    async fn to_a_second(&mut self, v1: &Revision) -> Revision {
        let me = self.me.clone();
        let unit =
            unit_with("Restart=on-failure\nTimeoutStopSec=2").replace("a demo", "a better demo");
        let v2 = self.place.revision(
            "web",
            "v2",
            &Behaviour::default(),
            &[("web.service", &unit)],
        );
        self.stage("v2", &me, &v2).await;
        self.go("to v2", &runs(v1), &runs(&v2)).await;
        self.wait_until_it_says("listening").await;
        self.journal("of v2").await;
        let wrong = self.step(&runs(v1), &runs(&v2));
        let _refused = self.switch("from what does not run", &wrong).await;
        v2
    }

    /// Another ledger, an older controller, a later one.
    async fn strangers(&mut self, v1: &Revision, v2: &Revision) {
        let stranger = Controller {
            owner: Owner {
                ledger: LedgerId::new("99999999-2222-3333-4444-555555555555"),
                machine: "elsewhere".into(),
            },
            ..controller(9)
        };
        self.claim("by another ledger", &stranger).await;
        self.stage("by another ledger", &stranger, v1).await;
        let later = controller(3);
        self.claim("by a later controller", &later).await;
        let back = self.step(&runs(v2), &runs(v1));
        for (who, whose) in [
            ("another ledger", &stranger),
            ("an older controller", &controller(1)),
        ] {
            self.me = whose.clone();
            let _refused = self.switch(&format!("by {who}"), &back).await;
            let (_, units) = self.hosts().units(&self.place.host()).await.unwrap();
            let started = Started {
                boot: rollctl::core::ids::BootId::new("-"),
                units: units.into_iter().map(|unit| unit.started).collect(),
            };
            self.confirm(&format!("by {who}"), &back, &started).await;
            let answer = self.hosts().prune(&self.place.host(), whose, &[]).await;
            self.answers.take(&format!("prune by {who}"), &answer);
        }
        self.claim("by an older controller", &controller(1)).await;
        self.me = later;
        self.observe("after the strangers").await;
    }

    /// Each bad revision is put in place, looked at, and put back.
    async fn failures(&mut self, v2: &Revision) {
        let exits = Behaviour {
            exit_at_once: Some(3),
            ..Behaviour::default()
        };
        let crashes = Behaviour {
            crash_after: Some(Duration::from_millis(300)),
            ..Behaviour::default()
        };
        let is_failed = |units: &[UnitState]| units[0].active == "failed";
        let bad = self.bad("exits", &exits, &unit_with("Restart=no")).await;
        self.fails("exits at once", v2, &bad, is_failed).await;
        let unit = unit_with("Restart=always\nRestartSec=100ms").replace(
            "[Service]",
            "StartLimitIntervalSec=60\nStartLimitBurst=3\n\n[Service]",
        );
        let bad = self.bad("loops", &exits, &unit).await;
        self.fails("crash loop into the start limit", v2, &bad, is_failed)
            .await;
        let unit = unit_with("Restart=on-failure\nRestartSec=1h");
        let bad = self.bad("waits", &exits, &unit).await;
        self.fails("waits for its restart", v2, &bad, |units| {
            units[0].sub == "auto-restart"
        })
        .await;
        let unit = unit_with("Restart=on-failure\nRestartSec=100ms");
        let late = Behaviour {
            ready_delay: Duration::from_secs(1),
            ..crashes.clone()
        };
        let bad = self
            .bad("crashes", &late, &unit.replace("100ms", "1h"))
            .await;
        self.fails("crashes later", v2, &bad, |units| {
            units[0].sub == "auto-restart"
        })
        .await;
        let unit = unit_with("ExecStartPre=/bin/false");
        let bad = self.bad("pre", &Behaviour::default(), &unit).await;
        self.fails("unit fails to start", v2, &bad, is_failed).await;
        let unit = unit_with("ExecStartPre=/nowhere/a-long-name");
        let bad = self.bad("nopre", &Behaviour::default(), &unit).await;
        self.fails("unit's check is not there", v2, &bad, is_failed)
            .await;
        let unit = unit_with("Type=exec").replace("current/web", "current/nowhere");
        let bad = self.bad("nowhere", &Behaviour::default(), &unit).await;
        self.fails("unit's program is not there", v2, &bad, is_failed)
            .await;
        let unit = unit_with("WorkingDirectory=%h/nowhere");
        let bad = self.bad("chdir", &Behaviour::default(), &unit).await;
        self.fails("unit's folder is not there", v2, &bad, is_failed)
            .await;
        let unit = unit_with("EnvironmentFile=%h/nowhere");
        let bad = self.bad("environment", &Behaviour::default(), &unit).await;
        self.fails("unit lacks a file", v2, &bad, is_failed).await;
        let unit = unit_with("ExecStartPre=/bin/sleep 60\nTimeoutStartSec=1");
        let bad = self.bad("slow", &Behaviour::default(), &unit).await;
        self.fails("unit takes too long", v2, &bad, is_failed).await;
        let stubborn = Behaviour {
            ignore_sigterm: true,
            ..Behaviour::default()
        };
        let unit = unit_with("TimeoutStopSec=1");
        let bad = self.bad("stubborn", &stubborn, &unit).await;
        self.fails("unit has to be killed", v2, &bad, |units| {
            units[0].is_active()
        })
        .await;
        self.script("no-interpreter", "#!/nowhere\n", v2).await;
        self.started_by_somebody_else(v2).await;
    }

    async fn bad(&mut self, name: &str, behaviour: &Behaviour, unit: &str) -> Revision {
        self.place
            .revision("web", name, behaviour, &[("web.service", unit)])
    }

    async fn script(&mut self, name: &str, text: &str, v2: &Revision) {
        let unit = unit_with("Type=exec");
        let bad = self
            .place
            .revision_of("web", name, text.as_bytes(), &[("web.service", &unit)]);
        self.fails("cannot be executed", v2, &bad, |units| {
            units[0].active == "failed"
        })
        .await;
    }

    async fn fails(
        &mut self,
        step: &str,
        v2: &Revision,
        bad: &Revision,
        is_so: impl Fn(&[UnitState]) -> bool,
    ) {
        let me = self.me.clone();
        self.stage(step, &me, bad).await;
        let wanted = self.step(&runs(v2), &runs(bad));
        let started = self.switch(step, &wanted).await;
        self.wait(step, is_so).await;
        self.units(step).await;
        self.journal(step).await;
        if let Ok(started) = started {
            self.confirm(step, &wanted, &started).await;
        }
        self.observe(step).await;
        let step = &format!("back from: {step}");
        let back = self.step(&runs(bad), &runs(v2));
        let Ok(started) = self.switch(step, &back).await else {
            return;
        };
        self.wait_until_it_says("listening").await;
        self.units(step).await;
        self.confirm(step, &back, &started).await;
        self.journal(step).await;
        self.files(step).await;
    }

    /// Restarts that rollctl did not make are seen when it reads back.
    async fn started_by_somebody_else(&mut self, v2: &Revision) {
        let me = self.me.clone();
        let unit = unit_with("Restart=on-failure\nRestartSec=100ms");
        let v3 = self.bad("v3", &Behaviour::default(), &unit).await;
        self.stage("v3", &me, &v3).await;
        let wanted = self.step(&runs(v2), &runs(&v3));
        let Ok(started) = self.switch("to v3", &wanted).await else {
            return;
        };
        self.wait_until_it_says("listening").await;
        self.place
            .sh("kill -9 $(systemctl --user show -p MainPID --value web.service)")
            .await;
        self.wait("its restart", |units| {
            units[0].is_active() && units[0].started.restarts == 1
        })
        .await;
        self.wait_until_it_says("listening").await;
        self.units("after a crash").await;
        self.confirm("after a crash", &wanted, &started).await;
        self.journal("after a crash").await;
        self.place.sh("systemctl --user restart web.service").await;
        self.units("after a restart by hand").await;
        self.confirm("after a restart by hand", &wanted, &started)
            .await;
        self.place.sh("systemctl --user stop web.service").await;
        self.units("after a stop by hand").await;
        self.confirm("after a stop by hand", &wanted, &started)
            .await;
        self.observe("after a stop by hand").await;
        self.go("back from v3", &runs(&v3), &runs(v2)).await;
    }

    /// Health commands and tunnels.
    async fn commands(&mut self) {
        let host = self.place.host();
        for (command, seconds) in [
            ("echo out; echo err >&2; exit 3", 5),
            ("sleep 60", 1),
            ("kill -9 $$", 5),
            ("nowhere", 5),
            ("seq 3000 | tr '\\n' x", 5),
            ("cat", 5),
            (
                "pwd; umask; id -u >/dev/null; systemctl --user is-active web.service",
                5,
            ),
        ] {
            let answer = self
                .hosts()
                .run_check(&host, command, Duration::from_secs(seconds))
                .await;
            self.answers.take(&format!("check {command}"), &answer);
        }
        for port in [8080, 9] {
            let mut body = String::new();
            let answer = match self.hosts().dial(&host, "127.0.0.1", port).await {
                Ok(mut stream) => {
                    stream
                        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                        .await
                        .unwrap();
                    stream.read_to_string(&mut body).await.unwrap();
                    Ok(body)
                }
                Err(error) => Err(error),
            };
            self.answers.take(&format!("dial {port}"), &answer);
        }
    }

    async fn prune(&mut self, v2: &Revision) {
        let keep = [
            v2.reference().name,
            rollctl::core::ids::RevisionName::parse("v1").unwrap(),
        ];
        for step in ["prune", "prune again"] {
            let answer = self
                .hosts()
                .prune(&self.place.host(), &self.me, &keep)
                .await;
            self.answers.take(step, &answer);
        }
        self.observe("after pruning").await;
        self.files("after pruning").await;
    }

    async fn to_nothing(&mut self, v2: &Revision) {
        self.go("to nothing", &runs(v2), &Runs::Nothing).await;
        self.journal("of nothing").await;
    }

    /// Two units: the first is fine, the second is not.
    async fn pair(&mut self) {
        self.service = "pair";
        let me = self.me.clone();
        self.claim("for a pair", &me).await;
        let unit = |name: &str, what: &str| {
            format!(
                "[Unit]\nDescription={name}\n[Service]\nExecStart=%h/pair/current/pair {what}\n[Install]\nWantedBy=default.target\n"
            )
        };
        let one = unit("one", "--listen 127.0.0.1:18085");
        let fine = unit("two", "--listen 127.0.0.1:18086");
        let bad = unit("two", "--listen 127.0.0.1:18086")
            .replace("[Service]", "[Service]\nExecStartPre=/bin/false");
        let units = |two| [("one.service", one.as_str()), ("two.service", two)];
        let first = self
            .place
            .revision("pair", "p1", &Behaviour::default(), &units(&fine));
        let second = self
            .place
            .revision("pair", "p2", &Behaviour::default(), &units(&bad));
        self.stage("a pair", &me, &first).await;
        self.go("to a pair", &Runs::Nothing, &runs(&first)).await;
        self.stage("half a pair", &me, &second).await;
        let wanted = self.step(&runs(&first), &runs(&second));
        let _failed = self.switch("to half a pair", &wanted).await;
        self.units("of half a pair").await;
        self.go("back to a pair", &runs(&second), &runs(&first))
            .await;
        self.go("from a pair to nothing", &runs(&first), &Runs::Nothing)
            .await;
    }

    /// A single file, started by a unit that somebody wrote.
    async fn adopt_a_file(&mut self) {
        self.service = "old";
        let me = self.me.clone();
        let old = demo_service("by hand", &Behaviour::default());
        self.place.put("bin/old", &old, 0o755);
        let unit = "[Unit]\nDescription=by hand\n[Service]\nEnvironment=PORT=8081\nExecStart=%h/bin/old\n\
                    [Install]\nWantedBy=default.target\n";
        self.place
            .put(".config/systemd/user/old.service", unit.as_bytes(), 0o644);
        self.place
            .sh("systemctl --user daemon-reload && systemctl --user enable --now old.service")
            .await;
        let adopted = self.hosts().observe(&self.place.host()).await.unwrap().runs;
        let digest = adopted.revision().unwrap().digest.clone();
        self.answers.adopted(&digest, "adopted file");
        self.observe("what was there").await;
        self.claim("what was there", &me).await;
        let new = UNIT.replace("web", "old");
        let v1 = self
            .place
            .revision("old", "v1", &Behaviour::default(), &[("old.service", &new)]);
        self.stage("over what was there", &me, &v1).await;
        self.stage("over what was there, again", &me, &v1).await;
        self.observe("what was there, kept").await;
        self.go("from what was there", &adopted, &runs(&v1)).await;
        self.go("to what was there", &runs(&v1), &adopted).await;
        self.wait_until_it_says("listening").await;
        self.journal("of what was there").await;
        self.go("from what was there, again", &adopted, &runs(&v1))
            .await;
    }

    /// A folder that `current` leads to, as Capistrano makes them; the host keeps its unit file.
    async fn adopt_a_folder(&mut self) {
        self.service = "cap";
        let me = self.me.clone();
        let old = demo_service("released", &Behaviour::default());
        self.place.put("cap/releases/1/cap", &old, 0o755);
        let unit = "[Unit]\nDescription=released\n[Service]\nEnvironment=PORT=8082\nExecStart=%h/cap/current/cap\n";
        self.place
            .put(".config/systemd/user/cap.service", unit.as_bytes(), 0o644);
        self.place
            .sh("ln -s releases/1 ~/cap/current && systemctl --user daemon-reload && systemctl --user start cap.service")
            .await;
        let adopted = self.observe("a folder").await;
        self.claim("a folder", &me).await;
        let v1 = self.place.revision("cap", "v1", &Behaviour::default(), &[]);
        self.stage("over a folder", &me, &v1).await;
        self.go("from a folder", &adopted, &runs(&v1)).await;
        self.go("to a folder", &runs(&v1), &adopted).await;
        self.go("from a folder to nothing", &adopted, &Runs::Nothing)
            .await;
    }
}
