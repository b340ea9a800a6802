//! More than one unit, and what was on the host before rollctl came.

use rollctl::core::event::Runs;
use rollctl::ports::Hosts;
use rollctl_lab::{Behaviour, demo_service};

use crate::story::{Story, UNIT, runs};

impl Story {
    /// Two units: the first is fine, the second is not.
    pub(crate) async fn pair(&mut self) {
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
    pub(crate) async fn adopt_a_file(&mut self) {
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
    pub(crate) async fn adopt_a_folder(&mut self) {
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
