//! The dead-man's switch, fired by hand: the script that a timer would run on a host.

use std::process::Command;

use super::bench::*;
use crate::core::event::{Runs, Started, Unproven};
use crate::core::revision::Revision;
use crate::ports::*;

const NEW_UNIT: &str = "[Service]\nExecStart=%h/web/current/web --two\n";

fn recipe(program: &'static str, unit: &'static str) -> Recipe {
    Recipe {
        program,
        unit: Some(unit),
        ..Recipe::default()
    }
}

/// A host that runs v1, confirmed, and has v2.
struct Scene {
    bench: Bench,
    one: Revision,
    two: Revision,
}

impl Scene {
    async fn new(shell: &'static str) -> Self {
        let bench = Bench::new(shell);
        let one = bench
            .store
            .add("v1", 1, &recipe("#!/bin/sh\necho one\n", UNIT));
        let two = bench
            .store
            .add("v2", 2, &recipe("#!/bin/sh\necho two\n", NEW_UNIT));
        let scene = Self { bench, one, two };
        let (hosts, me) = (scene.hosts(), controller(1));
        hosts.claim(&host(), &me).await.unwrap();
        let first = scene.guarded(Runs::Nothing, runs(&scene.one), "h1");
        hosts
            .stage(&host(), &me, &scene.one, &no_progress)
            .await
            .unwrap();
        let started = hosts.switch(&host(), &me, &first).await.unwrap();
        hosts.confirm(&host(), &me, &first, &started).await.unwrap();
        hosts
            .stage(&host(), &me, &scene.two, &no_progress)
            .await
            .unwrap();
        scene
    }

    fn hosts(&self) -> super::super::hosts::ServiceHosts {
        self.bench.hosts(service())
    }

    fn guarded(&self, from: Runs, to: Runs, hash: &str) -> Switch {
        Switch {
            from,
            to,
            event_hash: hash.into(),
            guarded: true,
            side: None,
        }
    }

    async fn switched(&self) -> (Switch, Started) {
        let switch = self.guarded(runs(&self.one), runs(&self.two), "h2");
        let hosts = self.hosts();
        let started = hosts
            .switch(&host(), &controller(1), &switch)
            .await
            .unwrap();
        (switch, started)
    }

    /// What the timer would start.
    fn fire(&self) -> bool {
        self.fire_from("web/.rollctl/guard")
    }

    fn fire_from(&self, folder: &str) -> bool {
        let home = self.bench.home.path();
        Command::new(format!("/bin/{}", self.bench.shell))
            .args(["-c", "exec /bin/sh \"$0/script\" <\"$0/input\""])
            .arg(home.join(folder))
            .env_clear()
            .env("HOME", home)
            .env("PATH", format!("{}/bin:/usr/bin:/bin", home.display()))
            .env("FAKE", home.join("fake"))
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    fn units(&self) -> Vec<String> {
        let folder = self.bench.path(".config/systemd/user");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("rollctl-revert"))
            .collect();
        names.sort();
        names
    }

    fn is_clean(&self) {
        assert_eq!(self.units(), [] as [&str; 0]);
        assert!(!self.bench.path("web/.rollctl/guard").exists());
        assert!(!self.bench.path("web/.rollctl/previous").exists());
    }

    fn timers(&self) -> usize {
        let calls = self.bench.calls();
        let timer = |call: &&String| call.starts_with("restart rollctl-revert");
        calls.iter().filter(timer).count()
    }
}

#[tokio::test]
async fn a_switch_is_armed_until_it_is_confirmed() {
    for shell in SHELLS {
        let scene = Scene::new(shell).await;
        scene.is_clean();
        let (switch, started) = scene.switched().await;
        let name = "rollctl-revert-web-7-11111111";
        assert_eq!(
            scene.units(),
            [format!("{name}.service"), format!("{name}.timer")],
            "{shell}"
        );
        let timer = scene
            .bench
            .read(&format!(".config/systemd/user/{name}.timer"));
        // Stop 5 s, deadline 20 s, min_ready 1 s, and 30 s.
        assert!(timer.contains("OnActiveSec=56s"), "{timer}");
        let hosts = scene.hosts();
        let facts = hosts.observe(&host()).await.unwrap();
        let before = runs(&scene.one);
        assert_eq!(facts.unproven, Some(Unproven { before }), "{shell}");
        hosts
            .confirm(&host(), &controller(1), &switch, &started)
            .await
            .unwrap();
        scene.is_clean();
        assert_eq!(hosts.observe(&host()).await.unwrap().unproven, None);
    }
}

