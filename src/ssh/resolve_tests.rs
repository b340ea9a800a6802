use std::path::Path;

use super::*;
use crate::ssh::Route;

async fn resolved(text: &str, target: Target) -> Result<Resolved, SshError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    std::fs::write(&file, text).unwrap();
    resolve(&target, &SshConfig::own_reader(vec![file])).await
}

fn web() -> Target {
    Target::new("web-01", "web")
}

#[tokio::test]
async fn blanks_are_filled_in_from_the_configuration() {
    let text = "Host web\nHostName 10.0.0.1\nPort 2222\nUser deploy\nIdentityFile /keys/%r-%n\nIdentityAgent /run/%h\n\
                IdentitiesOnly yes\nUserKnownHostsFile /kh/%h\nGlobalKnownHostsFile none\n";
    let found = resolved(text, web()).await.unwrap();
    assert_eq!(found.endpoint(), "10.0.0.1:2222");
    assert_eq!(found.user, "deploy");
    assert_eq!(found.identity_files, [Path::new("/keys/deploy-web")]);
    assert_eq!(found.agent.as_deref(), Some(Path::new("/run/10.0.0.1")));
    assert!(found.identities_only);
    assert_eq!(found.known_hosts, [Path::new("/kh/10.0.0.1")]);
    assert_eq!(
        (found.known_as.as_str(), found.is_alias),
        ("10.0.0.1", false)
    );
    assert_eq!(found.route, Route::Direct);
}

#[tokio::test]
async fn what_the_inventory_says_wins() {
    let text = "Host *\nPort 1\nUser other\nIdentityFile /keys/other\nUserKnownHostsFile /kh/other\nProxyJump other\n";
    let target = Target {
        port: Some(2),
        user: Some("deploy".to_owned()),
        identity: Some("/keys/fleet".into()),
        known_hosts: Some("/kh/fleet".into()),
        jump: Some("none".to_owned()),
        ..web()
    };
    let found = resolved(text, target).await.unwrap();
    assert_eq!((found.port, found.user.as_str()), (2, "deploy"));
    assert_eq!(found.identity.as_deref(), Some(Path::new("/keys/fleet")));
    assert_eq!(found.known_hosts, [Path::new("/kh/fleet")]);
    assert_eq!(found.route, Route::Direct);
}

#[tokio::test]
async fn an_alias_is_looked_up_in_lower_case_and_without_the_port() {
    let found = resolved("Host web\nHostKeyAlias Fleet\nPort 2222\n", web())
        .await
        .unwrap();
    assert_eq!(
        (found.known_as.as_str(), found.is_alias, found.trust_port()),
        ("fleet", true, 22)
    );
}

#[tokio::test]
async fn jumps_nest_and_each_hop_has_its_own_configuration() {
    let text = "Host bastion\nHostName 192.0.2.1\nUser gate\nHost second\nPort 2200\n";
    let target = Target {
        user: Some("deploy".to_owned()),
        jump: Some("bastion, ann@second".to_owned()),
        ..web()
    };
    let found = resolved(text, target).await.unwrap();
    let hops: Vec<String> = found
        .hops()
        .iter()
        .map(|hop| format!("{}@{}", hop.user, hop.endpoint()))
        .collect();
    assert_eq!(
        hops,
        ["gate@192.0.2.1:22", "ann@second:2200", "deploy@web:22"]
    );
    for (jump, wanted) in [
        ("[fe80::1]:2222", "[fe80::1]:2222"),
        ("fe80::1", "[fe80::1]:22"),
        ("ssh://ann@gate:22022/", "gate:22022"),
    ] {
        let target = Target {
            jump: Some(jump.to_owned()),
            ..web()
        };
        let found = resolved("", target).await.unwrap();
        assert_eq!(found.hops()[0].endpoint(), wanted, "{jump}");
    }
}

#[tokio::test]
async fn a_proxy_command_gets_its_tokens() {
    let text = "Host web\nHostName 10.0.0.1\nUser deploy\nPort 2222\nProxyCommand nc -X %h %p '%r' %n 100%%\n";
    let found = resolved(text, web()).await.unwrap();
    assert_eq!(
        found.route,
        Route::Command("nc -X 10.0.0.1 2222 'deploy' web 100%".to_owned())
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let with = |address: &str, jump: Option<&str>, user: Option<&str>| Target {
        jump: jump.map(str::to_owned),
        user: user.map(str::to_owned),
        ..Target::new("web-01", address)
    };
    for (why, target) in [
        ("an option for a name", with("-oProxyCommand=x", None, None)),
        ("a command in a name", with("$(id)", None, None)),
        ("no name", with("", None, None)),
        ("a command in a user", with("web", None, Some("a;b"))),
        ("an option for a user", with("web", None, Some("-x"))),
        ("a jump without a host", with("web", Some("ann@"), None)),
        ("a jump without a user", with("web", Some("@gate"), None)),
        ("a jump with a bad port", with("web", Some("gate:x"), None)),
        ("an empty hop", with("web", Some("a,,b"), None)),
    ] {
        let error = resolved("", target).await.expect_err(why);
        assert!(
            matches!(*error.problem, Problem::Resolve { .. }),
            "{why}: {error}"
        );
        assert!(error.is_refusal(), "{why}");
    }
    let error = resolved("Host *\nProxyJump bastion\n", web())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("circle"), "{error}");
}
