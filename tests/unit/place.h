/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.h - a directory of its own for a test that writes files: *state is its struct
 * place, and a test that leaves another file than `path` and `temporary` there fails.
 */
#ifndef DSHARD_TEST_PLACE_H
#define DSHARD_TEST_PLACE_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct place {
    char dir[64];
    char path[96];
    char temporary[96];
};

static inline int make_place(void **state)
{
    struct place *place = ds_xcalloc(1, sizeof *place);

    snprintf(place->dir, sizeof place->dir, "/tmp/dshard-test-file.XXXXXX");
    if (!mkdtemp(place->dir))
        return -1;
    snprintf(place->path, sizeof place->path, "%s/ring.json", place->dir);
    snprintf(place->temporary, sizeof place->temporary, "%s/.ring.json.tmp", place->dir);
    *state = place;
    return 0;
}

static inline int remove_place(void **state)
{
    struct place *place = *state;

    unlink(place->path);
    unlink(place->temporary);
    if (rmdir(place->dir) < 0)
        return -1; /* something was left behind */
    free(place);
    return 0;
}

static inline size_t count_entries(const char *dir)
{
    DIR *open = opendir(dir);
    size_t n = 0;

    assert_non_null(open);
    while (readdir(open))
        n++;
    closedir(open);
    return n - 2; /* "." and ".." */
}

#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

#endif
