#!/usr/bin/env bash
# lifecycle - devices come and go under load, by the dozen and on two ports, and leave nothing behind
#
# timeout: 900
#
# One device is under fio all the time while others are attached, used and detached beside it, SLUICE_CYCLES times (tests/guest/cycler);
# then sixteen at once; then one on each of two NICs; then one that is mounted. What a cycle leaks, be it an mbuf, an owner, a
# descriptor, a local port or a piece of hugepage memory, would show in the comparisons around it.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
export NICS=${NICS_LIFECYCLE:-virtio}
CYCLES=${SLUICE_CYCLES:-15}
SERVER='nbdkit -f memory 1G & nbdkit -f -p 10810 memory 64M & exec nbdkit -f -p 10811 -i 10.79.0.1 memory 256M'
MANY=16

attach_named() { # name, URI: prints the device
    SLUICE_TIMEOUT=60 sluice attach "$2" --name "$1"
}

detach_named() { # name, options…
    SLUICE_TIMEOUT=60 sluice detach "$@" >&2
}

owners() { sluice reserve --json | jq '[.[].owners | length] | add'; }
descriptors() { find "/proc/$daemon_pid/fd" -mindepth 1 | wc -l; }
resident_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$daemon_pid/status"; }
devices() { find /dev -maxdepth 1 -name 'ublkb*' | wc -l; }
ledger_adds_up() { # free + used == total in every pool
    sluice reserve --json | jq -e 'all(.free + ([.owners[] | select(.parent == -1) | .used] | add) == .total)'
}

cycle() { # count: devices come, are written and read, go
    timeout 3000 tests/guest/cycler "$RUN_DIR/control.sock" "nbd://$SLUICE_SERVER:10810/" "$1" >&2
}

fio_load() { # writes and reads back, again and again, until it is enough
    until [ -e /run/enough ]; do
        fio_verify --size=8M --rate_iops=100 || return 1
    done
}

cycles() {
    local begin load fds owners kib
    attach
    fio_load >/run/fio.log 2>&1 &
    load=$!
    cycle 1 || die first_cycle_passes "it did not"
    fds=$(descriptors) owners=$(owners) kib=$(resident_kib)
    begin=$SECONDS
    cycle "$CYCLES" || die every_cycle_passes "one did not"
    touch /run/enough
    ok "devices_come_and_go_${CYCLES}_times_under_load"
    echo "$CYCLES cycles in $((SECONDS - begin)) s" >&2
    claim cycles_leave_no_descriptor [ "$(descriptors)" -le "$fds" ]
    echo "resident before and after: $kib and $(resident_kib) KiB" >&2
    claim cycles_leave_no_memory [ "$(resident_kib)" -le $((kib + 256)) ]
    claim cycles_leave_no_owner [ "$(owners)" -eq "$owners" ]
    claim load_beside_them_saw_no_error wait $load
    claim ledger_adds_up ledger_adds_up
    detach
}

many() {
    local n dev pids=() devs=() failed=0
    for ((n = 0; n < MANY; n++)); do
        dev=$(attach_named "many$n" "nbd://$SLUICE_SERVER:10809/") || break
        devs+=("$dev")
    done
    claim "${MANY}_devices_are_there_at_once" [ ${#devs[@]} -eq $MANY ]
    # They are one disk, so each reads only; what counts is that all of them move.
    for dev in "${devs[@]}"; do
        timeout 60 fio --name=many --filename="$dev" --direct=1 --ioengine=io_uring --iodepth=4 --rw=randread --bs=4k \
            --number_ios=200 >/dev/null 2>&1 &
        pids+=($!)
    done
    for n in "${!pids[@]}"; do
        wait "${pids[n]}" || { echo "fio on ${devs[n]} ended with $?" >&2; failed=$((failed + 1)); } # 124: not in 60 s
    done
    claim "all_of_${MANY}_devices_move" [ $failed -eq 0 ]
    failed=0
    for ((n = 0; n < ${#devs[@]}; n++)); do detach_named "many$n" || failed=$((failed + 1)); done
    claim "all_of_${MANY}_devices_go" [ "$failed$(devices)" = 00 ]
}

two_ports() {
    local second
    attach
    second=$(attach_named second "nbd://$SLUICE_SERVER2:10811/") || die device_on_the_second_port_appears "attach failed"
    claim both_ports_verify_at_once timeout 200 fio --direct=1 --ioengine=io_uring --iodepth=8 --rw=randrw --bsrange=4k-128k \
        --verify=crc32c --verify_fatal=1 --verify_state_save=0 --randrepeat=0 --size=16M \
        --name=first --filename="$device" --name=second --filename="$second"
    claim each_port_carries_its_own eval 'sluice status --json | jq -e "[.ports[].rx_packets] | length == 2 and all(. > 500)"'
    detach_named second || die device_on_the_second_port_goes "detach failed"
    detach
}

mounted() {
    attach
    mkfs.ext4 -q "$device" && mkdir -p /run/mnt && mount "$device" /run/mnt || die mounts "mkfs or mount failed"
    refused() { ! detach_named "$VOLUME" 2>/run/err && grep -q 'in use' /run/err; }
    claim detach_of_a_mounted_device_is_refused refused
    claim it_still_works_after_that eval 'cp -r "$root/nbd_client" /run/mnt/ && sync -f /run/mnt && diff -r "$root/nbd_client" /run/mnt/nbd_client'
    forced() { ! timeout 60 "$(program sluice)" detach "$VOLUME" --force 2>/run/err && grep -q 'mounted at /run/mnt' /run/err; }
    claim by_force_its_user_is_named forced
    timeout 30 umount -l /run/mnt
    is_gone() { [ ! -e "$device" ]; }
    claim it_goes_when_its_user_does wait_until 30 is_gone
}

inside() {
    local free total
    mkdir -p "$RUN_DIR"
    start_daemon "  - name: nic2" "    device: \"$SLUICE_NIC2\"" "    address: [\"$SLUICE_ADDR2\"]" "memory: 960M" \
        "reserve: {normal: 45000}" "volumes: []"
    free=$(reserve_number free) total=$(reserve_number total)
    cycles
    many
    two_ports
    claim ledger_adds_up_at_the_end ledger_adds_up
    is_back() { [ "$(reserve_number free)" = "$free" ]; }
    claim every_mbuf_of_both_ports_is_back wait_until 10 is_back
    echo "free $free of $total" >&2
    mounted
    stop_daemon
    claim kernel_has_nothing_to_complain_of eval '! dmesg | grep -E "WARNING:|BUG:|blocked for more than"'
}

case ${1:-} in
    inside) inside ;;
    *) in_guests --second-nic --hugepages 520 --timeout "${SLUICE_GUEST_S:-880}" ;;
esac
exit $status_all
