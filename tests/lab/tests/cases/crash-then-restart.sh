# An automatic restart counts; a restart by hand counts from 0 again.
unit k9.service <<'U'
[Service]
ExecStart=/bin/sleep 1000
Restart=on-failure
U
s start k9
kill -9 "$(s show --value -p MainPID k9)"
until_is k9 NRestarts 1
until_is k9 ActiveState active
state k9
s restart k9
state k9
s kill -s TERM k9; code
until_is k9 ActiveState inactive
state k9
journalctl --user -u k9 -o cat | sed 's/process [0-9]*/process N/'
