/* Stops Lua code that runs for too long; see guard.h. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "script/guard.h"

#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int32_t barrier;
static const int32_t no_step;
struct nydus_guard guard = {.barrier = &barrier, .step = &no_step};

/* What the last tick saw. */
static struct {
    uint32_t calls;
    int32_t step;
    double since; /* milliseconds of CPU time */
} seen;

static double cpu_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* The handler interrupts Lua anywhere: it only looks, and sets one flag. */
static void on_tick(int number)
{
    (void)number;
    int32_t limit = *(volatile int32_t *)&guard.limit;
    if (!limit)
        return;
    uint32_t calls = *(volatile uint32_t *)&guard.calls;
    int32_t step = *(const volatile int32_t *)guard.step;
    double now = cpu_milliseconds();
    if (calls != seen.calls || step != seen.step) {
        seen.calls = calls;
        seen.step = step;
        seen.since = now;
    } else if (now - seen.since >= limit) {
        *(volatile int32_t *)&guard.stop = 1;
    }
}

static timer_t timer;
static pid_t owner; /* the process that the timer belongs to */

/* The specs load and unload this code as a library: a tick must not come after that. */
static void __attribute__((destructor)) guard_teardown(void)
{
    if (owner != getpid())
        return;
    timer_delete(timer);
    signal(SIGVTALRM, SIG_IGN);
    owner = 0;
}

static bool guard_start(void)
{
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigset_t own;
    sigemptyset(&own);
    sigaddset(&own, SIGVTALRM);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGVTALRM};
    struct itimerspec every = {.it_interval.tv_nsec = GUARD_TICK * 1000000L,
                               .it_value.tv_nsec = GUARD_TICK * 1000000L};
    return sigaction(SIGVTALRM, &action, NULL) == 0 && sigprocmask(SIG_UNBLOCK, &own, NULL) == 0 &&
           timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &timer) == 0 &&
           timer_settime(timer, 0, &every, NULL) == 0;
}

void guard_setup(void)
{
    if (owner == getpid())
        return;
    if (guard_start())
        owner = getpid();
    else
        log_warn("no timer for router scripts, one that loops will not be stopped: %s", strerror(errno));
}
