/*
 * log.h - one line on stderr, with the level systemd understands
 *
 * For the control thread and for start-up. Workers never log: they queue events, and the control
 * thread writes them. Under journald the prefix is <3> <4> <6> <7> (sd-daemon(3)), in a file or
 * pipe the time, the program and its pid; on a terminal there is none.
 */
#ifndef CONFIG_LOG_H
#define CONFIG_LOG_H

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

void log_level_set(enum log_level level); /* lines above it are not written; default INFO */
__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *fmt, ...);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
