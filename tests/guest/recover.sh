#!/usr/bin/env bash
# recover - sluiced is killed outright, ended and upgraded under load, and nobody above its devices notices more than a pause
#
# timeout: 900
#
# Two devices: one that the configuration names, in user copy, with an ext4 that is kept busy with metadata and with a journal
# of fsynced lines; one made by `sluice attach`, in default copy, under fio, which checks every block it reads back. The daemon
# dies SLUICE_KILLS times at no particular moment. What counts: fio saw no error and no wrong byte, fsck finds nothing, no
# acknowledged line is missing. Then the ways to end on purpose: SIGTERM while in use, --keep while nobody uses them, an
# upgrade; and what cannot come back.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
MOUNT=/run/mount
URI=nbd://${SLUICE_SERVER:-}:10821/disk
KILLS=${SLUICE_KILLS:-3}
SERVER='nbdkit -p 10820 memory 256M; exec nbdkit -f -p 10821 memory 256M'
CONFIG=("volumes:" "  - name: filed" "    uri: nbd://${SLUICE_SERVER:-}:10820/" "    copy: user")
load_pids=() held_open=''

run_daemon() { # options…: the configuration is written, the devices are there or will be
    "$(program sluiced)" -c /run/sluice.yaml "$@" >>/run/sluiced.log 2>&1 &
    daemon_pid=$!
    wait_until 120 is_answering || die daemon_starts_again "no answer to status within 120 s"
}

kill_daemon() {
    kill -KILL "$daemon_pid"
    wait "$daemon_pid" 2>/dev/null
}

volume_is() { # name, key, value
    SLUICE_TIMEOUT=5 sluice list --json 2>/dev/null |
        jq -e --arg name "$1" --arg key "$2" --arg value "$3" 'any(.[]; .name == $name and .[$key] == $value)' >/dev/null
}

is_serving() { volume_is disk step serving && volume_is filed step serving; }

# ---- load ----

fio_load() { # until /run/enough is there: writes and reads back, again and again
    until [ -e /run/enough ]; do
        fio_verify --size=16M --verify_backlog=64 || return 1
    done
}

tree_load() { # makes, renames and removes files; a tree of them stays at any moment
    local n=0
    until [ -e /run/enough ]; do
        n=$((n + 1))
        mkdir -p "$MOUNT/tree/$((n % 20))" &&
            cp /etc/services "$MOUNT/tree/$((n % 20))/new.$n" &&
            mv "$MOUNT/tree/$((n % 20))/new.$n" "$MOUNT/tree/$((n % 20))/file" &&
            ln -sf "file" "$MOUNT/tree/$((n % 20))/link.$n" || return 1
        [ $((n % 50)) -ne 0 ] || rm -r "$MOUNT/tree/$((n % 20))" || return 1
    done
}

journal_load() { # a line is acknowledged, in memory, when fsync has said it is safe
    python3 - "$MOUNT/journal" /run/acknowledged /run/enough <<'PY'
import os, sys
journal = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
n = 0
while not os.path.exists(sys.argv[3]):
    n += 1
    os.write(journal, b"line %d\n" % n)
    os.fsync(journal)
    with open(sys.argv[2], "w") as acknowledged:
        acknowledged.write("%d\n" % n)
PY
}

start_load() {
    local load
    rm -f /run/enough
    mkdir -p "$MOUNT"
    exec {held_open}<"$device" # fio comes and goes; this says that the device is in use
    mkfs.ext4 -q "$filed" && mount "$filed" "$MOUNT" || die ext4_is_there "mkfs or mount failed"
    for load in fio_load tree_load journal_load; do
        $load >"/run/$load.log" 2>&1 &
        load_pids+=($!)
    done
}

end_load() { # each one's status
    local i names=(fio_saw_no_error files_saw_no_error fsync_saw_no_error)
    touch /run/enough
    for i in 0 1 2; do
        claim "${names[i]}" wait "${load_pids[i]}"
    done
    exec {held_open}<&-
    tail -n 5 /run/fio_load.log /run/tree_load.log /run/journal_load.log >&2
}

moved() { # blocks both devices have finished
    awk '{ n += $1 + $5 } END { print n }' "/sys/block/$(basename "$device")/stat" "/sys/block/$(basename "$filed")/stat"
}

both_move() { # since before; each has done something
    awk '{ print $1 + $5 }' "/sys/block/$(basename "$device")/stat" "/sys/block/$(basename "$filed")/stat" >/run/now
    paste /run/before /run/now | awk '$2 < $1 + 20 { slow = 1 } END { exit slow }'
}

io_goes_on() { # seconds
    awk '{ print $1 + $5 }' "/sys/block/$(basename "$device")/stat" "/sys/block/$(basename "$filed")/stat" >/run/before
    wait_until "$1" both_move
}

