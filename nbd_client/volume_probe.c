/*
 * volume_probe.c - what a probe found: the server's list of exports, and the facts of one of them
 *
 * Names and descriptions have up to 4096 bytes each and are kept whole, one behind the other in
 * one buffer, so that a list of many short names fits and one of few long ones too. What does not
 * fit is counted: export_total says how many there are, and who shows the list says that it is
 * cut.
 *
 * Many servers have no export without a name. A probe of a URI without one asks what there is, so a
 * list is a good answer although the export of no name is refused.
 *
 * The worker writes while the probe runs; after VOLUME_GONE or FAILED any thread may read.
 */
#include "nbd_client/volume_priv.h"
#include <string.h>

/* Keeps @len bytes of text. Out: where, or 0, the empty text, if there is no room. */
static uint32_t text_keep(struct volume_probe *p, const char *text, uint32_t len)
{
	uint32_t at = p->text_bytes ? p->text_bytes : 1;

	if (len == 0 || len + 1 > sizeof(p->text) - at)
		return 0;
	memcpy(p->text + at, text, len);
	p->text[at + len] = '\0';
	p->text_bytes = at + len + 1;
	return at;
}

void volume_probe_text(struct volume *v, const struct nbd_event *ev)
{
	struct volume_probe *p = v->probe;
	uint32_t was = p->text_bytes;

	if (ev->type == NBD_EVENT_NAME) {
		p->name_at = text_keep(p, ev->name, ev->name_bytes);
	} else if (ev->type == NBD_EVENT_DESCRIPTION) {
		p->description_at = text_keep(p, ev->text, ev->text_bytes);
	} else {
		uint32_t name_at = text_keep(p, ev->name, ev->name_bytes);
		uint32_t text_at = text_keep(p, ev->text, ev->text_bytes);

		p->export_total++;
		if (p->export_count == NBD_PROBE_NAMES_MAX ||
			(ev->name_bytes > 0 && name_at == 0) ||
			(ev->text_bytes > 0 && text_at == 0)) {
			p->text_bytes = was;
			return;
		}
		p->exports[p->export_count].name_at = name_at;
		p->exports[p->export_count++].description_at = text_at;
	}
}

static void probe_end(struct volume *v)
{
	v->is_stopping = true;
	v->stop_us = v->now_us;
}

void volume_probe_ready(struct volume *v, const struct nbd_export *x)
{
	v->probe->has_export = true;
	v->probe->size_bytes = x->size_bytes;
	volume_export_adopt(v, x);
	probe_end(v);
}

bool volume_probe_is_enough(struct volume *v, const struct nbd_conn *c)
{
	bool is_no_export = c->fault == NBD_FAULT_REFUSED && !c->is_tls_refused;

	if (!v->probe || !is_no_export || c->export_name[0] || v->probe->export_total == 0)
		return false;
	v->identity = c->export; /* what was said of the server itself */
	probe_end(v);
	return true;
}

const struct volume_probe *volume_probe(const struct volume *v)
{
	return v->probe;
}
