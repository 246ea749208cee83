# shellcheck shell=bash
# servers - what tests of the NBD client against real servers share: a server on a free port of the loopback, one run of the
# client over kernel sockets (nbd_bench_socket), claims about what it printed. No privilege, no DPDK.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
BUILD=${BUILD:-$PWD/build}
bench=$BUILD/tests/net/nbd_bench_socket
tmp=$(mktemp -d "${TMPDIR:-/tmp}/sluice-nbd.XXXXXX")
server_pid='' port='' status_all=0

server_stop() { # [signal]
    [ -n "$server_pid" ] || return 0
    kill "-${1:-TERM}" "$server_pid" 2>/dev/null
    wait "$server_pid" 2>/dev/null
    server_pid=''
}
trap 'server_stop KILL; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

port_free() { # a port nobody listens on; taken by the server right after
    local p
    for _ in $(seq 100); do
        p=$((20000 + RANDOM % 30000))
        if [ -z "$(ss -Htln "sport = :$p")" ]; then
            echo $p
            return
        fi
    done
    return 1
}

listens() { [ -n "$(ss -Htln "sport = :$port")" ]; }

listens_soon() { # true once the server just started listens; false if it ended, or after 10 s
    for _ in $(seq 200); do
        ! listens || return 0
        kill -0 "$server_pid" 2>/dev/null || return 1
        read -rt 0.05 <> <(:) # waits for another process to listen; nothing tells us
    done
    return 1
}

server() { # command…: PORT in it is the port; running and listening when this returns
    server_stop
    port=$(port_free) || return 1
    "${@//PORT/$port}" >>"$tmp/server.log" 2>&1 &
    server_pid=$!
    listens_soon
}

kit() { server nbdkit --foreground --exit-with-parent --ipaddr 127.0.0.1 --port PORT "$@"; }

run() { # options…: one bench; its result in $tmp/out, its events in $tmp/err
    timeout 60 "$bench" "$@" >"$tmp/out" 2>"$tmp/err"
}

claim() { # name, condition as a command…
    local name=$1
    shift
    if "$@"; then
        echo "ok $name"
    else
        echo "not ok $name"
        status_all=1
        { echo "-- $name: $*"; cat "$tmp/out" "$tmp/err"; tail -n 5 "$tmp/server.log"; } >&2
    fi
}

uri() { echo "nbd://127.0.0.1:$port/${1:-}"; }
said() { grep -q -- "$1" "$tmp/err"; }
result() { jq -es "length == 1 and (.[0] | $1)" "$tmp/out" >/dev/null; }
refused() { ! run "$(uri "${2:-}")" && said "$1"; }
