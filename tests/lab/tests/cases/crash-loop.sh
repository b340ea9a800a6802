# Restarts count until the start limit; then only reset-failed helps.
unit crash.service <<'U'
[Service]
ExecStart=/bin/sh -c "sleep 0.05; exit 3"
Restart=always
RestartSec=50ms
U
s start crash; code
until_is crash SubState auto-restart
s is-active crash; code
until_is crash ActiveState failed
state crash
s is-failed crash; code
s start crash; code
s restart crash; code
s is-system-running; code
journalctl --user -u crash -o cat
s reset-failed crash; code
state crash
s start crash; code
s stop crash; code
state crash
