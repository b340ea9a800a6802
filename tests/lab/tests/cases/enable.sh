# Links, and what enabled means.
printf '[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=default.target\n' | unit web.service
s is-enabled web; code
s enable web; code
s is-enabled web; code
s show web -p UnitFileState,WantedBy
readlink "$units/default.target.wants/web.service"
s start web
s stop web
s show web -p ActiveState,ExecMainCode,ExecMainStatus
s reset-failed web; code
s disable web; code
s is-enabled web; code
s enable --now web; code
s is-active web; code
s disable --now web; code
s is-active web; code
printf '[Service]\nExecStart=/bin/sleep 1000\n' | unit plain.service
s enable plain 2>/dev/null; code
s is-enabled plain; code
