#!/usr/bin/env bash
# GnuTLS 3.7.9: after gnutls_aead_cipher_set_key() AES-GCM computes wrong tags on processors with PCLMUL
#
# Seen with Debian 12's libgnutls28-dev 3.7.9-2+deb12u6. gnutls_aead_cipher_set_key() (since 3.7.5) changes the key of an AEAD
# handle. For AES-GCM with x86's PCLMUL code the text is then encrypted under the new key, but the tag is not that of a handle
# which had this key from the start, so no peer accepts it. The call returns 0. ChaCha20-Poly1305 is right, and so is AES-GCM
# where GNUTLS_CPUID_OVERRIDE=1 switches the accelerated code off. A handle that encrypts and decrypts with its own tags shows
# nothing: only another implementation, or a second handle, does.
#
# The script encrypts the same 40 bytes with a handle made with a key and with one changed to that key. Output seen:
#     accelerated: AES-128-GCM differs, AES-256-GCM differs, CHACHA20-POLY1305 same
#     without: AES-128-GCM same, AES-256-GCM same, CHACHA20-POLY1305 same
#
# Exit status: 0, it is still so; 1, it is not; 2, it cannot run (no compiler, or no PCLMUL).
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
grep -qw pclmulqdq /proc/cpuinfo || { echo "no PCLMUL here" >&2; exit 2; }
if ! pkg-config --exists gnutls || ! command -v gcc >/dev/null; then
    apt-get -q install -y --no-install-recommends gcc libc6-dev pkg-config libgnutls28-dev=3.7.9-2+deb12u6 >install.log 2>&1 ||
        { cat install.log >&2; exit 2; }
fi

cat >tags.c <<'C'
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

static int is_same(gnutls_cipher_algorithm_t algorithm)
{
	unsigned char old[32] = {1}, key[32] = {2}, nonce[12] = {3}, text[40] = {4}, a[56], b[56];
	unsigned size = (unsigned)gnutls_cipher_get_key_size(algorithm);
	gnutls_datum_t old_datum = {old, size}, key_datum = {key, size};
	gnutls_aead_cipher_hd_t fresh, changed;
	size_t a_bytes = sizeof(a), b_bytes = sizeof(b);

	if (gnutls_aead_cipher_init(&fresh, algorithm, &key_datum) ||
		gnutls_aead_cipher_init(&changed, algorithm, &old_datum) ||
		gnutls_aead_cipher_set_key(changed, &key_datum) ||
		gnutls_aead_cipher_encrypt(fresh, nonce, 12, NULL, 0, 16, text, 40, a, &a_bytes) ||
		gnutls_aead_cipher_encrypt(changed, nonce, 12, NULL, 0, 16, text, 40, b, &b_bytes))
		return -1;
	gnutls_aead_cipher_deinit(fresh);
	gnutls_aead_cipher_deinit(changed);
	return memcmp(a, b, sizeof(a)) == 0;
}

int main(void)
{
	static const gnutls_cipher_algorithm_t all[] = {GNUTLS_CIPHER_AES_128_GCM,
		GNUTLS_CIPHER_AES_256_GCM, GNUTLS_CIPHER_CHACHA20_POLY1305};

	for (unsigned i = 0; i < 3; i++) {
		int same = is_same(all[i]);

		printf("%s%s %s", i ? ", " : "", gnutls_cipher_get_name(all[i]),
			same < 0 ? "failed" : same ? "same" : "differs");
	}
	printf("\n");
	return 0;
}
C
gcc -Wall -o tags tags.c $(pkg-config --cflags --libs gnutls) || exit 2
fast=$(./tags) slow=$(GNUTLS_CPUID_OVERRIDE=1 ./tags)
echo "GnuTLS $(pkg-config --modversion gnutls)"
echo "accelerated: $fast"
echo "without: $slow"
[ "$fast" = "AES-128-GCM differs, AES-256-GCM differs, CHACHA20-POLY1305 same" ] || exit 1
[ "$slow" = "AES-128-GCM same, AES-256-GCM same, CHACHA20-POLY1305 same" ] || exit 1
