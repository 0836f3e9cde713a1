/* SPDX-License-Identifier: BSD-2-Clause-Patent */
/*
 * replay PATH...: gives files, or all files of folders, to a fuzz target, once each: a libFuzzer target as a
 * plain test, with any compiler.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long count;

static int replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = NULL;
	size_t size = 0, room = 0, got;

	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	do {
		if (size == room) {
			uint8_t *more = realloc(data, room += 65536);

			if (!more) {
				fprintf(stderr, "%s: %s\n", path, strerror(ENOMEM));
				free(data);
				fclose(file);
				return -1;
			}
			data = more;
		}
		got = fread(data + size, 1, room - size, file);
		size += got;
	} while (got > 0);
	fclose(file);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	count++;
	return 0;
}

static int replay(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int ret = 0;

	if (!dir)
		return replay_file(path);
	while (!ret && (entry = readdir(dir))) {
		char name[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		ret = replay(name);
	}
	closedir(dir);
	return ret;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (replay(argv[i]))
			return 1;
	}
	printf("%lu inputs\n", count);
	return count ? 0 : 1; /* a test without seeds tests nothing */
}
