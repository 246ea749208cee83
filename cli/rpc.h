/*
 * rpc.h - one question to sluiced, one answer
 */
#ifndef CLI_RPC_H
#define CLI_RPC_H

#include <jansson.h>
#include "config/error.h"

/*
 * Calls @method on the daemon at @socket. @params is eaten and may be NULL. Out: 0 with *result a
 * new reference; -ENOTCONN: no daemon answers there; else what the daemon's code stands for
 * (error_code.h), or -errno of the exchange itself. In each case @err is one sentence.
 */
int rpc_call(const char *socket, const char *method, json_t *params, int timeout_ms,
	json_t **result, struct error *err);

#endif
