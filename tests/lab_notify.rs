//! People who are told without watching: a webhook, a fake `sendmail` and a program, on a fleet of the lab.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab_support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc::{Receiver, channel};

use lab_support::{Run, Scene};
use rollctl_lab::Behaviour;
use serde_json::Value;

/// What nobody may read: the path of the webhook.
const SECRET: &str = "T0123-geheim";

/// A server that answers each request with that status, and hands out what was posted.
fn webhook(status: &'static str) -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "http://{}/services/{SECRET}",
        listener.local_addr().unwrap()
    );
    let (sender, posted) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut length, mut line) = (0, String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            sender.send(serde_json::from_slice(&body).unwrap()).unwrap();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: 7\r\nConnection: close\r\n\r\nno_team"
            );
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, posted)
}

fn script(scene: &Scene, name: &str, text: &str) {
    let path = scene.controller.write(&format!("inventory/{name}"), text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Adds `[notify]` to the inventory.
fn notify(scene: &Scene, keys: &str) {
    let path = scene.controller.path("inventory/test.toml");
    let inventory = fs::read_to_string(path).unwrap();
    let inventory = format!("{inventory}\n[notify]\n{keys}\n");
    scene.controller.write("inventory/test.toml", inventory);
}

fn moments(posted: &Receiver<Value>) -> Vec<String> {
    posted
        .try_iter()
        .map(|one| one["moment"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn people_are_told_of_a_start_a_finish_and_a_pause_and_what_to_do() {
    let scene = Scene::fresh(2, 1);
    let (url, posted) = webhook("200 OK");
    script(
        &scene,
        "sendmail",
        "#!/bin/sh\n{ echo \"args $*\"; cat; echo ======; } >>\"${0%/*}/mails\"\n",
    );
    script(
        &scene,
        "tell",
        "#!/bin/sh\necho \"$ROLLCTL_MOMENT $ROLLCTL_SERVICE $ROLLCTL_TO: $ROLLCTL_NEXT\" >>told\n",
    );
    notify(
        &scene,
        "webhook = { env = \"HOOK\" }\nmail = [\"ops@example.net\", \"root\"]\nfrom = \"rollctl@example.net\"\n\
         sendmail = [\"./sendmail\", \"-i\", \"-t\"]\ncommand = { run = [\"./tell\"] }",
    );
    let release = |version: &str, behaviour: &Behaviour| {
        let words = scene.words(version, behaviour);
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .chain(["--cause", "<!channel>"])
            .collect();
        Run::of(
            &scene
                .controller
                .command(&words)
                .env("HOOK", &url)
                .output()
                .unwrap(),
        )
    };
    release("v1", &Behaviour::default()).exits(0);
    let first: Vec<Value> = posted.try_iter().collect();
    assert_eq!(first.len(), 2, "{first:?}");
    assert_eq!(first[0]["moment"], "start");
    let finish = &first[1];
    assert_eq!(finish["moment"], "finish");
    assert_eq!(finish["service"], "web");
    assert_eq!(finish["to"], "v1");
    assert_eq!(finish["fleet"], "test");
    let text = finish["text"].as_str().unwrap();
    assert!(
        text.starts_with("[test] rollout 1 of `web` completed: 2 of 2 on `v1`"),
        "{text}"
    );
    let start = first[0]["text"].as_str().unwrap();
    assert!(start.contains("&lt;!channel&gt;"), "{start}");

    let exits = Behaviour {
        exit_at_once: Some(3),
        ..Behaviour::default()
    };
    let run = release("bad", &exits).exits(5).says("giving up at once");
    assert!(
        !run.text().contains(SECRET) && !run.text().contains("warning"),
        "{}",
        run.text()
    );
    let second: Vec<Value> = posted.try_iter().collect();
    let pause = second.last().unwrap();
    assert_eq!(pause["moment"], "pause");
    assert!(
        pause["next"]
            .as_str()
            .unwrap()
            .contains("`rollctl rollback web --to v1`"),
        "{pause}"
    );
    assert!(
        pause["details"][0]
            .as_str()
            .unwrap()
            .starts_with("web-01: "),
        "{pause}"
    );
    assert!(
        !pause.to_string().contains("giving up at once"),
        "a journal was sent: {pause}"
    );

    let mails = fs::read_to_string(scene.controller.path("inventory/mails")).unwrap();
    for text in [
        "args -i -t\nTo: ops@example.net, root\nSubject: [test] web: release of v1 began\n",
        "\nFrom: rollctl@example.net\n\n[test] rollout 1 of `web`",
        "Subject: [test] web: release of bad paused\n",
        "next: `rollctl resume web` retries the failed instance",
    ] {
        assert!(mails.contains(text), "{text:?} is not in\n{mails}");
    }
    let told = fs::read_to_string(scene.controller.path("inventory/told")).unwrap();
    let told: Vec<&str> = told
        .lines()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(
        told,
        [
            "start web v1",
            "finish web v1",
            "start web bad",
            "pause web bad"
        ]
    );
}

#[test]
fn that_nobody_could_be_told_fails_no_rollout_and_shows_no_secret() {
    let scene = Scene::fresh(1, 1);
    let (url, posted) = webhook("404 Not Found");
    script(
        &scene,
        "sendmail",
        "#!/bin/sh\necho 'queue is full' >&2\nexit 75\n",
    );
    script(&scene, "tell", "#!/bin/sh\nexit 3\n");
    notify(
        &scene,
        &format!(
            "webhook = \"{url}\"\nmail = [\"root\"]\nsendmail = [\"./sendmail\"]\ncommand = {{ run = [\"./tell\"] }}\non = [\"finish\"]"
        ),
    );
    let run = scene
        .release("v1", &Behaviour::default())
        .exits(0)
        .says("warning: notification by webhook failed: it answered 404 \"no_team\"")
        .says("warning: notification by mail failed")
        .says("queue is full")
        .says("warning: notification by command failed: it ended with 3");
    assert!(!run.text().contains(SECRET), "{}", run.text());
    assert_eq!(moments(&posted), ["finish"], "nothing else was asked for");

    // Nobody listens; and a variable that is not there.
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let inventory = fs::read_to_string(scene.controller.path("inventory/test.toml")).unwrap();
    let inventory = inventory.replace(&url, &format!("http://{closed}/{SECRET}"));
    scene.controller.write("inventory/test.toml", &inventory);
    let run = scene.controller.rollctl(&["-vvv", "restart", "web"]);
    let run = run
        .exits(0)
        .says("notification by webhook failed: Connection refused");
    assert!(!run.text().contains(SECRET), "{}", run.text());
    let mut events = fs::read(scene.controller.path("inventory/ledger.db")).unwrap();
    events.extend(fs::read(scene.controller.path("inventory/ledger.db-wal")).unwrap_or_default());
    assert!(
        !String::from_utf8_lossy(&events).contains(SECRET),
        "the ledger has it"
    );
    let quoted = format!("\"http://{closed}/{SECRET}\"");
    scene.controller.write(
        "inventory/test.toml",
        inventory.replace(&quoted, "{ env = \"HOOK\" }"),
    );
    scene
        .controller
        .rollctl(&["restart", "web"])
        .exits(0)
        .says("notification by webhook failed: the variable `HOOK` is not set");
    // What is wrong beside it does not show it either.
    let wrong = format!("\n[notify]\nwebhook = \"http://x/{SECRET}\", on = 1\n");
    scene.controller.write(
        "inventory/test.toml",
        inventory.split("[notify]").next().unwrap().to_owned() + &wrong,
    );
    let run = scene.controller.rollctl(&["check"]).exits(2);
    assert!(!run.text().contains(SECRET), "{}", run.text());
}

#[test]
fn people_are_told_that_a_service_is_held_and_that_nobody_was_told_holds_nothing_up() {
    let scene = Scene::fresh(1, 1);
    let (url, posted) = webhook("200 OK");
    script(&scene, "sendmail", "#!/bin/sh\ncat >>\"${0%/*}/mails\"\n");
    script(
        &scene,
        "tell",
        "#!/bin/sh\necho \"$ROLLCTL_MOMENT $ROLLCTL_SERVICE [$ROLLCTL_ROLLOUT]: $ROLLCTL_NEXT\" >>told\nexit 4\n",
    );
    notify(
        &scene,
        &format!(
            "webhook = \"{url}\"\nmail = [\"root\"]\nsendmail = [\"./sendmail\"]\ncommand = {{ run = [\"./tell\"] }}\non = [\"hold\"]"
        ),
    );
    let hold = || {
        let words = ["hold", "web", "--cause", "the <database> moves"];
        scene.controller.rollctl(&words).exits(0)
    };
    let run = hold().says("warning: notification by command failed: it ended with 4");
    assert!(!run.text().contains(SECRET), "{}", run.text());
    let told: Vec<Value> = posted.try_iter().collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["moment"], "hold");
    for absent in ["rollout", "rollout_kind", "from", "to"] {
        assert_eq!(told[0][absent], Value::Null, "{absent}");
    }
    assert_eq!(told[0]["details"][0], "the <database> moves");
    let text = told[0]["text"].as_str().unwrap();
    assert!(text.contains("`web` is held by ann@"), "{text}");
    assert!(text.contains("the &lt;database&gt; moves"), "{text}");
    let read = |name: &str| fs::read_to_string(scene.controller.path(name)).unwrap();
    assert!(read("inventory/mails").contains("Subject: [test] web: held\n"));
    assert_eq!(
        read("inventory/told"),
        "hold web []: `rollctl unhold web` lifts it\n"
    );
    // It is held already: nobody is told again.
    hold().says("is held already");
    assert_eq!(posted.try_iter().count(), 0);
}
