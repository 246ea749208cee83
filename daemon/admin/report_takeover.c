/*
 * report_takeover.c - what waits to be taken over, as JSON
 *
 * `list` and `status` show it beside the volumes that are served, with the same keys; `doctor`
 * names the remedy, also for devices that no state file describes. Control thread.
 */
#include <stdio.h>
#include "daemon/admin/report.h"
#include "daemon/engine/takeover.h"

#define ORPHAN_MAX 256

void report_takeover(const struct takeover *t, json_t *volumes)
{
	struct takeover_item it;
	unsigned at = 0;

	while (takeover_next(t, &at, &it)) {
		struct device_info info = {.step = "waiting", .volume.limits = *it.limits};
		json_t *row;

		snprintf(info.volume.name, sizeof(info.volume.name), "%s", it.name);
		snprintf(info.volume.error, sizeof(info.volume.error), "%.*s",
			(int)sizeof(info.volume.error) - 1, it.error);
		snprintf(info.uri, sizeof(info.uri), "%s", it.uri);
		if (it.dev_id >= 0)
			snprintf(info.device, sizeof(info.device), "/dev/ublkb%d", it.dev_id);
		row = report_volume(&info);
		json_object_set_new(row, "state", json_string(it.dev_id < 0 ? "waiting" : "held"));
		json_array_append_new(volumes, row);
	}
}

static void doctor_line(json_t *lines, int id, const char *text, const char *name)
{
	char what[32], remedy[160];

	snprintf(what, sizeof(what), "/dev/ublkb%d", id);
	snprintf(remedy, sizeof(remedy), "if its data may be lost: sluice detach %s --force",
		name ? name : what);
	json_array_append_new(lines, json_pack("{s:s s:b s:b s:s s:s}", "what", what, "good", 0,
					     "required", 0, "text", text, "remedy", remedy));
}

void report_takeover_doctor(const struct takeover *t, json_t *lines)
{
	char text[ERROR_TEXT_BYTES + 64];
	struct takeover_item it;
	int orphans[ORPHAN_MAX];
	unsigned at = 0, n = takeover_orphans(t, orphans, ORPHAN_MAX);

	while (takeover_next(t, &at, &it)) {
		if (it.dev_id < 0)
			continue;
		snprintf(text, sizeof(text), "waits to be taken over: %s", it.error);
		doctor_line(lines, it.dev_id, text, it.name);
	}
	for (unsigned i = 0; i < n; i++)
		doctor_line(lines, orphans[i],
			"no process serves it, and the run directory has no state file of it: it "
			"is another "
			"program's, or was left by a daemon with another run_dir:",
			NULL);
}
