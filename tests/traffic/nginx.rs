//! The driver `nginx` against a real nginx, reached through a real sshd.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rollctl::ports::{Member, Traffic};

use crate::server::{self, Sshd};
use crate::support::*;

const NGINX: &str = "/usr/sbin/nginx";

/// An nginx with an upstream of two servers, on a host that is this machine.
struct Lb {
    folder: tempfile::TempDir,
    front: u16,
    sshd: Sshd,
    one: Web,
    two: Web,
    program: Option<Program>,
}

impl Lb {
    fn start() -> Option<Self> {
        if !are_installed(&[NGINX]) || !server::is_available() {
            return None;
        }
        let one = Web::start("one", "127.0.0.1:0");
        let two = Web::start("two", &format!("127.0.0.2:{}", one.port));
        let mut lb = Self {
            folder: tempfile::tempdir().unwrap(),
            front: free_port(),
            sshd: Sshd::start(),
            one,
            two,
            program: None,
        };
        let folder = lb.folder.path().display().to_string();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!(" {kind}_temp_path {folder}/{kind};\n"))
            .concat();
        let user = match server::whoami().as_str() {
            "root" => "user root;\n",
            _ => "",
        };
        let config = format!(
            "{user}daemon off;\nworker_processes 2;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nevents {{}}\n\
             http {{\n access_log off;\n{temporary} include {folder}/conf.d/*.conf;\n\
             server {{\n listen 127.0.0.1:{};\n location / {{ proxy_next_upstream off; proxy_pass http://web; }}\n }}\n}}\n",
            lb.front
        );
        std::fs::create_dir(lb.path("conf.d")).unwrap();
        std::fs::write(lb.path("nginx.conf"), config).unwrap();
        std::fs::write(lb.file(), lb.upstream("", "")).unwrap();
        lb.run();
        Some(lb)
    }

    fn run(&mut self) {
        let config = self.path("nginx.conf");
        let error_log = self.path("error.log");
        let arguments = [
            "-e",
            error_log.to_str().unwrap(),
            "-c",
            config.to_str().unwrap(),
        ];
        self.program = Some(Program::start(NGINX, &arguments));
        let front = self.front;
        until("nginx listens", || {
            std::net::TcpStream::connect(("127.0.0.1", front)).is_ok()
        });
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.path("conf.d/web-upstream.conf")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    fn upstream(&self, one: &str, two: &str) -> String {
        let port = self.one.port;
        format!(
            "# by hand\nupstream web {{\n\tserver 127.0.0.1:{port} max_fails=0{one}; # first\n\tserver 127.0.0.2:{port}{two};\n\
             \tkeepalive 4;\n}}\n"
        )
    }

    fn endpoint(&self) -> String {
        format!("ssh://lb-01{}", self.file().display())
    }

    fn driver(&self, more: &str) -> Arc<dyn Traffic> {
        let config = self.path("nginx.conf");
        let text = format!(
            "[hosts.web-1]\naddress = \"127.0.0.1\"\n[hosts.web-2]\naddress = \"127.0.0.2\"\n{}\n\
             [services.web]\nhosts = \"web-*\"\nunit = \"web.service\"\ninstall_dir = \"/opt/web\"\nport = {}\nhealth.unit = true\n\
             [services.web.traffic]\ndriver = \"nginx\"\nendpoints = [\"{}\"]\nnginx = [\"{NGINX}\", \"-c\", \"{}\"]\n{more}\n",
            balancer_host(&self.sshd),
            self.one.port,
            self.endpoint(),
            config.display()
        );
        driver(self.folder.path(), &text)
    }

    /// What lies beside the file but its lock.
    fn leftovers(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.path("conf.d"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with('.') && !name.ends_with("-lock"))
            .collect();
        names.sort();
        names
    }
}

