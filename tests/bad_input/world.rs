//! A controller whose only host does not answer, and one with a lab; what is on the disk before and after.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rollctl_lab::{Behaviour, Lab, LabOptions};

use crate::support::{Controller, Run};

/// One host, on a port of this machine where nobody listens.
pub(crate) const NOBODY: &str =
    "[hosts.web-01]\naddress = \"127.0.0.1:1\"\nlabels = { role = \"web\" }\n";

/// The service of all tests here; needs no root.
pub(crate) const SERVICE: &str = r#"
[ledger]
url = "sqlite:ledger.db"

[services.web]
hosts = "*"
scope = "user"
unit = "web.service"
unit_file = "web.service"
install_dir = "~/web"
port = 8080
[services.web.strategy]
max_unavailable = 1
min_ready = "500ms"
on_failure = "pause"
[services.web.health]
http = "http://{address}:{port}/healthz"
interval = "100ms"
deadline = "5s"
"#;

const UNIT: &str = "[Unit]\nDescription=web\n\n[Service]\nExecStart=%h/web/current/web\n\n[Install]\nWantedBy=default.target\n";

/// A controller with an inventory of that text.
pub(crate) fn controller(inventory: &str) -> Controller {
    let controller = Controller::new();
    controller.write("inventory/test.toml", inventory);
    controller.write("inventory/web.service", UNIT);
    controller.version("v1", &Behaviour::default());
    controller.version("v2", &Behaviour::default());
    controller
}

/// A controller whose host does not answer.
pub(crate) fn offline() -> Controller {
    controller(&format!("{NOBODY}{SERVICE}"))
}

/// A controller with a fleet that answers; `extra` goes into the service's table.
pub(crate) fn lab(hosts: usize, extra: &str) -> (Lab, Controller) {
    let lab = Lab::boot(&LabOptions {
        hosts,
        ..LabOptions::default()
    })
    .unwrap();
    let service = SERVICE.replace("port = 8080\n", &format!("port = 8080\n{extra}\n"));
    let controller = controller(&format!("{}{service}", lab.inventory_snippet()));
    (lab, controller)
}

/// Every file below a folder, with its content.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap();
            let name = path.display().to_string();
            if kind.is_dir() {
                found.insert(name, Vec::new());
                folders.push(path);
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                found.insert(name, target.into_os_string().into_encoded_bytes());
            } else if kind.is_file() {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Fails unless a run touched nothing of the controller's files.
#[track_caller]
pub(crate) fn untouched(controller: &Controller, words: &[&str]) -> Run {
    let before = files(&controller.path("."));
    let run = controller.rollctl(words);
    let after = files(&controller.path("."));
    let changed: Vec<_> = after
        .iter()
        .filter(|(name, content)| before.get(*name) != Some(*content))
        .map(|(name, _)| name)
        .collect();
    assert!(changed.is_empty(), "{words:?} wrote {changed:?}");
    assert_eq!(before.len(), after.len(), "{words:?} removed files");
    run
}

/// Fails unless the message reads as one: none of Rust's debugging forms, nothing said twice in a row.
#[track_caller]
pub(crate) fn well_said(run: &Run) {
    let text = run.text();
    for sign in [
        "Some(",
        "None",
        "Os {",
        "Error {",
        "Err(",
        "\\\"",
        "kind:",
        "RUST_BACKTRACE",
        "panicked",
    ] {
        assert!(!text.contains(sign), "{sign:?} is in: {text}");
    }
    let causes: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("caused by: "))
        .collect();
    for pair in causes.windows(2) {
        assert!(!pair[0].contains(pair[1]), "said twice: {text}");
    }
    assert!(!text.contains('\x1b'), "{text}");
}
