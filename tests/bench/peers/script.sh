#!/usr/bin/env bash
# What somebody writes who knows OpenSSH well: one connection a host, all files shipped first, then batch after batch.
set -euo pipefail
version=$1 artifact=$2 copy=$3
hosts=({% for host in hosts %}{{ host.address }} {% endfor %})
options=(-F {{ ssh_config }} -o ControlMaster=auto -o ControlPersist=60s -o ControlPath={{ folder }}/%h.sock -l root)
on() { ssh "${options[@]}" "$@"; }
all() { local pid; for pid in "$@"; do wait "$pid"; done; }
ship() {
    on "$1" "mkdir -p {{ dir }}/revisions/$version"
    case $copy in
    scp) scp -q -F {{ ssh_config }} -o ControlPath={{ folder }}/%h.sock -o User=root "$artifact" "$1:{{ dir }}/revisions/$version/web" ;;
    rsync) rsync -e "ssh ${options[*]}" --inplace "$artifact" "$1:{{ dir }}/revisions/$version/web" ;;
    # rsync's own delta, against the file that runs.
    delta)
        on "$1" "cp {{ dir }}/current/web {{ dir }}/revisions/$version/web"
        rsync -e "ssh ${options[*]}" --ignore-times --inplace --no-whole-file "$artifact" "$1:{{ dir }}/revisions/$version/web"
        ;;
    esac
}
switch() {
    on "$1" "ln -sfn {{ dir }}/revisions/$version {{ dir }}/next && mv -T {{ dir }}/next {{ dir }}/current &&
        systemctl restart {{ unit }} && until curl -fso /dev/null http://127.0.0.1:{{ port }}/healthz; do sleep 0.05; done"
}
pids=()
for host in "${hosts[@]}"; do ship "$host" & pids+=($!); done
all "${pids[@]}"
for ((first = 0; first < {{ hosts | length }}; first += {{ batch }})); do
    pids=()
    for host in "${hosts[@]:first:{{ batch }}}"; do switch "$host" & pids+=($!); done
    all "${pids[@]}"
done
for host in "${hosts[@]}"; do on -O exit "$host" 2>/dev/null || true; done
