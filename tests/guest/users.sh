#!/usr/bin/env bash
# users - a device that is in use is kept, however it is used: a plain detach is refused, SIGTERM leaves it to the next daemon
#
# timeout: 600
#
# What a name does not show: the second device of a btrfs, a node of another name, a mount after umount -l, an external journal, a
# loop device on a node that was removed, a mapping whose file was closed. On Linux 7 the kernel itself decides (TRY_STOP_DEV), so
# run it there too: SLUICE_GUEST_KERNEL=7.3 tests/guest/users.sh
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
export NICS=${NICS_USERS:-virtio}
SERVER='nbdkit -f memory 1G & exec nbdkit -f -p 10810 memory 1G'
MNT=/run/mnt
first='' second='' third=''

detach_named() { SLUICE_TIMEOUT=60 sluice detach "$@" >&2; }

is_refused() { # name: and the device is there afterwards
    ! detach_named "$1" 2>/run/err && cat /run/err >&2 && grep -q 'in use' /run/err && [ -b "/dev/${2##*/}" ]
}

attach_two() {
    first=$(SLUICE_TIMEOUT=60 sluice attach "$URI" --name first) || die devices_appear "first: attach failed"
    second=$(SLUICE_TIMEOUT=60 sluice attach "nbd://$SLUICE_SERVER:10810/" --name second) || die devices_appear "second: attach failed"
    for device in "$first" "$second"; do dd if=/dev/zero of="$device" bs=1M count=4 oflag=direct status=none; done
}

btrfs_of_two() {
    mkfs.btrfs -q -f -m raid1 -d raid1 "$first" "$second" >&2 && mount "$first" $MNT || die btrfs_mounts "mkfs or mount failed"
    claim second_device_of_a_btrfs_is_kept is_refused second "$second"
    claim first_device_of_a_btrfs_is_kept is_refused first "$first"
    cp -r "$root/nbd_client" $MNT/ && sync -f $MNT
    kill -TERM "$daemon_pid"
    wait_until 30 is_gone || die sigterm_ends_the_daemon "sluiced is still there"
    claim sigterm_leaves_both_devices_of_a_btrfs [ -b "$first" -a -b "$second" ]
    start_daemon "volumes: []"
    is_served() { sluice list --json | jq -e '[.[] | select(.step == "serving")] | length == 2' >/dev/null; }
    claim both_are_taken_over wait_until 60 is_served
    claim btrfs_is_whole_after_that eval 'diff -r "$root/nbd_client" $MNT/nbd_client && btrfs scrub start -B $MNT >&2 &&
        btrfs device stats --check $MNT >&2'
    umount $MNT
}

another_name() {
    local numbers
    numbers=$(cat "/sys/block/${second##*/}/dev")
    mknod /dev/other b "${numbers%:*}" "${numbers#*:}"
    exec {other}</dev/other
    rm /dev/other
    claim node_of_another_name_keeps_the_device is_refused second "$second"
    exec {other}<&-
}

lazy_umount() {
    mkfs.ext4 -q -F "$second" && mount "$second" $MNT || die ext4_mounts "mkfs or mount failed"
    exec {file}>$MNT/file
    umount -l $MNT
    claim device_is_kept_after_umount_l is_refused second "$second"
    claim its_file_is_still_written eval 'dd if=/dev/urandom bs=64k count=16 conv=fsync status=none >&$file'
    exec {file}>&-
}

journal() {
    wait_until 10 mke2fs -q -F -O journal_dev "$second" 2>/run/mke2fs || die journal_is_made "$(cat /run/mke2fs)"
    mkfs.ext4 -q -F -b 4096 -J device="$second" "$first" && mount "$first" $MNT || die journal_mounts "mkfs or mount failed"
    claim external_journal_keeps_its_device is_refused second "$second"
    umount $MNT
}

loop_device() {
    local loop
    loop=$(losetup -f --show "$second") || die loop_is_bound "losetup failed"
    claim loop_device_keeps_the_device is_refused second "$second"
    losetup -d "$loop"
}

mapping() {
    python3 -c '
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
fd = os.open(sys.argv[1], os.O_RDWR)
assert libc.mmap(None, ctypes.c_size_t(4096), 3, 1, fd, ctypes.c_long(0)) != ctypes.c_void_p(-1).value
os.close(fd)
open("/run/mapped", "w").close()
sys.stdin.read()' "$second" <&"$gate" &
    wait_until 20 [ -e /run/mapped ] || die device_is_mapped "python does not map it"
    claim mapping_without_a_descriptor_keeps_the_device is_refused second "$second"
    kill $!
    wait $! 2>/dev/null
}

plain_file() { # both devices are gone, so the next one is the first again
    echo precious >"$first"
    refused() { ! SLUICE_TIMEOUT=60 sluice attach "nbd://$SLUICE_SERVER:10810/" --name again 2>/run/err && grep -q 'plain file' /run/err; }
    claim plain_file_at_the_path_of_a_device_is_refused refused
    claim its_bytes_are_left_alone [ "$(cat "$first")" = precious ]
    rm "$first"
    claim device_comes_when_the_file_is_gone eval 'SLUICE_TIMEOUT=60 sluice attach "nbd://$SLUICE_SERVER:10810/" --name again &&
        [ -b "$first" ]'
    detach_named again
}

lose_swap() { # last: the kernel keeps a device that is swap, and the answer must say so
    third=$(SLUICE_TIMEOUT=60 sluice attach "nbd://$SLUICE_SERVER:10810/" --name third) || die third_appears "attach failed"
    mkswap "$third" >&2 && swapon "$third" || die swap_is_on "mkswap or swapon failed"
    answer_is_true() {
        detach_named third --force --lose-swap 2>/run/err
        local status=$?
        cat /run/err >&2
        if grep -q "^$third" /proc/swaps; then
            [ $status -eq 1 ] && grep -q 'active swap' /run/err
        else
            [ $status -eq 0 ]
        fi
    }
    claim forced_detach_of_swap_tells_whether_it_is_gone answer_is_true
    swapoff "$third" 2>&1 | head -n 1 >&2
}

swap() {
    mkswap "$second" >&2 && swapon "$second" || die swap_is_on "mkswap or swapon failed"
    claim active_swap_keeps_the_device is_refused second "$second"
    claim refusal_names_the_swap grep -q 'active swap' /run/err
    forced_is_refused() { ! detach_named second --force 2>/run/err && grep -q 'lose-swap' /run/err && grep -q "^$second " /proc/swaps; }
    claim force_does_not_take_active_swap forced_is_refused
    swapoff "$second"
}

inside() {
    mkdir -p $MNT
    mkfifo /run/gate && exec {gate}<>/run/gate
    modprobe -a btrfs loop
    start_daemon "volumes: []"
    attach_two
    btrfs_of_two
    another_name
    lazy_umount
    journal
    loop_device
    mapping
    swap
    claim unused_device_goes eval 'wait_until 10 detach_named second && [ ! -e "$second" ]'
    claim the_other_goes_too eval 'wait_until 10 detach_named first && [ ! -e "$first" ]'
    plain_file
    lose_swap
    stop_daemon
    claim kernel_has_nothing_to_complain_of eval '! dmesg | grep -E "WARNING:|BUG:|blocked for more than|BTRFS error"'
}

case ${1:-} in
    inside) inside ;;
    *) in_guests --hugepages 384 --timeout "${SLUICE_GUEST_S:-580}" ;;
esac
exit $status_all
