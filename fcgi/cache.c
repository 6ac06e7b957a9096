/* SPDX-License-Identifier: Apache-2.0 */
/* see cache.h */
#include "cache.h"
#include "dshard/clock.h"
#include "dshard/file.h"
#include "dshard/log.h"
#include "dshard/process.h"
#include "dshard/utf8.h"
#include "reading.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LOADER_NICE = 5 };

struct ds_cache {
    char *path;
    struct ds_stats *stats;       /* borrowed; may be NULL */
    struct ds_keepsake *keepsake; /* the same */

    /* The loader's. */
    int fd;                      /* the file that was read last, good or bad; -1: none */
    struct ds_file_id id;        /* of fd */
    bool good;                   /* what fd holds is in use */
    char *problem;               /* that was logged last; NULL: all is well */
    struct ds_shared_ring *ring; /* the newest */
    uint64_t generation;         /* that was logged last */
    char *operation_by;          /* of the newest state; NULL: none */
    pthread_t thread;
    bool started;
    sem_t looked; /* once, at its beginning */
    int stop;     /* eventfd: the loader shall end */

    struct ds_troubles troubles; /* that there were */

    /* From the loader to the thread that answers, and back when it is done with. */
    _Atomic(struct ds_reading *) ready, retired;
    _Atomic(struct ds_troubles *) troubles_ready;
    atomic_bool operation_is_dead;

    /* That thread's. */
    struct ds_reading *current;
    struct ds_troubles *current_troubles; /* NULL: none yet */
    struct ds_view view;                  /* of these two */
};

struct ds_cache *ds_cache_new(const char *path, struct ds_stats *stats,
                              struct ds_keepsake *keepsake)
{
    struct ds_cache *cache = ds_xcalloc(1, sizeof *cache);

    cache->path = ds_xstrdup(path);
    cache->stats = stats;
    cache->keepsake = keepsake;
    cache->view.stats = stats;
    cache->fd = -1;
    cache->stop = -1;
    return cache;
}

void ds_cache_free(struct ds_cache *cache)
{
    if (!cache)
        return;
    if (cache->started) {
        ds_ignore(eventfd_write(cache->stop, 1) < 0); /* cannot fail: it is at 0 */
        pthread_join(cache->thread, NULL);
        sem_destroy(&cache->looked);
    }
    ds_auto_fd(&cache->stop);
    ds_auto_fd(&cache->fd);
    ds_reading_free(atomic_load(&cache->ready));
    ds_reading_free(atomic_load(&cache->retired));
    ds_reading_free(cache->current);
    free(atomic_load(&cache->troubles_ready));
    free(cache->current_troubles);
    ds_shared_ring_drop(cache->ring);
    free(cache->problem);
    free(cache->operation_by);
    free(cache->path);
    free(cache);
}

void ds_auto_cache(struct ds_cache **cache)
{
    ds_cache_free(*cache);
}

/* Hands the list on; one that was not taken yet is replaced. */
static void publish_troubles(struct ds_cache *cache)
{
    struct ds_troubles *copy = ds_xmalloc(sizeof *copy);

    *copy = cache->troubles;
    free(atomic_exchange(&cache->troubles_ready, copy));
}

static void end_trouble(struct ds_cache *cache)
{
    struct ds_trouble *last = &cache->troubles.items[0];

    if (cache->troubles.n && !last->until_ms)
        last->until_ms = ds_clock_wall_ms();
}

static void add_trouble(struct ds_cache *cache, const char *text)
{
    struct ds_troubles *troubles = &cache->troubles;
    struct ds_trouble *first = &troubles->items[0];

    end_trouble(cache);
    memmove(first + 1, first, sizeof *first * (DS_TROUBLES_MAX - 1));
    if (troubles->n < DS_TROUBLES_MAX)
        troubles->n++;
    *first = (struct ds_trouble){.since_ms = ds_clock_wall_ms()};
    ds_utf8_clean(first->text, sizeof first->text, text, strlen(text));
    publish_troubles(cache);
}

/* The file can be used: what was said of it holds no longer. */
static void forget_problem(struct ds_cache *cache)
{
    if (!cache->problem)
        return;
    ds_set_str(&cache->problem, NULL);
    end_trouble(cache);
    publish_troubles(cache);
}

