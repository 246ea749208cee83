/*
 * error.h - one sentence for the person, beside the errno for the caller
 *
 * Set-up code that can fail for a reason the user can mend fills in a struct error: what failed
 * and what to do about it, in one line. Hot paths never see it.
 */
#ifndef CONFIG_ERROR_H
#define CONFIG_ERROR_H

#include <stdarg.h>
#include <stdio.h>

#define ERROR_TEXT_BYTES 512

struct error {
	char text[ERROR_TEXT_BYTES];
};

/* Formats into @err (which may be NULL) and answers @rc,
 * so a caller can `return error_set(...)`. */
__attribute__((format(printf, 3, 4))) static inline int error_set(
	struct error *err, int rc, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return rc;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return rc;
}

#endif