#[tokio::test]
async fn what_nobody_confirms_is_put_back_and_the_journal_says_why() {
    for shell in SHELLS {
        let scene = Scene::new(shell).await;
        scene.switched().await;
        assert!(scene.fire(), "{shell}");
        assert_eq!(scene.bench.running(), "#!/bin/sh\necho one\n");
        assert_eq!(scene.bench.current().unwrap(), "revisions/v1");
        assert_eq!(scene.bench.installed_unit(), UNIT);
        let journal = scene.bench.read("web/.rollctl/journal");
        let last = journal.lines().last().unwrap();
        assert!(
            last.contains("v2\tv1\tput back by the dead-man's switch: not confirmed within 56 s"),
            "{last}"
        );
        scene.is_clean();
        let facts = scene.hosts().observe(&host()).await.unwrap();
        assert_eq!((facts.runs, facts.unproven), (runs(&scene.one), None));
    }
}

#[tokio::test]
async fn a_confirmation_comes_too_late_after_it_has_fired() {
    let scene = Scene::new("dash").await;
    let (switch, started) = scene.switched().await;
    scene.fire();
    let refused = scene
        .hosts()
        .confirm(&host(), &controller(1), &switch, &started)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, HostErrorKind::Failed);
    assert!(
        refused.message.contains("has put `v1` back at"),
        "{refused}"
    );
    assert_eq!(scene.bench.running(), "#!/bin/sh\necho one\n");
}

#[tokio::test]
async fn it_does_nothing_once_its_mark_is_gone() {
    for shell in SHELLS {
        let scene = Scene::new(shell).await;
        let (switch, started) = scene.switched().await;
        // It has started, and comes to the lock only after the confirmation.
        let (from, to) = (
            scene.bench.path("web/.rollctl/guard"),
            scene.bench.path("late"),
        );
        std::fs::create_dir(&to).unwrap();
        for file in ["script", "input"] {
            std::fs::copy(from.join(file), to.join(file)).unwrap();
        }
        let hosts = scene.hosts();
        hosts
            .confirm(&host(), &controller(1), &switch, &started)
            .await
            .unwrap();
        let calls = scene.bench.calls().len();
        assert!(scene.fire_from("late"), "{shell}");
        assert_eq!(scene.bench.running(), "#!/bin/sh\necho two\n", "{shell}");
        assert_eq!(
            scene.bench.calls().len(),
            calls,
            "{shell}: nothing is started"
        );
    }
}

#[tokio::test]
async fn where_nothing_ran_before_nothing_runs_after() {
    let bench = Bench::new("dash");
    let one = bench
        .store
        .add("v1", 1, &recipe("#!/bin/sh\necho one\n", UNIT));
    let two = one.clone();
    let scene = Scene { bench, one, two };
    let (hosts, me) = (scene.hosts(), controller(1));
    hosts.claim(&host(), &me).await.unwrap();
    hosts
        .stage(&host(), &me, &scene.one, &no_progress)
        .await
        .unwrap();
    let first = scene.guarded(Runs::Nothing, runs(&scene.one), "h1");
    hosts.switch(&host(), &me, &first).await.unwrap();
    let facts = hosts.observe(&host()).await.unwrap();
    let before = Runs::Nothing;
    assert_eq!(facts.unproven, Some(Unproven { before }));
    assert!(scene.fire());
    assert_eq!(scene.bench.current(), None);
    assert_eq!(scene.bench.installed_unit(), "");
    assert_eq!(
        scene.bench.read("fake/web.service.active").trim(),
        "inactive"
    );
    scene.is_clean();
}

#[tokio::test]
async fn a_controller_that_claims_the_host_has_the_whole_time_again() {
    let scene = Scene::new("dash").await;
    scene.switched().await;
    let before = scene.timers();
    scene.hosts().claim(&host(), &controller(2)).await.unwrap();
    assert_eq!(scene.timers(), before + 1);
    assert_eq!(scene.units().len(), 2, "it stays armed");
    // One that fits nothing any more goes.
    std::fs::remove_dir_all(scene.bench.path("web/.rollctl/previous")).unwrap();
    scene.hosts().claim(&host(), &controller(2)).await.unwrap();
    assert_eq!(scene.units(), [] as [&str; 0]);
}

#[tokio::test]
async fn what_cannot_be_armed_is_not_switched() {
    for shell in SHELLS {
        let scene = Scene::new(shell).await;
        scene.bench.write("fake/refuse-timers", "");
        let switch = scene.guarded(runs(&scene.one), runs(&scene.two), "h2");
        let refused = scene
            .hosts()
            .switch(&host(), &controller(1), &switch)
            .await
            .unwrap_err();
        assert_eq!(refused.kind, HostErrorKind::Refused, "{refused}");
        assert!(refused.message.contains("cannot be armed"), "{refused}");
        assert_eq!(scene.bench.current().unwrap(), "revisions/v1");
        assert_eq!(scene.bench.running(), "#!/bin/sh\necho one\n");
        assert_eq!(scene.units(), [] as [&str; 0]);
    }
}

#[tokio::test]
async fn what_a_controller_puts_back_needs_no_guard_any_more() {
    for shell in SHELLS {
        let scene = Scene::new(shell).await;
        scene.switched().await;
        let back = Switch {
            guarded: false,
            side: None,
            ..scene.guarded(runs(&scene.two), runs(&scene.one), "h3")
        };
        scene
            .hosts()
            .switch(&host(), &controller(1), &back)
            .await
            .unwrap();
        assert_eq!(scene.bench.running(), "#!/bin/sh\necho one\n");
        scene.is_clean();
    }
}

