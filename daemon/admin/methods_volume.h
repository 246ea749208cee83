/*
 * methods_volume.h - the methods that make, keep and end volumes
 */
#ifndef DAEMON_ADMIN_METHODS_VOLUME_H
#define DAEMON_ADMIN_METHODS_VOLUME_H

#include "daemon/admin/control.h"

/* As struct control_method has it; @ctx is a struct daemon_state. */
int methods_attach(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err);
int methods_detach(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err);
int methods_probe(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err);
int methods_save(void *ctx, const json_t *params, struct control_call *call, json_t **result,
	struct error *err);

#endif
