#!/usr/bin/env bash
# two-ports - two NICs in two networks, one server on both: attach and takeover go by the port whose network answers
#
# timeout: 600
#
#      nbdkit ◀─┬─ 10.77.0.1  tap ── 10.77.0.2  NIC  on vfio-pci, port a ◀─┬─ sluiced ──▶ /dev/ublkb0 ◀── fio
#               └─ 10.79.0.1  tap ── 10.79.0.2  NIC2 on vfio-pci, port b ◀─┘
#
# The carrier of the first is taken away below a device in use: its requests are held, and the log names the port that would do.
# The next daemon takes the device over through that port, and fio, which was there all the while, verifies.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
SERVER='nbdkit -p 10809 memory 1G; exec tests/guest/serverd'

write_config() {
    mkdir -p "$RUN_DIR"
    printf 'ports:\n  - {name: a, device: "%s", address: "%s", exception: off}\n  - {name: b, device: "%s", address: "%s", exception: off}\n' \
        "$SLUICE_NIC" "$SLUICE_ADDR" "$SLUICE_NIC2" "$SLUICE_ADDR2" >/run/sluice.yaml
}
attached() { # sets device
    device=$(SLUICE_TIMEOUT=110 sluice attach --name disk "nbd://$SLUICE_SERVER/" "nbd://$SLUICE_SERVER2/") && [ -b "$device" ]
}
serves() { sluice list --json | jq -e --arg at "$1" '.[] | select(.name == "disk") | .connections_ready > 0 and (.server | startswith($at))'; }
has_started() { [ "$(finished_count)" -gt 100 ]; }
moved() { [ "$(finished_count)" -gt $((before + 50)) ]; }

inside() {
    ask_serverd || die serverd_answers "no serverd at $KERNEL_NIC_SERVER"
    start_daemon
    server link down
    claim attach_goes_by_the_second_port_when_the_first_network_is_cut attached
    claim the_servers_second_address_serves serves "$SLUICE_SERVER2:"
    SLUICE_TIMEOUT=60 sluice detach disk >&2 || die device_detaches "detach failed"
    server link up
    attached || die attach_by_the_first "attach failed"
    claim the_first_address_serves_where_both_answer serves "$SLUICE_SERVER:"
    fio_verify --size=64M --bsrange=4k-64k --time_based --runtime=60 --verify_backlog=128 >/run/fio.log 2>&1 &
    load=$!
    wait_until 60 has_started || die load_starts "fio finished no request"
    server link down
    claim the_port_that_would_do_is_named wait_until 90 \
        grep "no server answers through port a, and port b reaches $SLUICE_SERVER2: restart sluiced" /run/sluiced.log
    kill -TERM "$daemon_pid"
    wait_until 60 is_gone || die daemon_leaves_the_device "it is still there after 60 s"
    before=$(finished_count)
    start_daemon
    claim next_daemon_takes_it_over_by_the_other_port wait_until 120 serves "$SLUICE_SERVER2:"
    claim io_goes_on_by_the_other_port wait_until 30 moved
    claim load_verifies_over_both_ports wait "$load"
    tail -n 4 /run/fio.log >&2
    SLUICE_TIMEOUT=60 sluice detach disk >&2
    stop_daemon
}

case ${1:-} in
    inside) inside ;;
    *) NICS=${NICS_PORTS:-virtio} in_guests --kernel-nic --second-nic --hugepages 320 --server-port 7000 --timeout 580 ;;
esac
exit $status_all
