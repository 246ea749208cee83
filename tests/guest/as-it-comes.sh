#!/usr/bin/env bash
# as-it-comes - /dev/ublkb0 over an interface that the kernel drives, with its address, offloads, sysctls and memory as they are
#
# timeout: 600
#
#      nbdkit ◀── 10.77.0.1  tap ──── 10.77.0.2  virtio_net, e1000e ◀── af_packet ── sluiced ──▶ /dev/ublkb0 ◀── fio
#
# The README's path without a NIC to spare. Nothing is set but the file: no address (it is the kernel's and ours), no offload
# off (GRO is on, the tap offers and takes segments of 64 KiB and half-made checksums), no hugepage. What the daemon needs of the
# host it does itself, and undoes. The kernel's own traffic over that address goes on.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
SERVER='tests/net/transfer serve 5001 & (until tests/net/transfer run $SLUICE_GUEST 5002 2; do sleep 0.3; done) & exec nbdkit -f memory 1G'

write_config() { # the file, whole
    mkdir -p "$RUN_DIR"
    printf 'ports:\n  - name: storage\n    device: af_packet:%s\n' "$SLUICE_NIC_IF" >/run/sluice.yaml
}
# (The kernel makes itself a link-local address when the link comes up, which on e1000e may be later than the first look.)
features() { ethtool -k "$SLUICE_NIC_IF" | grep -v '\[fixed\]'; ip -j addr show dev "$SLUICE_NIC_IF" | jq -c '.[].addr_info | map(select(.scope != "link") | .local)'; }
has_started() { [ "$(finished_count)" -gt 100 ]; }
quiet_tcp() { # no loss that a lossless link would explain by cut or refused frames
    sluice stats --json | jq -e '[.workers[].tcp] | map(.retrans_segs) + [0] | add | debug | . < 200'
}

inside() {
    local before
    claim gro_is_on_as_the_kernel_makes_it eval 'ethtool -k "$SLUICE_NIC_IF" | grep "generic-receive-offload: on"'
    before=$(features)
    start_daemon
    claim doctor_lets_it_pass eval 'sluice doctor -c /run/sluice.yaml >/run/doctor; rc=$?; cat /run/doctor; [ $rc -eq 0 ]'
    claim status_says_partial jq -e '.. | objects | .guarantee? // empty | tostring | test("partial")' /run/status.json
    attach
    fio_verify --size=64M --time_based --runtime=20 --verify_backlog=128 >/run/fio.log 2>&1 &
    load_pid=$!
    wait_until 60 has_started || die load_starts "fio finished no request"
    claim kernel_pings_meanwhile ping -q -c 3 -i 0.3 -W 10 "$SLUICE_SERVER"
    claim tcp_out_of_the_kernel_meanwhile timeout 60 tests/net/transfer run "$SLUICE_SERVER" 5001 2
    claim tcp_into_the_kernel_meanwhile timeout 60 tests/net/transfer serve 5002
    claim load_verifies wait "$load_pid"
    grep -E 'read:|write:|err=' /run/fio.log >&2
    claim nothing_was_resent_for_cut_frames quiet_tcp
    claim protected_drops_stay_0 [ "$(counter protected_drops)" = 0 ]
    detach
    stop_daemon
    claim interface_is_as_it_was [ "$(features)" = "$before" ]
}

case ${1:-} in
    inside) inside ;;
    *) in_guests --no-bind --hugepages 0 ;;
esac
exit $status_all
