// The history: entries in memory for libedit, and a file that each session appends to.
#ifndef CEDIT_HISTORY_H
#define CEDIT_HISTORY_H
#include <histedit.h>

enum { CEDIT_HISTORY_SIZE = 2000 };

/// Reads the file into a new history of unique entries; rewrites a file that has grown to twice the size.
History *cedit_history_open(const char *path);
void cedit_history_add(History *history, const char *path, const char *entry);

#endif
