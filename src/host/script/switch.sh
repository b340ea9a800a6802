
# A switch in four parts: prepare (all new files are written aside), save (all that a revert needs), commit (renames
# only), start. Whatever is cut off between them is finished or put back by the next step here.

# switch dir= ledger= epoch= by= rollout= hash= from= to= from_name= to_name= from_digest= digest= revision= binary=
# link= origin= drop_in= limit= unit=... name= guard_input= guard_service= guard_timer=: from and to are what `current` points to, empty where it is absent; a digest
# is `-` where nothing runs. revision: the folder with the unit files and the environment of what is to run.
switch() {
    options "$@"
    lock
    owned
    read_step
    read_current
    again=
    if [ "$step_hash" = "$hash" ] && [ "$step_rollout" = "$rollout" ] && [ "$step_digest" = "$digest" ]; then
        again=$step_state
    fi
    case $again in
    done)
        [ "$target" = "$step_to" ] || refuse changed "\`current\` points to \`$target\`, not to \`$step_to\`"
        answer
        return 0
        ;;
    begun | failed)
        from=$step_from to=$step_to
        case $target in "$from" | "$to") ;; *) refuse changed "\`current\` points to \`$target\`" ;; esac
        ;;
    *)
        again= step_state=
        [ "$target" = "$from" ] || refuse changed "\`current\` points to \`$target\`, not to \`$from\`"
        if is_revert; then way=back to=$saved_from; else way=forth; fi
        ;;
    esac
    if [ -e "$dir/current" ] && [ ! -L "$dir/current" ]; then
        refuse folder "\`$dir/current\` is not a symbolic link"
    fi
    if [ "$way" = back ]; then
        write_step begun
        put_back
    else
        prepare
        save
        arm
        if ! write_step begun; then
            [ -z "$guard_input" ] || disarm
            refuse full "cannot write \`$dir/.rollctl/step\`"
        fi
        if [ "$digest" = - ]; then stop_all; fi
        commit
    fi
    if [ "$digest" != - ]; then
        enable_units
        start_all
    fi
    # What is put back needs no more guard; it had one until here.
    if [ "$way" = back ] || [ -z "$guard_input" ]; then disarm; fi
    remember_invocations
    write_step "done"
    journal_line switched
    answer
}

# Sets $saved_from, $saved_to, $saved_digest, $saved_new, $saved_name: what the last switch went from and to.
read_saved() {
    saved_from= saved_to= saved_digest= saved_new= saved_name=
    [ -f "$dir/.rollctl/previous/list" ] || return 1
    {
        IFS= read -r saved_from
        IFS= read -r saved_to
        IFS= read -r saved_digest
        IFS= read -r saved_new
        IFS= read -r saved_name
    } <"$dir/.rollctl/previous/ends"
}

# Nothing was confirmed since the last switch, and this one undoes it: all it needs was saved then.
is_revert() {
    read_saved && [ "$saved_digest" != "$saved_new" ] && [ "$saved_digest" = "$digest" ] &&
        [ "$saved_new" = "$from_digest" ] && [ "$saved_to" = "$from" ]
}

# ---- the record of the last step

read_step() {
    step_state= step_rollout= step_hash= step_from= step_to= step_digest= step_units= step_boot= way=
    [ -f "$dir/.rollctl/step" ] || return 0
    while IFS= read -r line; do
        value=${line#* }
        case $line in
        "state "*) step_state=$value ;;
        "rollout "*) step_rollout=$value ;;
        "hash "*) step_hash=$value ;;
        "from "*) step_from=$value ;;
        "to "*) step_to=$value ;;
        "way "*) way=$value ;;
        "to_digest "*) step_digest=$value ;;
        "from_digest "*) step_from_digest=$value ;;
        "boot "*) step_boot=$value ;;
        "unit "*) step_units="$step_units$line
" ;;
        esac
    done <"$dir/.rollctl/step"
}

# write_step STATE: `begun` has the invocations before, `done` those that were started. A revert goes on without it.
write_step() {
    if [ "$1" = begun ] && [ "$step_state" != begun ]; then remember_invocations; fi
    step_state=$1
    set -- "$1" "$dir/.rollctl/step" "state $1
rollout $rollout
hash $hash
way $way
from $from
to $to
from_name $from_name
from_digest $from_digest
to_digest $digest
boot $step_boot
$step_units"
    if [ "$1:$way" = done:forth ] && [ -n "$from" ] && [ -n "$to" ] && [ "$from" != "$to" ]; then
        # For pruning.
        set -- "$1" "$dir/.rollctl/before" "$from
" "$2" "$3"
    fi
    shift
    put "$@"
}

