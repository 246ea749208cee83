/*
 * signals.h - the signals a daemon is ended by, and those it survives
 */
#ifndef DAEMON_SIGNALS_H
#define DAEMON_SIGNALS_H

#include <stdbool.h>

/*
 * Blocks every signal that would end or stop the process without having to, in the calling thread
 * and in those it makes from now on: call it before the first. Out: a descriptor, readable when one
 * came, or -errno.
 */
int signals_open(void);
/*
 * Takes what came from the descriptor of signals_open(). Out: how many of them ask for the end of
 * the daemon; *is_reload: SIGHUP came, once or more. The others are logged, and do nothing. Never
 * waits. Control thread.
 */
unsigned signals_read(int fd, bool *is_reload);

#endif
