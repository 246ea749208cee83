#!/usr/bin/env bash
# nbd - what servers do, seen through /dev/ublkbN: real ones of every kind, their errors, their logs, and a liar among them
#
# timeout: 900
#
# One boot for all; SLUICE_PARTS names other parts than the default (the liar takes minutes, and is left to the soak).
# Servers live on the host and are started by tests/guest/serverd, which the guest reaches over a second NIC left to its
# kernel driver; sluiced has the first.
#
#      nbdkit, nbd-server, qemu-nbd, liar ◀── nic ─── 10.77.0.2 vfio-pci ◀── sluiced ──▶ /dev/ublkbN ◀── fio, dd, ext4
#      serverd                            ◀── knic ── 10.78.0.2 kernel   ◀── this script
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
SERVER='exec tests/guest/serverd'
MOUNT=/run/mount

serve() { # kind, URI's end, command…: attaches it as "disk"
    local kind=$1 export=$2
    shift 2
    server up 10809 "$@" || { not_ok "${kind}_is_served" "the server did not start"; return 1; }
    URI=nbd://$SLUICE_SERVER:10809/$export
    device=$(SLUICE_TIMEOUT=60 sluice attach --name "$VOLUME" "$URI") || { not_ok "${kind}_is_served" "attach failed"; return 1; }
}

unserve() {
    detach
    server kill 10809
}

volume() { # jq expression over the volume "disk"
    sluice list --json | jq -e ".[] | select(.name == \"disk\") | $1" >/dev/null
}

verify() { # kind, URI's end, command…
    local kind=$1
    serve "$@" || return
    claim "${kind}_verifies" fio_verify --size=3M --bsrange="${BSRANGE:-4k-128k}"
    claim "${kind}_never_lost_a_connection" volume '.reconnects == 0 and .timeouts == 0'
    unserve
}

real_servers() {
    local format dir=/tmp/sluice-guest-$$
    verify nbdkit_memory '' nbdkit -f memory 64M
    verify nbdkit_no_sr '' nbdkit -f --no-sr memory 64M
    verify nbdkit_export_name_only '' nbdkit -f --mask-handshake=0 memory 64M
    verify nbdkit_delay '' nbdkit -f --filter=delay memory 64M rdelay=1ms wdelay=5ms
    verify nbdkit_rate '' nbdkit -f --filter=rate memory 64M rate=200M
    verify nbdkit_blocksize '' nbdkit -f --filter=blocksize-policy memory 64M blocksize-minimum=4096 blocksize-preferred=64K \
        blocksize-maximum=128K blocksize-error-policy=error
    verify nbdkit_one_connection '' nbdkit -f --filter=multi-conn memory 64M multi-conn-mode=disable
    server run mkdir -p "$dir"
    server run truncate -s 64M "$dir/disk"
    verify nbdkit_file '' nbdkit -f file "$dir/disk"
    server run sh -c "printf '[generic]\nallowlist=true\n[disk]\nexportname=$dir/disk\nflush=true\nfua=true\ntrim=true\n' >$dir/conf"
    verify nbd_server disk nbd-server -d -C "$dir/conf" -p "$dir/pid"
    for format in raw qcow2; do
        server run qemu-img create -q -f $format "$dir/$format" 64M
        verify "qemu_nbd_$format" disk qemu-nbd --format=$format --persistent --shared=8 --discard=unmap --export-name=disk \
            "$dir/$format"
    done
    server run rm -r "$dir"
}

