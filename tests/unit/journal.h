/* SPDX-License-Identifier: Apache-2.0 */
/* journal.h - for tests that capture stderr and know each byte: no times in it. */
#ifndef DSHARD_TEST_JOURNAL_H
#define DSHARD_TEST_JOURNAL_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What stderr leads to now is the journal, as systemd would say it. */
static inline void journal_is_stderr(void)
{
    struct stat st;
    char stream[64];

    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev,
             (uintmax_t)st.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
}

#endif
