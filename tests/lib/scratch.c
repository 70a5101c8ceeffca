/* Directories of tests that need a real one. */
#include "scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char *
scratch_make(void)
{
	const char *parent = getenv("TMPDIR");
	char *path;

	if (asprintf(&path, "%s/dynnode-test-XXXXXX",
				 parent != NULL && *parent != '\0' ? parent : "/tmp") < 0 ||
		mkdtemp(path) == NULL)
	{
		perror("mkdtemp");
		exit(1);
	}
	return path;
}

static int
remove_one(const char *path, const struct stat *status, int kind,
		   struct FTW *place)
{
	return remove(path);
}

void
scratch_remove(char *path)
{
	if (path != NULL)
		nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	free(path);
}
