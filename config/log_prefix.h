/*
 * log_prefix.h - what stands in front of a line of the log
 */
#ifndef CONFIG_LOG_PREFIX_H
#define CONFIG_LOG_PREFIX_H

#include <stddef.h>
#include "config/log.h"

#define LOG_PREFIX_BYTES 96

/*
 * Writes the prefix of a line of @level that goes to @fd now. Out: its length in bytes, less than
 * LOG_PREFIX_BYTES, 0 on a terminal. Any thread; allocates nothing; errno may change.
 */
size_t log_prefix(char buf[LOG_PREFIX_BYTES], int fd, enum log_level level);

#endif