# Every operation can be made to fail by a file on the host; the plugin's words become the NBD errno.
errors() {
    local dir=/tmp/sluice-guest-err-$$ errno op told
    fails_if() { echo "if [ -e $dir/$1 ]; then cat $dir/$1 >&2; exit 1; fi"; }
    fail() { server run sh -c "echo '$2 on purpose' >$dir/$1"; } # operation, errno
    heal() { server run rm "$dir/$1"; }
    tells() { # errno's words, python statement on an O_DIRECT descriptor f and an aligned buffer b
        timeout 60 python3 - "$device" "$1" "$2" <<'PY'
import fcntl, mmap, os, struct, sys
f = os.open(sys.argv[1], os.O_RDWR | os.O_DIRECT)
b = mmap.mmap(-1, 4096)
try:
    exec(sys.argv[3])
except OSError as error:
    print(error)
    sys.exit(os.strerror(error.errno) != sys.argv[2])
sys.exit("no error at all")
PY
    }
    goes_on() { dd if="$device" of=/dev/null bs=4k count=8 iflag=direct status=none && volume '.reconnects == 0'; }
    server run mkdir -p "$dir"
    server run truncate -s 16M "$dir/disk"
    serve errors '' nbdkit -f eval get_size='echo 16M' \
        pread="$(fails_if read); dd if=$dir/disk skip=\$4 count=\$3 iflag=skip_bytes,count_bytes status=none" \
        pwrite="$(fails_if write); dd of=$dir/disk seek=\$4 conv=notrunc oflag=seek_bytes status=none" \
        flush="$(fails_if flush)" trim="$(fails_if trim)" zero="$(fails_if zero)" can_write='exit 0' can_flush='exit 0' \
        can_trim='exit 0' can_zero='exit 0' || return
    # ENOSPC of a READ or a FLUSH would mislead, and a FLUSH that failed with EOPNOTSUPP is taken for a success by the kernel.
    declare -A words=([EIO]='Input/output error' [ENOSPC]='No space left on device') way=(
        [read]='os.preadv(f, [b], 1 << 20)'
        [write]='os.pwritev(f, [b], 1 << 20)'
        [flush]='os.pwritev(f, [b], 1 << 20); os.fsync(f)'
        [trim]='fcntl.ioctl(f, 0x1277, struct.pack("QQ", 1 << 20, 1 << 20))') # BLKDISCARD
    for errno in EIO ENOSPC; do
        for op in read write flush trim; do
            fail $op $errno
            case $op in read | flush) told=EIO ;; *) told=$errno ;; esac
            claim "${errno,,}_of_${op}_is_${told,,}" tells "${words[$told]}" "${way[$op]}"
            heal $op
            claim "stream_goes_on_after_${errno,,}_of_${op}" goes_on
        done
    done
    for errno in EOPNOTSUPP EPERM ENOMEM; do
        fail flush $errno
        claim "${errno,,}_of_flush_is_eio" tells "${words[EIO]}" "${way[flush]}"
        heal flush
    done
    claim no_error_cost_a_connection volume '.reconnects == 0 and .timeouts == 0'
    unserve
    server run rm -r "$dir"
}

# What the application meant is what the server is asked.
logged() { # pattern: in what the server logged since asked last
    server run sh -c "cat $log && : >$log" >/run/server.log
    grep -E "$1" /run/server.log | head -n 3
    grep -Eq "$1" /run/server.log
}

requests() {
    log=/tmp/sluice-guest-log-$$
    serve requests '' nbdkit -f --filter=log memory 256M logfile="$log" logappend=true || return
    claim cache_is_volatile grep -q 'write back' "/sys/block/$(basename "$device")/queue/write_cache"
    claim fua_is_offered grep -q 1 "/sys/block/$(basename "$device")/queue/fua"
    logged . >/dev/null
    blkdiscard -o 1048576 -l 2097152 "$device"
    claim blkdiscard_is_a_trim logged ' Trim .*offset=0x100000 count=0x200000 '
    blkdiscard -z -o 1048576 -l 1048576 "$device"
    claim write_zeroes_are_a_zero logged ' Zero .*offset=0x100000 count=0x100000 '
    dd if=/dev/zero of="$device" bs=4k count=1 oflag=direct,dsync status=none
    claim a_dsync_write_has_fua logged ' Write .*count=0x1000 fua=1'
    dd if=/dev/zero of="$device" bs=4k count=1 conv=fsync status=none
    claim fsync_is_a_flush logged ' Flush '
    mkfs.ext4 -q "$device" && mkdir -p "$MOUNT" && mount -o discard "$device" "$MOUNT" || die ext4_mounts "mkfs or mount failed"
    head -c 8M /dev/urandom >"$MOUNT/file" && sync -f "$MOUNT"
    logged . >/dev/null
    rm "$MOUNT/file" && sync -f "$MOUNT"
    claim what_ext4_frees_is_trimmed wait_until 20 logged ' Trim '
    fallocate -l 4M "$MOUNT/zeroed" && dd if=/dev/urandom of="$MOUNT/zeroed" bs=1M count=4 conv=notrunc,fsync status=none
    fstrim "$MOUNT"
    claim fstrim_is_trims logged ' Trim '
    umount "$MOUNT"
    claim a_discard_left_no_error volume '.reconnects == 0'
    unserve
    server run rm -f "$log"
}

