//! How `rollctl` gets into a database, and what it says when it does not: never a password.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rollctl_postgres::{Options, Server};
use support::{Controller, Run};

const PASSWORD: &str = "geheim:mit\\allem";

fn history(controller: &Controller, environment: &[(&str, &str)]) -> Run {
    let mut command = controller.command(&["history", "web"]);
    // All that there is to be told.
    command
        .envs(environment.iter().copied())
        .env("RUST_LOG", "trace");
    let run = Run::of(&command.output().unwrap());
    assert!(!run.text().contains("geheim"), "{}", run.text());
    run
}

#[test]
fn passwords_come_from_the_environment_or_from_a_private_file() {
    if rollctl_postgres::skip() {
        return;
    }
    let mut server = Server::with(Options {
        password: Some(PASSWORD.to_owned()),
        ..Options::default()
    })
    .unwrap();
    server.create_database("rollctl").unwrap();
    let controller = Controller::new();
    let text = format!(
        "[ledger]\nurl = \"{}\"\n\n[hosts.web-01]\n\n[services.web]\nhosts = \"web-01\"\nunit = \"web.service\"\n\
         install_dir = \"/opt/web\"\nhealth.unit = true\n",
        server.url("rollctl")
    );
    controller.write("inventory/test.toml", text);

    let refused = "does not let us in";
    history(&controller, &[])
        .exits(2)
        .says(refused)
        .says("~/.pgpass");
    history(&controller, &[("PGPASSWORD", "geheimnis")])
        .exits(2)
        .says(refused);
    history(&controller, &[("PGPASSWORD", PASSWORD)]).exits(0);

    let escaped = PASSWORD.replace('\\', "\\\\").replace(':', "\\:");
    let line = format!("127.0.0.1:{}:rollctl:rollctl:{escaped}\n", server.port());
    for name in ["passwords", ".pgpass"] {
        let path = controller.write(name, &line);
        let environment = [("PGPASSFILE", path.to_str().unwrap())];
        let environment = match name {
            // Found by itself, in the user's home.
            ".pgpass" => &[][..],
            _ => &environment[..],
        };
        // Whoever else can read it may have read it.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        history(&controller, environment).exits(2).says(refused);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        history(&controller, environment).exits(0);
    }

    server.stop().unwrap();
    history(&controller, &[])
        .exits(1)
        .says("cannot be asked now")
        .says("look whether the server runs");
}
