/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Standard output: what is not written is not passed over in silence. A reader that has left ends a
 * command as it ends cat: by SIGPIPE, without a word, or with a message if whoever started the
 * program has that signal ignored.
 */
#ifndef USAN_CLI_OUTPUT_H
#define USAN_CLI_OUTPUT_H

#include "cli/command.h"

/* First of all. Standard descriptors that are closed are given to /dev/null, in the direction in
 * which they can not be used: else the first file that is opened would be one of them. */
void cli_output_begin(void);
/* What was printed is to be seen now. */
void cli_output_flush(void);
/* Last of all: code, or CLI_FAILED with a line on standard error. */
int cli_output_end(int code);
/* For programs that go on after what they have written, whoever reads it: an error if it could not
 * be written, but for a reader that has left or was never there. */
USAN_MUST_CHECK
int cli_output_announce(struct err_text *e);
/* The reader has left: returns only if SIGPIPE was ignored from the start. */
void cli_output_left(void);

#endif
