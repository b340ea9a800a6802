//! Artifacts that are none, told before a host is asked.

use std::process::Command;

use crate::world::{NOBODY, SERVICE, controller, offline, untouched, well_said};

#[test]
fn an_artifact_that_is_none_touches_nothing() {
    let controller = offline();
    let whole = std::fs::read(controller.path("build-v1")).unwrap();
    controller.write("empty", "");
    controller.write("text", "echo hello\n");
    controller.write("cut", &whole[..3_000]);
    controller.write(
        "thirty-two",
        [b"\x7fELF\x01\x01\x01".as_slice(), &[0; 57]].concat(),
    );
    controller.write("other/server", "x");
    controller.write("cut.tar.gz", b"\x1f\x8b\x08\x00 and no more");
    controller.write("hollow/.keep-out/x", "");
    std::fs::remove_dir_all(controller.path("hollow/.keep-out")).unwrap();
    let packed = Command::new("tar")
        .args(["-cf", "nested.tar", "other"])
        .current_dir(controller.path("."))
        .status()
        .unwrap();
    assert!(packed.success());
    for (sentence, path, told) in [
        ("nothing there", "missing", "does not exist"),
        (
            "where it was looked for",
            "missing",
            "starts at the working folder",
        ),
        ("an empty file", "empty", "is empty"),
        ("an empty folder", "hollow", "is empty"),
        ("a text", "text", "neither an ELF program nor a script"),
        (
            "a program that was copied in part",
            "cut",
            "whose end is missing",
        ),
        ("a program of another age", "thirty-two", "32-bit"),
        (
            "a folder without the binary",
            "other",
            "does not contain the binary `web`",
        ),
        (
            "an archive without the binary",
            "nested.tar",
            "does not contain the binary `web`",
        ),
        (
            "a damaged archive",
            "cut.tar.gz",
            "is not a readable tar.gz archive",
        ),
        ("a device", "/dev/null", "is a device, socket or pipe"),
    ] {
        let path = controller.path(path);
        for command in ["release", "plan"] {
            let run = untouched(&controller, &[command, "web", path.to_str().unwrap()]);
            assert_eq!(run.code, 2, "{sentence}: {}", run.text());
            assert!(run.stderr.contains(told), "{sentence}: {}", run.stderr);
            assert!(
                run.stderr.contains("\nhint: "),
                "{sentence}: {}",
                run.stderr
            );
            well_said(&run);
        }
    }
}

#[test]
fn a_release_without_an_artifact_or_a_secret_says_what_is_missing() {
    let controller = controller(&format!(
        "{NOBODY}{}",
        SERVICE.replace(
            "port = 8080",
            "port = 8080\nenvironment = { DB = { env = \"DB_URL\" } }"
        )
    ));
    let v1 = controller.path("build-v1");
    untouched(&controller, &["release", "web", v1.to_str().unwrap()])
        .exits(2)
        .says("`DB` of service `web` is to come from `DB_URL`, which is not set")
        .says("export DB_URL=");
    untouched(&controller, &["release", "web"])
        .exits(2)
        .says("service `web` has no artifact");
}

#[test]
fn a_unit_file_that_is_gone_is_told_with_its_place() {
    let controller = offline();
    std::fs::remove_file(controller.path("inventory/web.service")).unwrap();
    let v1 = controller.path("build-v1");
    let run = untouched(&controller, &["release", "web", v1.to_str().unwrap()]).exits(2);
    assert!(
        run.stderr.contains("(services.web.unit_file)"),
        "{}",
        run.stderr
    );
    well_said(&run);
}
