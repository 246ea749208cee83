#!/usr/bin/env bash
# tls - the NBD client over TLS against unmodified servers, over kernel sockets on the loopback
#
# nbdkit, qemu-nbd and nbd-server, with certificates and with pre-shared keys, in TLS 1.3 and 1.2: data written is read back, and
# what must be refused is, each with its sentence. The servers' TLS is GnuTLS's, so a file of GnuTLS's settings in their environment
# decides the version. No privilege, no DPDK: nbd_bench_socket makes the handshake in the same thread that has the sockets.
#
# timeout: 300
# shellcheck source=tests/net/servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/servers.sh"

keys=$tmp/keys
mkdir -m 700 "$keys"

# ---- keys ----
template() { # name, lines…: a template of certtool
    local name=$1
    shift
    printf '%s\n' "cn = $name" "$@" >"$keys/$name.info"
}
ca() { # name
    template "$1" ca cert_signing_key 'expiration_days = 10'
    certtool --generate-privkey --key-type ecdsa --no-text --outfile "$keys/$1-key.pem"
    certtool --generate-self-signed --load-privkey "$keys/$1-key.pem" --template "$keys/$1.info" --no-text --outfile "$keys/$1-cert.pem"
}
cert() { # folder, ca, lines…: a server's certificate as nbdkit and qemu-nbd want to find it
    local dir=$keys/$1 ca=$2
    shift 2
    mkdir -p "$dir"
    template server tls_www_server signing_key "$@"
    certtool --generate-privkey --key-type ecdsa --no-text --outfile "$dir/server-key.pem"
    certtool --generate-certificate --load-privkey "$dir/server-key.pem" --load-ca-certificate "$keys/$ca-cert.pem" \
        --load-ca-privkey "$keys/$ca-key.pem" --template "$keys/server.info" --no-text --outfile "$dir/server-cert.pem"
    cp "$keys/$ca-cert.pem" "$dir/ca-cert.pem"
}
client_cert() { # of a client, signed by ours: $keys/client-cert.pem and -key.pem
    template client tls_www_client signing_key 'expiration_days = 10'
    certtool --generate-privkey --key-type ecdsa --no-text --outfile "$keys/client-key.pem"
    certtool --generate-certificate --load-privkey "$keys/client-key.pem" --load-ca-certificate "$keys/ours-cert.pem" \
        --load-ca-privkey "$keys/ours-key.pem" --template "$keys/client.info" --no-text --outfile "$keys/client-cert.pem"
    chmod 600 "$keys/client-key.pem"
}
{
    ca ours
    ca other
    cert good ours 'ip_address = 127.0.0.1' 'expiration_days = 10'
    cert foreign other 'ip_address = 127.0.0.1' 'expiration_days = 10'
    cert expired ours 'ip_address = 127.0.0.1' 'activation_date = "2020-01-01 00:00:00"' 'expiration_date = "2021-01-01 00:00:00"'
    cert elsewhere ours 'dns_name = storage.example' 'expiration_days = 10'
    client_cert
    mkdir "$keys/psk"
    psktool -u swap -p "$keys/psk/keys.psk"
    psktool -u swap -p "$keys/wrong.psk"
} >"$keys/log" 2>&1 || { cat "$keys/log" >&2; exit 1; }
chmod 600 "$keys/psk/keys.psk" "$keys/wrong.psk"
printf '[overrides]\ndisabled-version = tls1.3\n' >"$keys/only-1.2"

# The client's side of either.
psk=(--tls-psk "$keys/psk/keys.psk")
x509=(--tls-ca "$keys/ours-cert.pem")
own=(--tls-cert "$keys/client-cert.pem" --tls-key "$keys/client-key.pem")

verify() { # name, client's options…
    local name=$1
    shift
    claim "$name-verifies" run --rw randrw --bs 4k-256k --runtime-ms 700 --verify --iodepth 32 "$@" "$(uri disk)"
    claim "$name-verified-something" result '.verified > 100 and .verify_errors == 0 and .busy == 0 and .reconnects == 0'
    claim "$name-verifies-over-four" run --rw randrw --bs 4k-64k --runtime-ms 500 --verify --connections 4 "$@" "$(uri disk)"
    claim "$name-probes" run --probe "$@" "$(uri disk)"
    claim "$name-refuses-plain" eval '! run "$(uri disk)" && said "requires TLS"'
}

denied() { # sentence, client's options…: the client ends, and says this
    local sentence=$1
    shift
    ! run --connect-ms 3000 "$@" "$(uri disk)" && said "$sentence"
}

