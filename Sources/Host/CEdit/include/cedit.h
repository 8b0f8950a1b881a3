// The line editor: libedit's native interface behind plain C functions (its own are variadic, which Swift cannot call).
// Adds bracketed paste, unique multi-line history kept in a file, and Ctrl-C that clears the line.
#ifndef CEDIT_H
#define CEDIT_H
#include <stddef.h>
#include <stdint.h>

typedef struct cedit cedit;

enum { CEDIT_LINE = 0, CEDIT_END = 1, CEDIT_INTERRUPTED = 2 };

/// Called for TAB with the text up to the cursor; it may call cedit_insert and cedit_show.
typedef void (*cedit_completer)(cedit *edit, const char *text, size_t length, void *context);

/// Sets LC_CTYPE (and nothing else: a decimal comma would break Lua's numbers) to the user's locale, or C.UTF-8.
void cedit_set_locale(void);

/// Columns that a character takes on a terminal; 0 for combining and control characters.
int cedit_character_width(uint32_t scalar);

/// An editor on standard input and output, both terminals. `history` is a file that is made when needed, or NULL.
/// NULL when libedit cannot start.
cedit *cedit_open(const char *history, int colour, cedit_completer completer, void *context);
void cedit_close(cedit *edit);

/// Reads one entry, which may hold line breaks after a paste. *text (without the last line break) is valid until the next
/// call. Ctrl-C returns CEDIT_INTERRUPTED, Ctrl-D on an empty line CEDIT_END.
int cedit_read(cedit *edit, const char *prompt, const char **text);

/// Puts an entry at the end of the history, in memory and in the file; older equal entries go.
void cedit_remember(cedit *edit, const char *entry);

/// During completion: puts text in at the cursor; prints text below the line, which is then drawn again.
void cedit_insert(cedit *edit, const char *text);
void cedit_show(cedit *edit, const char *text);

#endif
