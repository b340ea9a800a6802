# Start of a oneshot waits for its end.
unit fails.service <<'U'
[Service]
Type=oneshot
ExecStart=/bin/sh -c "sleep 0.2; exit 4"
U
s start fails; code
state fails
s reset-failed fails
s start --no-block fails; code
s is-active fails; code
until_is fails ActiveState failed
journalctl --user -u fails -o cat | tail -n 4
unit stays.service <<'U'
[Service]
Type=oneshot
ExecStart=/bin/echo one
ExecStart=-/bin/false
ExecStart=/bin/echo two
RemainAfterExit=yes
U
s start stays; code
state stays
s stop stays; code
unit goes.service <<'U'
[Service]
Type=oneshot
ExecStart=/bin/sh -c "sleep 0.1; echo done; sleep 0.1"
U
s start goes; code
state goes
journalctl --user -u goes -o cat
