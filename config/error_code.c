/*
 * error_code.c - one stable number and word for each kind of failure a program may ask about
 *
 * The sentence of an error is for people and may be reworded; errno numbers differ between
 * architectures. So the control socket and `sluice --json` carry these. JSON-RPC 2.0, section 5.1,
 * fixes -32700 to -32600 and leaves -32000 to -32099 to the server. A number is never given a
 * second meaning; sluice(1) lists them.
 */
#include "config/error_code.h"

#include <errno.h>

static const struct error_code codes[] = {
	{-32000, "failed", -EIO}, /* first: what stands for every other errno */
	{-32001, "not-found", -ENOENT},
	{-32002, "exists", -EEXIST},
	{-32003, "busy", -EBUSY},
	{-32004, "no-room", -ENOSPC},
	{-32005, "unsupported", -ENOTSUP},
	{-32006, "timed-out", -ETIMEDOUT},
	{-32007, "under-way", -EALREADY},
	{-32008, "cancelled", -ECANCELED},
	{-32009, "out-of-memory", -ENOMEM},
	{-32010, "denied", -EACCES},
	{-32010, "denied", -EPERM},
	{-32011, "server", -ECONNABORTED},
	{-32011, "server", -ECONNREFUSED},
	{-32011, "server", -ECONNRESET},
	{-32011, "server", -EHOSTUNREACH},
	{-32011, "server", -ENETUNREACH},
	{-32012, "changed", -ESTALE},
	{-32013, "no-device", -ENODEV},
	{-32020, "no-daemon", -ENOTCONN}, /* of `sluice`: no process answers at the socket */
	{-32602, "invalid", -EINVAL},
};

const struct error_code *error_code_of(int rc)
{
	for (unsigned i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		if (codes[i].rc == rc)
			return &codes[i];
	}
	return &codes[0];
}

const struct error_code *error_code_numbered(int code)
{
	for (unsigned i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
		if (codes[i].code == code)
			return &codes[i];
	}
	return &codes[0];
}
