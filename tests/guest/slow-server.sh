#!/usr/bin/env bash
# slow-server - a deadline watches for silence: partition scan, zeroing and a full queue on servers that need longer than any deadline
#
# timeout: 400
#
# Three servers: each read of two partitions takes 3 s; each zeroing of 128 MiB half a second, one after the other; 20 MB/s, as a hard disk. All
# deadlines of the volumes are shorter than what the whole takes, and longer than the time between two answers. A fourth export
# writes down what has come for the first one's port: resets, FINs.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
SERVER='
    halves=$(mktemp -d); truncate -s 16M "$halves/a" "$halves/b"
    nbdkit -p 10811 --filter=delay partitioning "$halves/a" "$halves/b" partition-type=gpt rdelay=3
    nbdkit -p 10812 eval get_size="echo 8G" thread_model="echo serialize_requests" can_write="exit 0" can_zero="echo native" \
        can_flush="exit 0" pread="head -c \$3 /dev/zero" pwrite="cat >/dev/null" zero="sleep 0.5" flush="exit 0"
    nft "add table inet ends; add counter inet ends rst; add counter inet ends fin
        add chain inet ends in { type filter hook input priority 0; }
        add rule inet ends in tcp dport 10811 tcp flags & rst != 0 counter name rst
        add rule inet ends in tcp dport 10811 tcp flags & fin != 0 counter name fin"
    nbdkit -p 10814 eval get_size="nft -j list counters >$SLUICE_OUT/ends; echo 512" pread="head -c \$3 /dev/zero"
    exec nbdkit -f --filter=rate memory 2G rate=160M'

list() { # name, jq expression
    sluice list --json | jq -e --arg name "$1" ".[] | select(.name == \$name) | $2"
}
device_of() { list "$1" .device | tr -d '"'; }
is_there() { [ -b "$(device_of "$1")" ]; }
untroubled() { list "$1" '[.reconnects, .timeouts, .replayed] | debug | add == 0'; }

# Runs a command; ok if it ends well, and its time was longer than what is to be outlived.
outlives() { # seconds, command…
    local begin=$SECONDS least=$1
    shift
    "$@" || return 1
    echo "it took $((SECONDS - begin)) s"
    [ $((SECONDS - begin)) -gt "$least" ]
}

partition_scan() {
    claim attach_outlives_a_partition_scan_of_3_s_a_read outlives 10 \
        eval 'SLUICE_TIMEOUT=110 sluice attach "nbd://$SLUICE_SERVER:10811/" --name scan'
    claim its_partitions_are_there [ -b "$(device_of scan)p2" ]
    claim slow_scan_costs_no_connection untroubled scan
    claim device_with_slow_reads_detaches eval 'SLUICE_TIMEOUT=60 sluice detach scan'
}

ends() { # rst or fin: how many came since the network was made
    sluice probe "nbd://$SLUICE_SERVER:10814/" >/dev/null || return
    jq --arg name "$1" '.nftables[] | .counter? // empty | select(.name == $name) | .packets' "$SLUICE_OUT/ends"
}
is_waiting() { awk '{ exit !($1 + $2 > 0) }' "/sys/block/$(basename "$1")/inflight"; }
fins_are_more() { [ "$(ends fin)" -gt "$1" ]; }

# A read is in flight for 3 s, and in its first moment the device is taken away.
forced_detach() {
    local device fins reader
    SLUICE_TIMEOUT=110 sluice attach "nbd://$SLUICE_SERVER:10811/" --name forced >/dev/null || die forced_attach "it failed"
    device=$(device_of forced)
    fins=$(ends fin)
    dd if="$device" of=/dev/null bs=4k count=1 skip=1000 iflag=direct status=none 2>/run/said &
    reader=$!
    wait_until 5 is_waiting "$device"
    claim device_in_use_detaches_by_force eval 'SLUICE_TIMEOUT=60 sluice detach forced --force'
    claim its_reader_got_an_error eval '! wait $reader'
    claim detach_by_force_ends_with_fin wait_until 20 fins_are_more "$fins"
    claim no_connection_was_reset [ "$(ends rst)" -eq 0 ]
}

zeroing() {
    claim blkdiscard_z_of_8_GiB_outlives_all_deadlines outlives 15 timeout 120 blkdiscard -z "$(device_of zero)"
    claim zeroing_costs_no_connection untroubled zero
}

# 1 GiB waits in the queue at a time. nbdkit works at 16 requests side by side, so one of them may take 3 s.
full_queue() {
    local kernel_name
    kernel_name=$(basename "$(device_of deep)")
    echo 4096 >"/sys/block/$kernel_name/queue/max_sectors_kb"
    claim queue_of_256_times_4_MiB_outlives_all_deadlines outlives 15 timeout 200 fio --name=deep --filename="/dev/$kernel_name" \
        --direct=1 --ioengine=io_uring --iodepth=256 --bs=4m --rw=write --size=1g --output=/run/deep.txt
    claim full_queue_costs_no_connection untroubled deep
    claim reads_of_a_full_queue_outlive_all_deadlines outlives 10 timeout 200 fio --name=deep --filename="/dev/$kernel_name" \
        --direct=1 --ioengine=io_uring --iodepth=256 --bs=4m --rw=read --size=320m --output=/run/deep.txt
    claim reads_of_a_full_queue_cost_no_connection untroubled deep
}

volume() { # name, port, deadline of a request, more keys
    printf '  - {name: %s, uri: "nbd://%s:%s/", request_timeout: %s, on_dead: fail, dead_timeout: 3s%s}\n' "$1" "$SLUICE_SERVER" "$2" "$3" "$4"
}

inside() {
    start_daemon volumes: "$(volume zero 10812 3s '')" "$(volume deep 10809 10s ', queue_depth: 256, io_size_max: 4M')"
    wait_until 30 is_there zero || die zero_is_attached "it is not"
    wait_until 30 is_there deep || die deep_is_attached "it is not"
    zeroing & # each waits for a server of its own
    zeroing=$!
    full_queue &
    full_queue=$!
    partition_scan
    forced_detach
    wait "$zeroing" "$full_queue"
    stop_daemon
}

case ${1:-} in
    inside) inside ;;
    *)
        out=$(mktemp -d)
        trap 'rm -rf "$out"' EXIT
        NICS=virtio in_guests --mem 6144 --hugepages 1600 --out "$out"
        ;;
esac
exit $status_all