fn old_copy(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    file.with_file_name(format!(".{name}.rollctl-old"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_goes_out_and_in() {
    let Some(lb) = Lb::start() else { return };
    let traffic = lb.driver("");
    let (web, endpoint) = (member("web-1"), lb.endpoint());
    assert_eq!(
        traffic.observe(&web).await.unwrap(),
        attachment(&[&endpoint], &[])
    );
    assert_eq!(who_answers(lb.front), names(&["one", "two"]));
    for _ in 0..2 {
        // The second writes nothing more.
        assert_eq!(traffic.drain(&web).await.unwrap().sessions_left, 0);
        assert_eq!(who_answers(lb.front), names(&["two"]));
        assert_eq!(lb.text(), lb.upstream(" down", ""));
        assert_eq!(
            traffic.observe(&web).await.unwrap(),
            attachment(&[], &[&endpoint])
        );
    }
    traffic
        .attach(&web, &names(&[&endpoint]), true)
        .await
        .unwrap();
    assert_eq!(who_answers(lb.front), names(&["two"]));
    for _ in 0..2 {
        traffic.attach(&web, &names(&[]), true).await.unwrap();
        assert_eq!(who_answers(lb.front), names(&["one", "two"]));
        assert_eq!(
            lb.text(),
            lb.upstream("", ""),
            "what stood there by hand is still there"
        );
    }
    assert_eq!(lb.leftovers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_do_not_write_over_each_other() {
    let Some(lb) = Lb::start() else { return };
    let traffic = lb.driver("");
    let (one, two) = (member("web-1"), member("web-2"));
    let (first, second) = tokio::join!(traffic.drain(&one), traffic.drain(&two));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.sessions_left, second.sessions_left), (0, 0));
    // Of each balancer it is told once that nothing can be armed there.
    let told = [first.unguarded, second.unguarded].concat();
    assert_eq!(told.len(), 1, "{told:?}");
    let expected = format!(
        "{}: the dead-man's switch on `lb-01` cannot be armed: systemd does not ",
        lb.endpoint()
    );
    assert!(told[0].starts_with(&expected), "{told:?}");
    let another = lb.driver("");
    let gaps = another.unguarded(&one).await.unwrap();
    assert_eq!(gaps, told);
    assert_eq!(another.unguarded(&two).await.unwrap(), Vec::<String>::new());
    assert_eq!(lb.text(), lb.upstream(" down", " down"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_is_waited_for() {
    let Some(lb) = Lb::start() else { return };
    let (patient, hurried) = (lb.driver(""), lb.driver("drain_timeout = \"500ms\""));
    let front = lb.front;
    // Both are asked until the first has one.
    let asked: Vec<_> = (0..2)
        .map(|_| std::thread::spawn(move || get(front, "/hold")))
        .collect();
    until_async("requests are under way", || {
        lb.one.held() + lb.two.held() == 2
    })
    .await;

    let told = hurried.drain(&member("web-1")).await.unwrap();
    assert!(told.sessions_left > 0, "{told:?}");
    let drain = tokio::spawn({
        let patient = Arc::clone(&patient);
        async move { patient.drain(&member("web-1")).await }
    });
    assert_eq!(who_answers(front), names(&["two"]));
    assert!(!drain.is_finished(), "requests are still under way");
    lb.one.release();
    lb.two.release();
    assert_eq!(drain.await.unwrap().unwrap().sessions_left, 0);
    for one in asked {
        assert!(["one", "two"].contains(&one.join().unwrap().as_str()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_file_is_back_when_nginx_refuses_the_new_one() {
    let Some(mut lb) = Lb::start() else { return };
    let traffic = lb.driver("");
    std::fs::write(lb.path("conf.d/other.conf"), "nonsense here;\n").unwrap();
    let error = traffic.drain(&member("web-1")).await.unwrap_err();
    for word in [
        "refuses the configuration",
        "the file is as it was before",
        "nonsense",
        &lb.endpoint(),
    ] {
        assert!(error.message.contains(word), "{word}: {error}");
    }
    assert_eq!(lb.text(), lb.upstream("", ""));
    assert_eq!(lb.leftovers(), Vec::<String>::new());
    assert_eq!(who_answers(lb.front), names(&["one", "two"]));

    std::fs::remove_file(lb.path("conf.d/other.conf")).unwrap();
    lb.program = None;
    let error = traffic.drain(&member("web-1")).await.unwrap_err();
    assert!(
        error.message.contains("nginx does not run there"),
        "{error}"
    );
    assert_eq!(lb.text(), lb.upstream("", ""));
    lb.run();

    std::fs::write(lb.file(), format!("include x;\n{}", lb.upstream("", ""))).unwrap();
    let error = traffic.drain(&member("web-1")).await.unwrap_err();
    assert!(error.message.contains("line 1: an include"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_cut_off_is_brought_to_its_end() {
    let Some(lb) = Lb::start() else { return };
    let traffic = lb.driver("");
    let endpoint = lb.endpoint();
    // The controller died between the file and the reload: nginx still sends requests.
    std::fs::copy(lb.file(), old_copy(&lb.file())).unwrap();
    std::fs::write(lb.file(), lb.upstream(" down", "")).unwrap();
    assert_eq!(who_answers(lb.front), names(&["one", "two"]));
    assert_eq!(
        traffic.drain(&member("web-1")).await.unwrap().sessions_left,
        0
    );
    assert_eq!(who_answers(lb.front), names(&["two"]));
    assert_eq!(lb.leftovers(), Vec::<String>::new());

    // The same on the way in: it is not in before nginx knows.
    std::fs::copy(lb.file(), old_copy(&lb.file())).unwrap();
    std::fs::write(lb.file(), lb.upstream("", "")).unwrap();
    assert_eq!(
        traffic.observe(&member("web-1")).await.unwrap(),
        attachment(&[], &[&endpoint])
    );
    traffic
        .attach(&member("web-1"), &names(&[]), true)
        .await
        .unwrap();
    assert_eq!(who_answers(lb.front), names(&["one", "two"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_file_holds_who_is_in_and_the_others_as_down() {
    let Some(lb) = Lb::start() else { return };
    let port = lb.one.port;
    // Nothing refers to an upstream that is not there yet.
    let config = std::fs::read_to_string(lb.path("nginx.conf")).unwrap();
    std::fs::write(
        lb.path("nginx.conf"),
        config.replace("proxy_pass http://web;", "return 204;"),
    )
    .unwrap();
    std::fs::remove_file(lb.file()).unwrap();
    let traffic = lb.driver("");
    let endpoint = lb.endpoint();
    assert_eq!(
        traffic.observe(&member("web-2")).await.unwrap(),
        attachment(&[], &[&endpoint])
    );
    assert_eq!(
        traffic.drain(&member("web-2")).await.unwrap().sessions_left,
        0
    );
    assert!(!lb.file().exists(), "there is nothing to take out of");
    traffic
        .attach(&member("web-2"), &names(&[]), true)
        .await
        .unwrap();
    assert_eq!(
        lb.text(),
        format!(
            "upstream web {{\n    server 127.0.0.2:{port};\n    server 127.0.0.1:{port} down;\n}}\n"
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_instances_are_replaced() {
    let Some(mut lb) = Lb::start() else { return };
    let traffic = lb.driver("");
    let load = Load::start(lb.front, false);
    let port = lb.one.port;
    for _ in 0..3 {
        for (host, name, address) in [("web-1", "one", "127.0.0.1"), ("web-2", "two", "127.0.0.2")]
        {
            let asked = load.asked();
            until_async("there is load", || load.asked() > asked + 20).await;
            let left = traffic.drain(&member(host)).await.unwrap();
            assert_eq!(left.sessions_left, 0);
            let web = if name == "one" {
                &mut lb.one
            } else {
                &mut lb.two
            };
            std::mem::replace(web, Web::start(name, "127.0.0.1:0")).stop();
            *web = Web::start(name, &format!("{address}:{port}"));
            traffic
                .attach(&member(host), &names(&[]), true)
                .await
                .unwrap();
        }
    }
    let (asked, wrong) = load.end();
    assert_eq!(wrong, Vec::<String>::new(), "of {asked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn side_by_side_each_port_is_a_server_of_its_own() {
    let Some(lb) = Lb::start() else { return };
    let traffic = lb.driver("");
    let endpoint = lb.endpoint();
    let new = Web::start("new", "127.0.0.1:0");
    let on = |port| Member {
        port: Some(port),
        ..member("web-1")
    };
    let (old_port, new_port) = (lb.one.port, new.port);
    let load = Load::start(lb.front, false);
    // Before it is started nothing is known of it, and nothing is written.
    assert_eq!(traffic.drain(&on(new_port)).await.unwrap().sessions_left, 0);
    assert_eq!(lb.text(), lb.upstream("", ""));
    assert_eq!(
        traffic.observe(&on(new_port)).await.unwrap(),
        attachment(&[], &[&endpoint])
    );

    traffic
        .attach(&on(new_port), &names(&[]), true)
        .await
        .unwrap();
    assert_eq!(who_answers(lb.front), names(&["new", "one", "two"]));
    assert_eq!(traffic.drain(&on(old_port)).await.unwrap().sessions_left, 0);
    assert_eq!(who_answers(lb.front), names(&["new", "two"]));
    assert_eq!(
        traffic.observe(&on(old_port)).await.unwrap(),
        attachment(&[], &[&endpoint])
    );
    assert_eq!(
        traffic.observe(&on(new_port)).await.unwrap(),
        attachment(&[&endpoint], &[])
    );

    // And back, while the old one still runs.
    traffic
        .attach(&on(old_port), &names(&[]), true)
        .await
        .unwrap();
    traffic.drain(&on(new_port)).await.unwrap();
    assert_eq!(who_answers(lb.front), names(&["one", "two"]));
    let (asked, mut wrong) = load.end();
    wrong.retain(|answer| answer != "new");
    assert_eq!(wrong, Vec::<String>::new(), "of {asked}");
}
