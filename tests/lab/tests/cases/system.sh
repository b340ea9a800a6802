# The machine's own manager lets an ordinary user look, not act.
for verb in start stop restart; do systemctl $verb nope; code; done
systemctl daemon-reload; code
systemctl enable nope; code
systemctl is-active nope; code
systemctl show nope -p LoadState,ActiveState; code
systemctl is-enabled nope; code
