# A timer and a oneshot: fired, disarmed, and with its files gone.
unit 'dms@.service' <<'U'
[Service]
Type=oneshot
ExecStart=/bin/sh -c "sleep 0.1; echo reverted %i; sleep 0.1"
U
unit 'dms@.timer' <<'U'
[Timer]
OnActiveSec=500ms
AccuracySec=10ms
[Install]
WantedBy=timers.target
U
show() { s show "$1" -p LoadState,Result,ActiveState,SubState,UnitFileState,Unit,Triggers,TriggeredBy,AccuracyUSec,RemainAfterElapse,Transient; }
s start dms@x.timer; code
show dms@x.timer
show dms@x.service
until_is dms@x.timer SubState elapsed
show dms@x.timer
s show dms@x.timer -p NextElapseUSecMonotonic
journalctl --user -u dms@x.service -o cat
s stop dms@x.timer; code
show dms@x.timer
s enable --now dms@y.timer; code
s is-enabled dms@y.timer
s disable --now dms@y.timer; code
sleep 0.7
show dms@y.timer
s is-enabled dms@y.timer
journalctl --user -u dms@y.service -o cat
s start dms@z.timer
rm "$units"/dms@*
s daemon-reload
show dms@z.timer
s stop dms@z.timer; code
s reset-failed dms@z.timer; code
show dms@z.timer
