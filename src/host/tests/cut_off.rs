//! A script that is killed between any two of its commands: the next step finds the old or the new, and ends well.

use std::time::Duration;

use super::super::lane::Lane;
use super::super::switch::{Plan, plan};
use super::bench::*;
use crate::core::event::Runs;
use crate::core::ids::Epoch;
use crate::ports::*;

const COMMANDS: [&str; 22] = [
    "systemctl",
    "readlink",
    "sha256sum",
    "base64",
    "mv",
    "ln",
    "cp",
    "rm",
    "mkdir",
    "chmod",
    "cat",
    "sync",
    "flock",
    "tail",
    "date",
    "timeout",
    "dd",
    "tar",
    "zstd",
    "stat",
    "rmdir",
    "id",
];

/// Shims that kill the whole script instead of running the n-th command.
fn arm(bench: &Bench) {
    for command in COMMANDS {
        let real = match command {
            "systemctl" => bench.path("bin/systemctl").display().to_string(),
            _ => format!("/usr/bin/{command}"),
        };
        let countdown = bench.path("fake/countdown").display().to_string();
        bench.program(
            &format!("kill/{command}"),
            &format!(
                "#!/bin/dash\nif [ -f {countdown} ]; then\n  read -r n <{countdown}\n  n=$((n - 1))\n  echo $n >{countdown}\n  [ $n -gt 0 ] || kill -9 0\nfi\nexec {real} \"$@\"\n"
            ),
        );
    }
}

fn recipe(n: u32) -> Recipe {
    Recipe {
        program: if n == 1 {
            "#!/bin/sh\necho one\n"
        } else {
            "#!/bin/sh\necho two\n"
        },
        unit: Some(if n == 1 {
            UNIT
        } else {
            "[Service]\nExecStart=%h/web/current/web --two\n"
        }),
        environment: (n == 1).then_some("A=\"1\"\n"),
        files: Vec::new(),
    }
}

/// What is true at every moment: `current` leads to a whole revision, and a whole program runs.
fn assert_whole(bench: &Bench, at: u32) {
    let current = bench.current().unwrap_or_default();
    assert!(
        ["revisions/v1", "revisions/v2"].contains(&current.as_str()),
        "at {at}: {current:?}"
    );
    let running = bench.running();
    assert!(
        [recipe(1).program, recipe(2).program].contains(&running.as_str()),
        "at {at}: {running:?}"
    );
    let unit = bench.installed_unit();
    assert!(
        [recipe(1).unit, recipe(2).unit].contains(&Some(unit.as_str())),
        "at {at}: {unit:?}"
    );
}

/// Everything belongs together: files, unit, drop-in, and what was started.
fn assert_is(bench: &Bench, n: u32, at: u32) {
    assert_eq!(
        bench.current().unwrap(),
        format!("revisions/v{n}"),
        "at {at}"
    );
    assert_eq!(bench.running(), recipe(n).program, "at {at}");
    assert_eq!(bench.installed_unit(), recipe(n).unit.unwrap(), "at {at}");
    assert_eq!(
        bench.read("fake/web.service.unit"),
        recipe(n).unit.unwrap(),
        "at {at}"
    );
    let drop_in = bench.path(".config/systemd/user/web.service.d/50-rollctl.conf");
    assert!(drop_in.exists(), "at {at}");
}

/// A host with v1 confirmed and v2 staged, and how it looked then.
struct Scene {
    bench: Bench,
    before: tempfile::TempDir,
    second: Switch,
    one: Runs,
}

impl Scene {
    async fn new(shell: &'static str) -> Self {
        let bench = Bench::new(shell);
        arm(&bench);
        let hosts = bench.hosts(service());
        let me = controller(1);
        let one = bench.store.add("v1", 1, &recipe(1));
        let two = bench.store.add("v2", 2, &recipe(2));
        hosts.claim(&host(), &me).await.unwrap();
        hosts.stage(&host(), &me, &one, &no_progress).await.unwrap();
        hosts.stage(&host(), &me, &two, &no_progress).await.unwrap();
        let first = Switch {
            from: Runs::Nothing,
            to: runs(&one),
            event_hash: "h1".into(),
            guarded: false,
            side: None,
        };
        let started = hosts.switch(&host(), &me, &first).await.unwrap();
        hosts.confirm(&host(), &me, &first, &started).await.unwrap();
        let before = tempfile::tempdir().unwrap();
        copy(bench.home.path(), before.path());
        Self {
            second: Switch {
                from: runs(&one),
                to: runs(&two),
                event_hash: "h2".into(),
                guarded: false,
                side: None,
            },
            one: runs(&one),
            bench,
            before,
        }
    }

    /// As it was, then a switch that is killed at the n-th command. Whether it was.
    async fn kill_switch_at(&self, n: u32) -> bool {
        for entry in std::fs::read_dir(self.bench.home.path()).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() && !path.is_symlink() {
                true => std::fs::remove_dir_all(path).unwrap(),
                false => std::fs::remove_file(path).unwrap(),
            }
        }
        copy(self.before.path(), self.bench.home.path());
        let machine = self.bench.machine();
        let plan = plan(&machine, &service(), &controller(1), &self.second)
            .await
            .unwrap();
        let Plan::Ask(request, patience) = plan else {
            panic!("{plan:?}");
        };
        let lane = Lane::open(machine.shell.as_ref(), machine.manner)
            .await
            .unwrap();
        self.bench.write("fake/countdown", &format!("{n}\n"));
        let answer = lane.ask(&request, patience).await.unwrap();
        std::fs::remove_file(self.bench.path("fake/countdown")).unwrap();
        match answer {
            Err(error) => {
                assert_eq!(error.kind, HostErrorKind::Lost, "at {n}: {error}");
                true
            }
            Ok(_) => false,
        }
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let done = std::process::Command::new("cp")
        .args(["-a", "-T"])
        .args([from, to])
        .status()
        .unwrap();
    assert!(done.success());
}

