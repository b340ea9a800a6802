# What runs is what was read at daemon-reload.
printf '[Service]\nExecStart=/bin/sleep 1001\n' > "$units/web.service"
s start web; code
s show web -p NeedDaemonReload
sleep 0.02
printf '[Service]\nExecStart=/bin/sleep 1002\nTimeoutStopSec=7\n' > "$units/web.service.new"
mv "$units/web.service.new" "$units/web.service"
s show web -p NeedDaemonReload,TimeoutStopUSec
s restart web; code
tr '\0' ' ' < /proc/$(s show --value -p MainPID web)/cmdline; echo
s daemon-reload
s show web -p NeedDaemonReload,TimeoutStopUSec
tr '\0' ' ' < /proc/$(s show --value -p MainPID web)/cmdline; echo
s restart web; code
tr '\0' ' ' < /proc/$(s show --value -p MainPID web)/cmdline; echo
mkdir -p "$units/web.service.d"
printf '[Service]\nEnvironment=REV=v1 "PORT=80 81"\n' > "$units/web.service.d/50-rollctl.conf"
s show web -p NeedDaemonReload,DropInPaths
s daemon-reload
s show web -p NeedDaemonReload,DropInPaths,Environment
s restart web
tr '\0' '\n' < /proc/$(s show --value -p MainPID web)/environ | grep -E '^(REV|PORT)=' | sort
rm -r "$units/web.service.d" "$units/web.service"
s daemon-reload
s show web -p LoadState,ActiveState,FragmentPath
s stop web; code
s show web -p LoadState,ActiveState
