#!/usr/bin/env bash
# runner - the VM is what the other guest tests take it for, and leaves nothing behind
#
# timeout: 400
#
# A runner that swallowed a failure would make every guest test pass. So first of all: the exit status and the output of
# COMMAND arrive unchanged, a time limit ends it, and a signal takes namespace, tap and QEMU along. Then what tests rely on
# inside: the NIC on vfio-pci, ublk, the memory controller; and that the poorer machines asked for are really poorer.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
run=tests/guest/run
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0

claim() { # name, command…
    local name=$1
    shift
    if "$@" >&2; then
        echo "ok $name"
    else
        echo "not ok $name"
        echo "$name: does not hold: $*" >&2
        failed=1
    fi
}

says() { # text: what the last run printed contains this line
    grep -qxF -- "$1" "$tmp/out" || { cat "$tmp/out"; return 1; }
}

facts() { # options…: boots, keeps facts about the guest in $tmp/out, sets status
    # shellcheck disable=SC2016
    "$run" "$@" -- bash -c '
        echo "argument $1"
        echo "directory $PWD"
        echo "driver $(basename "$(readlink /sys/bus/pci/devices/$SLUICE_NIC/driver)")"
        echo "groups $(ls /sys/kernel/iommu_groups | wc -w | sed "s/[1-9][0-9]*/some/")"
        [ -c /dev/ublk-control ] && echo "ublk yes" || echo "ublk no"
        grep -qw memory /sys/fs/cgroup/cgroup.subtree_control && echo "memory controller yes"
        modprobe sch_netem && echo "netem yes"
        [ -z "${KERNEL_NIC_SERVER:-}" ] || ping -q -c 3 -i 0.2 "$KERNEL_NIC_SERVER" >/dev/null && echo "server seen"
        exit 7' facts 'two  words' >"$tmp/out" 2>"$tmp/err"
    status=$?
    cat "$tmp/err" >&2
}

# TCG loses a kernel now and then before anything of ours runs: such a boot is tried again, and not for ever. It and a COMMAND that
# outlives its time mostly wait, so they run beside the machines that work.
{
    "$run" --timeout 12 -- sleep 100 >/dev/null 2>&1
    echo $? >"$tmp/limited"
    "$run" --append 'rdinit=/none root=/none' -- true >/dev/null 2>"$tmp/panics"
    echo $? >"$tmp/panicked"
} &
beside=$!
# All of tests/guest, tests/pressure and tests/soak run on NICs as they come: the host's end has every offload that a new tap has.
# shellcheck disable=SC2016
facts --nic virtio --kernel-nic --out "$tmp/host" --server-port 0 --server '
    ip tuntap add dev fresh mode tap vnet_hdr
    for tap in fresh nic knic; do ethtool -k "$tap" | sed 1d >"$SLUICE_OUT/$tap"; done'
claim offloads_of_the_taps_are_as_the_system_makes_them \
    eval 'grep "requested on" "$tmp/host/fresh" && cmp "$tmp/host/fresh" "$tmp/host/nic" && cmp "$tmp/host/fresh" "$tmp/host/knic"'
claim exit_status_is_passed_on [ "$status" -eq 7 ]
claim arguments_arrive_whole says 'argument two  words'
claim directory_is_the_callers says "directory $PWD"
claim virtio_nic_is_on_vfio says 'driver vfio-pci'
claim ublk_is_there says 'ublk yes'
claim memory_controller_is_there says 'memory controller yes'
claim any_module_of_the_kernel_loads says 'netem yes'
claim kernel_nic_reaches_the_server says 'server seen'
facts --nic e1000e
claim e1000e_nic_is_on_vfio says 'driver vfio-pci'
facts --no-iommu --no-ublk
claim machine_without_iommu_has_no_group says 'groups 0'
claim machine_without_ublk_has_no_device says 'ublk no'
wait $beside
claim time_limit_answers_124 [ "$(cat "$tmp/limited")" -eq 124 ]
claim kernel_that_panics_at_boot_answers_125 [ "$(cat "$tmp/panicked")" -eq 125 ]
claim boot_that_panics_is_tried_three_times grep -q 'boot 3 of 3' "$tmp/panics"

mkfifo "$tmp/pipe"
"$run" -- bash -c 'echo up; sleep 100' >"$tmp/pipe" 2>/dev/null &
runner=$!
read -r line <"$tmp/pipe"
kill -TERM "$runner"
wait "$runner"
status=$?
claim guest_speaks_before_it_ends [ "$line" = up ]
claim signal_ends_the_run [ "$status" -eq 143 ]
# shellcheck disable=SC2016
claim nothing_is_left_behind bash -c '! ip netns list | grep -w "sluice-guest-$1" && ! pgrep -f "netns exec sluice-guest-$1 "' \
    _ "$runner"
exit $failed