remember_invocations() {
    boot_id
    step_boot=$boot
    look_at_all
    step_units=$seen_units
}

# Sets $seen_units to a line for each, $is_stale where systemd knows another text of one than lies there, and $disabled to
# those that could be enabled and are not.
look_at_all() {
    looked=yes seen_units= is_stale= disabled=
    for unit in $units; do
        look_at "$unit"
        seen_units="${seen_units}unit $unit $restarts $invocation
"
        if [ "$reload" = yes ]; then is_stale=yes; fi
        if [ "$enabled" = disabled ]; then disabled="$disabled $unit"; fi
    done
}

answer() { printf "boot %s\n%s" "$step_boot" "$step_units"; }

# ---- prepare: everything is written aside

prepare() {
    rm -rf -- "$dir/.rollctl/next"
    problem=$(mkdir -- "$dir/.rollctl/next" 2>&1) || refuse full "$problem"
    if [ -n "$to" ]; then
        ln -s -- "$to" "$dir/.rollctl/next/current" || refuse full "cannot write \`$dir/.rollctl\`"
    fi
    : >"$dir/.rollctl/next/list" || refuse full "cannot write \`$dir/.rollctl\`"
    [ "$rights" != restricted ] || return 0
    mkdir -p -- "$unit_dir" "$dir/.rollctl/own" "$dir/.rollctl/ours" "$dir/.rollctl/enabled" ||
        refuse unwritable "cannot write \`$unit_dir\`"
    for unit in $units; do
        prepare_unit "$unit"
        prepare_drop_in "$unit"
    done
    if [ -n "$link" ]; then prepare_link "$link"; fi
    if [ -n "$origin" ] && [ "$origin" != "$link" ] && ! same "$origin" "$revision/$binary"; then
        case $(readlink -- "$origin") in
        "$dir"/*) ;;
        *) if exists "$origin"; then refuse origin "\`$origin\` holds something else than the adopted revision"; fi ;;
        esac
        prepare_link "$origin"
    fi
}

# next_file PATH SOURCE: PATH is to become a copy of SOURCE.
next_file() {
    aside "$1" new
    rm -f -- "$aside"
    if [ -L "$2" ]; then
        ln -s -- "$(readlink -- "$2")" "$aside"
    else
        cp -- "$2" "$aside" && chmod 644 "$aside" && sync "$aside"
    fi || refuse full "cannot write beside \`$1\`"
    printf "put %s\n" "$1" >>"$dir/.rollctl/next/list" || refuse full "cannot write \`$dir/.rollctl\`"
}

next_gone() { printf "gone %s\n" "$1" >>"$dir/.rollctl/next/list" || refuse full "cannot write \`$dir/.rollctl\`"; }

# The own unit file of a host is kept aside when a revision brings one, and comes back when a revision brings none.
prepare_unit() {
    place=$unit_dir/$1
    own=$dir/.rollctl/own/$1
    wanted=
    if [ "$digest" != - ] && [ -f "$revision/.rollctl/units/$1" ]; then wanted=$revision/.rollctl/units/$1; fi
    if [ -n "$wanted" ] && same "$place" "$wanted"; then return 0; fi
    is_ours=
    if is_ours "$1"; then is_ours=yes; fi
    if [ -z "$wanted" ]; then
        if [ -n "$is_ours" ]; then unit_comes_back "$1"; fi
        return 0
    fi
    packaged "$1"
    if ! exists "$place" && same "$package_file" "$wanted"; then return 0; fi
    if [ -n "$is_ours" ] && same "$own" "$wanted"; then
        unit_comes_back "$1"
        return 0
    fi
    if [ -n "$is_ours" ] && [ -f "$own.absent" ] && same "$package_file" "$wanted"; then
        unit_comes_back "$1"
        return 0
    fi
    if [ -z "$is_ours" ]; then keep_own "$1"; fi
    next_file "$place" "$wanted"
    sum=$(sha256sum <"$wanted")
    printf "%s\n" "${sum%% *}" >>"$dir/.rollctl/ours/$1" || refuse full "cannot write \`$dir/.rollctl\`"
}

# Whether the unit file in place is one that rollctl installed: their digests are kept.
is_ours() {
    [ -f "$unit_dir/$1" ] && [ -f "$dir/.rollctl/ours/$1" ] || return 1
    sum=$(sha256sum <"$unit_dir/$1")
    case "
$(cat "$dir/.rollctl/ours/$1")
" in *"
${sum%% *}
"*) return 0 ;; esac
    return 1
}

unit_comes_back() {
    if exists "$own"; then next_file "$place" "$own"; else next_gone "$place"; fi
}

keep_own() {
    rm -f -- "$own" "$own.absent"
    if exists "$place"; then cp -a -- "$place" "$own"; else : >"$own.absent"; fi ||
        refuse full "cannot write \`$dir/.rollctl\`"
}

# Sets $package_file to the unit file that a package brought.
packaged() {
    package_file=
    [ "$scope" = system ] || return 0
    for folder in /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
        if [ -f "$folder/$1" ]; then
            package_file=$folder/$1
            return 0
        fi
    done
}

# The text of the drop-in is constant, so that files and environment change in one rename.
prepare_drop_in() {
    place=$unit_dir/$1.d/50-rollctl.conf
    if [ "$digest" != - ] && [ -f "$revision/.rollctl/environment" ] && [ -n "$drop_in" ]; then
        if [ -f "$place" ] && [ "$(cat "$place"; printf X)" = "${drop_in}X" ]; then return 0; fi
        mkdir -p -- "${place%/*}" || refuse unwritable "cannot write \`$unit_dir\`"
        aside "$place" new
        printf %s "$drop_in" >"$aside" && chmod 644 "$aside" && sync "$aside" ||
            refuse full "cannot write beside \`$place\`"
        printf "put %s\n" "$place" >>"$dir/.rollctl/next/list" || refuse full "cannot write \`$dir/.rollctl\`"
    elif exists "$place"; then
        next_gone "$place"
    fi
}

prepare_link() {
    points=
    if [ -L "$1" ]; then points=$(readlink -- "$1"); fi
    if [ "$digest" = - ]; then
        case $points in "$dir"/*) next_gone "$1" ;; esac
        return 0
    fi
    [ "$points" != "$dir/current/$binary" ] || return 0
    if [ -d "$1" ] && [ ! -L "$1" ]; then refuse folder "\`$1\` is a folder"; fi
    mkdir -p -- "${1%/*}" || refuse unwritable "cannot make \`${1%/*}\`"
    aside "$1" new
    rm -f -- "$aside"
    ln -s -- "$dir/current/$binary" "$aside" || refuse unwritable "cannot write beside \`$1\`"
    printf "put %s\n" "$1" >>"$dir/.rollctl/next/list" || refuse full "cannot write \`$dir/.rollctl\`"
}

# ---- save: what a revert needs, each file beside its place, so that the revert only renames

save() {
    saved=$dir/.rollctl/previous
    # Cut off before: what is in place now may already be new.
    if [ -n "$again" ] && read_saved && [ "$saved_digest" = "$from_digest" ] && [ "$saved_new" = "$digest" ]; then
        return 0
    fi
    rm -rf -- "$saved" "$saved.new"
    mkdir -- "$saved.new" && : >"$saved.new/list" &&
        printf "%s\n%s\n%s\n%s\n%s\n" "$from" "$to" "$from_digest" "$digest" "$from_name" >"$saved.new/ends" ||
        refuse full "cannot write \`$dir/.rollctl\`"
    if [ -n "$from" ]; then
        ln -s -- "$from" "$saved.new/current" || refuse full "cannot write \`$dir/.rollctl\`"
    fi
    while IFS= read -r item; do
        save_one "${item#* }" || refuse full "cannot save \`${item#* }\`"
    done <"$dir/.rollctl/next/list"
    sync "$saved.new/list" "$saved.new/ends"
    mv -T -- "$saved.new" "$saved" || refuse full "cannot write \`$dir/.rollctl\`"
}

save_one() {
    aside "$1" previous
    rm -f -- "$aside"
    if [ -L "$1" ]; then
        ln -s -- "$(readlink -- "$1")" "$aside"
    elif [ -e "$1" ]; then
        ln -- "$1" "$aside" 2>/dev/null || cp -a -- "$1" "$aside"
    else
        printf "absent %s\n" "$1" >>"$saved.new/list"
        return
    fi && printf "kept %s\n" "$1" >>"$saved.new/list"
}
