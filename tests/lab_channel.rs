//! Channels: builds that are found by their version, on a fleet of the lab: no root, no network, any user.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lab_support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use lab_support::{Run, Scene};
use rollctl_lab::{Behaviour, demo_service};
use sha2::{Digest, Sha256};

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Writes the service's keys about its artifact.
fn artifact(scene: &Scene, keys: &str) {
    scene.inventory(1);
    let path = scene.controller.path("inventory/test.toml");
    let inventory = fs::read_to_string(path).unwrap();
    let inventory = inventory.replace("port = 8080\n", &format!("port = 8080\n{keys}\n"));
    scene.controller.write("inventory/test.toml", inventory);
}

/// A build of the demo, which may lie anywhere.
fn build(version: &str) -> Vec<u8> {
    demo_service(version, &Behaviour::default())
}

fn timer(scene: &Scene) -> Run {
    scene
        .controller
        .rollctl(&["release", "web", "--unattended"])
}

fn revision(scene: &Scene) -> String {
    let status = scene.controller.json(&["status", "web"]);
    status["revision"]["name"].as_str().unwrap().to_owned()
}

#[test]
fn the_newest_build_of_a_folder_goes_out_once_its_digest_is_there() {
    let scene = Scene::fresh(1, 1);
    artifact(
        &scene,
        "artifact = \"builds/web-{version}\"\nversion_from = { folder = \"builds\" }",
    );
    let put = |name: &str, content: &[u8]| {
        let path = scene
            .controller
            .write(&format!("inventory/builds/{name}"), content);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let digest = |version: &str, content: &[u8]| {
        let line = format!("{}  web-{version}\n", sha256(content));
        put(&format!("web-{version}.sha256"), line.as_bytes());
    };
    timer(&scene).exits(2).says("folder `").says("builds`");
    put("notes.txt", b"x");
    timer(&scene)
        .exits(2)
        .says("the newest version of `web` is not known: no build in `")
        .says("is named `web-{version}`");
    let (old, new) = (build("1.9.0"), build("1.10.0"));
    put("web-1.9.0", &old);
    timer(&scene).exits(2).says("has its digest file beside it");
    digest("1.9.0", &old);
    scene
        .controller
        .rollctl(&["plan", "web"])
        .exits(0)
        .says("1.9.0");
    timer(&scene).exits(0);
    scene.all_run("1.9.0");
    // While it is being copied, it is not there yet.
    put("web-1.10.0", &new[..100]);
    assert_eq!(timer(&scene).exits(0).text(), "");
    // It is not what it should be.
    digest("1.10.0", &new);
    let journal = scene.host_journal(0);
    timer(&scene)
        .exits(5)
        .says("builds/web-1.10.0` is not released: its SHA-256 is ")
        .says(&format!("its digest file says {}", sha256(&new)))
        .says("nothing was shipped");
    assert_eq!(scene.host_journal(0), journal);
    put("web-1.10.0", &new);
    timer(&scene).exits(0);
    scene.all_run("1.10.0");
    assert_eq!(timer(&scene).exits(0).text(), "");
    // A person may release any build, without a digest file.
    scene.release("mine", &Behaviour::default()).exits(0);
    timer(&scene).exits(5).says("released `mine` after it");
}

/// What a server has, by path.
type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A server on this machine, and what it has; what it has not is answered with 404.
fn serve() -> (String, Files) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let files = Files::default();
    let served = files.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            let path = first.split(' ').nth(1).unwrap().to_owned();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let found = served.lock().unwrap().get(&path).cloned();
            let (status, body) = match found {
                Some(body) => ("200 OK", body),
                None => ("404 Not Found", Vec::new()),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body).unwrap();
        }
    });
    (format!("http://{address}"), files)
}

#[test]
fn a_server_says_which_version_is_the_newest() {
    let scene = Scene::fresh(1, 1);
    let (url, files) = serve();
    let put = |path: &str, content: &[u8]| {
        files
            .lock()
            .unwrap()
            .insert(path.to_owned(), content.to_vec());
    };
    artifact(
        &scene,
        &format!(
            "artifact = \"{url}/dist/{{version}}/web?key=geheim\"\nversion_from = \"{url}/LATEST\""
        ),
    );
    timer(&scene)
        .exits(2)
        .says("the newest version of `web` is not known: ")
        .says("the server answered 404");
    put("/LATEST", b"../../etc/shadow\n");
    timer(&scene)
        .exits(2)
        .says("LATEST`: `../../etc/shadow` is not a version")
        .says("nothing was touched");
    put("/LATEST", b"v1.4.2\n");
    let content = build("v1.4.2");
    put("/dist/v1.4.2/web?key=geheim", &content);
    let run = timer(&scene)
        .exits(5)
        .says("dist/v1.4.2/web?***` is not released: `")
        .says("web.sha256?***`: the server answered 404");
    assert!(!run.text().contains("geheim"), "{}", run.text());
    let list = format!("{}  other\n{} *web\n", sha256(b"x"), sha256(&content));
    put("/dist/v1.4.2/web.sha256?key=geheim", list.as_bytes());
    timer(&scene).exits(0);
    scene.all_run("v1.4.2");
    assert_eq!(timer(&scene).exits(0).text(), "");
    // Published anew under its old version, it is another build, which cannot have its name.
    let other = demo_service(
        "v1.4.2",
        &Behaviour {
            padding: 9,
            ..Behaviour::default()
        },
    );
    put("/dist/v1.4.2/web?key=geheim", &other);
    timer(&scene)
        .exits(5)
        .says("is not released: its SHA-256 is");
    put(
        "/dist/v1.4.2/web.sha256?key=geheim",
        sha256(&other).as_bytes(),
    );
    timer(&scene).exits(0);
    assert_eq!(revision(&scene), "r2");
}

#[test]
fn a_program_says_which_version_is_the_newest() {
    let scene = Scene::fresh(1, 1);
    artifact(
        &scene,
        "artifact = \"web-{version}\"\nversion_from = { run = [\"./newest\", \"web\"], timeout = \"2s\" }\ndigest = \"none\"",
    );
    let script = |text: &str| {
        let path = scene
            .controller
            .write("inventory/newest", format!("#!/bin/sh\n{text}\n"));
        executable(&path);
    };
    timer(&scene).exits(2).says("newest");
    script("echo no answer from the CI >&2; exit 3");
    timer(&scene)
        .exits(2)
        .says("ended with 3: no answer from the CI");
    script("sleep 30");
    timer(&scene).exits(2).says("took longer than 2s");
    script("echo reading $1 >&2; echo 77");
    executable(&scene.controller.write("inventory/web-77", build("77")));
    timer(&scene).exits(0);
    // Digits alone are no name.
    assert_eq!(revision(&scene), "r1");
    assert_eq!(timer(&scene).exits(0).text(), "");
    script("echo 78");
    timer(&scene).exits(2).says("web-78");
    // Typed, it is what is typed.
    let typed = scene.controller.write("inventory/other", build("other"));
    executable(&typed);
    let typed = typed.to_str().unwrap();
    scene
        .controller
        .rollctl(&["release", "web", typed, "--name", "other"])
        .exits(0);
    scene.all_run("other");
}

fn executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
