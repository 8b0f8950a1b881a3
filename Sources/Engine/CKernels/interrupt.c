#include "ckernels.h"
#include <signal.h>

static volatile sig_atomic_t interrupted = 0, requests = 0;

void ck_interrupt_set(int value) { interrupted = value; }
int ck_interrupt_get(void) { return interrupted; }
void ck_interrupt_request(void) {
  requests++;
  interrupted = 1;
}
int ck_interrupt_requests(void) { return requests; }