#[tokio::test]
async fn the_same_step_asked_again_ends_well() {
    for shell in SHELLS {
        let scene = Scene::new(shell).await;
        let mut n = 1;
        while scene.kill_switch_at(n).await {
            assert_whole(&scene.bench, n);
            let hosts = scene.bench.hosts(service());
            let started = hosts
                .switch(&host(), &controller(1), &scene.second)
                .await
                .unwrap();
            assert_is(&scene.bench, 2, n);
            hosts
                .confirm(&host(), &controller(1), &scene.second, &started)
                .await
                .unwrap();
            n += if shell == "dash" { 3 } else { 11 };
        }
        assert!(n > 40, "{shell}: the script runs {n} commands only");
    }
}

#[tokio::test]
async fn the_next_controller_finds_the_old_or_the_new() {
    for shell in SHELLS {
        let scene = Scene::new(shell).await;
        let mut n = 1;
        let mut ended = [0, 0];
        while scene.kill_switch_at(n).await {
            let hosts = scene.bench.hosts(service());
            let seen = hosts.observe(&host()).await.unwrap().runs;
            hosts.claim(&host(), &controller(2)).await.unwrap();
            let facts = hosts.observe(&host()).await.unwrap();
            assert_eq!(facts.epoch, Some(Epoch(2)));
            assert_eq!(facts.runs, seen, "at {n}: what was seen is what it becomes");
            let is_new = u32::from(facts.runs != scene.one);
            assert_is(&scene.bench, is_new + 1, n);
            ended[is_new as usize] += 1;
            // And from there the rollout goes on.
            let next = Switch {
                from: seen,
                to: scene.second.to.clone(),
                event_hash: "h9".into(),
                guarded: false,
                side: None,
            };
            if is_new == 0 {
                let started = hosts.switch(&host(), &controller(2), &next).await.unwrap();
                assert_is(&scene.bench, 2, n);
                hosts
                    .confirm(&host(), &controller(2), &next, &started)
                    .await
                    .unwrap();
            }
            n += if shell == "dash" { 1 } else { 7 };
        }
        assert!(
            ended.iter().all(|count| *count > 0),
            "{shell}: both were seen: {ended:?}"
        );
    }
}

#[tokio::test]
async fn a_step_that_a_dead_controller_left_at_work_is_waited_for() {
    for shell in SHELLS {
        let scene = Scene::new(shell).await;
        let real = scene.bench.path("bin/systemctl").display().to_string();
        scene.bench.program(
            "kill/systemctl",
            &format!(
                "#!/bin/dash\ncase \"$*\" in *daemon-reload*) sleep 1 ;; esac\nexec {real} \"$@\"\n"
            ),
        );
        let (first, second) = (scene.bench.hosts(service()), scene.bench.hosts(service()));
        let (name, me) = (host(), controller(1));
        let switching = first.switch(&name, &me, &scene.second);
        let looking = async {
            while !scene
                .bench
                .read("web/.rollctl/step")
                .contains("state begun")
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            second.observe(&name).await.unwrap().runs
        };
        let (switched, seen) = tokio::join!(switching, looking);
        switched.unwrap();
        assert_eq!(seen, scene.second.to, "{shell}");
    }
}

#[tokio::test]
async fn a_revert_that_is_killed_and_asked_again_ends_well() {
    for shell in SHELLS {
        let mut scene = Scene::new(shell).await;
        let hosts = scene.bench.hosts(service());
        hosts
            .switch(&host(), &controller(1), &scene.second)
            .await
            .unwrap();
        drop(hosts);
        scene.before = tempfile::tempdir().unwrap();
        copy(scene.bench.home.path(), scene.before.path());
        scene.second = Switch {
            from: scene.second.to.clone(),
            to: scene.one.clone(),
            event_hash: "h3".into(),
            guarded: false,
            side: None,
        };
        let mut n = 1;
        while scene.kill_switch_at(n).await {
            assert_whole(&scene.bench, n);
            let hosts = scene.bench.hosts(service());
            if n % 2 == 0 {
                let started = hosts
                    .switch(&host(), &controller(1), &scene.second)
                    .await
                    .unwrap();
                hosts
                    .confirm(&host(), &controller(1), &scene.second, &started)
                    .await
                    .unwrap();
                assert_is(&scene.bench, 1, n);
            } else {
                let seen = hosts.observe(&host()).await.unwrap().runs;
                hosts.claim(&host(), &controller(2)).await.unwrap();
                let runs = hosts.observe(&host()).await.unwrap().runs;
                assert_eq!(runs, seen, "at {n}: what was seen is what it becomes");
                let is_back = runs == scene.one;
                assert_is(&scene.bench, if is_back { 1 } else { 2 }, n);
            }
            n += if shell == "dash" { 1 } else { 7 };
        }
        assert!(n > 20, "{shell}: the script runs {n} commands only");
    }
}
