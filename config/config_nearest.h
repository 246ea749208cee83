/*
 * config_nearest.h - "did you mean"
 */
#ifndef CONFIG_CONFIG_NEAREST_H
#define CONFIG_CONFIG_NEAREST_H

#include <stddef.h>

/*
 * The word of @words (@stride bytes apart, each starting with a char pointer, NULL ends) that
 * @text is most likely a slip of, or NULL if none is near.
 */
const char *config_nearest(const char *text, const void *words, size_t stride);

#endif
