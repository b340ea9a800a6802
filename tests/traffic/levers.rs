//! The drivers `command`, `http` and `health`: what an operator brings along.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::server::{self, Sshd};
use crate::support::*;

const SERVICE: &str = "[services.web]\nhosts = \"web-*\"\nunit = \"web.service\"\ninstall_dir = \"/opt/web\"\nport = 8080\nhealth.unit = true\n\
                       [services.web.traffic]\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_run_here_and_on_the_host() {
    if !server::is_available() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let sshd = Sshd::start();
    let state = dir.path().join("state");
    let script = "#!/bin/sh\necho \"$1 $ROLLCTL_HOST $ROLLCTL_ADDRESS $ROLLCTL_PORT $ROLLCTL_SERVICE $ROLLCTL_DRAIN_TIMEOUT\" >>\"$2.log\"\n\
                  case $1 in in) rm -f \"$2\" ;; out) : >\"$2\" ;; see) [ ! -e \"$2\" ] ;; *) echo \"what is $1?\" >&2; exit 7 ;; esac\n";
    std::fs::write(dir.path().join("lb"), script).unwrap();
    server::run("chmod", &["755", dir.path().join("lb").to_str().unwrap()]);
    let inventory = |drain: &str| {
        let (lb, state) = (dir.path().join("lb"), state.display());
        format!(
            "[hosts.web-1]\naddress = \"127.0.0.1:{}\"\n{}{SERVICE}driver = \"command\"\ndrain_timeout = \"1s\"\n\
             attach = {{ run = [\"./lb\", \"in\", \"{state}\"] }}\n\
             drain = {{ on = \"host\", run = {drain} }}\n\
             observe = {{ on = \"host\", run = [\"{}\", \"see\", \"{state}\"] }}\n",
            sshd.port,
            login(&sshd),
            lb.display()
        )
    };
    let lb = dir.path().join("lb").display().to_string();
    let out = |word: &str| format!("[\"{lb}\", \"{word}\", \"{}\"]", state.display());
    let traffic = driver(dir.path(), &inventory(&out("out")));
    let web = member("web-1");
    assert_eq!(
        traffic.observe(&web).await.unwrap(),
        attachment(&["command"], &[])
    );
    assert_eq!(traffic.drain(&web).await.unwrap().sessions_left, 0);
    assert_eq!(
        traffic.observe(&web).await.unwrap(),
        attachment(&[], &["command"])
    );
    traffic
        .attach(&web, &names(&["command"]), true)
        .await
        .unwrap();
    assert!(state.exists(), "an operator had taken it out");
    traffic.attach(&web, &names(&[]), true).await.unwrap();
    assert!(!state.exists());
    let log = std::fs::read_to_string(dir.path().join("state.log")).unwrap();
    for verb in ["in", "out", "see"] {
        let line = format!("{verb} web-1 127.0.0.1 8080 web 1\n");
        assert!(log.contains(&line), "{line}{log}");
    }

    for (drain, message) in [
        (
            out("nonsense"),
            "ended with exit status 7: what is nonsense?",
        ),
        (
            "[\"true\"]".to_owned(),
            "`observe` still says that the instance is in",
        ),
        (
            "[\"sleep\", \"60\"], timeout = \"500ms\"".to_owned(),
            "took longer than 0.5 s",
        ),
    ] {
        let traffic = driver(dir.path(), &inventory(&drain));
        let error = traffic.drain(&web).await.unwrap_err();
        assert!(error.message.contains(message), "{message}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_not_there_or_hangs_here() {
    let dir = tempfile::tempdir().unwrap();
    for (run, message) in [
        ("[\"./lb\"]", "/lb` cannot be run"),
        (
            "[\"sh\", \"-c\", \"sleep 60 & wait\"], timeout = \"300ms\"",
            "took longer than 0.3 s",
        ),
        ("[\"sh\", \"-c\", \"kill -9 $$\"]", "killed by a signal"),
    ] {
        let text = format!(
            "[hosts.web-1]\n{SERVICE}driver = \"command\"\nattach = {{ run = [\"true\"] }}\ndrain = {{ run = {run} }}\n\
             observe = {{ run = [\"true\"] }}\n"
        );
        let error = driver(dir.path(), &text)
            .drain(&member("web-1"))
            .await
            .unwrap_err();
        assert!(error.message.contains(message), "{message}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_move_an_instance() {
    let dir = tempfile::tempdir().unwrap();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let is_in = Arc::new(AtomicBool::new(true));
    let admin = Web::with("admin", "127.0.0.1:0", {
        let (asked, is_in) = (Arc::clone(&asked), Arc::clone(&is_in));
        move |method, path| {
            asked.lock().unwrap().push(format!("{method} {path}"));
            match (method, path) {
                ("PUT", "/web-1/in") => is_in.store(true, Ordering::SeqCst),
                ("POST", "/web-1/out") => is_in.store(false, Ordering::SeqCst),
                ("GET", "/web-1") => {}
                _ => return Some((500, "what?".to_owned())),
            }
            let body = if is_in.load(Ordering::SeqCst) {
                "in"
            } else {
                "out"
            };
            Some((200, format!("web-1:8080 is {body}")))
        }
    });
    let inventory = |out: &str| {
        let base = format!("http://127.0.0.1:{}/{{host}}", admin.port);
        format!(
            "[hosts.web-1]\n{SERVICE}driver = \"http\"\nattach = {{ url = \"{base}/in\", method = \"PUT\" }}\n\
             drain = {{ url = \"{base}/{out}\" }}\nobserve = {{ url = \"{base}\", expect_body = \"{{host}}:{{port}} is in\" }}\n"
        )
    };
    let traffic = driver(dir.path(), &inventory("out"));
    let web = member("web-1");
    assert_eq!(
        traffic.observe(&web).await.unwrap(),
        attachment(&["http"], &[])
    );
    assert_eq!(traffic.drain(&web).await.unwrap().sessions_left, 0);
    assert_eq!(
        traffic.observe(&web).await.unwrap(),
        attachment(&[], &["http"])
    );
    traffic.attach(&web, &names(&[]), true).await.unwrap();
    assert_eq!(
        traffic.observe(&web).await.unwrap(),
        attachment(&["http"], &[])
    );
    assert!(asked.lock().unwrap().contains(&"PUT /web-1/in".to_owned()));

    let error = driver(dir.path(), &inventory("away"))
        .drain(&web)
        .await
        .unwrap_err();
    assert!(
        error.message.contains("/web-1/away answered 500 \"what?\""),
        "{error}"
    );
    assert!(error.is_passing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_file_is_made_and_removed() {
    if !server::is_available() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let sshd = Sshd::start();
    let file = dir.path().join("run/drain web");
    let text = format!(
        "[hosts.web-1]\naddress = \"127.0.0.1:{}\"\n{}{SERVICE}driver = \"health\"\ndrain_file = \"{}\"\npoll = \"100ms\"\n\
         drain_timeout = \"200ms\"\n",
        sshd.port,
        login(&sshd),
        file.display()
    );
    let traffic = driver(dir.path(), &text);
    let web = member("web-1");
    assert_eq!(
        traffic.observe(&web).await.unwrap(),
        attachment(&["health"], &[])
    );
    let before = tokio::time::Instant::now();
    for _ in 0..2 {
        assert_eq!(traffic.drain(&web).await.unwrap().sessions_left, 0);
        assert!(file.exists());
    }
    // Three polls, one that had begun, and the time for what is under way; twice.
    assert!(
        before.elapsed().as_millis() >= 1200,
        "{:?}",
        before.elapsed()
    );
    assert_eq!(
        traffic.observe(&web).await.unwrap(),
        attachment(&[], &["health"])
    );
    traffic
        .attach(&web, &names(&["health"]), true)
        .await
        .unwrap();
    assert!(file.exists(), "an operator had made it");
    traffic.attach(&web, &names(&[]), true).await.unwrap();
    assert!(!file.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_url_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let is_draining = Arc::new(AtomicBool::new(false));
    let service = Web::with("web", "127.0.0.1:0", {
        let is_draining = Arc::clone(&is_draining);
        move |method, path| {
            match (method, path) {
                ("POST", "/drain") => is_draining.store(true, Ordering::SeqCst),
                ("DELETE", "/drain") => is_draining.store(false, Ordering::SeqCst),
                ("GET", "/drain") if !is_draining.load(Ordering::SeqCst) => {
                    return Some((404, String::new()));
                }
                ("GET", "/drain") => {}
                _ => return Some((405, String::new())),
            }
            Some((200, String::new()))
        }
    });
    let text = format!(
        "[hosts.web-1]\naddress = \"127.0.0.1\"\n{}driver = \"health\"\ndrain_url = \"http://{{address}}:{{port}}/drain\"\n\
         poll = \"10ms\"\ndrain_timeout = \"0s\"\n",
        SERVICE.replace("8080", &service.port.to_string())
    );
    let traffic = driver(dir.path(), &text);
    let web = member("web-1");
    assert_eq!(
        traffic.observe(&web).await.unwrap(),
        attachment(&["health"], &[])
    );
    traffic.drain(&web).await.unwrap();
    assert_eq!(
        traffic.observe(&web).await.unwrap(),
        attachment(&[], &["health"])
    );
    traffic.attach(&web, &names(&[]), true).await.unwrap();
    assert!(!is_draining.load(Ordering::SeqCst));
}
