#define _GNU_SOURCE
#include "guard.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOTS = 4096 };

typedef struct {
  _Atomic(uintptr_t) start, end;  // 0: free
  atomic_bool is_damaged, is_taken;
} slot;

static slot slots[SLOTS];
static atomic_int used;  // slots beyond were never taken
static uintptr_t page_bytes;
static struct sigaction previous;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/// Only what is safe in a signal handler: loads, stores, and the mmap system call.
static void on_bus(int signal, siginfo_t *info, void *context) {
  int saved = errno, count = atomic_load(&used);
  uintptr_t address = (uintptr_t)info->si_addr;
  for (int i = 0; i < count; i++) {
    uintptr_t start = atomic_load(&slots[i].start), end = atomic_load(&slots[i].end);
    if (address < start || address >= end) continue;
    atomic_store(&slots[i].is_damaged, true);
    uintptr_t page = address & ~(page_bytes - 1), rest = ((end - page) + page_bytes - 1) & ~(page_bytes - 1);
    void *zeros = mmap((void *)page, rest, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    errno = saved;
    if (zeros != MAP_FAILED) return;
    break;
  }
  if (previous.sa_flags & SA_SIGINFO && previous.sa_sigaction) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  } else {  // the instruction runs again and takes the default's way
    struct sigaction fallback = {.sa_handler = SIG_DFL};
    sigaction(SIGBUS, &fallback, NULL);
  }
  errno = saved;
}

static void install(void) {
  page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
  struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &previous);
}

int ck_guard_add(const void *start, size_t size) {
  pthread_once(&once, install);
  for (int i = 0; i < SLOTS; i++) {
    bool is_free = false;
    if (!atomic_compare_exchange_strong(&slots[i].is_taken, &is_free, true)) continue;
    atomic_store(&slots[i].is_damaged, false);
    atomic_store(&slots[i].end, (uintptr_t)start + size);
    atomic_store(&slots[i].start, (uintptr_t)start);
    int seen = atomic_load(&used);
    while (seen <= i && !atomic_compare_exchange_weak(&used, &seen, i + 1)) {}
    return i;
  }
  return -1;
}

bool ck_guard_is_damaged(int slot) { return slot >= 0 && atomic_load(&slots[slot].is_damaged); }

void ck_guard_remove(int slot) {
  if (slot < 0) return;
  atomic_store(&slots[slot].end, 0);
  atomic_store(&slots[slot].start, 0);
  atomic_store(&slots[slot].is_taken, false);
}

bool ck_exchange(const char *first, const char *second) {
#ifdef RENAME_EXCHANGE
  return renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE) == 0;
#else
  return false;
#endif
}
