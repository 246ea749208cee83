#!/usr/bin/env bash
# two-ports - two NICs in two networks, one server on both: attach and takeover go by the port whose network answers
#
# timeout: 600
#
#      nbdkit ◀─┬─ 10.77.0.1  tap ── 10.77.0.2  NIC  on vfio-pci, port a ◀─┬─ sluiced ──▶ /dev/ublkb0 ◀── fio
#               └─ 10.79.0.1  tap ── 10.79.0.2  NIC2 on vfio-pci, port b ◀─┘
#
# The carrier of the first is taken away below a device in use. Its requests are held; the daemon finds that the server answers
# through the second port, starts anew in the same process, and takes both of its devices over, this one through that port. The
# other one, in the second network all the while, has a pause. fio verifies on both, and sees no error.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
SERVER='nbdkit -p 10809 memory 1G; nbdkit -p 10810 memory 1G; exec tests/guest/serverd'

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
    fio_begin /run/fio.log --size=64M --bsrange=4k-64k --verify_backlog=128
    disk_load=$load
    wait_until 60 has_started || die load_starts "fio finished no request"
    other=$(SLUICE_TIMEOUT=60 sluice attach --name other "nbd://$SLUICE_SERVER2:10810/") || die other_attaches "it does not"
    device=$other fio_begin /run/other.log --size=64M --bsrange=4k-64k --verify_backlog=128
    server link down
    begin=$SECONDS
    claim the_other_port_is_asked wait_until 60 \
        grep "no server answers through port a; asking $SLUICE_SERVER2 through port b" /run/sluiced.log
    claim daemon_starts_anew wait_until 60 grep "sluiced starts anew and takes its devices over" /run/sluiced.log
    before=$(finished_count)
    claim device_fails_over_by_the_port_that_reaches_it wait_until 120 serves "$SLUICE_SERVER2:"
    claim io_goes_on_by_the_other_port wait_until 30 moved
    echo "I/O goes on after $((SECONDS - begin)) s" >&2
    claim it_is_the_same_process kill -0 "$daemon_pid"
    claim load_verifies_over_both_ports fio_end "$disk_load"
    claim the_other_device_saw_no_error fio_end "$load"
    tail -n 3 /run/fio.log /run/other.log >&2
    SLUICE_TIMEOUT=60 sluice detach disk >&2
    SLUICE_TIMEOUT=60 sluice detach other >&2
    stop_daemon
}

case ${1:-} in
    inside) inside ;;
    *) NICS=${NICS_PORTS:-virtio} in_guests --kernel-nic --second-nic --hugepages 320 --server-port 7000 --timeout 580 ;;
esac
exit $status_all
