# What goes wrong before the program runs.
unit noexec.service <<'U'
[Service]
ExecStart=/nonexistent/x
U
s start noexec; code
until_is noexec ActiveState failed
state noexec
unit noexec2.service <<'U'
[Service]
Type=exec
ExecStart=/nonexistent/x
U
s start noexec2; code
state noexec2
unit nowd.service <<'U'
[Service]
Type=exec
ExecStart=/bin/true
WorkingDirectory=/nonexistent
U
s start nowd; code
state nowd
journalctl --user -u nowd -o cat
unit noenv.service <<'U'
[Service]
ExecStart=/bin/true
EnvironmentFile=/nonexistent
U
s start noenv; code
state noenv
journalctl --user -u noenv -o cat
unit pre.service <<'U'
[Service]
ExecStartPre=/bin/false
ExecStart=/bin/sleep 10
U
s start pre; code
state pre
unit lenient.service <<'U'
[Service]
ExecStartPre=-/bin/false
ExecStart=/bin/sleep 10
U
s start lenient; code
s stop lenient