/* The file that is in use lies at the path again: it had only been away. */
static void stop_complaining(struct ds_cache *cache)
{
    if (!cache->good || !cache->problem)
        return;
    ds_log(DS_LOG_INFO, "the state file is back", "path", cache->path, NULL);
    ds_stats_file_is_back(cache->stats);
    forget_problem(cache);
}

/* The newest ring if the state has the same, else a new one; one more user of it. */
static struct ds_shared_ring *ring_for(struct ds_cache *cache,
                                       const struct ds_state *state)
{
    if (!cache->ring || strcmp(cache->ring->digest, state->digest) != 0) {
        struct ds_shared_ring *old = cache->ring;

        cache->ring = ds_shared_ring_new(state, cache->stats);
        ds_shared_ring_drop(old);
    }
    return ds_shared_ring_share(cache->ring);
}

static void log_loaded(struct ds_cache *cache, const struct ds_state *state, bool news)
{
    char generation[24], members[24];
    size_t n = 0;

    if (!news && !cache->problem && state->generation == cache->generation)
        return;
    for (size_t i = 0; i < state->n_servers; i++)
        n += state->servers[i].member;
    snprintf(generation, sizeof generation, "%llu",
             (unsigned long long)state->generation);
    snprintf(members, sizeof members, "%zu", n);
    ds_log(DS_LOG_INFO, "the ring is in use", "generation", generation, "members",
           members, "digest", state->digest, NULL);
    cache->generation = state->generation;
    if (cache->good)
        forget_problem(cache);
}

/* Operations are killed without a word to anybody: somebody has to look. */
static void look_at_operation(struct ds_cache *cache)
{
    atomic_store(&cache->operation_is_dead,
                 cache->operation_by && ds_process_is_dead(cache->operation_by));
}

static bool publish(struct ds_cache *cache, struct ds_reading *reading_take)
{
    const struct ds_shared_ring *before = cache->ring;
    const struct ds_state *state = &reading_take->state;

    reading_take->ring = ring_for(cache, state);
    if (cache->good)
        ds_stats_loaded(cache->stats, state, ds_clock_wall_ms());
    log_loaded(cache, state, cache->ring != before);
    ds_set_str(&cache->operation_by, state->operation_by);
    look_at_operation(cache);
    ds_reading_free(atomic_exchange(&cache->ready, reading_take));
    return true;
}

/* Who has no state yet goes on with that of the other workers. */
static bool adopt(struct ds_cache *cache)
{
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);
    DS_AUTO(reading) struct ds_reading *kept = NULL;
    struct ds_error err = DS_ERROR_INIT;

    if (cache->ring || !ds_keepsake_get(cache->keepsake, &text))
        return false;
    kept = ds_xcalloc(1, sizeof *kept);
    if (ds_state_parse(&kept->state, text.data, text.len, &err) < 0)
        return false; /* as if there were none; it was good for who has put it there */
    ds_log(DS_LOG_WARN, "the last good state is taken over from another worker", NULL);
    return publish(cache, ds_steal(&kept));
}

/* Says what is wrong with the file, unless that was said already. */
static bool complain(struct ds_cache *cache, const char *text)
{
    bool adopted = adopt(cache);

    if (cache->problem && strcmp(cache->problem, text) == 0)
        return adopted;
    add_trouble(cache, text);
    ds_set_str(&cache->problem, text);
    ds_stats_load_failed(cache->stats);
    ds_log(DS_LOG_ERROR, "the state file cannot be used", "why", text, "ring",
           cache->ring ? "the last good one stays" : "none", NULL);
    return adopted;
}

/* Opens what lies at the path now.  It takes the place of the file that was kept open
   once it has been read, whether it is good or not: a bad file is read once, too. */
