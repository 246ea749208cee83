/*
 * ublk_feature.c - is ublk there, and what can this kernel's do?
 *
 * From 6.5 on the kernel answers GET_FEATURES. An older one does not know the command, and then
 * its version decides: what 6.1 and 6.4 brought is a matter of record, and nothing later is
 * assumed. A vendor's kernel that carries a newer driver under an old number answers the question
 * itself.
 *
 * What is missing never stops us here; it is said in one line, which `status` shows. A feature
 * that the configuration requires (copy: user) is refused where the device is made.
 *
 * Control thread, at start. Opens a control ring of its own and closes it again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include "nbd_client/ublk/ublk_priv.h"

int ublk_probe_at(const char *path, struct error *err)
{
	struct ublk_ctl ctl = {.fd = -1};
	struct ublk_features features;
	int rc;

	rc = ublk_ctl_open(&ctl, path, err);
	if (rc < 0)
		return rc;
	rc = ublk_features_ask(&ctl, &features);
	ublk_ctl_close(&ctl);
	if (rc == -EPERM || rc == -EACCES)
		return error_set(err, rc, "%s: not permitted: run as root (CAP_SYS_ADMIN)", path);
	if (rc < 0)
		return error_set(err, rc, "%s does not answer: %s", path, strerror(-rc));
	return 0;
}

int ublk_probe(struct error *err)
{
	return ublk_probe_at(UBLK_CONTROL_PATH, err);
}

uint64_t ublk_features_of_release(const char *release)
{
	unsigned major = 0, minor = 0;
	uint64_t bits = 0;

	if (sscanf(release, "%u.%u", &major, &minor) != 2)
		return 0;
	if (major > 6 || (major == 6 && minor >= 1))
		bits |= UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE;
	if (major > 6 || (major == 6 && minor >= 4))
		bits |= UBLK_F_CMD_IOCTL_ENCODE;
	return bits;
}

static void degraded_add(struct ublk_features *f, size_t *used, const char *text)
{
	*used += (size_t)snprintf(f->degraded + *used, sizeof(f->degraded) - *used, "%s%s",
		*used ? "; " : "", text);
	assert(*used < sizeof(f->degraded));
}

void ublk_features_describe(struct ublk_features *f)
{
	const uint64_t recovery = UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE;
	size_t used = 0;

	f->has_recovery = (f->bits & recovery) == recovery;
	f->has_user_copy = f->bits & UBLK_F_USER_COPY;
	f->has_ioctl_encode = f->bits & UBLK_F_CMD_IOCTL_ENCODE;
	f->has_resize = f->bits & UBLK_F_UPDATE_SIZE;
	f->has_try_stop = f->bits & UBLK_F_SAFE_STOP_DEV;
	f->degraded[0] = '\0';
	if (!f->has_recovery)
		degraded_add(f, &used,
			"no recovery (kernel 6.1): if the daemon dies, its devices and their I/O "
			"die with it");
	if (!f->has_user_copy)
		degraded_add(f, &used,
			"no user copy (kernel 6.5): depth x largest I/O stays resident, reads "
			"are copied twice");
	if (!f->has_resize)
		degraded_add(f, &used,
			"no resize (kernel 6.16): a device keeps its size until it is attached "
			"anew");
}

/* A buffer the kernel may answer into late must not lie on
 * a stack; control thread, one at a time. */
static uint64_t answer_bits;

int ublk_features_ask(struct ublk_ctl *c, struct ublk_features *out)
{
	const struct ublk_ctl_cmd cmd = {
		.nr = UBLK_NR_GET_FEATURES,
		.dev_id = UBLK_DEV_NONE,
		.buf = &answer_bits,
		.len = UBLK_FEATURES_BYTES,
	};
	struct utsname name;
	int rc;

	memset(out, 0, sizeof(*out));
	rc = ublk_ctl_call(c, &cmd, UBLK_CTL_US_MAX);
	if (rc == -EPERM || rc == -EACCES || rc == -ETIMEDOUT)
		return rc;
	if (rc < 0) {
		uname(&name);
		/* 6.4 looks for device -1 first, 6.0 to 6.3 do not know the number. */
		if (rc != -ENODEV && rc != -EOPNOTSUPP && rc != -EINVAL)
			return rc;
		out->bits = ublk_features_of_release(name.release);
		out->is_inferred = true;
	} else {
		out->bits = answer_bits;
	}
	ublk_features_describe(out);
	c->is_encoded = out->has_ioctl_encode;
	return 0;
}

int ublk_features(struct ublk_features *out, struct error *err)
{
	struct ublk_ctl ctl = {.fd = -1};
	int rc;

	rc = ublk_ctl_open(&ctl, UBLK_CONTROL_PATH, err);
	if (rc < 0)
		return rc;
	rc = ublk_features_ask(&ctl, out);
	ublk_ctl_close(&ctl);
	if (rc < 0)
		return error_set(
			err, rc, "%s does not answer: %s", UBLK_CONTROL_PATH, strerror(-rc));
	return 0;
}
