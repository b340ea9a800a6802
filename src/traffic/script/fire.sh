
# The time is over: puts the instance back into traffic, and tries again for an hour where that cannot be done yet.
LC_ALL=C
export LC_ALL
PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
guard=${0%/*}
running_guard=${guard##*/}
guard_place
set --
while IFS= read -r line; do
    value=$(
        printf %s "$line" | base64 -d
        printf X
    )
    set -- "$@" "${value%X}"
done <"$guard/arguments"
tries=0
while [ "$tries" -lt 360 ]; do
    # A shell of its own each time, so that the lock is not kept while it waits.
    (
        guard_lock 600 || exit 1
        # Whoever takes this away under the lock has disarmed it.
        [ -e "$guard/armed" ] || exit 2
        said=$(put_in "$@" 2>&1) || {
            printf "not in traffic yet: %s\n" "$said"
            exit 1
        }
        echo "put back into traffic: nobody did so in time"
        rm -rf -- "$guard"
        remove_guard "$running_guard"
        exit 2
    )
    [ "$?" -ne 2 ] || exit 0
    tries=$((tries + 1))
    sleep 10
done
exit 1
