/*
 * report_volume.c - one volume as JSON: what `list` and `status` show of it
 *
 * One function makes the object for volumes that are served and for those that wait for their
 * server or their device (takeover.c), so every row of a list has the same keys, and what is not
 * there yet is 0, "" or null. Control thread.
 */
#include <inttypes.h>
#include <stdio.h>
#include "daemon/admin/report.h"
#include "daemon/admin/report_impl.h"
#include "daemon/engine/engine.h"

static const char *const state_names[] = {
	"idle", "connecting", "ready", "lost", "failed", "draining", "gone"};

json_t *report_credits(const struct device_info *v)
{
	const struct volume_info *i = &v->volume;

	return json_pack("{s:i s:i s:i s:i s:i s:i s:f s:I}", "mbufs", (int)i->credit_granted_mbufs,
		"least", (int)v->quota_least_mbufs, "most", (int)v->quota_mbufs, "wanted",
		(int)i->credit_wanted_mbufs, "reads_mbufs", (int)i->read_credit_mbufs, "reads_used",
		(int)i->read_credit_used_mbufs, "read_mb_s", (double)i->read_bytes_per_s / 1e6,
		"read_delay_us", (json_int_t)i->read_delay_us);
}

/* What the volume's durability rests on, and what a restart of its server may have lost so far. */
static void durability_add(json_t *row, const struct device_info *v)
{
	const struct volume_info *i = &v->volume;
	char text[256] = "";

	if (i->unstable_lost)
		snprintf(text, sizeof(text),
			"%" PRIu64 " bytes were answered and not flushed when the server's last "
				   "connection was "
			"lost; if it restarted it may have lost them",
			i->unstable_lost);
	else if (i->is_through_asked && !i->is_through)
		snprintf(text, sizeof(text),
			"`unstable: through` has no effect: the server has neither FUA nor FLUSH");
	json_object_set_new(row, "unstable", json_string(i->is_through ? "through" : "trust"));
	json_object_set_new(row, "durability", json_string(text));
	json_object_set_new(row, "unstable_bytes", json_integer((json_int_t)i->unstable_bytes));
	json_object_set_new(row, "unstable_lost", json_integer((json_int_t)i->unstable_lost));
	json_object_set_new(row, "dirty_reconnects", json_integer((json_int_t)i->dirty_reconnects));
	json_object_set_new(
		row, "oldest_request_us", json_integer((json_int_t)v->oldest_request_us));
}

json_t *report_volume(const struct device_info *v)
{
	const struct volume_info *i = &v->volume;
	json_t *row;

	row = json_pack("{s:s s:s? s:s s:s s:s s:s s:I s:i s:i s:i s:s s:s s:i s:I s:I s:I s:s s:b "
			"s:s s:I s:i s:s s:i s:o}",
		"name", i->name, "device", v->device[0] ? v->device : NULL, "state",
		state_names[i->state], "step", v->step, "server", i->server, "uri", v->uri,
		"size_bytes", (json_int_t)i->limits.size_bytes, "block_size",
		(int)i->limits.block_min, "connections", (int)i->conn_count, "connections_ready",
		(int)i->conn_ready, "scheduler", v->scheduler, "degraded", v->degraded, "in_flight",
		(int)i->in_flight, "reconnects", (json_int_t)i->reconnects, "replayed",
		(json_int_t)i->replayed, "timeouts", (json_int_t)i->timeouts, "error", i->error,
		"read_only", i->limits.is_read_only, "copy", v->is_user_copy ? "user" : "default",
		"staging_bytes", (json_int_t)v->staging_bytes, "workers", (int)v->worker_count,
		"spread", v->spread, "connections_astray", (int)i->conn_misdirected, "credits",
		report_credits(v));
	durability_add(row, v);
	return row;
}
