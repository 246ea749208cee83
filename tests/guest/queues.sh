#!/usr/bin/env bash
# queues - one block device on two workers of a two-queue NIC: both carry traffic, data verified
#
# timeout: 600
#
# Two processors, two queue pairs, two workers, two connections, two hardware queues of /dev/ublkbN. fio's two jobs are pinned
# to a processor each, so each comes by a queue of its own. A second server allows one connection only: there one worker must
# carry the device, and status must say why. Last the daemon is killed outright below the two-queue device.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
export NICS=virtio
SERVER='nbdkit -f memory 1G & exec nbdkit -f -p 10810 --filter=multi-conn memory 256M multi-conn-mode=disable'

worker_number() { # worker, counter of its loop
    sluice stats --json | jq -e --argjson worker "$1" --arg key "$2" '.workers[$worker].loop[$key]'
}

volume_fact() { # jq filter on the volume
    sluice list --json | jq -e ".[0] | $1"
}

hardware_queues() { find "/sys/block/$(basename "$device")/mq" -mindepth 1 -maxdepth 1 | wc -l; }

pinned_verify() { # more options
    fio_verify --numjobs=2 --cpus_allowed=0,1 --cpus_allowed_policy=split --offset_increment=128M "$@"
}

more_than() { # number, least
    echo "$1 should be more than $2" >&2
    [ "$1" -gt "$2" ]
}

two_workers() {
    local before=() w
    attach
    claim device_has_a_hardware_queue_for_each_worker [ "$(hardware_queues)" -eq 2 ]
    claim two_connections_serve volume_fact '.workers == 2 and .connections_ready == 2 and .connections_astray == 0'
    for w in 0 1; do before[w]=$(worker_number $w rx_packets); done
    claim pinned_jobs_verify_on_two_workers pinned_verify --size=48M
    for w in 0 1; do
        claim "queue_${w}_carries_traffic" more_than $(($(worker_number $w rx_packets) - before[w])) 500
    done
    claim hardly_a_packet_strays eval "! more_than $(($(worker_number 0 stray_out) + $(worker_number 1 stray_out))) 500"
    claim no_stray_is_lost [ $(($(worker_number 0 stray_lost) + $(worker_number 1 stray_lost))) -eq 0 ]
    # Longer than a switch remembers a flow: the first packets after it may come to the wrong queue, and must not be lost.
    sleep 5
    claim device_is_there_after_a_silence timeout 20 dd if="$device" of=/dev/null bs=1M count=16 iflag=direct status=none
    claim protected_drops_stay_0 [ "$(counter protected_drops)" = 0 ]
    detach
}

pinned_load() { # again and again, until it is enough: fio's own --loops finds fault with any disk
    until [ -e /run/enough ]; do
        pinned_verify --size=8M || return 1
    done
}

# Killed outright with I/O on both queues: the next daemon takes both over, each by a worker of its own, or neither.
taken_over() {
    local load before
    attach
    serves_by_two() { volume_fact '.step == "serving" and .workers == 2 and .connections_ready == 2' >/dev/null 2>&1; }
    both_have_carried() { [ "$(worker_number 0 rx_packets)" -gt 500 ] && [ "$(worker_number 1 rx_packets)" -gt 500 ]; }
    wait_until 30 serves_by_two || die two_workers_serve_again "$(sluice list)"
    pinned_load >/run/fio.log 2>&1 &
    load=$!
    before=$(finished_count)
    moved() { [ "$(finished_count)" -gt $((before + 200)) ]; }
    wait_until 60 moved || die io_moves_before_the_kill "it stands still"
    kill -KILL "$daemon_pid"
    wait "$daemon_pid" 2>/dev/null
    "$(program sluiced)" -c /run/sluice.yaml >>/run/sluiced.log 2>&1 &
    daemon_pid=$!
    wait_until 120 is_answering || die daemon_starts_again "no answer to status within 120 s"
    claim both_queues_are_taken_over wait_until 60 serves_by_two
    claim both_queues_carry_traffic_after_it wait_until 60 both_have_carried
    touch /run/enough
    claim pinned_jobs_saw_no_error_and_no_wrong_byte wait "$load"
    grep -h 'err=' /run/fio.log >&2
    detach
}

one_worker() {
    URI=nbd://$SLUICE_SERVER:10810/ VOLUME=vol0
    device=$(SLUICE_TIMEOUT=60 sluice attach "$URI" --name vol0) || die device_of_one_connection_appears "attach failed"
    claim one_connection_means_one_queue [ "$(hardware_queues)" -eq 1 ]
    claim status_says_why_one_worker volume_fact '.workers == 1 and (.spread | test("CAN_MULTI_CONN"))'
    claim pinned_jobs_verify_on_one_worker pinned_verify --size=16M
    detach
}

inside() {
    local free_before free_after
    start_daemon '    queues: 2'
    free_before=$(reserve_number free)
    two_workers
    one_worker
    URI=nbd://$SLUICE_SERVER/disk VOLUME=disk
    taken_over
    is_back() { free_after=$(reserve_number free); [ "$free_after" = "$free_before" ]; }
    claim every_mbuf_is_back wait_until 10 is_back
    stop_daemon
    claim kernel_has_nothing_to_complain_of eval '! dmesg | grep -E "WARNING:|BUG:|blocked for more than|I/O error"'
}

case ${1:-} in
    inside) inside ;;
    *) in_guests --queues 2 "$@" ;;
esac
exit $status_all