start_nbd_server() { # for one connection: that is what -d is
    server_stop
    port=$(port_free)
    printf '[generic]\n\tport = %s\n\tlistenaddr = 127.0.0.1\n\tcertfile = %s\n\tkeyfile = %s\n\tcacertfile = %s\n\tforce_tls = true\n' \
        "$port" "$keys/good/server-cert.pem" "$keys/good/server-key.pem" "$keys/ours-cert.pem" >"$tmp/nbd-server.conf"
    printf '[disk]\n\texportname = %s\n\tflush = true\n\tfua = true\n' "$tmp/disk" >>"$tmp/nbd-server.conf"
    nbd-server -d -C "$tmp/nbd-server.conf" -p "$tmp/nbd-server.pid" >>"$tmp/server.log" 2>&1 &
    server_pid=$!
    listens_soon
}

truncate -s 64M "$tmp/disk"
for version in 1.3 1.2; do
    unset GNUTLS_SYSTEM_PRIORITY_FILE
    [ $version = 1.3 ] || export GNUTLS_SYSTEM_PRIORITY_FILE=$keys/only-1.2

    # ---- nbdkit ----
    kit --tls=require --tls-psk="$keys/psk/keys.psk" memory 64M
    verify "nbdkit-psk-$version" "${psk[@]}"
    claim "nbdkit-psk-$version-wrong-key" denied 'the server ended the TLS handshake' --tls-psk "$keys/wrong.psk"
    kit --tls=require --tls-certificates="$keys/good" memory 64M
    verify "nbdkit-x509-$version" "${x509[@]}"
    claim "nbdkit-x509-$version-wrong-authority" denied 'not signed by an authority' --tls-ca "$keys/other-cert.pem"
    kit --tls=on --tls-certificates="$keys/good" memory 64M
    claim "nbdkit-on-$version" run --rw randrw --verify --runtime-ms 300 "${x509[@]}" "$(uri disk)"

    # ---- qemu-nbd ----
    server qemu-nbd --format=raw --bind=127.0.0.1 --port=PORT --persistent --shared=8 --export-name=disk \
        --object "tls-creds-psk,id=tls0,dir=$keys/psk,endpoint=server" --tls-creds=tls0 "$tmp/disk"
    verify "qemu-nbd-psk-$version" "${psk[@]}"
    server qemu-nbd --format=raw --bind=127.0.0.1 --port=PORT --persistent --shared=8 --export-name=disk \
        --object "tls-creds-x509,id=tls0,dir=$keys/good,endpoint=server,verify-peer=no" --tls-creds=tls0 "$tmp/disk"
    verify "qemu-nbd-x509-$version" "${x509[@]}"

    # ---- nbd-server, which has certificates only, and wants the client's ----
    start_nbd_server
    claim "nbd-server-x509-$version-verifies" run --rw randrw --bs 4k-128k --runtime-ms 700 --verify "${x509[@]}" "${own[@]}" "$(uri disk)"
    start_nbd_server
    claim "nbd-server-x509-$version-wants-a-certificate" denied 'requires a client.s certificate\|ended the TLS handshake\|closed the connection in the handshake' "${x509[@]}"
done
unset GNUTLS_SYSTEM_PRIORITY_FILE

# ---- what is refused ----
kit --tls=require --tls-certificates="$keys/expired" memory 64M
claim expired-certificate denied 'certificate has expired: renew it' "${x509[@]}"
kit --tls=require --tls-certificates="$keys/foreign" memory 64M
claim foreign-authority denied 'not signed by an authority of tls_ca' "${x509[@]}"
kit --tls=require --tls-certificates="$keys/elsewhere" memory 64M
claim another-name denied 'is for another name: name it in the URI, or with tls_hostname' "${x509[@]}"
claim the-name-that-is-given run --rw randread --runtime-ms 200 --tls-host storage.example "${x509[@]}" "$(uri disk)"
kit memory 64M
claim no-tls-at-all denied 'the server does not do TLS, which is required' "${x509[@]}"
chmod 640 "$keys/psk/keys.psk"
claim a-key-open-to-others denied "chmod 600 $keys/psk/keys.psk" "${psk[@]}"
chmod 600 "$keys/psk/keys.psk"

# Killed and started again on the same port while requests are in flight: every connection makes a handshake again.
kit --tls=require --tls-psk="$keys/psk/keys.psk" file "$tmp/disk"
run --rw randrw --bs 4k-64k --runtime-ms 5000 --verify --connections 2 "${psk[@]}" "$(uri)" &
bench_pid=$!
for _ in $(seq 4); do
    read -rt 0.7 <> <(:) # let it work; the point is to cut it at any moment
    kill -KILL "$server_pid"
    wait "$server_pid" 2>/dev/null
    nbdkit --foreground --exit-with-parent --ipaddr 127.0.0.1 --port "$port" --tls=require --tls-psk="$keys/psk/keys.psk" \
        file "$tmp/disk" >>"$tmp/server.log" 2>&1 &
    server_pid=$!
done
claim killed-four-times-loses-nothing wait "$bench_pid"
claim killed-four-times-was-noticed result '.reconnects >= 4 and .errors == 0 and .verify_errors == 0'
exit $status_all
