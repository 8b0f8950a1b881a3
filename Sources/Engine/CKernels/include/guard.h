// Files that change under a mapping: a read beyond the end that the file has now is a SIGBUS. Registered mappings get
// zero pages in its place and are marked, so that the reader finds out by asking instead of dying.
#ifndef CK_GUARD_H
#define CK_GUARD_H
#include <stdbool.h>
#include <stddef.h>

/// Watches a mapping of `size` bytes at `start`; -1 where too many are watched already.
int ck_guard_add(const void *start, size_t size);
/// Whether a page of it could not be read.
bool ck_guard_is_damaged(int slot);
/// To be called before the mapping goes.
void ck_guard_remove(int slot);

/// Exchanges two files or folders in one step; false where the file system cannot.
bool ck_exchange(const char *first, const char *second);
#endif
