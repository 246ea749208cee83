#!/usr/bin/env bash
# ext4 - a file system on /dev/ublkb0 keeps a tree through unmount and remount, on either NIC model
#
# timeout: 900
#
# mkfs brings discards and write-zeroes, the journal brings flushes and FUA, writeback brings whatever the page cache thinks
# of: the mixture no benchmark makes. Requests of all sizes at once also lay packets across the edges of hugepages, which
# e1000e does not read over. The second mount must find every byte, after the page cache was emptied, and fsck
# nothing to mend.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
MOUNT=/run/mount

make_tree() { # small files, many directories, and one file larger than any cache on the way
    mkdir -p /run/tree/small
    cp -r /usr/include/linux /run/tree/small/
    head -c 64M /dev/urandom >/run/tree/large
    ln -s small/linux /run/tree/link
}

inside() {
    start_daemon
    attach
    make_tree
    mkdir -p "$MOUNT"
    claim mkfs_ends_well timeout 120 mkfs.ext4 -q "$device"
    timeout 120 mount "$device" "$MOUNT" || die ext4_mounts "mount failed"
    claim tree_is_copied timeout 200 cp -a /run/tree/. "$MOUNT/"
    claim sync_ends timeout 120 sync -f "$MOUNT"
    timeout 120 umount "$MOUNT" || die ext4_unmounts "umount failed"
    echo 3 >/proc/sys/vm/drop_caches
    claim fsck_finds_nothing timeout 120 e2fsck -fn "$device"
    timeout 120 mount "$device" "$MOUNT" || die ext4_mounts_again "mount failed"
    rmdir "$MOUNT/lost+found"
    claim tree_is_the_same_after_remount timeout 200 diff -r --no-dereference /run/tree "$MOUNT"
    timeout 120 umount "$MOUNT" || die ext4_unmounts_again "umount failed"
    # shellcheck disable=SC2016
    claim kernel_saw_no_io_error bash -c '! dmesg | grep -iE "i/o error|ext4-fs error"'
    detach
    stop_daemon
}

case ${1:-} in
    inside) inside ;;
    *) in_guests ;;
esac
exit $status_all
