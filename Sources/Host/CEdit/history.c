#define _GNU_SOURCE
#include "history.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

// The file holds one entry a line; a backslash is written as \\ and a line break as \n, so that appending one entry is one
// write and two sessions never spoil each other's.

static void put_escaped(FILE *file, const char *entry) {
  for (const char *c = entry; *c; c++) {
    if (*c == '\n') fputs("\\n", file);
    else if (*c == '\\') fputs("\\\\", file);
    else fputc(*c, file);
  }
  fputc('\n', file);
}

static void unescape(char *line) {
  char *to = line;
  for (const char *from = line; *from; from++) {
    if (*from == '\\' && from[1]) {
      from++;
      *to++ = *from == 'n' ? '\n' : *from;
    } else {
      *to++ = *from;
    }
  }
  *to = 0;
}

// Puts an entry last, and takes out an older equal one.
static void enter(History *past, const char *entry) {
  HistEvent event;
  for (int found = history(past, &event, H_FIRST); found != -1; found = history(past, &event, H_NEXT)) {
    if (strcmp(event.str, entry) == 0) {
      int number = event.num;
      history(past, &event, H_DEL, number);
      break;
    }
  }
  history(past, &event, H_ENTER, entry);
}

// Makes the folders of a path, private to the user.
static void make_folders(const char *path) {
  char *copy = strdup(path);
  if (!copy) return;
  for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    mkdir(copy, 0700);
    *slash = '/';
  }
  free(copy);
}

static FILE *open_locked(const char *path, int flags, const char *mode) {
  int descriptor = open(path, flags | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return NULL;
  fchmod(descriptor, 0600);
  flock(descriptor, LOCK_EX);
  FILE *file = fdopen(descriptor, mode);
  if (!file) close(descriptor);
  return file;
}

// Writes all entries in place, oldest first, under the lock that other sessions append under.
static void rewrite(History *past, FILE *file) {
  HistEvent event;
  rewind(file);
  if (ftruncate(fileno(file), 0) != 0) return;
  for (int found = history(past, &event, H_LAST); found != -1; found = history(past, &event, H_PREV))
    put_escaped(file, event.str);
  fflush(file);
}

History *cedit_history_open(const char *path) {
  History *past = history_init();
  if (!past) return NULL;
  HistEvent event;
  history(past, &event, H_SETSIZE, CEDIT_HISTORY_SIZE);
  if (!path) return past;
  make_folders(path);
  FILE *file = open_locked(path, O_RDWR, "r+");
  if (!file) return past;
  char *line = NULL;
  size_t capacity = 0, entries = 0;
  ssize_t length;
  while ((length = getline(&line, &capacity, file)) > 0) {
    if (line[length - 1] == '\n') line[length - 1] = 0;
    unescape(line);
    if (*line) enter(past, line);
    entries++;
  }
  free(line);
  if (entries > 2 * CEDIT_HISTORY_SIZE) rewrite(past, file);
  fclose(file);
  return past;
}

void cedit_history_add(History *past, const char *path, const char *entry) {
  enter(past, entry);
  if (!path) return;
  FILE *file = open_locked(path, O_WRONLY | O_APPEND, "a");
  if (!file) return;
  put_escaped(file, entry);
  fclose(file);
}
