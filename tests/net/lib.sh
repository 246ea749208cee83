# shellcheck shell=bash
# lib - what the host tests share
#
# Two network namespaces of this run and a veth between them; an unmodified NBD server behind one end, our daemon on the
# other. The client end carries no address the kernel knows: the address is ours, answered by our ARP.
#
#   ┌── sluice-cli-PID ────────────┐              ┌── sluice-srv-PID ──────────────┐
#   │ sluiced (af_packet, af_xdp)  │── sl0  sl1 ──│ 10.66.0.1  nbdkit, nbd-server… │
#   │ 10.66.0.2 (dataplane's own)  │    veth      │ fd00:66::1                     │
#   └──────────────────────────────┘              └────────────────────────────────┘
#
# Offloads are off on both ends, so that each packet is one that a wire carries; a test that sets AS_IT_COMES=1 leaves the veth
# as `ip link add` makes it. Claims go to stdout in the
# words ./check counts, everything else to stderr; every wait has a deadline.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$root/build}
cd "$root" || exit 1

cli=sluice-cli-$$ srv=sluice-srv-$$
tmp=$(mktemp -d "${TMPDIR:-/tmp}/sluice-net.XXXXXX")
status_all=0
SERVER_IP=10.66.0.1 CLIENT_CIDR=10.66.0.2/24

cleanup() {
    local ns pids
    for ns in "$cli" "$srv"; do
        pids=$(ip netns pids "$ns" 2>/dev/null)
        # shellcheck disable=SC2086
        [ -z "$pids" ] || kill -KILL $pids 2>/dev/null
    done
    wait 2>/dev/null
    ip netns del "$cli" 2>/dev/null
    ip netns del "$srv" 2>/dev/null
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

ok() { echo "ok $1"; }
not_ok() { # claim, why
    echo "not ok $1"
    echo "$1: ${2:-}" >&2
    status_all=1
}
claim() { # claim, command…
    local name=$1
    shift
    if "$@" >&2; then ok "$name"; else not_ok "$name" "$* ended with $?"; fi
}

wait_until() { # seconds, command…: polls, because what it waits for lies in other processes' hands
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

in_cli() { ip netns exec "$cli" "$@"; }
in_srv() { ip netns exec "$srv" "$@"; }

make_network() {
    ip netns add "$cli" && ip netns add "$srv" &&
        ip -n "$cli" link add sl0 type veth peer name sl1 netns "$srv" &&
        ip -n "$cli" link set lo up && ip -n "$srv" link set lo up &&
        in_cli sysctl -qw net.ipv6.conf.sl0.disable_ipv6=1 &&
        ip -n "$srv" addr add $SERVER_IP/24 dev sl1 &&
        ip -n "$srv" -6 addr add fd00:66::1/64 dev sl1 nodad &&
        ip -n "$cli" link set sl0 up && ip -n "$srv" link set sl1 up && { [ -n "${AS_IT_COMES:-}" ] || offloads_off; }
}

offloads_off() {
    in_cli ethtool -K sl0 gso off tso off tx off rx off gro off >/dev/null &&
        in_srv ethtool -K sl1 gso off tso off tx off rx off gro off >/dev/null
}

is_listening() { [ -n "$(in_srv ss -Hltn "sport = :$1")" ]; }

start_server() { # port, command…
    local port=$1
    shift
    ip netns exec "$srv" "$@" >"$tmp/server.log" 2>&1 </dev/null &
    server_pid=$!
    wait_until 10 is_listening "$port" || { echo "server: $*" >&2; cat "$tmp/server.log" >&2; return 1; }
}

stop_server() {
    kill -TERM "$server_pid" 2>/dev/null
    wait "$server_pid" 2>/dev/null
}

program() { # name: prints its path in the build directory
    find "$BUILD" -type f -name "$1" -perm -100 -print -quit
}

write_config() { # device, more lines of YAML
    local device=$1
    shift
    {
        printf 'ports:\n  - name: net0\n    device: "%s"\n    address: ["%s", "fd00:66::2/64"]\n' "$device" "$CLIENT_CIDR"
        printf 'run_dir: %s\nsocket: %s/control.sock\n' "$tmp" "$tmp"
        printf '%s\n' "$@"
    } >"$tmp/sluice.yaml"
}

bench() { # URI, options…: one JSON line
    timeout "${BENCH_TIMEOUT:-120}" ip netns exec "$cli" "$(program sluiced)" -c "$tmp/sluice.yaml" --bench "$@" --json
}

# Runs a bench and keeps its JSON in $tmp/result; true if it ended well and verified, and no owner of mbufs held more than the
# sum grants it.
bench_good() {
    bench "$@" >"$tmp/result" || { cat "$tmp/result" >&2; return 1; }
    cat "$tmp/result" >&2
    jq -e '.ios > 0 and .errors == 0 and .verify_errors == 0 and .protected_drops == 0 and
        .reserve.owners_over_limit == 0' "$tmp/result" >/dev/null
}

make_network || { echo "cannot make the network namespaces" >&2; exit 1; }
