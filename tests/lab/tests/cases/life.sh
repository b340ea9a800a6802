# A service's life: loaded on demand, started, restarted under a new invocation, stopped, forgotten.
unit web.service <<'U'
[Unit]
Description=A web service
[Service]
ExecStart=/bin/sh -c "echo hello from %n; exec sleep 1000" 'x y'
Environment=A=1 "B=two words"
EnvironmentFile=-%h/none.env
Restart=on-failure
TimeoutStopSec=5
U
s is-active web; code
s show web -p Id,Names,Description,LoadState,ActiveState,SubState,UnitFileState,FragmentPath,NeedDaemonReload,MainPID,NRestarts,Result,InvocationID
s start web; code
s is-active web; code
state web
one=$(s show --value -p InvocationID web)
pid=$(s show --value -p MainPID web)
kill -0 "$pid" && echo "main process lives"
echo "invocation has ${#one} digits"
s show web -p Type,Restart,RestartUSec,TimeoutStopUSec,Environment,EnvironmentFiles,KillMode,KillSignal
s restart web; code
[ "$(s show --value -p InvocationID web)" != "$one" ] && echo "another invocation"
[ "$(s show --value -p ExecMainPID web)" != "$pid" ] && echo "another process"
kill -0 "$pid" 2>/dev/null || echo "old process is gone"
sleep 0.3
journalctl --user -u web -o cat
two=$(s show --value -p InvocationID web)
journalctl --user "_SYSTEMD_INVOCATION_ID=$two" -o cat
s stop web; code
state web
s is-active web; code
s show web -p InvocationID,ExecMainPID
