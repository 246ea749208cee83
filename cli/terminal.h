/*
 * terminal.h - what the terminal on stdout can do
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>

/* Can its cursor be moved and its screen be cleared, as terminfo(5) says of $TERM? */
bool terminal_is_drawable(void);

#endif
