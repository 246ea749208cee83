/*
 * ublk_path.c - the paths the kernel gives ublk devices
 *
 * A device of number N is /dev/ublkbN, and its partition P /dev/ublkbNpP. A command that is given
 * one of them means that device, whatever the volumes are called.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "nbd_client/ublk/ublk.h"

#define NUMBER_MAX (1 << 20) /* minor numbers have 20 bits */

/* A decimal number without sign or leading zero; *text moves behind it. -1: there is none. */
static int number_take(const char **text)
{
	int value = 0;
	const char *at = *text;

	if (*at == '0' && at[1] >= '0' && at[1] <= '9')
		return -1;
	for (; *at >= '0' && *at <= '9' && value < NUMBER_MAX; at++)
		value = value * 10 + (*at - '0');
	if (at == *text || value >= NUMBER_MAX)
		return -1;
	*text = at;
	return value;
}

int ublk_path_parse(const char *path, int *dev_id, int *partition)
{
	static const char prefix[] = "/dev/ublkb";
	const char *rest = path + sizeof(prefix) - 1;
	int id, part = 0;

	if (strncmp(path, prefix, sizeof(prefix) - 1) != 0)
		return -EINVAL;
	id = number_take(&rest);
	if (id < 0)
		return -EINVAL;
	if (*rest == 'p') {
		rest++;
		part = number_take(&rest);
		if (part <= 0)
			return -EINVAL;
	}
	if (*rest)
		return -EINVAL;
	*dev_id = id;
	*partition = part;
	return 0;
}