#[tokio::test]
async fn a_later_rollout_arms_its_own() {
    let scene = Scene::new("dash").await;
    scene.switched().await;
    let three = scene
        .bench
        .store
        .add("v3", 3, &recipe("#!/bin/sh\necho three\n", UNIT));
    let me = Controller {
        rollout: crate::core::ids::RolloutId(8),
        ..controller(2)
    };
    let hosts = scene.hosts();
    hosts.claim(&host(), &me).await.unwrap();
    hosts
        .stage(&host(), &me, &three, &no_progress)
        .await
        .unwrap();
    let switch = scene.guarded(runs(&scene.two), runs(&three), "h4");
    hosts.switch(&host(), &me, &switch).await.unwrap();
    let name = "rollctl-revert-web-8-11111111";
    assert_eq!(
        scene.units(),
        [format!("{name}.service"), format!("{name}.timer")]
    );
    assert!(scene.fire());
    assert_eq!(scene.bench.running(), "#!/bin/sh\necho two\n");
}

#[tokio::test]
async fn a_switch_that_never_began_restarts_nothing() {
    for shell in SHELLS {
        let scene = Scene::new(shell).await;
        let step = scene.bench.read("web/.rollctl/step");
        scene.switched().await;
        // As if the host had lost its power between arming and the first change.
        assert!(scene.fire(), "{shell}");
        scene.switched().await;
        scene.bench.write("web/.rollctl/step", &step);
        let calls = scene.bench.calls().len();
        assert!(scene.fire(), "{shell}");
        let calls = scene.bench.calls().split_off(calls);
        let restarted = calls.iter().any(|call| call == "restart web.service");
        assert!(!restarted, "{shell}: {calls:?}");
        assert_eq!(scene.units(), [] as [&str; 0]);
    }
}

#[tokio::test]
async fn what_does_not_come_up_again_is_named_and_the_guard_is_through() {
    for shell in SHELLS {
        let scene = Scene::new(shell).await;
        scene.switched().await;
        scene.bench.write("fake/refuse", "");
        assert!(scene.fire(), "{shell}");
        assert_eq!(scene.bench.current().unwrap(), "revisions/v1");
        let journal = scene.bench.read("web/.rollctl/journal");
        let last = journal.lines().last().unwrap();
        assert!(
            last.contains("56 s; `web.service` did not come up"),
            "{last}"
        );
        scene.is_clean();
    }
}

#[tokio::test]
async fn a_reboot_in_the_middle_of_a_revert_leaves_what_was_put_back_running() {
    let scene = Scene::new("dash").await;
    scene.switched().await;
    // Cut off before its first rename; the host came up again with the new revision.
    let step = scene
        .bench
        .read("web/.rollctl/step")
        .lines()
        .map(|line| match line.split(' ').next() {
            Some("state") => "state begun\n".to_owned(),
            Some("way") => "way back\n".to_owned(),
            Some("from") => "from revisions/v2\n".to_owned(),
            Some("to") => "to revisions/v1\n".to_owned(),
            Some("to_digest") => format!("to_digest {}\n", scene.one.digest),
            Some("boot") => "boot another\n".to_owned(),
            _ => format!("{line}\n"),
        })
        .collect::<String>();
    scene.bench.write("web/.rollctl/step", &step);
    scene.bench.write(
        "fake/web.service.invocation",
        "ffffffffffffffffffffffffffffffff\n",
    );
    assert!(scene.fire());
    assert_eq!(scene.bench.running(), "#!/bin/sh\necho one\n");
    let journal = scene.bench.read("web/.rollctl/journal");
    let last = journal.lines().last().unwrap();
    assert!(last.contains("put back by the dead-man's switch"), "{last}");
    scene.is_clean();
}

/// Cut off between the mark and the units: whoever comes next takes them away, and only then is anything confirmed.
#[tokio::test]
async fn a_disarming_that_was_cut_off_is_brought_to_its_end() {
    for shell in SHELLS {
        for by_claim in [true, false] {
            let scene = Scene::new(shell).await;
            let (switch, started) = scene.switched().await;
            let guard = scene.bench.path("web/.rollctl/guard");
            std::fs::rename(guard.join("armed"), guard.join("disarmed")).unwrap();
            let hosts = scene.hosts();
            if by_claim {
                hosts.claim(&host(), &controller(2)).await.unwrap();
                assert_eq!(scene.units(), [] as [&str; 0], "{shell}");
                assert!(!guard.exists(), "{shell}");
            }
            hosts
                .confirm(&host(), &controller(2), &switch, &started)
                .await
                .unwrap();
            scene.is_clean();
            assert_eq!(scene.bench.running(), "#!/bin/sh\necho two\n");
        }
    }
}
