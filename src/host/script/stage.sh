
# claim dir= ledger= machine= service= epoch= rollout= by= takes=: this ledger and this controller work here from now on.
claim() {
    options "$@"
    problem=$(mkdir -p -- "$dir/.rollctl" "$dir/revisions" 2>&1) || refuse unwritable "$problem"
    lock
    read_owner
    taken=
    if [ "$takes" = yes ] && [ -n "$owner" ] && [ "$owner" != "$ledger" ]; then
        taken=$owner owner=
    fi
    check_owner
    if [ -n "$owner_service" ] && [ "$owner_service" != "$service" ]; then
        refuse shared "\`$dir\` belongs to the service \`$owner_service\`"
    fi
    # Before the owner changes: whoever is cut off in between has only said too early what the next one does.
    if [ -n "$taken" ]; then
        from_name=- to_name=- hash=-
        journal_line "taken over from the ledger $taken on $owner_machine" || refuse unwritable "cannot write \`$dir/.rollctl/journal\`"
    fi
    if [ "$owner" != "$ledger" ] || [ "$owner_machine" != "$machine" ]; then
        put "$dir/.rollctl/owner" "$ledger
$machine
$service
" || refuse unwritable "cannot write \`$dir/.rollctl/owner\`"
    fi
    if [ "$seen_epoch" != "$epoch" ]; then
        put "$dir/.rollctl/epoch" "$epoch
" || refuse unwritable "cannot write \`$dir/.rollctl/epoch\`"
    fi
    recover
    rearm
}

# preflight dir= user= unit=... [ledger= epoch=]: what can be known before anything goes down; with a ledger, for who has
# claimed it. Before a claim, install_dir may not be there yet: then its nearest folder tells.
preflight() {
    options "$@"
    [ -z "$ledger" ] || owned
    place=$dir/.rollctl
    while [ ! -d "$place" ]; do
        place=${place%/*}
        [ -n "$place" ] || place=/
    done
    # Revisions may lie on a file system of their own.
    beside=$place
    if [ -d "$dir/revisions" ]; then beside=$dir/revisions; fi
    printf "space %s\n" "$(df -k --output=avail,itotal,iavail -- "$beside" | tail -n 1)"
    if [ "$place" = "$dir/.rollctl" ]; then
        try_out
        place=$dir
    elif [ -w "$place" ]; then
        printf "writable yes\n"
    else
        printf "writable no\n"
    fi
    if [ -n "$user" ] && id -u -- "$user" >/dev/null 2>&1; then traverse "$place"; fi
    if [ "$rights" = restricted ]; then
        for unit in $units; do
            for verb in start stop restart reset-failed; do
                sudo -n -l systemctl "$verb" "$unit" >/dev/null || printf "sudo systemctl %s %s\n" "$verb" "$unit"
            done
        done
    fi
}

# Whether files can be written and executed there.
try_out() {
    probe=$beside/.exec-test-$$
    if printf "#!/bin/sh\nexit 0\n" >"$probe" && chmod 755 "$probe"; then
        printf "writable yes\n"
        if "$probe" 2>/dev/null; then printf "exec yes\n"; else printf "exec no\n"; fi
    else
        printf "writable no\n"
    fi
    rm -f -- "$probe"
}

# traverse FOLDER: whether the user of the unit gets into it.
traverse() {
    if [ "$uid" = 0 ] && command -v setpriv >/dev/null; then
        setpriv --reuid="$user" --regid="$(id -g -- "$user")" --init-groups test -x "$1" || printf "traverse no\n"
        return 0
    fi
    [ "$user" != "$login" ] || return 0
    folder=$1
    while [ -n "$folder" ]; do
        case $(stat -L -c %A -- "$folder") in *[xt]) ;; *) printf "traverse no\n" && return 0 ;; esac
        folder=${folder%/*}
    done
}

# walk FOLDER: adds the files and links below it to $found, rollctl own left out.
walk() {
    for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        if [ -L "$entry" ] || [ -f "$entry" ]; then
            found=$((found + 1))
        elif [ "$entry" = ./.rollctl ]; then
            continue
        elif [ -d "$entry" ]; then
            walk "$entry"
        elif [ -e "$entry" ]; then
            found=$((found + 1))
        fi
    done
}

# modes FILE: sets the modes it lists, checks the links it lists, and counts both in $listed.
modes() {
    listed=0 mode=
    set --
    while IFS= read -r line; do
        listed=$((listed + 1))
        case $line in
        "link "*)
            IFS= read -r want
            [ "$(readlink -- "./${line#link }")" = "$want" ] || return 1
            ;;
        *)
            if [ "$#" -ge 100 ] || [ "$mode" != "${line%% *}" ]; then
                [ "$#" -eq 0 ] || chmod "$mode" "$@" || return 1
                set --
            fi
            mode=${line%% *}
            set -- "$@" "./${line#* }"
            ;;
        esac
    done <.rollctl/modes
    [ "$#" -eq 0 ] || chmod "$mode" "$@"
}

# verified FOLDER: everything in it is what its lists say, and nothing else is. What differs goes to stderr.
verified() (
    cd -- "$1" || exit 1
    [ -f .rollctl/SHA256SUMS ] && [ -f .rollctl/modes ] && [ -f .rollctl/manifest.json ] || exit 1
    if [ -n "$sums" ] && [ "$(cat .rollctl/SHA256SUMS .rollctl/modes | sha256sum)" != "$sums  -" ]; then exit 1; fi
    modes || exit 1
    if [ -s .rollctl/SHA256SUMS ]; then sha256sum --quiet --strict -c .rollctl/SHA256SUMS >&2 || exit 1; fi
    found=0
    walk .
    if [ "$found" -ne "$listed" ]; then
        printf "%s files instead of %s\n" "$found" "$listed" >&2
        exit 1
    fi
)

# have dir= name= digest= sums=: whether the revision is here, whole.
have() {
    options "$@"
    final=$dir/revisions/$name
    if ! exists "$final"; then
        printf "absent\n"
        return 0
    fi
    here=
    if [ -f "$final/.rollctl/digest" ]; then IFS= read -r here <"$final/.rollctl/digest"; fi
    if [ -n "$here" ] && [ "$here" != "$digest" ]; then
        refuse taken "\`$final\` is another revision (digest $here)"
    fi
    if [ -n "$here" ] && verified "$final"; then printf "whole\n"; else printf "damaged\n"; fi
}

# part BYTES: so many of standard input and not one more.
part() { dd bs=1048576 iflag=fullblock,count_bytes count="$1" status=none; }

unpack() { tar -x -p -o -f - -C "$incoming"; }

# What a delta was made against: all files of a revision, one after the other in the order of their paths. Was it not this,
# what comes out is not what the lists say.
reference() (
    cd -- "$dir/revisions/$base" || exit 1
    find . -path ./.rollctl -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 cat >"$incoming/.reference"
)

# pull: what `url` answers with, into $pulled, when it is what was released. The URL lets whoever has it in: it is on the
# standard input of curl, and among the arguments of nothing.
pull() {
    (
        # What is sent without end does not fill the disk. Blocks are of 512 bytes, at most of 1024.
        ulimit -f $((pulled_size / 512 + 2048)) || :
        # Nothing to speak of for ten seconds, and it is given up.
        curl --disable --config - --globoff --silent --show-error --fail --location --proto "=$protocols" \
            --connect-timeout 10 --speed-limit 1024 --speed-time 10 --retry 2 --retry-max-time 8 \
            --max-filesize "$pulled_size" --output "$pulled" <<URL
url = "$url"
URL
    ) || discard "the host cannot fetch it"
    [ "$(stat -c %s -- "$pulled")" = "$pulled_size" ] ||
        discard "the host fetched $(stat -c %s -- "$pulled") bytes, not $pulled_size"
    [ "$(sha256sum <"$pulled")" = "$pulled_sha256  -" ] ||
        discard "what the host fetched has another SHA-256 than what was released"
    case $form in
    file)
        case $binary in */*) mkdir -p -- "$incoming/${binary%/*}" ;; esac
        mv -- "$pulled" "$incoming/$binary"
        ;;
    tar) unpack <"$pulled" ;;
    gzip) gzip -dc <"$pulled" | unpack ;;
    zstd) zstd -q -dc <"$pulled" | unpack ;;
    esac || discard "unpacking failed"
    rm -f -- "$pulled"
    # As a package has them.
    find "$incoming" -path "$incoming/.rollctl" -prune -o \( -type d -exec chmod 00755 {} + \) -o \
        -exec touch -h -d @0 {} + || discard "unpacking failed"
}

# arrived dir= id=: how much of the payload of an upload that was cut off is here; nothing where it is at work or gone.
arrived() {
    options "$@"
    incoming=$dir/revisions/.incoming-$id
    [ -f "$incoming/.payload" ] || return 0
    exec 8<"$incoming"
    # What was cut off may be about to notice.
    if flock -w 2 8; then printf "arrived %s\n" "$(stat -c %s -- "$incoming/.payload")"; fi
}

# payload: from standard input, or once all of it lies aside.
payload() { if [ -n "$at" ]; then cat -- "$incoming/.payload"; else part "$size"; fi; }

# Keeps what arrives before anything is made of it, after the first $at bytes, which came before.
keep_payload() {
    : >>"$incoming/.payload" && truncate -s "$at" -- "$incoming/.payload" || discard "the disk is full"
    part $((size - at)) >>"$incoming/.payload" || discard "the disk is full"
    # The folder stays: it goes on from here, or is removed with all that died.
    [ "$(stat -c %s -- "$incoming/.payload")" = "$size" ] || refuse upload "the upload was cut off"
}

# receive dir= ledger= epoch= name= digest= sums= id= meta= codec= size= base= source= binary=: a revision, from what
# follows on standard input: a tar archive with rollctl own files, then one with the revision. With url= protocols= form=
# pulled_size= pulled_sha256= that second one has only what is not there. With at= the second one is kept until all of it is
# there; its first so many bytes came before.
receive() {
    options "$@"
    incoming=$dir/revisions/.incoming-$id
    final=$dir/revisions/$name
    if [ "${at:-0}" = 0 ]; then
        problem=$(mkdir -- "$incoming" 2>&1) || refuse unwritable "$problem"
    elif [ ! -f "$incoming/.payload" ]; then
        refuse upload "what had arrived is gone"
    fi
    exec 8<"$incoming"
    flock -n 8 || refuse upload "it arrives already"
    if ! part "$meta" | unpack; then
        [ "${at:-0}" = 0 ] || refuse upload "the upload was cut off"
        discard "unpacking failed"
    fi
    [ -z "$at" ] || keep_payload
    case $codec in
    zstd) payload | zstd -q -dc | unpack ;;
    delta) reference && payload | zstd -q -dc --long=31 --patch-from="$incoming/.reference" | unpack ;;
    gzip) payload | gzip -dc | unpack ;;
    plain) payload | unpack ;;
    copy) cp -aL -- "$source" "$incoming/$binary" ;;
    esac || discard "unpacking failed"
    rm -f -- "$incoming/.reference" "$incoming/.payload"
    if [ -n "$url" ]; then
        pulled=$incoming/.pulled
        pull
    fi
    chmod 755 "$incoming" "$incoming/.rollctl"
    verified "$incoming" || discard "what arrived is not the revision"
    if command -v restorecon >/dev/null; then restorecon -R -- "$incoming" >/dev/null 2>&1; fi
    to_disk || discard "writing to disk failed"
    lock
    owned
    place
    remove_dead
    printf "placed\n"
}

# Others may have a lot to write to the same file system: all of it is waited for only where the files are many.
to_disk() {
    if [ "$(wc -l <"$incoming/.rollctl/modes")" -le 100 ] && command -v find >/dev/null; then
        find "$incoming" "(" -type f -o -type d ")" -exec sync {} +
    else
        sync -f "$incoming/.rollctl/manifest.json"
    fi
}

discard() {
    rm -rf -- "$incoming"
    refuse upload "$1"
}

place() {
    if exists "$final"; then
        here=
        if [ -f "$final/.rollctl/digest" ]; then IFS= read -r here <"$final/.rollctl/digest"; fi
        if [ -n "$here" ] && [ "$here" != "$digest" ]; then
            rm -rf -- "$incoming"
            refuse taken "\`$final\` is another revision (digest $here)"
        fi
        # A damaged folder gives way; whatever runs from it keeps its open files.
        mv -T -- "$final" "$dir/revisions/.removed-$id" || discard "the damaged \`$final\` cannot be moved away"
    fi
    mv -T -- "$incoming" "$final" || discard "renaming failed"
    sync "$dir/revisions"
}

# What uploads and removals that died have left; a live upload holds a lock on its folder.
remove_dead() {
    for folder in "$dir"/revisions/.incoming-*; do
        [ -d "$folder" ] || continue
        (
            exec 7<"$folder"
            flock -n 7 && rm -rf -- "$folder"
        )
    done
    for folder in "$dir"/revisions/.removed-*; do
        [ -d "$folder" ] && rm -rf -- "$folder"
    done
    return 0
}

# clean dir= ledger= epoch=: before an upload.
clean() {
    options "$@"
    lock
    owned
    remove_dead
}

# prune dir= ledger= epoch= keep=...: revisions that nobody needs. Prints what went.
prune() {
    options "$@"
    lock
    owned
    read_current
    before=
    if [ -f "$dir/.rollctl/before" ]; then IFS= read -r before <"$dir/.rollctl/before"; fi
    read_saved
    for folder in "$dir"/revisions/*; do
        name=${folder##*/}
        [ -d "$folder" ] || continue
        # What runs, or is started by a boot, stays.
        if [ -f "$dir/.rollctl/instances/$name" ]; then continue; fi
        case " $keep ${target##*/} ${before##*/} ${saved_from##*/} " in *" $name "*) continue ;; esac
        # Renamed first: a removal that dies leaves nothing that looks like a revision.
        mv -T -- "$folder" "$dir/revisions/.removed-$name" || continue
        field pruned "$name"
    done
    remove_dead
}
