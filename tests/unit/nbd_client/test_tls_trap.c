/*
 * test_tls_trap.c - records allocate nothing: sealed, opened, damaged, under the next key
 *
 * The trap that a worker arms is armed here, and an allocation aborts the program. It is first seen
 * to spring, in a child. Sanitized builds have no trap and skip.
 */
#include "tests/unit/nbd_client/check.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "dataplane/alloc_trap.h"
#include "tests/unit/nbd_client/tls_pair.h"

static uint8_t wire[TLS_RECORD_BYTES_MAX], text_in[TLS_TEXT_BYTES_MAX];
static uint8_t text_out[TLS_RECORD_BYTES_MAX];

static void the_trap_springs(void **state)
{
	int status = 0;
	pid_t pid;

	if (!alloc_trap_is_built())
		skip();
	pid = fork();
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		alloc_trap_arm(true);
		alloc_trap_spring();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* Out: the last verdict of a life with everything in it. Nothing of cmocka's in here. */
static enum tls_verdict life(struct tls_pair *p)
{
	static const uint8_t ask[5] = {24, 0, 0, 1, 1}, ticket[5] = {4, 0, 0, 1, 1};
	static const uint32_t lens[] = {1, 28, 4124, TLS_TEXT_BYTES_MAX};
	bool is_13 = p->client->version == TLS_VERSION_1_3;
	uint32_t n, len, taken;

	for (unsigned i = 0; i < 64; i++) {
		struct iovec text = {text_in, lens[i % 4]};

		n = (uint32_t)tls_seal(p->server, &text, 1, wire);
		if (tls_open_flat(p->client, wire, n, 1440, text_out, &len, &taken) != TLS_TEXT)
			return TLS_NONE;
		if (!is_13)
			continue;
		n = tls_craft(p->server, TLS_HANDSHAKE, ticket, 5, 0, wire);
		(void)tls_open_flat(p->client, wire, n, 8, text_out, &len, &taken);
		n = tls_craft(p->server, TLS_HANDSHAKE, ask, 5, 0, wire);
		(void)tls_half_update(p->server, &p->server->tx);
		(void)tls_open_flat(p->client, wire, n, 8, text_out, &len, &taken);
		if (tls_update_is_due(p->client))
			(void)tls_seal_update(p->client, wire);
	}
	n = (uint32_t)tls_seal(p->server, &(struct iovec){text_in, 4124}, 1, wire);
	wire[n - 1] ^= 1;
	if (tls_open_flat(p->client, wire, n, 1440, text_out, &len, &taken) != TLS_DEAD)
		return TLS_NONE;
	return tls_seal_alert(p->client, wire) > 0 ? TLS_DEAD : TLS_NONE;
}

static void records_allocate_nothing(void **state)
{
	struct tls_pair p;

	if (!alloc_trap_is_built())
		skip();
	for (unsigned kind = 0; kind < TLS_KINDS; kind++) {
		enum tls_verdict last;
		struct tls_keys keys;

		tls_pair_make(&p, kind);
		tls_pair_keys(&keys, kind);
		alloc_trap_arm(true);
		last = life(&p);
		(void)tls_records_start(p.client, &keys);
		alloc_trap_arm(false);
		assert_int_equal(last, TLS_DEAD);
		tls_pair_free(&p);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_trap_springs),
		cmocka_unit_test(records_allocate_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
