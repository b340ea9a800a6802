# Transient units.
systemd-run --user --unit=tr --on-active=0.4 --timer-property=AccuracySec=10ms /bin/sh -c 'echo hi; sleep 0.3'; code
show() { s show "$1" -p LoadState,ActiveState,SubState,UnitFileState,Transient; }
show tr.timer
show tr.service
until_is tr.service ActiveState active
until_is tr.service ActiveState inactive
show tr.timer
show tr.service
systemd-run --user --unit=tr2 /bin/sleep 1000; code
show tr2
systemd-run --user --unit=tr2 /bin/sleep 1000; code
s stop tr2; code
show tr2
systemd-run --user --wait --quiet -p Environment=A=5 /bin/sh -c 'exit $A'; code
systemd-run --user --wait --quiet /bin/true; code
