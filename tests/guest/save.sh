#!/usr/bin/env bash
# save - a device attached with --save comes back with the next daemon, and a reload touches no device in use
#
# timeout: 600
#
# On the device itself, while fio verifies: attach --save writes a file of the volume, a reload of an unchanged configuration
# leaves its device alone, a volume attached without --save is kept by a reload and written by `save`. The next daemon, started
# after a detach of all at SIGTERM, attaches what was saved. detach --save removes the file.
NICS=${NICS:-virtio} # what is shown here does not depend on the NIC
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
SAVED=/run/sluice-volumes

serves() { sluice list --json | jq -e --arg name "$1" '.[] | select(.name == $name) | .step == "serving"' >/dev/null; }
device_of() { sluice list --json | jq -r --arg name "$1" '.[] | select(.name == $name) | .device'; }

start_load() {
    fio --name=v --filename="$device" --direct=1 --rw=randrw --bs=4k --iodepth=8 --ioengine=io_uring --size=64m \
        --verify=crc32c --time_based --runtime=12 --output=/run/fio.log &
    fio_pid=$!
    wait_until 20 eval '[ "$(awk "{ print \$1 }" "/sys/block/$(basename "$device")/stat")" -gt 100 ]' ||
        die load_runs "fio reads nothing"
}

inside() {
    mkdir -p "$SAVED"
    start_daemon "volumes_dir: $SAVED"
    device=$(SLUICE_TIMEOUT=60 sluice attach --name kept --save "$URI") || die attach_with_save "attach failed"
    claim attach_with_save_writes_a_file test -s "$SAVED/kept.yaml"
    start_load
    claim reload_of_what_is_unchanged_ends_well sluice reload
    claim reload_leaves_the_device serves kept
    claim load_verifies_over_the_reload wait "$fio_pid"
    SLUICE_TIMEOUT=60 sluice attach --name later "$URI" >/run/later || die second_device "attach failed"
    claim volume_without_save_has_no_file test ! -e "$SAVED/later.yaml"
    claim reload_keeps_what_was_attached_by_hand eval 'sluice reload >&2 && serves later'
    claim save_writes_it eval 'sluice save later >&2 && test -s "$SAVED/later.yaml"'
    stop_daemon
    claim devices_go_with_the_daemon test ! -b "$device"
    start_daemon "volumes_dir: $SAVED"
    claim saved_volumes_come_back wait_until 60 eval 'serves kept && serves later'
    device=$(device_of kept)
    claim data_can_be_read_again dd if="$device" of=/dev/null bs=1M count=16 iflag=direct status=none
    claim detach_with_save_removes_the_file \
        eval 'SLUICE_TIMEOUT=60 sluice detach kept --save >&2 && test ! -e "$SAVED/kept.yaml"'
    claim detach_alone_keeps_the_file eval 'SLUICE_TIMEOUT=60 sluice detach later >&2 && test -s "$SAVED/later.yaml"'
    stop_daemon
}

case ${1:-} in
    inside) inside ;;
    *) in_guests ;;
esac
exit $status_all
