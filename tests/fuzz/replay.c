/*
 * replay.c - feeds every file of the given directories to a fuzz target, without a fuzzer
 *
 * So the corpus, findings of the past included, is part of every test run with any compiler.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly its size, so that a sanitizer sees one byte too many. */
static int replay_file(const char *dir, const char *name)
{
	static uint8_t input[INPUT_BYTES_MAX];
	char path[4096];
	uint8_t *exact;
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "rb");
	if (!file) {
		perror(path);
		return -1;
	}
	size = fread(input, 1, sizeof(input), file);
	fclose(file);
	exact = malloc(size ? size : 1);
	if (!exact)
		return -1;
	for (size_t i = 0; i < size; i++)
		exact[i] = input[i];
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	return 0;
}

/* Out: how many files it had, or -1. */
static int replay_dir(const char *path)
{
	const struct dirent *entry;
	DIR *dir = opendir(path);
	int count = 0;

	if (!dir) {
		perror(path);
		return -1;
	}
	while (count >= 0 && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		count = replay_file(path, entry->d_name) ? -1 : count + 1;
	}
	closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int count = replay_dir(argv[i]);

		printf("%s: %d inputs\n", argv[i], count);
		if (count <= 0)
			return 1;
	}
	return argc > 1 ? 0 : 2;
}
