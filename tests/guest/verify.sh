#!/usr/bin/env bash
# verify - what is written through /dev/ublkb0 is what is read back, on either NIC model
#
# timeout: 900
#
# The main job of the product: a NIC on vfio-pci, our TCP, NBD, ublk, and an unmodified nbdkit on the other side. fio writes
# blocks of 4k to 256k at random places, with a checksum in each, and reads them back; so a byte out of place anywhere on the
# path is found. Protected drops must stay 0, and detaching must give back every mbuf.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# One read at a time: half of them in less than the 100 ms after which a sleeping worker looks around by itself.
lone_reads_are_quick() {
    timeout 60 fio --name=lone --filename="$device" --direct=1 --ioengine=io_uring --iodepth=1 --rw=randread --bs=4k --size=16M \
        --time_based --runtime=3 --output-format=json >/run/lone.json || return
    jq -e '.jobs[0].read.clat_ns.percentile["50.000000"] / 1e6 | stderr | . < 50' /run/lone.json
}

loop_counter() { SLUICE_TIMEOUT=20 sluice stats --json | jq ".workers[0].loop.$1"; }

# Where nothing tells of a packet an idle worker looks 200 times a second, not thousands; where something does, ten times.
sleeps_are_long() {
    local before
    before=$(loop_counter sleeps)
    sleep 3 # what is watched is that nothing happens
    [ $(($(loop_counter sleeps) - before)) -lt 1200 ]
}

inside() {
    local free_before free_after
    start_daemon
    free_before=$(reserve_number free)
    attach
    claim drivers_of_no_device_here_are_not_loaded sh -c '! grep -q librte_crypto "/proc/$1/maps"' _ "$(pidof sluiced)"
    claim device_size_is_the_exports [ "$(blockdev --getsize64 "$device")" -eq $((1 << 30)) ]
    claim scheduler_is_none grep -q '\[none\]' "/sys/block/$(basename "$device")/queue/scheduler"
    claim randrw_4k_to_256k_verifies fio_verify --size=128M
    claim verify_of_small_blocks_at_depth_64_passes fio_verify --size=24M --bsrange=4k-8k --iodepth=64
    # An interrupt that does not come is seen by nobody but a lone request: it waits for the next look around.
    claim lone_read_does_not_wait_for_a_timer lone_reads_are_quick
    claim worker_rests_under_load [ "$(loop_counter rests)" -gt 100 ]
    claim idle_worker_sleeps_long sleeps_are_long
    claim protected_drops_stay_0 [ "$(counter protected_drops)" = 0 ]
    claim longest_turn_is_kept [ "$(loop_counter max_turn_us)" -gt 0 ]
    detach
    # The ring is filled again on the worker's next turns, not at once.
    is_back() { free_after=$(reserve_number free); [ "$free_after" = "$free_before" ]; }
    if wait_until 10 is_back; then
        ok every_mbuf_is_back_after_detach
    else
        not_ok every_mbuf_is_back_after_detach "free was $free_before, is $free_after"
    fi
    stop_daemon
    ok daemon_ends_on_sigterm
}

case ${1:-} in
    inside) inside ;;
    *) in_guests ;;
esac
exit $status_all
