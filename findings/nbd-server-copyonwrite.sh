#!/usr/bin/env bash
# nbd-server 3.24 with copyonwrite = true returns wrong data when requests of one connection overlap in time
#
# Seen with Debian 12's nbd-server 1:3.24-1.1 and libnbd 1.14.2. nbd-server answers one connection's requests from a pool of
# threads. With copyonwrite each export of a client has a difference file and a map of where each block lies in it; writes that
# run side by side get wrong places there, and a later READ returns what was written elsewhere. No error is reported. One request
# at a time, or the same export without copyonwrite, reads back what was written.
#
# The script writes 4096 blocks of 4 KiB, each with its number in it, 64 in flight, and reads them back one at a time, up to ten
# times. Output seen:
#     one in flight, copyonwrite: 0 of 4096 blocks wrong
#     64 in flight, plain: 0 of 4096 blocks wrong
#     64 in flight, copyonwrite: 73 of 4096 blocks wrong (another number each time)
#
# Exit status: 0, it is still so; 1, it is not (all blocks right in ten runs, or wrong ones in the two others); 2, it cannot run.
set -eu
tmp=$(mktemp -d)
server=''
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; [ ! -s "$tmp/pid" ] || kill "$(cat "$tmp/pid")" 2>/dev/null; rm -rf "$tmp"' EXIT
cd "$tmp"
apt-get -q download nbd-server=1:3.24-1.1 libnbd0=1.14.2-1 python3-libnbd=1.14.2-1 >download.log 2>&1 || { cat download.log >&2; exit 2; }
for deb in *.deb; do dpkg-deb -x "$deb" root; done
export LD_LIBRARY_PATH=$tmp/root/usr/lib/$(uname -m)-linux-gnu PYTHONPATH=$tmp/root/usr/lib/python3/dist-packages
truncate -s 16M disk
port=$((20000 + RANDOM % 20000))

cat >client.py <<'PY'
import sys, nbd
depth, uri, count, size = int(sys.argv[1]), sys.argv[2], 4096, 4096
h = nbd.NBD()
h.connect_uri(uri)
def content(i):
    return i.to_bytes(8, "little") * (size // 8)
for i in range(count):
    i = i * 2654435761 % count  # every block once, not in order
    while h.aio_in_flight() >= depth:
        h.poll(-1)
    h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(content(i))), i * size, completion=lambda err: 1)
while h.aio_in_flight() > 0:
    h.poll(-1)
print(sum(h.pread(size, i * size) != content(i) for i in range(count)))
h.shutdown()
PY

wrong() { # depth, copyonwrite: prints the number of wrong blocks
    printf '[generic]\n\tport = %s\n\tlistenaddr = 127.0.0.1\n[disk]\n\texportname = %s/disk\n\tcopyonwrite = %s\n' \
        "$port" "$tmp" "$2" >conf
    rm -f pid
    root/bin/nbd-server -C "$tmp/conf" -p "$tmp/pid" >server.log 2>&1
    for _ in $(seq 100); do
        [ -z "$(ss -Htln "sport = :$port")" ] || break
        read -rt 0.05 <> <(:) || true # waits for another process to listen
    done
    /usr/bin/python3 client.py "$1" "nbd://127.0.0.1:$port/disk" || { cat server.log >&2; exit 2; }
    kill "$(cat pid)"
    while [ -n "$(ss -Htln "sport = :$port")" ]; do read -rt 0.05 <> <(:) || true; done
}

alone=$(wrong 1 true)
echo "one in flight, copyonwrite: $alone of 4096 blocks wrong"
plain=$(wrong 64 false)
echo "64 in flight, plain: $plain of 4096 blocks wrong"
for _ in 1 2 3 4 5 6 7 8 9 10; do
    many=$(wrong 64 true)
    [ "$many" -eq 0 ] || break
done
echo "64 in flight, copyonwrite: $many of 4096 blocks wrong"
[ "$alone" -eq 0 ] && [ "$plain" -eq 0 ] && [ "$many" -gt 0 ]
