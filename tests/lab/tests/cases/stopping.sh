# Ends: in time, too late, with a failure, with children.
unit stubborn.service <<'U'
[Service]
ExecStart=/bin/sh -c "trap '' TERM; while :; do sleep 0.05; done"
TimeoutStopSec=300ms
U
s start stubborn; sleep 0.2
s stop --no-block stubborn; sleep 0.1
s is-active stubborn; code
until_is stubborn ActiveState failed
state stubborn
unit seven.service <<'U'
[Service]
ExecStart=/bin/bash -c "trap 'exit 7' TERM; while :; do sleep 0.05; done"
U
s start seven; sleep 0.2
s stop seven; code
state seven
unit children.service <<'U'
[Service]
ExecStart=/bin/sh -c "sleep 4321 & (setsid sleep 4322 &); exec sleep 4323"
U
s start children; sleep 0.2
pgrep -f '^sleep 432[123]' | wc -l
s stop children; code
pgrep -f '^sleep 432[123]' || echo "no children left"
unit phases.service <<'U'
[Service]
ExecStartPre=/bin/sleep 0.3
ExecStart=/bin/sleep 1000
ExecStop=/bin/sh -c "echo stopping; sleep 0.1"
ExecStopPost=/bin/sh -c "echo after $SERVICE_RESULT $EXIT_CODE $EXIT_STATUS; sleep 0.1"
U
s start --no-block phases; sleep 0.1
s show phases -p ActiveState,SubState,MainPID
until_is phases ActiveState active
s stop phases; code
journalctl --user -u phases -o cat
s stop phases; code
