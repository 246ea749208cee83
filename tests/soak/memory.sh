#!/usr/bin/env bash
# memory - buffered and direct I/O in ever smaller memory, and a storm of dirty pages on ext4, end with the data whole
#
# timeout: 3900
#
# A machine of 1 GiB. In a cgroup of LIMITS MiB, of which stress-ng keeps half and goes on writing to it, fio writes through
# the page cache and directly, and reads back with checksums: each page of it can only be had by writing another to
# /dev/ublkb0. Then eight writers dirty an ext4 on it, four times over what their cgroup may hold, and what they wrote is
# compared after the cache was dropped.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../guest/lib.sh"
export SLUICE_LIMITS=${SLUICE_LIMITS:-512 256 128 64}
GROUP=/sys/fs/cgroup/pressed

in_group() { # limit in MiB, seconds, command…
    mkdir -p "$GROUP" && echo $(($1 << 20)) >"$GROUP/memory.max" || return 1
    timeout "$2" bash -c 'echo $$ >'"$GROUP"'/cgroup.procs; exec "$@"' in_group "${@:3}"
}

fio_in() { # limit, direct
    local hog status start=$SECONDS
    in_group "$1" 420 stress-ng --vm 1 --vm-bytes $(($1 / 2))M --vm-keep --vm-method inc-nybble --quiet --timeout 400 >/run/hog 2>&1 &
    hog=$!
    in_group "$1" 350 fio --name=pressed --filename="$device" --direct="$2" --ioengine=psync --thread --numjobs=2 --size=32M \
        --offset_increment=32M --rw=randwrite --bsrange=4k-64k --verify=crc32c --verify_fatal=1 --verify_state_save=0 \
        --do_verify=1 --randrepeat=0 --invalidate=1 >/run/fio.log 2>&1
    status=$?
    [ $status -eq 0 ] || tail -n 20 /run/fio.log
    kill -0 "$hog" 2>/dev/null || { echo "stress-ng ended before fio:"; cat /run/hog; status=1; }
    kill "$hog" 2>/dev/null
    wait "$hog" 2>/dev/null
    echo "limit $1 MiB, direct=$2: $((SECONDS - start)) s,$(grep -h 'WRITE: bw' /run/fio.log)," \
        "reclaim met the limit $(awk '$1 == "max" { print $2 }' "$GROUP/memory.events") times"
    return $status
}

dirty_storm() {
    local i pids=() bad=0
    mkdir -p /run/mount
    mkfs.ext4 -q "$device" && mount "$device" /run/mount || return 1
    for i in 1 2 3 4 5 6 7 8; do
        in_group 64 400 bash -c 'seq -f "line %.0f of file '"$i"'" 1 1300000 >/run/mount/'"$i"' && sync -f /run/mount' &
        pids+=($!)
    done
    for i in "${pids[@]}"; do
        wait "$i" || bad=1
    done
    sync -f /run/mount
    echo 3 >/proc/sys/vm/drop_caches
    for i in 1 2 3 4 5 6 7 8; do
        seq -f "line %.0f of file $i" 1 1300000 | cmp - "/run/mount/$i" || bad=1
    done
    umount /run/mount || bad=1
    return $bad
}

inside() {
    local limit
    start_daemon
    attach
    for limit in $SLUICE_LIMITS; do
        claim "buffered_io_verifies_in_${limit}_mib" fio_in "$limit" 0
        claim "direct_io_verifies_in_${limit}_mib" fio_in "$limit" 1
    done
    claim dirty_pages_of_ext4_all_arrive dirty_storm
    claim protected_drops_stay_0 [ "$(counter protected_drops)" = 0 ]
    claim kernel_saw_no_io_error bash -c '! dmesg | grep -iE "i/o error|ext4-fs error|blocked for more than"'
    detach
    stop_daemon
}

case ${1:-} in
    inside) inside ;;
    *) "$root/tests/guest/run" --mem 1024 --hugepages 100 --timeout "${GUEST_TIMEOUT:-3800}" --server 'nbdkit -f memory 1G' \
        -- bash tests/soak/memory.sh inside || status_all=1 ;;
esac
exit $status_all