# A liar served beside an honest volume, by the same worker, over the same NIC. That each of its mischiefs is met as it should
# be is tests/net/adversary.sh's; here it is the neighbour that counts.
liar() {
    local dir=/tmp/sluice-guest-liar-$$ honest busy told sum
    server up 10811 nbdkit -f -p 10811 memory 64M
    honest=$(SLUICE_TIMEOUT=60 sluice attach --name honest "nbd://$SLUICE_SERVER:10811/") || die honest_volume_is_there "attach failed"
    device=$honest fio_verify --size=4M --time_based --runtime=600 --verify_backlog=32 >/run/honest.log 2>&1 &
    busy=$!
    server run sh -c "head -c 8M /dev/urandom >$dir"
    server up 10812 tests/net/liar 10812 "$dir" --cut-step 40
    attached() { device=$(SLUICE_TIMEOUT=60 sluice attach --name liar "nbd://$SLUICE_SERVER:10812/" 2>/dev/null); }
    wait_until 90 attached || die liar_is_attached_at_last "attach failed"
    for ((told = 0; told < 90; told++)); do
        server log 10812 >>/run/liar.log
        ! grep -q '| honest' /run/liar.log || break
        timeout 60 dd if="$device" of=/run/piece bs=64k count=64 iflag=direct status=none || break
        # Some lies are answers to a WRITE.
        timeout 60 dd if=/run/piece of="$device" bs=64k count=64 oflag=direct conv=notrunc status=none || break
    done
    echo "$(grep -vc honest /run/liar.log) mischiefs, last: $(tail -n 1 /run/liar.log)" >&2
    sum=$(server run sha256sum "$dir")
    claim twenty_mischiefs_and_more_were_done [ "$(grep -vc honest /run/liar.log)" -ge 20 ]
    claim bytes_of_a_liar_are_the_disks [ "$(dd if="$device" bs=1M iflag=direct status=none | sha256sum | cut -d' ' -f1)" = \
        "$(awk '{ print $2 }' <<<"$sum")" ]
    claim liar_was_cut_off_and_tried_again eval 'sluice list --json | jq -e ".[] | select(.name == \"liar\") | .reconnects > 20"'
    claim the_honest_volume_lost_nothing eval 'sluice list --json |
        jq -e ".[] | select(.name == \"honest\") | .reconnects == 0 and .timeouts == 0"'
    kill -INT "$busy"
    wait "$busy"
    claim the_honest_volume_saw_no_error grep -q 'err= 0' /run/honest.log
    SLUICE_TIMEOUT=60 sluice detach liar
    SLUICE_TIMEOUT=60 sluice detach honest
    server kill 10811
    server kill 10812
    server run rm -f "$dir"
}

inside() {
    start_daemon
    ask_serverd || die serverd_answers "no serverd at $KERNEL_NIC_SERVER"
    for part in ${SLUICE_PARTS:-real_servers errors requests}; do
        $part
    done
    # shellcheck disable=SC2016
    claim kernel_saw_no_bug bash -c '! dmesg | grep -E "WARNING:|BUG:|blocked for more than|Oops"'
    stop_daemon
}

case ${1:-} in
    inside) inside ;;
    *) NICS=${NICS_NBD:-virtio} in_guests --kernel-nic --server-port 7000 --timeout "${SLUICE_GUEST_S:-880}" ;;
esac
exit $status_all
