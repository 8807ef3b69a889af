/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log of the program: one line per event an operator can act on, as key=value pairs on
 * standard error. Thread-safe; a line is written with one call, so lines never mix. Nothing is
 * logged per command.
 */
#ifndef USAN_TARGET_LOG_H
#define USAN_TARGET_LOG_H

enum tgt_log_level {
    TGT_LOG_STATUS, /* asked for by the operator: never dropped; shown as info */
    TGT_LOG_ERROR,
    TGT_LOG_WARN,
    TGT_LOG_INFO,
    TGT_LOG_DEBUG,
};

/* Lines above this level are dropped; TGT_LOG_WARN at start. Set before threads exist. */
void tgt_log_set_level(enum tgt_log_level level);
enum tgt_log_level tgt_log_get_level(void);

/*
 * "time=... level=... event=EVENT" and what the format gives: `key=%s other=%u`. Text that came
 * from a peer or a user goes through tgt_log_quote().
 */
__attribute__((format(printf, 3, 4))) void tgt_log(enum tgt_log_level level, const char *event,
                                                   const char *fmt, ...);

/* What anybody who reaches the port, or a store that fails, can make happen at any rate. */
enum tgt_log_peer_event {
    TGT_LOG_LOGIN_REFUSED,
    TGT_LOG_CONNECTION_REFUSED,
    TGT_LOG_CONNECTION_CLOSED, /* one that has not logged in */
    TGT_LOG_IO_FAILED,         /* by the store of a LUN */
    TGT_LOG_PEER_EVENTS,
};

enum {
    TGT_LOG_PEER_BURST = 10, /* lines of one such event at once; then one a second */
};

/* As tgt_log(), but most lines of a flood are dropped; the next one that is not has
 * suppressed=NUMBER at its end. Costs no lock. */
__attribute__((format(printf, 3, 4))) void
tgt_log_peer(enum tgt_log_level level, enum tgt_log_peer_event event, const char *fmt, ...);

struct tgt_log_text {
    char s[300];
};
/* The text as a value: as it is if it has only harmless characters, else in double quotes with
 * escapes; cut when too long. NULL gives "-". Use as tgt_log_quote(x).s inside the call. */
struct tgt_log_text tgt_log_quote(const char *text);

#endif
