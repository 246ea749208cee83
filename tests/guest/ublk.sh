#!/usr/bin/env bash
# ublk - the ublk front end alone, over RAM, on a real kernel
#
# timeout: 900
#
# No NIC and no network: ublk_null serves /dev/ublkbN from memory through the same front end the daemon uses, so what fails
# here is ublk's or ours. On the host this boots the VM and runs itself in there with "inside". Each claim names what it
# shows; a device that hangs ends with the VM's time limit.
#
#      fio, dd, blkdiscard ──▶ /dev/ublkbN ──▶ ublk_drv ──▶ /dev/ublkcN ──▶ ublk_null: worker, control ──▶ RAM
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$root/build}
export BUILD
null=$BUILD/tests/guest/ublk_null
memory=/dev/shm/ublk_null
state=/run/ublk_null
status_all=0
pid='' device='' feed='' stats=''
# shellcheck source=tests/guest/fio.sh
. "$root/tests/guest/fio.sh"

claim() { # name, command…
    local name=$1
    shift
    if "$@" >&2; then
        echo "ok $name"
    else
        echo "not ok $name"
        echo "$name: does not hold: $*" >&2
        status_all=1
    fi
}

die() { # claim, why
    echo "not ok $1"
    echo "$1: $2" >&2
    dmesg | tail -n 20 >&2
    exit 1
}

