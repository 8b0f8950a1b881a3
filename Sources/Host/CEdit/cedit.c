#define _GNU_SOURCE
#include "cedit.h"
#include "history.h"
#include <errno.h>
#include <histedit.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

struct cedit {
  EditLine *el;
  History *history;
  char *path;           // of the history file
  char *prompt;
  char *text;           // the entry returned last
  cedit_completer completer;
  void *context;
  int colour;
  int bracketed;        // whether the terminal is asked to mark pastes
  int shown;            // whether the completer printed something
};

// Set by signals while a line is read.
static volatile sig_atomic_t interrupted, resized, resumed;
static void on_interrupt(int signal) { (void)signal; interrupted = 1; }
static void on_resize(int signal) { (void)signal; resized = 1; }
static void on_resume(int signal) { (void)signal; resumed = 1; }

void cedit_set_locale(void) {
  if (!setlocale(LC_CTYPE, "") || strcmp(setlocale(LC_CTYPE, NULL), "C") == 0 || strcmp(setlocale(LC_CTYPE, NULL), "POSIX") == 0)
    setlocale(LC_CTYPE, "C.UTF-8");
}

int cedit_character_width(uint32_t scalar) {
  int width = wcwidth((wchar_t)scalar);
  return width < 0 ? 0 : width;
}

static cedit *edit_of(EditLine *el) {
  void *data = NULL;
  el_get(el, EL_CLIENTDATA, &data);
  return data;
}

static char *prompt_of(EditLine *el) { return edit_of(el)->prompt; }

// Reads one character of the locale's encoding. libedit's own reader restarts after some signals; this one returns on
// Ctrl-C, follows the window's size, and sets the terminal up again after a stop (Ctrl-Z, fg).
static int read_character(EditLine *el, wchar_t *character) {
  char bytes[8];
  size_t count = 0;
  for (;;) {
    if (interrupted) {
      errno = EINTR;
      return -1;
    }
    if (resized) {
      resized = 0;
      el_resize(el);
    }
    if (resumed) {
      resumed = 0;
      el_set(el, EL_PREP_TERM, 0);
      el_set(el, EL_PREP_TERM, 1);
      el_set(el, EL_REFRESH);
    }
    ssize_t got = read(STDIN_FILENO, bytes + count, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return (int)got;
    count++;
    mbstate_t state;
    memset(&state, 0, sizeof state);
    size_t used = mbrtowc(character, bytes, count, &state);
    if (used == (size_t)-2 && count < sizeof bytes) continue;
    if (used == (size_t)-1 || used == (size_t)-2) {
      count = 0;        // not a character of this encoding: skip it
      continue;
    }
    if (used == 0) *character = 0;
    return 1;
  }
}

// ESC [ 200 ~ text ESC [ 201 ~: the whole text goes into the line at once, line breaks included.
static unsigned char paste(EditLine *el, int key) {
  (void)key;
  static const char end[] = "\033[201~";
  size_t capacity = 4096, length = 0;
  char *text = malloc(capacity);
  if (!text) return CC_ERROR;
  wchar_t character;
  while (read_character(el, &character) == 1) {
    char bytes[MB_LEN_MAX > 16 ? MB_LEN_MAX : 16];
    mbstate_t state;
    memset(&state, 0, sizeof state);
    if (character == L'\r') character = L'\n';
    if (character == 0) continue;
    size_t count = wcrtomb(bytes, character, &state);
    if (count == (size_t)-1) continue;
    if (length + count + 1 > capacity) {
      char *larger = realloc(text, capacity *= 2);
      if (!larger) break;
      text = larger;
    }
    memcpy(text + length, bytes, count);
    length += count;
    if (length >= sizeof end - 1 && memcmp(text + length - (sizeof end - 1), end, sizeof end - 1) == 0) {
      length -= sizeof end - 1;
      break;
    }
  }
  while (length && text[length - 1] == '\n') length--;
  // Other control characters would garble the line.
  size_t kept = 0;
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c >= 32 || c == '\n') text[kept++] = text[i];
    else if (c == '\t') text[kept++] = ' ';
  }
  text[kept] = 0;
  if (kept) el_insertstr(el, text);
  free(text);
  return CC_REFRESH;
}

static unsigned char complete(EditLine *el, int key) {
  (void)key;
  cedit *edit = edit_of(el);
  if (!edit->completer) return CC_ERROR;
  const LineInfo *line = el_line(el);
  size_t length = (size_t)(line->cursor - line->buffer);
  char *copy = strndup(line->buffer, length);
  if (!copy) return CC_ERROR;
  edit->shown = 0;
  edit->completer(edit, copy, length, edit->context);
  free(copy);
  return edit->shown ? CC_REDISPLAY : CC_REFRESH;
}

// Alt-Enter: a line break inside the entry.
static unsigned char line_break(EditLine *el, int key) {
  (void)key;
  el_insertstr(el, "\n");
  return CC_REFRESH;
}

