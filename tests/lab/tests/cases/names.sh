# Templates, specifiers, quoting, variables.
unit 'tp@.service' <<'U'
[Service]
ExecStart=/bin/sh -c "printf '<%%s>' \"$$@\"; echo; exec sleep 1000" sh "\x41" $B ${B} x$B x${B}y $$B $UNSET %% {%i} {%n} {%N} {%p} 'a b' "c\"d"
Environment="B=1 2" C=c\x20d
SyslogIdentifier=idf
U
s start tp@v1.2-3.service; code
sleep 0.2
journalctl --user -u tp@v1.2-3.service -o cat
s show tp@v1.2-3 -p Id,Names,FragmentPath,Environment,UnitFileState,ActiveState
s is-active 'tp@v1.2-3' tp@other; code
s stop tp@v1.2-3
for span in 90 1min 2h 500ms '1min 30s' infinity 0 1.5s 100us 3d '1w 2d'; do
  printf '[Service]\nExecStart=/bin/true\nTimeoutStopSec=%s\nRestartSec=%s\n' "$span" "$span" | unit tm.service
  s show tm -p TimeoutStopUSec,RestartUSec
done
