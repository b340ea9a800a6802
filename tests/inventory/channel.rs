//! `version_from` and `digest`, as they are read.

use std::path::Path;

use rollctl::core::channel::{Channel, VersionFrom};
use rollctl::core::source::{ArtifactPlace, ArtifactSource};
use rollctl::inventory::load;

/// The channel of a service with these keys, and its artifact at version 1.0.
fn channel(keys: &str) -> (Channel, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("production.toml");
    let text = format!(
        "[hosts.web-01]\n[services.web]\nhosts = \"web-01\"\nunit = \"web.service\"\ninstall_dir = \"/opt/web\"\nhealth.unit = true\n{keys}\n"
    );
    std::fs::write(&path, text).unwrap();
    let loaded = load(&path).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    let service = loaded.fleet.service("web").unwrap();
    let artifact = service.artifact.as_ref().unwrap().at_version("1.0");
    let shown = match artifact {
        ArtifactSource::Any(ArtifactPlace::Path(path)) => {
            let inside = path.strip_prefix(dir.path()).unwrap_or(&path);
            inside.display().to_string()
        }
        ArtifactSource::Any(ArtifactPlace::Url(url)) => url.secret().to_owned(),
        ArtifactSource::PerArchitecture(_) => "several".to_owned(),
    };
    (service.channel.clone(), shown)
}

#[test]
fn each_way_to_know_the_version() {
    let (found, at) = channel(
        "artifact = \"https://get.example.net/{version}/web-{version}?x=1#y\"\nversion_from = \"https://get.example.net/LATEST\"",
    );
    assert_eq!(at, "https://get.example.net/1.0/web-1.0?x=1");
    assert!(found.digest, "a channel's builds are verified");
    assert!(matches!(
        found.version,
        Some(VersionFrom::Text(ArtifactPlace::Url(_)))
    ));

    let (found, at) = channel(
        "artifact = \"builds/web-{version}\"\nversion_from = { folder = \"builds\" }\ndigest = \"none\"",
    );
    assert_eq!(at, "builds/web-1.0");
    assert!(!found.digest);
    assert!(
        matches!(found.version, Some(VersionFrom::Folder(folder)) if folder.ends_with("builds"))
    );

    let (found, _) = channel(
        "artifact = { x86_64 = \"s3://builds/web-{version}-x86\", aarch64 = \"s3://builds/web-{version}-arm\" }\nversion_from = { run = [\"/bin/cat\", \"x\"], timeout = \"5s\" }",
    );
    let Some(VersionFrom::Program(program)) = found.version else {
        panic!("no program");
    };
    assert_eq!((program.run.len(), program.timeout.as_secs()), (2, 5));

    let (found, _) = channel("artifact = \"builds/web-{version}\"\nversion_from = \"LATEST\"");
    let Some(VersionFrom::Text(ArtifactPlace::Path(path))) = found.version else {
        panic!("no file");
    };
    assert!(path.is_absolute() && path.ends_with(Path::new("LATEST")));

    let (found, at) = channel("artifact = \"https://get.example.net/web\"\ndigest = \"sha256\"");
    assert_eq!((found.version, found.digest), (None, true));
    assert_eq!(at, "https://get.example.net/web");
}
