use super::*;

fn unit(name: &str) -> UnitName {
    UnitName::new(name)
}

const RUNNING: &str = "Type=simple
TimeoutStopUSec=1min 30s
TriggeredBy=web.socket web.path
MainPID=812
Result=success
NRestarts=2
ExecStart={ path=/opt/web/current/web ; argv[]=/opt/web/current/web --port 8080 ; ignore_errors=no ; start_time=[Sun 2026-11-22 11:27:22 UTC] ; stop_time=[n/a] ; pid=812 ; code=(null) ; status=0/0 }
User=web
DynamicUser=no
Id=web.service
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/etc/systemd/system/web.service
UnitFileState=enabled
NeedDaemonReload=no
InvocationID=0123456789abcdef0123456789abcdef
";

const MISSING: &str = "
Type=
TimeoutStopUSec=1min 30s
MainPID=0
Id=worker.service
LoadState=not-found
ActiveState=inactive
SubState=dead
FragmentPath=
InvocationID=
";

#[test]
fn blocks_are_read_in_the_order_of_the_units() {
    let units = [unit("web.service"), unit("worker.service")];
    let shown = parse_show(&format!("{RUNNING}{MISSING}"), &units).unwrap();
    let [web, worker] = shown.as_slice() else {
        panic!("{shown:?}");
    };
    assert_eq!(web.state.started.unit, units[0]);
    assert_eq!(
        web.state.started.invocation,
        InvocationId::new("0123456789abcdef0123456789abcdef")
    );
    assert_eq!(web.state.started.restarts, 2);
    assert_eq!(web.state.load, "loaded");
    assert_eq!(web.state.active, "active");
    assert_eq!(web.state.sub, "running");
    assert_eq!(web.state.result, "success");
    assert_eq!(web.state.main_pid, 812);
    assert_eq!(web.kind, "simple");
    assert_eq!(web.user, "web");
    assert_eq!(web.fragment, "/etc/systemd/system/web.service");
    assert_eq!(web.stop_timeout, Duration::from_secs(90));
    assert_eq!(web.sockets, [unit("web.socket")]);
    assert_eq!(worker.sockets, []);
    assert_eq!(
        web.exec_start,
        [Exec {
            path: "/opt/web/current/web".into(),
            argv: vec![
                "/opt/web/current/web".into(),
                "--port".into(),
                "8080".into()
            ],
        }]
    );
    assert_eq!(worker.state.load, "not-found");
    assert_eq!(worker.exec_start, []);
    assert_eq!(parse_show(RUNNING, &units), None, "a block is missing");
}

#[test]
fn spans() {
    for (text, seconds) in [
        ("1min 30s", Some(90.0)),
        ("500ms", Some(0.5)),
        ("1h 1min 1.5s", Some(3661.5)),
        ("infinity", None),
        ("", None),
    ] {
        assert_eq!(
            parse_span(text),
            seconds.map(Duration::from_secs_f64),
            "{text:?}"
        );
    }
}

#[test]
fn what_reaches_the_current_revision() {
    let paths = [
        "/opt/web/current".to_owned(),
        "/usr/local/bin/web".to_owned(),
    ];
    for (text, reaches) in [
        ("ExecStart=/opt/web/current/web", true),
        ("ExecStart=/usr/bin/python3 /opt/web/current/app.py", true),
        (
            "ExecStart=-/usr/bin/java -cp /opt/web/current:/x Main",
            true,
        ),
        ("ExecStart=/usr/local/bin/web --port 80", true),
        (
            "ExecStart=/bin/sh -c \\\n \"exec /opt/web/current/web\"",
            true,
        ),
        ("ExecStart=\"/opt/web/current/web\" 'a b'", true),
        ("ExecStart=/opt\\x2fweb/current/web", true),
        (
            "ExecStart=/usr/bin/env sh -c '/opt/web/curr\\x65nt/web'",
            true,
        ),
        ("ExecStart=/opt/web/current-old/web", false),
        ("ExecStart=/usr/local/bin/webby", false),
        ("ExecStart=/opt/web/revisions/v1/web", false),
        ("# ExecStart=/opt/web/current/web", false),
        ("ExecStart=/opt/web/current/web\nExecStart=", false),
    ] {
        let read = parse_unit_text(&format!("[Service]\n{text}\n"), "/root");
        assert_eq!(
            read.exec_start
                .first()
                .is_some_and(|exec| exec.reaches(&paths)),
            reaches,
            "{text}"
        );
    }
}

#[test]
fn the_home_specifier_and_other_sections() {
    let read = parse_unit_text(
        "[Unit]\nType=x\n[Service]\nType = notify\nUser=web\nExecStart=%h/web/current/web 100%%\n[Install]\nUser=no\n",
        "/home/u",
    );
    assert_eq!(read.kind.as_deref(), Some("notify"));
    assert_eq!(read.user.as_deref(), Some("web"));
    assert_eq!(read.exec_start[0].path, "/home/u/web/current/web");
    assert_eq!(read.exec_start[0].argv[1], "100%");
}

#[test]
fn the_drop_in_names_the_environment_of_the_current_revision() {
    assert_eq!(
        drop_in("/opt/100% web"),
        "[Service]\nEnvironmentFile=/opt/100%% web/current/.rollctl/environment\n"
    );
}
