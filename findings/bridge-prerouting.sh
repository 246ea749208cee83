#!/usr/bin/env bash
# br_netfilter runs netfilter's prerouting hook before a packet socket on the bridge gets the frame
#
# Seen with Linux 6.18, nftables 1.0.6-2+deb12u2 and iproute2 6.1.0-3 of Debian 12. A packet socket on an interface gets each
# frame before netfilter's IP hooks: a rule that drops in prerouting does not hide it. On a bridge that holds only without
# net.bridge.bridge-nf-call-iptables (br_netfilter's default is 1; Docker loads it). With it the hook runs when the frame enters
# by a port, with the bridge as input interface, and what is dropped there is never received on the bridge. The ingress hook of the
# bridge itself comes after the packet socket in both cases.
#
# The script sends three datagrams through a veth to a bridge and counts those that a packet socket on the bridge sees. Output seen:
#     no rule, bridge-nf-call-iptables 1: 3 of 3
#     drop in prerouting, bridge-nf-call-iptables 0: 3 of 3
#     drop in prerouting, bridge-nf-call-iptables 1: 0 of 3
#     drop at ingress, bridge-nf-call-iptables 1: 3 of 3
#
# Exit status: 0, it is still so; 1, it is not; 2, it cannot run (no root, a kernel without br_netfilter or nf_tables).
set -eu
[ "$(id -u)" -eq 0 ] || { echo "needs root" >&2; exit 2; }
tmp=$(mktemp -d)
here=finding-a-$$ there=finding-b-$$
trap 'ip netns del $here 2>/dev/null; ip netns del $there 2>/dev/null; rm -rf "$tmp"' EXIT
cd "$tmp"
if ! command -v nft >/dev/null || ! command -v ip >/dev/null; then
    apt-get -qy install --no-install-recommends nftables=1.0.6-2+deb12u2 iproute2=6.1.0-3 >install.log 2>&1 ||
        { cat install.log >&2; exit 2; }
fi
modprobe -q br_netfilter 2>/dev/null || true
ip netns add $here && ip netns add $there
ip -n $here link add port type veth peer name far netns $there
ip -n $here link add top type bridge
ip -n $here link set port master top
for link in port top; do ip -n $here link set $link up; done
ip -n $there addr add 192.0.2.1/24 dev far
ip -n $there link set far up
ip -n $there neigh add 192.0.2.2 lladdr "$(ip netns exec $here cat /sys/class/net/top/address)" dev far nud permanent

cat >sniff.py <<'PY'
import socket, subprocess, sys, time
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL
tap.bind(("top", 0))
send = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nfor _ in range(3): s.sendto(b'finding', ('192.0.2.2', 7777))"
subprocess.run(["ip", "netns", "exec", sys.argv[1], sys.executable, "-c", send], check=True)
tap.settimeout(0.5)
seen, end = 0, time.monotonic() + 2
while seen < 3 and time.monotonic() < end:
    try:
        frame, address = tap.recvfrom(2048)
        seen += frame.endswith(b"finding")
    except socket.timeout:
        pass
print(seen)
PY

seen() { # value of bridge-nf-call-iptables, hook or nothing: prints how many of 3 the packet socket sees
    ip netns exec $here sysctl -qw net.bridge.bridge-nf-call-iptables="$1" || exit 2
    ip netns exec $here nft flush ruleset || exit 2
    [ -z "${2:-}" ] || ip netns exec $here nft "add table inet t; add chain inet t c { type filter hook $2 priority -310; }
        add rule inet t c udp dport 7777 drop" || exit 2
    ip netns exec $here python3 sniff.py $there
}

without=$(seen 1) off=$(seen 0 prerouting) on=$(seen 1 prerouting) ingress=$(seen 1 'ingress device "top"')
echo "no rule, bridge-nf-call-iptables 1: $without of 3"
echo "drop in prerouting, bridge-nf-call-iptables 0: $off of 3"
echo "drop in prerouting, bridge-nf-call-iptables 1: $on of 3"
echo "drop at ingress, bridge-nf-call-iptables 1: $ingress of 3"
[ "$without $off $on $ingress" = "3 3 0 3" ]
