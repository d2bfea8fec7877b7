/*
 * What a node under chaos finds in place of libc's flushes and wall clock: loaded before libc by LD_PRELOAD, told what to
 * do by a small text file that the environment names. Each line is one order; an empty file, or none, changes nothing:
 *
 *   flush-delay-ms 400     every fsync, fdatasync and msync takes so much longer; one under way ends early when the
 *                          order is withdrawn
 *   flush-fail EIO         they fail with EIO (or ENOSPC) and flush nothing
 *   realtime-offset-s 3600 the wall clock is ahead by so many seconds, behind if negative
 *
 * The monotonic clock is left alone: the kernel's own waits (epoll, condition variables) would go on by the true one, and
 * no machine has two. The one wait of Node that ends by the wall clock, sem_timedwait, is translated back.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* How old what is known of the orders may be. */
#define LOOK_EVERY_MS 20
#define CONTROL_VARIABLE "DAYBREAK_CHAOS_CONTROL"

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_msync)(void *, size_t, int);
static int (*real_sem_timedwait)(sem_t *, const struct timespec *);

static const char *control;
static _Atomic int64_t looked_at_ms = INT64_MIN;
static _Atomic int64_t flush_delay_ms;
static _Atomic int flush_error;
static _Atomic int64_t realtime_offset_s;

static void find_real(void) {
  real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_msync = dlsym(RTLD_NEXT, "msync");
  real_sem_timedwait = dlsym(RTLD_NEXT, "sem_timedwait");
  control = getenv(CONTROL_VARIABLE);
}

/* The first call may come before any constructor has run. */
static void ready(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, find_real);
}

static int64_t monotonic_ms(void) {
  struct timespec at;
  real_clock_gettime(CLOCK_MONOTONIC_COARSE, &at);
  return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static void obey(char *text) {
  int64_t delay_ms = 0, offset_s = 0;
  int error = 0;
  char *rest = NULL;
  for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
    char *value = strchr(line, ' ');
    if (value == NULL) continue;
    *value++ = '\0';
    if (strcmp(line, "flush-delay-ms") == 0) delay_ms = strtoll(value, NULL, 10);
    else if (strcmp(line, "flush-fail") == 0) error = strcmp(value, "ENOSPC") == 0 ? ENOSPC : EIO;
    else if (strcmp(line, "realtime-offset-s") == 0) offset_s = strtoll(value, NULL, 10);
  }
  flush_delay_ms = delay_ms;
  flush_error = error;
  realtime_offset_s = offset_s;
}

/* System calls, so that nothing else that is preloaded or wrapped is in the way; errno is the caller's. */
static void look(int64_t age_ms_max) {
  if (control == NULL) return;
  int64_t now_ms = monotonic_ms();
  if (looked_at_ms > now_ms - age_ms_max) return;
  looked_at_ms = now_ms;
  int before = errno;
  char text[512] = "";
  int file = (int)syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    ssize_t length = syscall(SYS_read, file, text, sizeof text - 1);
    text[length > 0 ? length : 0] = '\0';
    syscall(SYS_close, file);
  }
  obey(text);
  errno = before;
}

/* Answers whether this flush fails. */
static int fails(void) {
  ready();
  look(1);
  int64_t began_ms = monotonic_ms();
  while (monotonic_ms() - began_ms < flush_delay_ms) {
    struct timespec moment = {0, 5 * 1000 * 1000};
    nanosleep(&moment, NULL);
    look(LOOK_EVERY_MS);
  }
  if (flush_error == 0) return 0;
  errno = flush_error;
  return 1;
}

int fsync(int file) { return fails() ? -1 : real_fsync(file); }
int fdatasync(int file) { return fails() ? -1 : real_fdatasync(file); }
int msync(void *at, size_t length, int flags) { return fails() ? -1 : real_msync(at, length, flags); }

int clock_gettime(clockid_t which, struct timespec *at) {
  ready();
  int result = real_clock_gettime(which, at);
  if (result != 0 || (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE)) return result;
  look(LOOK_EVERY_MS);
  at->tv_sec += realtime_offset_s;
  return 0;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  struct timespec now;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *at) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return (time_t)-1;
  if (at != NULL) *at = now.tv_sec;
  return now.tv_sec;
}

/* Its end was computed from the clock above; the kernel waits by the true one. */
int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
  ready();
  struct timespec true_until = *until;
  true_until.tv_sec -= realtime_offset_s;
  return real_sem_timedwait(semaphore, &true_until);
}
