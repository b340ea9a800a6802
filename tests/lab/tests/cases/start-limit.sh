# The sixth start in ten seconds is refused.
unit good.service <<'U'
[Service]
ExecStart=/bin/sleep 1000
U
for i in 1 2 3 4 5 6; do s restart good; code; done
state good
s reset-failed good
s start good; code
s stop good
unit free.service <<'U'
[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/bin/sleep 1000
U
for i in 1 2 3 4 5 6 7; do s restart free || echo refused; done
s stop free
