// A pool of worker threads that spin briefly and then sleep. Work is handed out by an atomic counter, one index at a
// time, so unequal tasks balance themselves. Nobody waits for a worker that has not woken: workers join a piece of work
// by counting themselves into its word while it is open, the caller takes tasks itself, closes it when none is left, and
// waits only for those inside.
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
  _Atomic uint64_t word;     // generation << 32 | closed << 31 | workers inside
  atomic_size_t sleepers;    // workers that sleep or are about to
  atomic_size_t next;        // next index to take
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

static const uint64_t CLOSED = 1u << 31;
static uint32_t generation_of(uint64_t word) { return (uint32_t)(word >> 32); }

// Sequentially consistent, so that either a sleeper sees new work or the caller sees the sleeper.
static uint64_t load_word(void) { return atomic_load(&pool.word); }

// Waits for a generation after `seen`.
static uint64_t await(uint32_t seen) {
  for (int spin = 0; spin < SPINS; spin++) {
    uint64_t word = load_word();
    if (generation_of(word) != seen) return word;
    PAUSE();
  }
  pthread_mutex_lock(&pool.sleep);
  atomic_fetch_add(&pool.sleepers, 1);
  uint64_t word;
  while (generation_of(word = load_word()) == seen) pthread_cond_wait(&pool.wake, &pool.sleep);
  atomic_fetch_sub(&pool.sleepers, 1);
  pthread_mutex_unlock(&pool.sleep);
  return word;
}

static void *worker(void *unused) {
  (void)unused;
  for (uint32_t seen = 0;;) {
    uint64_t word = await(seen);
    seen = generation_of(word);
    // Joins while the work is open; late ones see it closed, or newer work, which the next round joins.
    while (!(word & CLOSED) && generation_of(word) == seen)
      if (atomic_compare_exchange_weak(&pool.word, &word, word + 1)) {
        take_all();
        atomic_fetch_sub_explicit(&pool.word, 1, memory_order_release);
        break;
      }
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
  // Generation 0 is none: a worker that starts waits for the first.
  uint32_t generation = generation_of(load_word()) + 1;
  atomic_store(&pool.word, (uint64_t)(generation ? generation : 1) << 32);
  if (atomic_load(&pool.sleepers) > 0) {
    pthread_mutex_lock(&pool.sleep);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.sleep);
  }
  take_all();
  atomic_fetch_or(&pool.word, CLOSED);
  // A worker that lost its core to another program gets it back sooner when nobody spins on ours.
  for (int spin = 0; (uint32_t)(atomic_load_explicit(&pool.word, memory_order_acquire) & (CLOSED - 1)) != 0; spin++) {
    if (spin < SPINS) PAUSE();
    else sched_yield();
  }
  pthread_mutex_unlock(&pool.owner);
}
