#!/usr/bin/env bash
# swap - a machine of 1 GiB that swaps to /dev/ublkb0, through a storm, finishes and finds every word again
#
# timeout: 900
#
# The case Sluice exists for: the kernel frees memory by writing to a device whose answers need memory. Sixteen processes
# write more than there is and read it back (swap_storm), on the device of sluiced and, with the word "nbd" in SLUICE_STORMS,
# on the kernel's own nbd over a second NIC of the same model in the same boot; quiet, and under 20,000 UDP packets a second
# of 1400 bytes that nobody asked for, to the NIC that carries the swap. The flooder is `nice`: where the host has no processor to
# spare, the machine must not be given a flood for a whole one and the time of half a one. What was sent is told.
#
# A flood costs twice: the host, which makes it and has QEMU read it, and the guest, which takes it in. With the word "passing" the
# same flood goes to a neighbour's MAC address: QEMU reads each packet and its filter drops it. So passing to quiet is the host's part,
# which no code of ours can save, and flood to passing is ours.
#
# Two storms a minute apart differ by a third when the machine below has other guests. With "pulsed" or "pulsed-passing" the flood comes
# and goes within one storm, and what is told is the pace of swapping with it and without (pulse.c): that is how to measure what it costs.
#
# The machine has no ERMS. With it the kernel clears a page by `rep stosb`, which TCG does byte by byte; and if the page held code before,
# as those of programs that were pushed out did, TCG looks through all it had translated of it at each of the 4096. Both processors
# were seen to do nothing else for 29 s on end, and no timer came. By words it is an eighth.
#
# The storm's own watchdog says "stuck at …" when nothing moves; if the whole machine stops, the run is ended from outside,
# and the last word on the console tells how far it came. tests/soak/swap.sh does this ten times beside the kernel's nbd.
# shellcheck source=tests/guest/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../guest/lib.sh"
export SLUICE_STORMS=${SLUICE_STORMS:-ours:quiet ours:flood}
export SLUICE_STORM_MIB=${SLUICE_STORM_MIB:-900}
export SLUICE_STORM_STALL=${SLUICE_STORM_STALL:-30}
MEM=${MEM:-1024}
FLOOD='--rate=20000 --bytes=1400 --limit=1200'
NEIGHBOUR=02:00:00:00:00:99

# ---- in the guest ----

say() { echo "swap: $*" | tee /dev/console; }

flood_while() { # nic|knic|passing, command…
    : >"$SLUICE_OUT/flood-$1"
    "${@:2}"
    local status=$?
    rm "$SLUICE_OUT/flood-$1"
    return $status
}

# Seconds on a processor and in wait for one, of each thread of the daemon; and what both processors did, in ticks.
tell_processors() {
    local task
    for task in /proc/"${daemon_pid:-none}"/task/*; do
        [ ! -r "$task/schedstat" ] || echo "$(<"$task/comm") $(awk '{ printf "ran %.1f waited %.1f", $1 / 1e9, $2 / 1e9 }' "$task/schedstat")"
    done
    grep -h '^cpu ' /proc/stat
}

storm() { # label, device, command before it…; and pulse, more options of swap_storm
    local label=$1 swap=$2 line status
    shift 2
    mkswap "$swap" >/dev/null 2>&1 && swapon "$swap" || { say "$label stuck at swapon"; return 1; }
    tell_processors | tr '\n' ',' >&2
    "$@" "$(program swap_storm)" --mib="$SLUICE_STORM_MIB" --stall="$SLUICE_STORM_STALL" --blocked "${pulse[@]}" >/run/storm
    status=$?
    line=$(grep -E '^(finished|stuck|spoilt)' /run/storm)
    { grep -h 'pswp' /proc/vmstat; tell_processors; } | tr '\n' ',' >&2
    say "$label $line"
    [ ${#pulse[@]} -eq 0 ] || say "$label $(tail -n 1 /run/storm)"
    [ $status -eq 0 ] || return $status
    timeout 180 swapoff "$swap" || { say "$label stuck at swapoff"; return 1; }
}

was_rationed() {
    [ "$(counter shortages)" -gt 0 ] && sluice stats | awk '/\.other\.rationed / { n += $2 } END { exit !n }'
}

ours() { # quiet|passing|flood|pulsed|pulsed-passing
    local before=() pulse=() seen
    case $1 in
        flood) before=(flood_while nic) ;;
        passing) before=(flood_while passing) ;;
        pulsed) pulse=(--pulse="$SLUICE_OUT/flood-nic") ;;
        pulsed-passing) pulse=(--pulse="$SLUICE_OUT/flood-passing") ;;
    esac
    attach
    seen=$(counter rx_packets)
    claim "storm_finishes_$1" storm "ours $1" "$device" "${before[@]}"
    claim "protected_drops_stay_0_$1" [ "$(counter protected_drops)" = 0 ]
    [ "$1" != flood ] || claim other_traffic_is_rationed_while_memory_is_short was_rationed
    # Counted by the worker and by net, so each packet of the storage twice.
    [[ $1 != *passing ]] || claim passing_flood_does_not_come_in [ $(($(counter rx_packets) - seen)) -lt 200000 ]
    detach
}

theirs() { # quiet|flood|pulsed
    local before=() pulse=()
    case $1 in
        flood) before=(flood_while knic) ;;
        pulsed) pulse=(--pulse="$SLUICE_OUT/flood-knic") ;;
    esac
    nbd-client "$KERNEL_NIC_SERVER" 10809 /dev/nbd0 -N disk -swap >&2 || die nbd_connects "nbd-client failed"
    storm "nbd $1" /dev/nbd0 "${before[@]}" || status_all=1
    nbd-client -d /dev/nbd0 >&2
}

inside() {
    local one has_daemon=0
    for one in $SLUICE_STORMS; do
        if [ "${one%:*}" = ours ]; then
            [ $has_daemon -eq 1 ] || start_daemon
            has_daemon=1
            ours "${one#*:}"
        else
            # Nothing of sluiced is left but its hugepages: the storm finds the same memory on either device.
            [ $has_daemon -eq 0 ] || stop_daemon
            has_daemon=0
            theirs "${one#*:}"
        fi
    done
    [ $has_daemon -eq 0 ] || stop_daemon
}

# ---- on the host ----

outside() {
    local out server flood options=(--no-erms --mem "$MEM" --hugepages "${HUGEPAGES:-128}" --timeout "${GUEST_TIMEOUT:-860}")
    out=$(mktemp -d "${TMPDIR:-/tmp}/sluice-swap.XXXXXX")
    flood=$(program udp_flood)
    server="exec >$out/server 2>&1; ip neigh replace 10.77.0.99 lladdr $NEIGHBOUR dev nic nud permanent; nbdkit -f memory 4G &
        nice $flood --to=10.77.0.2 $FLOOD --while=$out/flood-nic & nice $flood --to=10.77.0.99 $FLOOD --while=$out/flood-passing &
        nice $flood --to=10.78.0.2 $FLOOD --while=$out/flood-knic & wait"
    [[ $SLUICE_STORMS != *nbd:* ]] || options+=(--kernel-nic)
    "$root/tests/guest/run" "${options[@]}" --out "$out" --console "$out/console" --server "$server" \
        -- bash tests/pressure/swap.sh inside || not_ok swap_storms_end "status $?"
    tr -d '\r' <"$out/console" | grep '^swap:' >&2
    cat "$out/server" >&2
    [ -z "${KEEP:-}" ] || cp "$out/console" "$KEEP"
    rm -rf "$out"
}

case ${1:-} in
    inside) inside ;;
    *) outside ;;
esac
exit $status_all