static bool load(struct ds_cache *cache)
{
    DS_AUTO(fd) int fd = open(cache->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    DS_AUTO(buf) struct ds_buf text = DS_BUF_INIT(DS_STATE_BYTES_MAX);
    DS_AUTO(reading) struct ds_reading *fresh = NULL;
    struct ds_error err = DS_ERROR_INIT;
    struct ds_file_id id;
    int parsed;

    if (fd < 0 || ds_file_id_of_fd(fd, &id) < 0) {
        ds_fail_errno(&err, "cannot open '%s'", cache->path);
        return complain(cache, err.text);
    }
    parsed = ds_file_read_fd(&text, fd, cache->path, &err);
    if (parsed < 0 && err.code == DS_E_SYSTEM)
        return complain(cache, err.text); /* of the medium, not of the content: again */
    ds_auto_fd(&cache->fd);
    cache->fd = ds_steal_fd(&fd);
    cache->id = id;
    cache->good = false;
    if (parsed == 0) {
        fresh = ds_xcalloc(1, sizeof *fresh);
        parsed = ds_state_parse(&fresh->state, text.data, text.len, &err);
        if (parsed < 0)
            ds_wrap(&err, "'%s'", cache->path);
    }
    if (parsed < 0)
        return complain(cache, err.text);
    cache->good = true;
    ds_keepsake_put(cache->keepsake, text.data, text.len);
    return publish(cache, ds_steal(&fresh));
}

static bool look(struct ds_cache *cache)
{
    struct ds_file_id id;

    if (ds_file_id_of_path(cache->path, &id) < 0) {
        struct ds_error err = DS_ERROR_INIT;

        ds_fail_errno(&err, "cannot open '%s'", cache->path);
        return complain(cache, err.text);
    }
    if (cache->fd < 0 || !ds_file_id_equal(&id, &cache->id))
        return load(cache);
    stop_complaining(cache);
    look_at_operation(cache);
    return adopt(cache); /* the others may have read one that was replaced at once */
}

bool ds_cache_look(struct ds_cache *cache)
{
    bool fresh = look(cache);

    ds_stats_set_usable(cache->stats, cache->ring);
    return fresh;
}

static void *loader(void *arg)
{
    struct ds_cache *cache = arg;
    struct pollfd stop = {.fd = cache->stop, .events = POLLIN};

    ds_cache_look(cache);
    sem_post(&cache->looked);
    /* Of this thread alone: a request comes before a new ring. */
    ds_ignore(setpriority(PRIO_PROCESS, (id_t)gettid(), LOADER_NICE) < 0);
    while (poll(&stop, 1, DS_CACHE_LOOK_MS) <= 0) {
        ds_reading_free(atomic_exchange(&cache->retired, NULL));
        ds_cache_look(cache);
    }
    return NULL;
}

int ds_cache_start(struct ds_cache *cache, struct ds_error *err)
{
    cache->stop = eventfd(0, EFD_CLOEXEC);
    if (cache->stop < 0)
        return ds_fail_errno(err, "cannot make an eventfd");
    sem_init(&cache->looked, 0, 0);
    errno = pthread_create(&cache->thread, NULL, loader, cache);
    if (errno)
        return ds_fail_errno(err, "cannot start the loader thread");
    cache->started = true;
    while (sem_wait(&cache->looked) < 0)
        ; /* EINTR */
    return 0;
}

/* Takes over what the loader has made ready. */
static void take(struct ds_cache *cache)
{
    struct ds_reading *fresh = atomic_exchange(&cache->ready, NULL);
    struct ds_troubles *troubles = atomic_exchange(&cache->troubles_ready, NULL);

    if (fresh) {
        /* Unmapping a large ring takes its time: the loader does it. */
        ds_reading_free(atomic_exchange(&cache->retired, cache->current));
        cache->current = fresh;
        cache->view.state = &fresh->state;
        cache->view.ring = fresh->ring->ring;
        cache->view.places = fresh->ring->places;
    }
    if (troubles) {
        free(cache->current_troubles);
        cache->current_troubles = troubles;
        cache->view.troubles = troubles;
    }
}

const struct ds_view *ds_cache_view(struct ds_cache *cache)
{
    /* A plain look first: the exchange would cost every request a locked instruction. */
    if (atomic_load_explicit(&cache->ready, memory_order_relaxed) ||
        atomic_load_explicit(&cache->troubles_ready, memory_order_relaxed))
        take(cache);
    cache->view.operation_is_dead =
        atomic_load_explicit(&cache->operation_is_dead, memory_order_relaxed);
    return &cache->view;
}
