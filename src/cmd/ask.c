/* SPDX-License-Identifier: Apache-2.0 */
/* see ask.h */
#include "ask.h"

#include <stdio.h>
#include <unistd.h>

enum { ANSWER_MAX = 64 };

bool ds_cmd_will_ask(bool yes)
{
    return !yes && isatty(STDIN_FILENO);
}

int ds_cmd_ask(bool yes, struct ds_error *err)
{
    char line[ANSWER_MAX];

    if (!ds_cmd_will_ask(yes))
        return 0;
    if (!isatty(STDERR_FILENO))
        return ds_fail(err, DS_E_USAGE,
                       "standard error is no terminal to ask on whether to go on: say "
                       "--yes");
    fputs("Go on? [y/N] ", stderr);
    fflush(stderr);
    if (!fgets(line, sizeof line, stdin))
        fputc('\n',
              stderr); /* the end of the input has left the cursor behind the question */
    else if (line[0] == 'y' || line[0] == 'Y')
        return 0;
    return ds_fail(err, DS_E_NO, "nothing was changed");
}
