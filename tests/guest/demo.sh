#!/usr/bin/env bash
# demo - ./demo --device does the main job where ublk and a NIC are to be had, and its JSON line is what was promised
#
# timeout: 900
#
# ./demo without --device boots a VM and runs the same program in it. So here it is run as on a host with a NIC to spare, in the
# VM, short: kernel nbd stands beside it on a second NIC of the same model.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# The line's shape, as programs that read it may rely on.
shape='
    def figures: (keys_unsorted - ["seconds"]) == ["iops", "mb_s", "p99_us"] and all(.[]; type == "number" and . > 0);
    (keys_unsorted[0:7] == ["nic", "driver", "device", "kernel", "verify_errors", "protected_drops", "reserve"])
    and .driver == "vfio-pci" and (.device | startswith("/dev/ublkb")) and .verify_errors == 0 and .protected_drops == 0
    and (.reserve | .total > 0 and .low_water > 0 and .dips >= 0)
    and (.jobs | has("randread-4k-32") and has("randwrite-4k-32") and has("read-128k-8") and has("write-128k-8"))
    and all(.jobs[], .memory_limited[]; (.sluice | figures) and (.kernel_nbd | figures) and .ratio > 0)
    and (.memory_limited | has("write-128k-8-buffered-64MiB") and has("write-128k-8-direct-64MiB"))'

inside() {
    local status
    ./demo --json --device "$SLUICE_NIC" --server "$URI" --address "$SLUICE_ADDR" --kernel-server "$KERNEL_NIC_SERVER" \
        --runtime 1 --rounds 1 --writer-mib 72 >/run/demo.out
    status=$?
    claim demo_ends_well [ $status -eq 0 ]
    cat /run/demo.out >&2
    claim demo_ends_with_the_line_it_promised jq -e "$shape" <(tail -n 1 /run/demo.out)
    claim demo_leaves_nothing_behind sh -c '! pgrep -x sluiced && ! [ -e /run/sluice-demo.yaml ] && ! [ -e /sys/fs/cgroup/sluice-demo ] &&
        ! ls /dev/ublkb* && ! ls -d /sys/block/nbd*/pid'
    ./demo --device 0000:00:1e.7 --server "$URI" --address "$SLUICE_ADDR" >/run/demo.out
    status=$?
    cat /run/demo.out >&2
    claim demo_without_its_device_fails [ $status -eq 1 ]
    claim demo_tells_a_device_that_is_not_there grep -q '^demo: .*no PCI device 0000:00:1e.7' /run/demo.out
}

case ${1:-} in
    inside) inside ;;
    *)
        ./demo --device 0000:00:10.0 >/dev/null 2>&1
        NIC_NAME=host claim demo_wants_a_server_with_its_device [ $? -eq 2 ]
        in_guests --kernel-nic
        ;;
esac
exit $status_all
