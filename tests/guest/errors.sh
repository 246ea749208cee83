#!/usr/bin/env bash
# errors - what is wrong with a machine is told in one line with its remedy, and nothing is left behind
#
# timeout: 600
#
# Each case is a machine that lacks one thing: ublk, an IOMMU, a NIC handed over, hugepages, locked memory, a second daemon's
# absence. The daemon must end with 1 or 2 and say one line that names the remedy; --check says the same without starting, and
# `sluice doctor` has it among its lines. A server that is no good is told by `sluice attach`, and leaves no device.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
SERVER='
    nbdkit -p 10811 memory 0
    nbdkit -p 10812 memory 511
    nbdkit -p 10814 memory 1000001
    python3 -c "
import socket
server = socket.create_server((\"\", 10813))
while True:
    server.accept()[0].sendall(b\"SSH-2.0-OpenSSH_9.2\\r\\n\")" &
    exec nbdkit -f --filter=exportname memory 64M exportname-strict=true exportname=disk'

# One line of ours on stderr that matches, and status 1 or 2.
told() { # claim, pattern, command…
    local name=$1 pattern=$2 rc
    shift 2
    timeout 120 "$@" >/run/out 2>/run/err </dev/null
    rc=$?
    grep '^sluiced: \|^sluice: ' /run/err >/run/said
    if { [ $rc -eq 1 ] || [ $rc -eq 2 ]; } && [ "$(wc -l </run/said)" -eq 1 ] && grep -Eqi "$pattern" /run/said; then
        ok "$name"
    else
        not_ok "$name" "status $rc, wanted /$pattern/, said: $(cat /run/err)"
    fi
    echo "$name: $(cat /run/said)" >&2
}

daemon=("$(program sluiced)" -c /run/sluice.yaml)

# The same of the daemon, of its --check, and of doctor.
told_by_all() { # what, pattern
    told "${1}_is_told" "$2" "${daemon[@]}"
    told "${1}_is_told_by_check" "$2" "${daemon[@]}" --check
    sluice doctor -c /run/sluice.yaml >/run/out 2>&1
    claim "doctor_fails_for_$1" [ $? -eq 1 ]
    claim "${1}_is_told_by_doctor" grep -Eqi "$2" /run/out
}

attach_told() { # claim, pattern, URI
    told "$1" "$2" "$(program sluice)" attach "$3"
}

bad_servers() {
    local free_before
    free_before=$(reserve_number free)
    attach_told unknown_export_is_told 'no-such-export' "nbd://$SLUICE_SERVER/no-such-export"
    attach_told empty_export_is_told 'size|empty' "nbd://$SLUICE_SERVER:10811/"
    attach_told export_below_a_sector_is_told 'less than one block' "nbd://$SLUICE_SERVER:10812/"
    attach_told server_that_is_not_nbd_is_told 'nbd' "nbd://$SLUICE_SERVER:10813/"
    attach_told refused_connection_is_told 'refused' "nbd://$SLUICE_SERVER:9/"
    attach_told unreachable_server_is_told 'answer|unreachable' nbd://10.77.0.99/
    claim no_device_is_left_behind sh -c '! ls /dev/ublkb*'
    claim no_volume_is_left_behind [ "$(sluice list --json | jq 'length')" -eq 0 ]
    claim no_mbuf_is_left_behind [ "$(reserve_number free)" = "$free_before" ]
}

# An export of 1953 sectors and 65 bytes: the sectors are the device, and the daemon says what is left out.
odd_size() {
    local device
    device=$(sluice attach "nbd://$SLUICE_SERVER:10814/")
    claim odd_size_is_served_to_its_last_sector [ "$(blockdev --getsize64 "$device")" -eq $((1953 * 512)) ]
    claim bytes_left_out_are_told grep -q 'the last 65 bytes of the export are not served' /run/sluiced.log
    sluice detach "$device"
}

ready_machine() {
    local pages
    claim doctor_finds_nothing_wrong sluice doctor -c /run/sluice.yaml
    claim check_finds_nothing_wrong "${daemon[@]}" --check
    start_daemon
    told second_daemon_is_told 'already|running|another' "${daemon[@]}"
    bad_servers
    odd_size
    stop_daemon
    pages=$(cat /proc/sys/vm/nr_hugepages)
    claim every_hugepage_is_free_again [ "$(awk '/HugePages_Free/ { print $2 }' /proc/meminfo)" -eq "$pages" ]
    echo 0 >/proc/sys/vm/nr_hugepages
    told_by_all no_hugepages 'nr_hugepages'
    echo "$pages" >/proc/sys/vm/nr_hugepages
    # shellcheck disable=SC2016 # the inner shell expands these
    told locked_memory_limit_is_told 'ulimit' setpriv --bounding-set -ipc_lock --inh-caps -ipc_lock \
        bash -c 'ulimit -l 64; exec "$0" -c /run/sluice.yaml' "$(program sluiced)"
}

# Each takes one thing away and gives it back; a machine without an IOMMU is one that booted so.
without_ublk() {
    modprobe -r ublk_drv
    echo 'install ublk_drv /bin/false' >/etc/modprobe.d/without.conf
    told_by_all no_ublk_in_the_kernel 'ublk'
    rm /etc/modprobe.d/without.conf
    modprobe ublk_drv
}

on_its_kernel_driver() {
    local nic=/sys/bus/pci/devices/$SLUICE_NIC interface
    echo >"$nic/driver_override"
    echo "$SLUICE_NIC" >"$nic/driver/unbind"
    echo "$SLUICE_NIC" >/sys/bus/pci/drivers_probe
    wait_until 10 eval 'ls "$nic"/virtio*/net/*' >/dev/null 2>&1 || die nic_goes_to_its_kernel_driver "it has no interface"
    interface=$(basename "$nic"/virtio*/net/*)
    ip link set "$interface" up
    ip addr add "$SLUICE_ADDR" dev "$interface"
    told_by_all nic_on_its_kernel_driver 'driver_override'
    ip route add default via "$SLUICE_SERVER" dev "$interface"
    told_by_all nic_with_the_default_route 'default route'
}

inside() {
    local case
    write_config
    for case in $SLUICE_ERRORS_CASES; do
        case $case in
            ready) ready_machine ;;
            no-ublk) without_ublk ;;
            kernel-driver) on_its_kernel_driver ;;
            no-iommu) told_by_all no_iommu 'intel_iommu=on' ;;
        esac
        # shellcheck disable=SC2016
        claim "nothing_is_left_behind_on_$case" sh -c '! pgrep -x sluiced && ! [ -e /run/sluice/control.sock ] &&
            ! ls /dev/hugepages/*'
    done
}

case ${1:-} in
    inside) inside ;;
    *)
        export NICS=virtio
        SLUICE_ERRORS_CASES='ready no-ublk kernel-driver' in_guests
        SLUICE_ERRORS_CASES=no-iommu in_guests --no-iommu
        ;;
esac
exit $status_all