check_data() {
    local lines
    timeout 60 umount "$MOUNT" || die ext4_unmounts "umount failed"
    echo 3 >/proc/sys/vm/drop_caches
    claim fsck_finds_nothing timeout 120 e2fsck -fn "$filed"
    mount -o ro "$filed" "$MOUNT" || die ext4_mounts_again "mount failed"
    lines=$(cat /run/acknowledged)
    claim every_fsynced_line_is_there cmp <(seq -f 'line %.0f' "$lines") <(head -n "$lines" "$MOUNT/journal")
    echo "acknowledged lines: $lines" >&2
    umount "$MOUNT"
}

# ---- the ways to go ----

ends() { # SIGTERM, waited for
    kill -TERM "$daemon_pid"
    wait_until 60 is_gone || die "$1" "it is still there a minute after SIGTERM"
    wait "$daemon_pid"
}

# In turn killed outright and told to end: with the devices in use it must be the same to whoever uses them.
kills() {
    local turn begin longest=0
    for ((turn = 1; turn <= KILLS; turn++)); do
        io_goes_on 60 || die "io_goes_on_after_death_$((turn - 1))" "it stands still"
        if [ $((turn % 2)) -eq 1 ]; then
            kill_daemon
        else
            ends sigterm_ends_a_daemon_in_use || not_ok sigterm_in_use_ends_well "status $?"
            [ -b "$filed" ] && [ -b "$device" ] || die sigterm_leaves_what_is_in_use "a device is gone"
        fi
        begin=$SECONDS
        run_daemon
        echo "death $turn: answers after $((SECONDS - begin)) s" >&2
        wait_until 60 is_serving || die "devices_are_taken_over_$turn" "$(sluice list)"
        [ $((SECONDS - begin)) -le $longest ] || longest=$((SECONDS - begin))
    done
    claim "io_goes_on_after_${KILLS}_deaths" io_goes_on 60
    echo "longest time from a start to both devices served: $longest s" >&2
}

kept() {
    ends sigterm_ends_before_keep
    run_daemon --keep
    claim devices_come_back_to_keep wait_until 60 is_serving
}

unused() {
    ends keep_ends_unused
    claim keep_leaves_what_is_unused test -b "$filed" -a -b "$device"
    run_daemon
    claim kept_devices_come_back wait_until 60 is_serving
    ends sigterm_ends_unused
    claim sigterm_takes_what_is_unused test ! -e "$filed" -a ! -e "$device"
    claim no_state_file_is_left eval '[ -z "$(ls /run/sluice/*.state 2>/dev/null)" ]'
}

# Its state says another size than the server's: refused, shown, kept, and given up on request only.
given_up() {
    run_daemon
    wait_until 60 volume_is filed step serving || die filed_is_attached_anew "$(sluice list)"
    kill_daemon
    sed -i 's/^volume.uri .*:10820.*/volume.uri nbd:\/\/'"$SLUICE_SERVER"':9\//' /run/sluice/ublk-0.state
    sed -i '/^volumes:/,$d' /run/sluice.yaml
    run_daemon
    claim device_without_server_waits wait_until 40 volume_is filed state held
    claim its_reason_is_told wait_until 60 eval 'sluice list | grep -q "filed: error: .*refused"'
    claim doctor_knows_it eval 'sluice doctor | grep -A1 ublkb0 >&2; sluice doctor | grep -q "waits to be taken over"'
    claim its_name_is_not_free eval '! sluice attach --name filed "$URI" 2>/run/said; grep -q "waits to be taken over" /run/said'
    claim detach_without_force_is_refused eval '! sluice detach filed 2>/run/said; grep -q -e "--force" /run/said'
    given() { sluice detach filed --force; }
    claim force_gives_it_up wait_until 40 given
    claim it_is_gone_then test ! -e "$filed"
    stop_daemon
}

inside() {
    start_daemon "${CONFIG[@]}"
    wait_until 60 volume_is filed step serving || die filed_is_attached "$(sluice list)"
    filed=$(sluice list --json | jq -r '.[] | select(.name == "filed") | .device')
    attach
    start_load
    kills
    kept
    end_load
    check_data
    unused
    given_up
    # shellcheck disable=SC2016
    claim kernel_saw_no_io_error bash -c '! dmesg | grep -iE "i/o error|ext4-fs error|blocked for more|WARNING:|BUG:"'
    grep -iE 'error|warn' /run/sluiced.log | tail -n 40 >&2
}

case ${1:-} in
    inside) inside ;;
    *) NICS=${NICS_RECOVER:-virtio} in_guests --server-port 10821 --timeout "${SLUICE_GUEST_S:-880}" ;;
esac
exit $status_all
