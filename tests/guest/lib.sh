# shellcheck shell=bash
# lib - what the guest tests share
#
# A guest test is one script with two halves. On the host it boots a VM for each NIC model and runs itself in there with
# "inside" as first argument; inside, it starts the daemon on $SLUICE_NIC and makes its claims. So the picture is always this:
#
#      nbdkit ◀── 10.77.0.1  tap ────── 10.77.0.2  NIC on vfio-pci ◀── sluiced ──▶ /dev/ublkb0 ◀── fio, ext4
#      └──── network namespace of the run ────┘└──────────────────── guest ───────────────────────────────┘
#
# Claims go to stdout in the words ./check counts; everything else goes to stderr. Every wait has a deadline: a device that
# hangs puts its user to sleep for good, and then the VM is simply ended.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$root/build}
export BUILD
cd "$root" || exit 1

# ---- on the host ----

NICS=${NICS:-virtio e1000e}
SERVER=${SERVER:-nbdkit -f memory 1G}
status_all=0

# Boots one VM per NIC model; arguments go to tests/guest/run.
in_guests() { # run's options…
    local nic
    for nic in $NICS; do
        "$root/tests/guest/run" --nic "$nic" --server "$SERVER" "$@" -- bash "tests/guest/$(basename "$0")" inside || status_all=1
    done
}

# ---- in the guest ----

RUN_DIR=/run/sluice
URI=nbd://${SLUICE_SERVER:-}/disk
VOLUME=disk
NIC_NAME=${SLUICE_NIC_MODEL:-}
daemon_pid='' device=''

ok() { echo "ok ${1}_on_$NIC_NAME"; }

not_ok() { # claim, why
    echo "not ok ${1}_on_$NIC_NAME"
    echo "$1: ${2:-}" >&2
    status_all=1
}

claim() { # claim, command…
    local name=$1
    shift
    if "$@" >&2; then
        ok "$name"
    else
        not_ok "$name" "does not hold: $*"
    fi
}

die() { # claim, why: nothing further makes sense
    not_ok "$1" "$2"
    [ ! -s /run/sluiced.log ] || { echo "sluiced said:"; tail -n 30 /run/sluiced.log; } >&2
    echo w >/proc/sysrq-trigger # who waits, and where
    dmesg | tail -n "${DIE_LINES:-15}" >&2
    exit 1
}

program() { # name: prints its path in the build directory
    local room
    for room in cli daemon; do # a search of the whole directory over 9p takes longer than what is asked for
        [ ! -x "$BUILD/$room/$1" ] || { echo "$BUILD/$room/$1"; return; }
    done
    find "$BUILD" -type f -name "$1" -perm -100 -print -quit
}

sluice() { timeout "${SLUICE_TIMEOUT:-20}" "$(program sluice)" "$@"; }

wait_until() { # seconds, command…: polls, because what it waits for lies in other processes' hands
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

write_config() { # more lines of YAML
    mkdir -p "$RUN_DIR"
    {
        printf 'ports:\n  - name: nic\n    device: "%s"\n    address: ["%s"]\n' "$SLUICE_NIC" "$SLUICE_ADDR"
        printf '%s\n' "$@"
    } >/run/sluice.yaml
}

is_answering() {
    kill -0 "$daemon_pid" 2>/dev/null || die daemon_starts "sluiced ended"
    SLUICE_TIMEOUT=5 sluice status --json >/run/status.json 2>/dev/null
}

start_daemon() { # more lines of YAML
    [ -n "$(program sluiced)" ] || die daemon_starts "no sluiced in $BUILD"
    write_config "$@"
    "$(program sluiced)" -c /run/sluice.yaml >/run/sluiced.log 2>&1 &
    daemon_pid=$!
    wait_until 120 is_answering || die daemon_starts "no answer to status within 120 s"
}

attach() { # sets device
    device=$(SLUICE_TIMEOUT=60 sluice attach "$URI") || die device_appears "attach failed"
    [ -b "$device" ] || die device_appears "attach printed \"$device\", which is no block device"
    echo "attached $device" >&2
}

detach() {
    SLUICE_TIMEOUT=60 sluice detach "$VOLUME" >&2 || die device_detaches "detach failed"
    [ ! -e "$device" ] || die device_detaches "$device is still there"
}

no_owner_over_limit() { # shows those that were
    sluice reserve --json | jq -e '[.[] | .pool as $pool | .owners[] | select(.limit > 0 and .peak > .limit)
        | "\($pool) \(.owner): \(.peak) of \(.limit)"] | if . == [] then true else (debug | false) end' >&2
}

stop_daemon() {
    claim no_owner_held_more_than_its_limit no_owner_over_limit
    kill -TERM "$daemon_pid"
    wait_until 30 is_gone || die daemon_stops "sluiced is still there 30 s after SIGTERM"
    wait "$daemon_pid"
}

is_gone() { ! kill -0 "$daemon_pid" 2>/dev/null; }

# A number of the reserve: free, total, low_water, dips; of all pools together.
reserve_number() { # key
    sluice status --json | jq -e --arg key "$1" \
        '[.. | objects | .reserve? // empty | .. | objects | .[$key]? | numbers] | if length > 0 then add else null end'
}

# A counter, wherever status has it; of all workers together.
counter() { # key
    sluice status --json | jq -e --arg key "$1" '[.. | objects | .[$key]? | numbers] | if length > 0 then add else null end'
}

# shellcheck source=tests/guest/fio.sh
. "$root/tests/guest/fio.sh"

# Requests the block device has finished so far, reads and writes.
finished_count() {
    local stat
    read -r -a stat <"/sys/block/${device#/dev/}/stat"
    echo $((stat[0] + stat[4]))
}

# ---- servers on the host, asked for over the second NIC (tests/guest/serverd) ----

ask_serverd() { # opens the conversation
    exec {serverd}<>"/dev/tcp/$KERNEL_NIC_SERVER/7000"
}

server() { # words of serverd's: what it tells goes to stdout, what went wrong to stderr
    local line
    printf '%s\n' "$(printf '%q ' "$@")" >&"$serverd"
    while read -r -t 90 line <&"$serverd"; do
        case $line in
            ok) return 0 ;;
            no:*) echo "serverd: $*: $line" >&2; return 1 ;;
            *) echo "$line" ;;
        esac
    done
    echo "serverd: $*: no answer" >&2
    return 1
}
