
# Where switches lie and whose systemd runs them: the host's for root, else the login user's.
guard_place() {
    uid=$(id -u)
    if [ "$uid" = 0 ]; then
        rights=full
        guard_dir=/etc/systemd/system
        guards=/var/lib/rollctl/traffic
    else
        rights=user
        guard_dir=$HOME/.config/systemd/user
        guards=$HOME/.local/share/rollctl/traffic
        [ -n "$XDG_RUNTIME_DIR" ] || XDG_RUNTIME_DIR=/run/user/$uid
        export XDG_RUNTIME_DIR
    fi
}

# One at a time on a machine: this shell keeps the lock until it ends.
guard_lock() {
    exec 8<"$guards"
    flock -w "$1" 8
}
