/* SPDX-License-Identifier: Apache-2.0 */
/* see process.h */
#include "dshard/process.h"
#include "dshard/error.h"
#include "dshard/num.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

enum { HOST_MAX = 256 };

static void host_name(char out[HOST_MAX])
{
    out[HOST_MAX - 1] = '\0';
    if (gethostname(out, HOST_MAX - 1) < 0)
        memcpy(out, "?", sizeof "?");
}

char *ds_process_host(void)
{
    char host[HOST_MAX];

    host_name(host);
    return host[0] && strcmp(host, "?") != 0 ? ds_xstrdup(host) : NULL;
}

char *ds_process_name(void)
{
    char host[HOST_MAX];

    host_name(host);
    return ds_xasprintf("%s:%ld", host, (long)getpid());
}

bool ds_process_is_dead(const char *name)
{
    const char *colon = strrchr(name, ':');
    struct ds_error ignored = DS_ERROR_INIT;
    char host[HOST_MAX];
    uint64_t pid;

    host_name(host);
    if (!colon || strlen(host) != (size_t)(colon - name) ||
        strncmp(name, host, strlen(host)) != 0 ||
        ds_num_parse(colon + 1, 1, INT32_MAX, &pid, &ignored) < 0)
        return false;
    return kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}
