/*
 * error_code.h - one stable number and word for each kind of failure a program may ask about
 */
#ifndef CONFIG_ERROR_CODE_H
#define CONFIG_ERROR_CODE_H

struct error_code {
	int code;	  /* JSON-RPC 2.0's "code" */
	const char *name; /* "not-found" */
	int rc;		  /* the -errno it stands for */
};

/* The code of @rc, a negative errno; "failed" for those without one of their own. Never NULL. */
const struct error_code *error_code_of(int rc);

/* The code whose number is @code; "failed" for an unknown one. Never NULL. */
const struct error_code *error_code_numbered(int code);

#endif
