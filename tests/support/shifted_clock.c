/* The wall clock of one worker, moved by a test: clock_gettime(CLOCK_REALTIME), gettimeofday and time.
 *
 * The shift is a page of shared memory that is mapped before a process gives its rights away. So it costs no system
 * call, no file and no right, and the sandboxes of front and cells work as they are. Monotonic clocks are not moved.
 *
 * Compiled with -DALWAYS=SECONDS it reads nothing and moves the clock of whatever loads it by so many seconds:
 * `other_days` loads it into every process. Both can be in one process; their shifts add up.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int (*real_gettime)(clockid_t, struct timespec *);

#ifdef ALWAYS
static int64_t seconds(void)
{
    return ALWAYS;
}
#else
static const volatile int64_t *shift;

__attribute__((constructor)) static void attach(void)
{
    const char *path = getenv("CJI_TEST_SHIFT");
    real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    if (path == NULL)
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        abort();
    void *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        abort();
    close(fd);
    shift = page;
}

static int64_t seconds(void)
{
    return shift == NULL ? 0 : *shift;
}
#endif

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (real_gettime == NULL)
        real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real_gettime(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += seconds();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone)
{
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact))
        return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *copy)
{
    struct timespec exact;
    if (clock_gettime(CLOCK_REALTIME, &exact))
        return -1;
    if (copy != NULL)
        *copy = exact.tv_sec;
    return exact.tv_sec;
}