wait_until() { # seconds, command…
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

# ---- the server ----

up() { # options…: sets device, pid
    local line
    exec {feed}< <(exec "$null" "$@")
    pid=$!
    read -r -t 60 -u "$feed" line || die device_appears "no word from ublk_null $*"
    [[ $line == "ready /dev/ublkb"*" scheduler none" ]] || die device_appears "ublk_null $* says: $line"
    device=${line#ready }
    device=${device%% *}
}

down() { # sets stats; status of ublk_null
    local rc
    kill -TERM "$pid"
    stats=$(timeout 150 cat <&"$feed")
    wait "$pid"
    rc=$?
    exec {feed}<&-
    echo "$stats" >&2
    return $rc
}

is_in_use() { # what the server says
    local line
    kill -USR1 "$pid"
    read -r -t 30 -u "$feed" line
    [ "$line" = "open $1" ]
}

stat() { # name: its number in the last stats
    sed -n "s/.* $1 \([0-9]*\).*/\1/p" <<<" $stats "
}

more_than() { # name, number
    [ "$(stat "$1")" -gt "$2" ] || { echo "$1 is $(stat "$1"), not more than $2"; return 1; }
}

attribute() { # name, value
    local now
    now=$(cat "/sys/block/${device#/dev/}/queue/$1")
    [ "$now" = "$2" ] || { echo "$1 is $now"; return 1; }
}

# ---- claims ----

data() { # copy mode's name, options
    local mode=$1 bs
    shift
    for bs in 512 4096; do
        up --bs="$bs" "$@"
        claim "blocks_of_${bs}_are_what_the_kernel_sees_with_$mode" [ "$(blockdev --getss "$device")" -eq "$bs" ]
        claim "randrw_verifies_with_blocks_of_${bs}_and_$mode" fio_verify --size=24M
        claim "device_with_blocks_of_${bs}_goes_with_$mode" down
        claim "kernel_took_every_command_of_${bs}_with_$mode" [ "$(stat command_errors)$(stat rejected)" = 00 ]
    done
    up --bs=512 "$@"
    claim "smallest_blocks_verify_with_$mode" fio_verify --bs=512 --bsrange=512-4k --size=2M
    claim "largest_requests_verify_with_$mode" fio_verify --size=24M --bsrange=512k-1M --iodepth=4
    down
}

zeroes() {
    local zero
    zero=$(head -c 1048576 /dev/zero | sha256sum)
    up --size=$((64 << 20))
    dd if=/dev/urandom of="$device" bs=1M count=4 oflag=direct status=none
    blkdiscard -o 0 -l 1048576 "$device"
    claim discard_reaches_the_server [ "$(dd if="$device" bs=1M count=1 iflag=direct status=none | sha256sum)" = "$zero" ]
    blkdiscard -z -o 1048576 -l 1048576 "$device"
    fallocate -z -o 2097152 -l 1048576 "$device"
    claim write_zeroes_zeroes \
        [ "$(dd if="$device" bs=1M count=1 skip=2 iflag=direct status=none | sha256sum)" = "$zero" ]
    claim neighbours_are_untouched \
        [ "$(dd if="$device" bs=1M count=1 skip=3 iflag=direct status=none | sha256sum)" != "$zero" ]
    down
    claim discards_are_counted more_than trims 0
    claim write_zeroes_are_no_writes more_than zeroes 1
    claim zeroes_that_must_be_allocated_say_so more_than no_hole 0
}

durability() {
    up
    dd if=/dev/zero of="$device" bs=4k count=8 oflag=direct,dsync status=none
    dd if=/dev/zero of="$device" bs=4k count=8 conv=fsync status=none
    claim cache_is_write_back attribute write_cache 'write back'
    down
    claim fua_is_seen more_than fua 7
    claim flush_is_seen more_than flushes 0
    up --no-flush
    dd if=/dev/zero of="$device" bs=4k count=8 oflag=direct,dsync status=none
    claim cache_is_write_through_without_flush attribute write_cache 'write through'
    down
    claim no_flush_is_sent_to_a_server_without [ "$(stat flushes)$(stat fua)" = 00 ]
}

limits() {
    up --read-only --rotational --io-max=$((128 << 10)) --bs=4096
    claim read_only_is_known [ "$(blockdev --getro "$device")" = 1 ]
    refuse_write() { ! dd if=/dev/zero of="$device" bs=4k count=1 oflag=direct status=none; }
    claim write_to_read_only_is_refused refuse_write
    claim rotational_is_known attribute rotational 1
    claim largest_request_is_known attribute max_hw_sectors_kb 128
    claim logical_block_is_known attribute logical_block_size 4096
    claim preferred_request_is_known attribute optimal_io_size 131072
    dd if="$device" of=/dev/null bs=1M count=2 iflag=direct status=none
    down
    claim large_reads_are_cut_to_fit more_than reads 15
}

errors() {
    up --eio=$((8 << 20)) --enospc=$((16 << 20))
    fails_with() { # text, dd arguments…
        local text=$1
        shift
        ! dd bs=4k count=1 status=none "$@" 2>/run/dd.err && grep -q "$text" /run/dd.err || { cat /run/dd.err; return 1; }
    }
    claim eio_of_a_read_is_eio fails_with 'Input/output error' if="$device" of=/dev/null skip=2048 iflag=direct
    claim enospc_of_a_write_is_enospc fails_with 'No space left' if=/dev/zero of="$device" seek=4096 oflag=direct
    claim the_rest_of_the_device_lives dd if="$device" of=/dev/null bs=4k count=64 iflag=direct status=none
    claim device_with_errors_goes down
}

# A DOS partition table of one Linux partition, 1 MiB to the end of 64 MiB: the kernel must find it during START_DEV.
partitions() {
    rm -f "$memory"
    truncate -s 64M "$memory"
    printf '\0\0\0\0\203\0\0\0\0\010\0\0\0\370\001\0' |
        dd of="$memory" bs=1 seek=446 conv=notrunc status=none
    printf '\125\252' | dd of="$memory" bs=1 seek=510 conv=notrunc status=none
    up --file="$memory"
    claim partitions_are_found_while_it_starts [ -b "${device}p1" ]
    mkfs.ext4 -q "${device}p1" && mkdir -p /mnt/null && mount "${device}p1" /mnt/null
    claim mounted_device_is_in_use is_in_use 1
    cp -r "$root/nbd_client" /mnt/null/ && umount /mnt/null && mount "${device}p1" /mnt/null
    claim files_survive_a_remount diff -r "$root/nbd_client" /mnt/null/nbd_client
    umount /mnt/null
    claim unmounted_device_is_free is_in_use 0
    claim device_with_partitions_goes down
}

swap() {
    local group=/sys/fs/cgroup/ublk_null
    up --size=$((192 << 20)) --depth=64
    mkswap -q "$device" 2>/dev/null || mkswap "$device" >&2
    swapon "$device"
    claim swap_device_is_in_use is_in_use 1
    mkdir "$group" && echo $((24 << 20)) >"$group/memory.max"
    # Anonymous memory twice over its limit, read back: what comes back must be what went.
    squeeze() {
        echo $BASHPID >"$group/cgroup.procs"
        awk 'BEGIN { for (i = 0; i < 300000; i++) a[i] = "line of text number " i; for (i = 0; i < 300000; i++)
            if (a[i] != "line of text number " i) exit 1 }'
    }
    claim swapped_memory_comes_back_whole eval '( squeeze )'
    swapoff "$device"
    rmdir "$group"
    claim device_after_swap_goes down
    claim swap_requests_are_marked more_than swap 0
}

# Killed outright with I/O in flight, taken over by the next process: the one above notices a pause and no error.
recovery() { # copy mode's name, options
    local mode=$1 count
    shift
    rm -rf "$state" "$memory"
    mkdir -p "$state"
    up --file="$memory" --state="$state" --hold-us=3000 "$@"
    fio_begin /run/fio.log --size=24M --verify_backlog=64
    in_flight() { awk '{ exit !($1 + $2 > 0) }' "/sys/block/${device#/dev/}/inflight"; }
    finished() { awk '{ print $1 + $5 }' "/sys/block/${device#/dev/}/stat"; }
    moves_on() { [ "$(finished)" -gt $((count + 100)) ]; }
    for turn in 1 2 3 4 5; do
        count=$(finished)
        wait_until 30 moves_on || die "io_moves_on_before_kill_${turn}_with_$mode" "it stands still"
        wait_until 10 in_flight || die "something_is_in_flight_with_$mode" "nothing"
        kill -KILL "$pid"
        wait "$pid" 2>/dev/null
        exec {feed}<&-
        up --file="$memory" --state="$state" --hold-us=3000 --recover
    done
    count=$(finished)
    claim "io_goes_on_after_five_kills_with_$mode" wait_until 30 moves_on
    claim "fio_above_saw_no_error_with_$mode" fio_end "$load"
    grep -h 'err=' /run/fio.log >&2
    claim "recovered_device_goes_with_$mode" down
    claim "state_file_goes_with_the_device_with_$mode" [ -z "$(ls -A "$state")" ]
}

# What must not be taken over is refused and stays.
refusals() {
    local saved
    rm -rf "$state" "$memory"
    mkdir -p "$state"
    up --file="$memory" --state="$state"
    refused() { # text
        ! "$null" --file="$memory" --state="$state" --recover 2>/run/null.err >&2 && grep "$1" /run/null.err ||
            { cat /run/null.err; return 1; }
    }
    claim device_of_a_living_server_is_not_taken refused 'is served by process'
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null
    exec {feed}<&-
    saved=$(cat "$state"/*)
    sed -i 's/^size_bytes .*/size_bytes 1048576/' "$state"/*
    claim device_of_another_size_is_not_taken refused 'not the same disk'
    echo "$saved" >"$state/$(ls "$state")"
    up --file="$memory" --state="$state" --recover
    claim device_that_was_refused_can_still_be_taken down
}

held_open() {
    local holder
    up
    sleep 1000 <"$device" &
    holder=$!
    claim open_device_is_in_use is_in_use 1
    kill -TERM "$pid"
    wait "$pid"
    claim deletion_of_an_open_device_ends_at_its_deadline [ $? -eq 1 ]
    exec {feed}<&-
    kill "$holder"
    wait "$holder" 2>/dev/null
    is_gone() { [ ! -e "/dev/ublkc${device#/dev/ublkb}" ]; }
    claim device_goes_when_its_user_does wait_until 10 is_gone
}

inside() {
    data default_copy
    data user_copy --user-copy
    zeroes
    durability
    limits
    errors
    partitions
    swap
    recovery default_copy
    recovery user_copy --user-copy
    refusals
    held_open
    claim hundred_devices_come_and_go eval '"$null" --cycles=100 --size=1048576 --depth=8 | tail -n 1 |
        grep "^cycles 100 fds_leaked 0$"'
    claim hundred_with_user_copy_too eval '"$null" --cycles=100 --size=1048576 --depth=8 --user-copy | tail -n 1 |
        grep "^cycles 100 fds_leaked 0$"'
    claim no_device_is_left eval '! ls /dev/ublkb* /dev/ublkc* 2>/dev/null'
    claim kernel_has_nothing_to_complain_of eval '! dmesg | grep -E "WARNING:|BUG:|blocked for more than|Oops"'
}

case ${1:-} in
    inside) inside ;;
    *) exec "$root/tests/guest/run" --no-bind --timeout 880 -- bash "$root/tests/guest/ublk.sh" inside ;;
esac
exit $status_all
