#!/usr/bin/env bash
# errors - what is wrong with a machine is told in one line with its remedy, and nothing is left behind
#
# timeout: 600
#
# Each case is a machine that lacks one thing: ublk, an IOMMU, a NIC handed over, hugepages, locked memory, a second daemon's
# absence. The daemon must end with 1 or 2 and say one line that names the remedy.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

told() { # claim, pattern, command…
    local name=$1 pattern=$2 rc
    shift 2
    timeout 60 "$@" >/run/out 2>/run/err </dev/null
    rc=$?
    grep '^sluiced: ' /run/err >/run/said
    if { [ $rc -eq 1 ] || [ $rc -eq 2 ]; } && [ "$(wc -l </run/said)" -eq 1 ] && grep -Eqi "$pattern" /run/said; then
        ok "$name"
    else
        not_ok "$name" "status $rc, wanted /$pattern/, said: $(cat /run/err)"
    fi
}

daemon=("$(program sluiced)" -c /run/sluice.yaml)

ready_machine() {
    local pages
    start_daemon
    told second_daemon_is_told 'already|running|another' "${daemon[@]}"
    stop_daemon
    pages=$(cat /proc/sys/vm/nr_hugepages)
    echo 0 >/proc/sys/vm/nr_hugepages
    told no_hugepages_is_told 'hugepages' "${daemon[@]}"
    echo "$pages" >/proc/sys/vm/nr_hugepages
    # shellcheck disable=SC2016 # the inner shell expands these
    told locked_memory_limit_is_told 'memlock|ulimit|locked' setpriv --bounding-set -ipc_lock --inh-caps -ipc_lock \
        bash -c 'ulimit -l 64; exec "$0" -c /run/sluice.yaml' "$(program sluiced)"
    claim nothing_is_left_behind test ! -e /run/sluice/control.sock
}

inside() {
    write_config
    case $SLUICE_ERRORS_CASE in
        ready) ready_machine ;;
        no-ublk) told no_ublk_in_the_kernel_is_told 'ublk' "${daemon[@]}" ;;
        no-iommu) told no_iommu_is_told 'iommu' "${daemon[@]}" ;;
        kernel-driver)
            told nic_on_its_kernel_driver_is_told 'vfio-pci' "${daemon[@]}"
            ip route add default via "$SLUICE_SERVER" dev "$SLUICE_NIC_IF"
            told nic_with_the_default_route_is_told 'default route' "${daemon[@]}"
            ;;
    esac
}

run_case() { # case, run's options…
    local case=$1
    shift
    SLUICE_ERRORS_CASE=$case NICS=virtio in_guests "$@"
}

case ${1:-} in
    inside) inside ;;
    *)
        run_case ready
        run_case no-ublk --no-ublk
        run_case no-iommu --no-iommu
        run_case kernel-driver --no-bind
        ;;
esac
exit $status_all
