//! `[trust]` of a fleet, and of a service over it.

use std::path::{Path, PathBuf};

use rollctl::core::fleet::Trust;
use rollctl::inventory::{check_files, load};

const INVENTORY: &str = r#"
[trust]
allowed_signers = "allowed_signers"
revoked_keys = "revoked"

[hosts.web-01]

[services.web]
hosts = "web-01"
unit = "web.service"
install_dir = "/opt/web"
health.unit = true

[services.api]
hosts = "web-01"
unit = "api.service"
install_dir = "/opt/api"
health.unit = true
trust.allowed_signers = "/etc/api_signers"
"#;

#[test]
fn a_service_has_its_own_keys_over_those_of_the_fleet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("production.toml");
    let trust_of = |text: &str, service: &str| {
        std::fs::write(&path, text).unwrap();
        let loaded = load(&path).unwrap();
        let found = loaded.fleet.service(service).unwrap().trust.clone();
        (found, check_files(&loaded).len())
    };
    let here = |name: &str| -> PathBuf { dir.path().join(name) };
    let trust = |signers: &Path, revoked| {
        Some(Trust {
            allowed_signers: signers.to_owned(),
            revoked_keys: revoked,
        })
    };
    let (web, missing) = trust_of(INVENTORY, "web");
    assert_eq!(web, trust(&here("allowed_signers"), Some(here("revoked"))));
    assert_eq!(missing, 3, "none of the files is there");
    let (api, _) = trust_of(INVENTORY, "api");
    let own = Path::new("/etc/api_signers");
    assert_eq!(api, trust(own, Some(here("revoked"))));
    let (_, services) = INVENTORY.split_once("\n\n").unwrap();
    assert_eq!(trust_of(services, "web").0, None);
    assert_eq!(trust_of(services, "api").0, trust(own, None));
}
