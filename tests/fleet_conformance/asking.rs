//! How the story asks a host, and notes what it answers.

use std::time::{Duration, Instant};

use rollctl::core::event::{Runs, Started};
use rollctl::core::revision::Revision;
use rollctl::ports::{Controller, HostError, Hosts, JournalExcerpt, Switch, UnitState};

use crate::story::Story;

impl Story {
    pub(crate) fn hosts(&self) -> &rollctl::host::ServiceHosts {
        self.place.service(self.service)
    }

    pub(crate) async fn observe(&mut self, step: &str) -> Runs {
        let answer = self.hosts().observe(&self.place.host()).await;
        self.answers.take(&format!("observe {step}"), &answer);
        answer.map_or(Runs::Nothing, |facts| facts.runs)
    }

    pub(crate) async fn units(&mut self, step: &str) {
        let answer = self.hosts().units(&self.place.host(), None).await;
        self.answers.take(&format!("units {step}"), &answer);
    }

    pub(crate) async fn journal(&mut self, step: &str) {
        let mut answer = self.hosts().journal(&self.place.host(), None, 20).await;
        if let Ok(JournalExcerpt::Lines(lines)) = &mut answer {
            // What a process and systemd say at one moment comes to journald in either order; and the last words of
            // the process before may come so late that it counts them to the new invocation.
            lines.retain(|line| !line.contains(": got SIGTERM") && !line.ends_with(": stopped"));
            lines.sort_by_key(|line| line.contains(" systemd["));
        }
        self.answers.take(&format!("journal {step}"), &answer);
    }

    pub(crate) async fn claim(&mut self, step: &str, who: &Controller) {
        let answer = self.hosts().claim(&self.place.host(), who).await;
        self.answers.take(&format!("claim {step}"), &answer);
    }

    pub(crate) async fn stage(&mut self, step: &str, who: &Controller, revision: &Revision) {
        let answer = self
            .hosts()
            .stage(&self.place.host(), who, revision, &|_, _| ())
            .await;
        self.answers.take(&format!("stage {step}"), &answer);
    }

    /// A step that was not asked before.
    pub(crate) fn step(&mut self, from: &Runs, to: &Runs) -> Switch {
        self.hash += 1;
        Switch {
            from: from.clone(),
            to: to.clone(),
            event_hash: format!("h{}", self.hash),
            guarded: false,
            side: None,
        }
    }

    pub(crate) async fn switch(
        &mut self,
        step: &str,
        wanted: &Switch,
    ) -> Result<Started, HostError> {
        let answer = self
            .hosts()
            .switch(&self.place.host(), &self.me, wanted)
            .await;
        self.answers.take(&format!("switch {step}"), &answer);
        answer
    }

    pub(crate) async fn confirm(&mut self, step: &str, wanted: &Switch, started: &Started) {
        let answer = self
            .hosts()
            .confirm(&self.place.host(), &self.me, wanted, started)
            .await;
        self.answers.take(&format!("confirm {step}"), &answer);
    }

    /// Switch, confirm, and what is then to be seen.
    pub(crate) async fn go(&mut self, step: &str, from: &Runs, to: &Runs) {
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
    pub(crate) async fn files(&mut self, step: &str) {
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
    pub(crate) async fn wait(&self, what: &str, is_so: impl Fn(&[UnitState]) -> bool) {
        let begun = Instant::now();
        loop {
            let (_, units) = self.hosts().units(&self.place.host(), None).await.unwrap();
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

    pub(crate) async fn wait_until_it_says(&self, text: &str) {
        let begun = Instant::now();
        loop {
            let journal = self
                .hosts()
                .journal(&self.place.host(), None, 50)
                .await
                .unwrap();
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
}
