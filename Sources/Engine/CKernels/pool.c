// A pool of worker threads that spin briefly and then sleep. Work is handed out by an atomic counter, one index at a
// time, so unequal tasks balance themselves.
#define _GNU_SOURCE
#include "ckernels.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#define PAUSE() _mm_pause()
#else
#define PAUSE() ((void)0)
#endif

enum { MAX_THREADS = 256, SPINS = 4000 };

static struct {
  pthread_mutex_t owner;  // held by the thread whose parallel call runs
  pthread_mutex_t sleep;
  pthread_cond_t wake;
  atomic_size_t generation;  // odd/even ticks announce new work
  atomic_size_t next;        // next index to take
  atomic_size_t running;     // workers still inside the current generation
  size_t count;
  ck_task task;
  void *context;
  size_t threads;
  bool started;
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER, .sleep = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static _Thread_local bool inside_task = false;

static void take_all(void) {
  inside_task = true;
  for (;;) {
    size_t i = atomic_fetch_add_explicit(&pool.next, 1, memory_order_relaxed);
    if (i >= pool.count) break;
    pool.task(pool.context, i);
  }
  inside_task = false;
}

static void *worker(void *unused) {
  (void)unused;
  size_t seen = 0;
  for (;;) {
    size_t now = seen;
    for (int spin = 0; spin < SPINS; spin++) {
      now = atomic_load_explicit(&pool.generation, memory_order_acquire);
      if (now != seen) break;
      PAUSE();
    }
    if (now == seen) {
      pthread_mutex_lock(&pool.sleep);
      while ((now = atomic_load_explicit(&pool.generation, memory_order_acquire)) == seen)
        pthread_cond_wait(&pool.wake, &pool.sleep);
      pthread_mutex_unlock(&pool.sleep);
    }
    seen = now;
    take_all();
    atomic_fetch_sub_explicit(&pool.running, 1, memory_order_release);
  }
  return NULL;
}

static size_t available_cores(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return (size_t)CPU_COUNT(&set);
  long n = sysconf(_SC_NPROCESSORS_ONLN);
  return n > 0 ? (size_t)n : 1;
}

static void start(void) {  // owner held
  if (pool.threads == 0) {
    const char *wanted = getenv("ACTHOST_THREADS");
    long n = wanted ? strtol(wanted, NULL, 10) : 0;
    pool.threads = n > 0 ? (size_t)n : available_cores();
  }
  if (pool.threads > MAX_THREADS) pool.threads = MAX_THREADS;
  sigset_t all, before;  // signals belong to the main thread
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  size_t made = 1;
  for (; made < pool.threads; made++) {
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 4u << 20);
    int failed = pthread_create(&thread, &attributes, worker, NULL);
    pthread_attr_destroy(&attributes);
    if (failed) break;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pool.threads = made;
  pool.started = true;
}

void ck_set_threads(size_t count) {
  pthread_mutex_lock(&pool.owner);
  if (!pool.started) pool.threads = count;
  pthread_mutex_unlock(&pool.owner);
}

size_t ck_threads(void) {
  pthread_mutex_lock(&pool.owner);
  if (!pool.started) start();
  size_t n = pool.threads;
  pthread_mutex_unlock(&pool.owner);
  return n;
}

void ck_parallel(size_t count, ck_task task, void *context) {
  if (count == 0) return;
  if (count == 1 || inside_task || pthread_mutex_trylock(&pool.owner) != 0) {
    for (size_t i = 0; i < count; i++) task(context, i);
    return;
  }
  if (!pool.started) start();
  if (pool.threads == 1) {
    pthread_mutex_unlock(&pool.owner);
    for (size_t i = 0; i < count; i++) task(context, i);
    return;
  }
  pool.count = count;
  pool.task = task;
  pool.context = context;
  atomic_store_explicit(&pool.next, 0, memory_order_relaxed);
  atomic_store_explicit(&pool.running, pool.threads - 1, memory_order_relaxed);
  pthread_mutex_lock(&pool.sleep);
  atomic_fetch_add_explicit(&pool.generation, 1, memory_order_release);
  pthread_cond_broadcast(&pool.wake);
  pthread_mutex_unlock(&pool.sleep);
  take_all();
  // A worker that lost its core to another program gets it back sooner when nobody spins on ours.
  for (int spin = 0; atomic_load_explicit(&pool.running, memory_order_acquire) != 0; spin++) {
    if (spin < SPINS) PAUSE();
    else sched_yield();
  }
  pthread_mutex_unlock(&pool.owner);
}