cedit *cedit_open(const char *history_path, int colour, cedit_completer completer, void *context) {
  cedit *edit = calloc(1, sizeof *edit);
  if (!edit) return NULL;
  edit->el = el_init("acthost", stdin, stdout, stderr);
  if (!edit->el) {
    free(edit);
    return NULL;
  }
  edit->completer = completer;
  edit->context = context;
  edit->colour = colour;
  const char *terminal = getenv("TERM");
  edit->bracketed = terminal && *terminal && strcmp(terminal, "dumb") != 0;
  edit->path = history_path ? strdup(history_path) : NULL;
  edit->history = cedit_history_open(edit->path);
  EditLine *el = edit->el;
  el_set(el, EL_CLIENTDATA, edit);
  el_set(el, EL_SIGNAL, 0);
  el_set(el, EL_EDITOR, "emacs");
  el_set(el, EL_PROMPT_ESC, prompt_of, '\1');
  if (edit->history) el_set(el, EL_HIST, history, edit->history);
  el_set(el, EL_GETCFN, read_character);
  el_set(el, EL_ADDFN, "acthost-paste", "insert pasted text", paste);
  el_set(el, EL_ADDFN, "acthost-complete", "complete names", complete);
  el_set(el, EL_ADDFN, "acthost-line-break", "insert a line break", line_break);
  el_set(el, EL_BIND, "\033[200~", "acthost-paste", NULL);
  el_set(el, EL_BIND, "\t", "acthost-complete", NULL);
  el_set(el, EL_BIND, "\033\r", "acthost-line-break", NULL);
  el_set(el, EL_BIND, "\033\n", "acthost-line-break", NULL);
  el_set(el, EL_BIND, "^R", "em-inc-search-prev", NULL);
  el_set(el, EL_BIND, "\033[A", "ed-search-prev-history", NULL);
  el_set(el, EL_BIND, "\033OA", "ed-search-prev-history", NULL);
  el_set(el, EL_BIND, "\033[B", "ed-search-next-history", NULL);
  el_set(el, EL_BIND, "\033OB", "ed-search-next-history", NULL);
  el_set(el, EL_BIND, "\033[1;5C", "em-next-word", NULL);
  el_set(el, EL_BIND, "\033[1;5D", "ed-prev-word", NULL);
  el_set(el, EL_BIND, "\033[3~", "ed-delete-next-char", NULL);
  el_source(el, NULL);  // the user's ~/.editrc
  return edit;
}

void cedit_close(cedit *edit) {
  if (!edit) return;
  el_end(edit->el);
  if (edit->history) history_end(edit->history);
  free(edit->path);
  free(edit->prompt);
  free(edit->text);
  free(edit);
}

int cedit_read(cedit *edit, const char *prompt, const char **text) {
  *text = "";
  free(edit->prompt);
  // libedit drops an escape sequence that nothing follows: the colour ends before the prompt's last character, a space.
  int mark = (int)strlen(prompt) - 1;
  if (!edit->colour || mark < 0 || asprintf(&edit->prompt, "\1\033[1;36m\1%.*s\1\033[0m\1%s", mark, prompt, prompt + mark) < 0)
    edit->prompt = strdup(prompt);
  struct sigaction action, old_interrupt, old_resize, old_resume;
  memset(&action, 0, sizeof action);    // no SA_RESTART: a signal ends the read
  sigemptyset(&action.sa_mask);
  interrupted = resized = resumed = 0;
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, &old_interrupt);
  action.sa_handler = on_resize;
  sigaction(SIGWINCH, &action, &old_resize);
  action.sa_handler = on_resume;
  sigaction(SIGCONT, &action, &old_resume);
  // libedit prints the prompt before it takes the terminal over: a Ctrl-D between the two would be lost.
  el_set(edit->el, EL_PREP_TERM, 1);
  if (edit->bracketed) fputs("\033[?2004h", stdout);
  fflush(stdout);

  int count = 0;
  const char *line = el_gets(edit->el, &count);

  if (edit->bracketed) fputs("\033[?2004l", stdout);
  int result = CEDIT_LINE;
  if (interrupted) {
    fputs("^C\n", stdout);
    el_set(edit->el, EL_PREP_TERM, 0);
    el_reset(edit->el);
    result = CEDIT_INTERRUPTED;
  } else if (!line || count <= 0) {
    result = CEDIT_END;
  } else {
    free(edit->text);
    edit->text = strdup(line);
    size_t length = edit->text ? strlen(edit->text) : 0;
    if (length && edit->text[length - 1] == '\n') edit->text[length - 1] = 0;
    *text = edit->text ? edit->text : "";
  }
  fflush(stdout);
  sigaction(SIGINT, &old_interrupt, NULL);
  sigaction(SIGWINCH, &old_resize, NULL);
  sigaction(SIGCONT, &old_resume, NULL);
  return result;
}

void cedit_remember(cedit *edit, const char *entry) {
  if (edit->history && *entry) cedit_history_add(edit->history, edit->path, entry);
}

void cedit_insert(cedit *edit, const char *text) { el_insertstr(edit->el, text); }

void cedit_show(cedit *edit, const char *text) {
  if (!edit->shown) fputc('\n', stdout);
  fputs(text, stdout);
  fflush(stdout);
  edit->shown = 1;
}
