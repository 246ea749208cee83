#!/usr/bin/env bash
# shared - the NIC that storage was given is still the machine's: ping, TCP and iperf3 while fio runs on the device
#
# timeout: 900
#
#      ┌──── host side ──────────────┐          ┌──────────────────── guest ─────────────────────┐
#      │ nbdkit  10.77.0.1           │          │            ┌─▶ /dev/ublkb0 ◀── fio, verified    │
#      │ iperf3, transfer ◀──────────┼── tap ───┼─ NIC ── sluiced                                 │
#      │ transfer ─── to 10.77.0.2 ──┼─▶        │            └─▶ sluice0 ── ping, iperf3, transfer │
#      └─────────────────────────────┘          └────────────────────────────────────────────────┘
#
# Nobody set an address in the guest: the port's own is on sluice0. virtio gives half-made checksums and segments that LRO has
# glued; they must reach the kernel right, and `transfer` checks every byte.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
SERVER='iperf3 -s >/dev/null & tests/net/transfer serve 5001 & (until tests/net/transfer run $SLUICE_GUEST 5002 2; do sleep 0.3; done) & exec nbdkit -f memory 1G'

start_load() {
    fio_begin /run/fio.log --size=64M --bsrange=4k-64k --iodepth=8 --verify_backlog=512
    wait_until 30 has_started || die load_starts "fio finished no request in 30 s"
}
has_started() { [ "$(finished_count)" -gt 100 ]; }
is_up() { ip -br link show sluice0 | grep -q '[<,]UP[,>]'; }
pings() { ping -q -c 3 -i 0.3 -W 10 "$@" "$SLUICE_SERVER"; }

iperf() { # more options: true if it moved something; prints MB/s
    timeout 60 iperf3 -J -t 4 -c "$SLUICE_SERVER" "$@" >/run/iperf.json || return 1
    jq -r --arg way "$*" '"iperf3 \($way): \(.end.sum_received.bits_per_second / 8e6 * 10 | round / 10) MB/s"' /run/iperf.json
    jq -e '.end.sum_received.bytes > 100000' /run/iperf.json >/dev/null
}

inside() {
    local free_before
    start_daemon
    wait_until 10 is_up || die kernel_end_comes_up "$(jq -c '.ports[].exception' /run/status.json)"
    claim kernel_end_has_the_nics_mac grep -qx 52:54:00:77:00:02 /sys/class/net/sluice0/address
    free_before=$(reserve_number free)
    attach
    start_load
    claim kernel_can_ping_out pings
    claim kernel_can_ping_out_in_fragments pings -s 4000
    claim tcp_out_of_the_kernel timeout 60 tests/net/transfer run "$SLUICE_SERVER" 5001 2
    claim tcp_into_the_kernel timeout 60 tests/net/transfer serve 5002
    claim iperf3_out iperf
    claim iperf3_in iperf -R
    claim storage_verifies_all_the_while fio_end "$load"
    grep -E 'read:|write:|err=' /run/fio.log >&2
    claim protected_drops_stay_0 [ "$(counter protected_drops)" = 0 ]
    sluice stats --json | jq -c '.workers[].other' >&2
    detach
    is_back() { [ "$(reserve_number free)" = "$free_before" ]; }
    claim every_mbuf_is_back_after_detach wait_until 20 is_back
    stop_daemon
    claim kernel_end_is_gone_with_the_daemon [ ! -e /sys/class/net/sluice0 ]
}

case ${1:-} in
    inside) inside ;;
    *) in_guests ;;
esac
exit $status_all
