//! What one host is asked, from an empty host to an empty host. The same words for both.

use std::time::Duration;

use rollctl::core::event::{Runs, Started};
use rollctl::core::ids::LedgerId;
use rollctl::core::revision::Revision;
use rollctl::ports::{Controller, Hosts, Owner};
use rollctl_lab::Behaviour;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::answers::Answers;
use crate::place::{Place, controller};

pub(crate) const UNIT: &str = "[Unit]\nDescription=a demo\n\n[Service]\nExecStart=%h/web/current/web\n\n\
[Install]\nWantedBy=default.target\n";

/// A host that is being asked, and what it answered.
pub(crate) struct Story {
    pub(crate) place: Place,
    pub(crate) answers: Answers,
    pub(crate) service: &'static str,
    pub(crate) me: Controller,
    pub(crate) hash: u32,
}

pub(crate) fn runs(revision: &Revision) -> Runs {
    Runs::Revision {
        revision: revision.reference(),
    }
}

/// The usual unit with more lines in its `[Service]`.
pub(crate) fn unit_with(lines: &str) -> String {
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

    pub(crate) async fn from_nothing(&mut self) -> Revision {
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

    pub(crate) async fn to_a_second(&mut self, v1: &Revision) -> Revision {
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
    pub(crate) async fn strangers(&mut self, v1: &Revision, v2: &Revision) {
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
            let (_, units) = self.hosts().units(&self.place.host(), None).await.unwrap();
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

    /// Health commands and tunnels.
    pub(crate) async fn commands(&mut self) {
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

    pub(crate) async fn prune(&mut self, v2: &Revision) {
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

    pub(crate) async fn to_nothing(&mut self, v2: &Revision) {
        self.go("to nothing", &runs(v2), &Runs::Nothing).await;
        self.journal("of nothing").await;
    }
}
