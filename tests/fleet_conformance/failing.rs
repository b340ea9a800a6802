//! Bad revisions, and starts that rollctl did not make.

use std::time::Duration;

use rollctl::core::revision::Revision;
use rollctl::ports::UnitState;
use rollctl_lab::Behaviour;

use crate::story::{Story, runs, unit_with};

impl Story {
    /// Each bad revision is put in place, looked at, and put back.
    pub(crate) async fn failures(&mut self, v2: &Revision) {
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

    pub(crate) async fn bad(&mut self, name: &str, behaviour: &Behaviour, unit: &str) -> Revision {
        self.place
            .revision("web", name, behaviour, &[("web.service", unit)])
    }

    pub(crate) async fn script(&mut self, name: &str, text: &str, v2: &Revision) {
        let unit = unit_with("Type=exec");
        let bad = self
            .place
            .revision_of("web", name, text.as_bytes(), &[("web.service", &unit)]);
        self.fails("cannot be executed", v2, &bad, |units| {
            units[0].active == "failed"
        })
        .await;
    }

    pub(crate) async fn fails(
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
    pub(crate) async fn started_by_somebody_else(&mut self, v2: &Revision) {
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
}
