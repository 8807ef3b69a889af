/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every cell of the connection machine against a list written from RFC 7143 8.1.2 and 8.2. */
#include "iscsi/conn_fsm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define I 1u
#define T 2u
#define B 3u

/* State and event are spelled as text, so that a slip in the enums shows as well. */
static const struct expect {
    const char *transition;
    unsigned roles;
    const char *from, *to;
    const char *events; /* any of these */
} expects[] = {
    { "T1", I, "S1 FREE", "S2 XPT_WAIT", "XPT_CONNECTING" },
    { "T2", I, "S2 XPT_WAIT", "S1 FREE", "XPT_LOST SESSION_CLOSED" },
    { "T3", T, "S1 FREE", "S3 XPT_UP", "XPT_ACCEPTED" },
    { "T4", I, "S2 XPT_WAIT", "S4 IN_LOGIN", "XPT_CONNECTED" },
    { "T4", T, "S3 XPT_UP", "S4 IN_LOGIN", "LOGIN_STARTED" },
    { "T5", B, "S4 IN_LOGIN", "S5 LOGGED_IN", "LOGIN_OK" },
    { "T6", T, "S3 XPT_UP", "S1 FREE", "LOGIN_TIMEOUT XPT_LOST" },
    { "T7", B, "S4 IN_LOGIN", "S1 FREE", "LOGIN_FAILED LOGIN_TIMEOUT XPT_LOST SESSION_CLOSED" },
    { "T8", I, "S5 LOGGED_IN", "S1 FREE", "SESSION_CLOSED" },
    { "T8", T, "S5 LOGGED_IN", "S1 FREE", "SESSION_CLOSED REINSTATED" },
    { "T9", B, "S5 LOGGED_IN", "S6 IN_LOGOUT", "LOGOUT_STARTED" },
    { "T10", B, "S7 LOGOUT_REQUESTED", "S6 IN_LOGOUT", "LOGOUT_STARTED" },
    { "T11", B, "S5 LOGGED_IN", "S7 LOGOUT_REQUESTED", "LOGOUT_ASKED" },
    { "T12", B, "S7 LOGOUT_REQUESTED", "S7 LOGOUT_REQUESTED", "LOGOUT_ASKED" },
    { "T13", I, "S6 IN_LOGOUT", "S1 FREE", "LOGOUT_OK SESSION_CLOSED" },
    { "T13", T, "S6 IN_LOGOUT", "S1 FREE", "LOGOUT_OK SESSION_CLOSED REINSTATED" },
    { "T14", I, "S6 IN_LOGOUT", "S6 IN_LOGOUT", "LOGOUT_ASKED" },
    { "T15", B, "S5 LOGGED_IN", "S8 CLEANUP_WAIT", "XPT_LOST DROPPED" },
    { "T16", B, "S7 LOGOUT_REQUESTED", "S8 CLEANUP_WAIT", "XPT_LOST DROPPED" },
    { "T17", B, "S6 IN_LOGOUT", "S8 CLEANUP_WAIT", "LOGOUT_FAILED XPT_LOST DROPPED" },
    { "T18", I, "S7 LOGOUT_REQUESTED", "S1 FREE", "SESSION_CLOSED" },
    { "T18", T, "S7 LOGOUT_REQUESTED", "S1 FREE", "SESSION_CLOSED REINSTATED" },
    { "M1", B, "S8 CLEANUP_WAIT", "S1 FREE", "CLEANUP_TIMEOUT SESSION_CLOSED" },
    { "M2", B, "S8 CLEANUP_WAIT", "R2 IN_CLEANUP", "CLEANUP_STARTED" },
    { "M3", B, "R2 IN_CLEANUP", "S8 CLEANUP_WAIT", "CLEANUP_FAILED" },
    { "M4", B, "R2 IN_CLEANUP", "S1 FREE", "CLEANUP_OK SESSION_CLOSED" },
};

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = words; (p = strstr(p, word)); p += n) {
        if ((p == words || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
            return true;
    }
    return false;
}

static const struct expect *expected(enum iscsi_role role, const char *from, const char *event)
{
    const struct expect *found = NULL;
    unsigned bit = role == ISCSI_ROLE_INITIATOR ? I : T;
    for (size_t i = 0; i < sizeof(expects) / sizeof(expects[0]); i++) {
        if ((expects[i].roles & bit) && !strcmp(expects[i].from, from) &&
            has_word(expects[i].events, event)) {
            assert_null(found);
            found = &expects[i];
        }
    }
    return found;
}

static void walk(enum iscsi_role role)
{
    unsigned moves = 0;
    for (unsigned s = 0; s < ISCSI_CONN_STATE_COUNT; s++) {
        for (unsigned e = 0; e < ISCSI_CONN_EVENT_COUNT; e++) {
            enum iscsi_conn_state from = (enum iscsi_conn_state)s, state = from;
            enum iscsi_conn_event ev = (enum iscsi_conn_event)e;
            const char *transition = "unset";
            int err = iscsi_conn_fsm_step(&state, role, ev, &transition);
            const struct expect *x =
                expected(role, iscsi_conn_state_name(from), iscsi_conn_event_name(ev));
            if (!x) {
                assert_int_equal(err, USAN_EPROTO);
                assert_int_equal(state, from);
                assert_string_equal(transition, "unset");
                continue;
            }
            assert_int_equal(err, 0);
            assert_string_equal(iscsi_conn_state_name(state), x->to);
            assert_string_equal(transition, x->transition);
            moves++;
        }
    }
    /* Each word of the list was met: none names a state or event that does not exist. */
    unsigned words = 0, bit = role == ISCSI_ROLE_INITIATOR ? I : T;
    for (size_t i = 0; i < sizeof(expects) / sizeof(expects[0]); i++) {
        if (!(expects[i].roles & bit))
            continue;
        words++;
        for (const char *p = expects[i].events; *p; p++)
            words += *p == ' ';
    }
    assert_int_equal(moves, words);
}

static void initiator_cells(void **st)
{
    (void)st;
    walk(ISCSI_ROLE_INITIATOR);
}

static void target_cells(void **st)
{
    (void)st;
    walk(ISCSI_ROLE_TARGET);
}

static void null_transition(void **st)
{
    (void)st;
    enum iscsi_conn_state s = ISCSI_CONN_FREE;
    assert_int_equal(iscsi_conn_fsm_step(&s, ISCSI_ROLE_TARGET, ISCSI_CONN_EV_XPT_ACCEPTED, NULL),
                     0);
    assert_int_equal(s, ISCSI_CONN_XPT_UP);
}

static void names_outside(void **st)
{
    (void)st;
    assert_string_equal(iscsi_conn_state_name(ISCSI_CONN_STATE_COUNT), "?");
    assert_string_equal(iscsi_conn_event_name(ISCSI_CONN_EVENT_COUNT), "?");
    for (unsigned s = 0; s < ISCSI_CONN_STATE_COUNT; s++)
        assert_true(strlen(iscsi_conn_state_text((enum iscsi_conn_state)s)) > 5);
    for (unsigned e = 0; e < ISCSI_CONN_EVENT_COUNT; e++)
        assert_true(strlen(iscsi_conn_event_text((enum iscsi_conn_event)e)) > 5);
    enum iscsi_conn_state s = ISCSI_CONN_FREE;
    assert_int_equal(iscsi_conn_fsm_step(&s, ISCSI_ROLE_TARGET, ISCSI_CONN_EVENT_COUNT, NULL),
                     USAN_EPROTO);
}

static void printed(void **st)
{
    (void)st;
    char buf[8192];
    struct wr w = wr_init(buf, sizeof(buf) - 1);
    iscsi_conn_fsm_print_list(ISCSI_ROLE_TARGET, &w);
    assert_false(wr_truncated(&w));
    buf[w.len] = '\0';
    assert_non_null(strstr(buf, "| S4 IN_LOGIN | final Login Response, status class 0 | T5 | "
                                "S5 LOGGED_IN |\n"));
    assert_null(strstr(buf, "XPT_WAIT")); /* illegal for a target */
    w = wr_init(buf, sizeof(buf) - 1);
    iscsi_conn_fsm_print_graph(ISCSI_ROLE_INITIATOR, &w);
    assert_false(wr_truncated(&w));
    buf[w.len] = '\0';
    assert_non_null(strstr(buf, "digraph conn_initiator {\n"));
    assert_non_null(
        strstr(buf, "    \"S1 FREE\" -> \"S2 XPT_WAIT\" [label=\"T1 XPT_CONNECTING\"];\n"));
    assert_null(strstr(buf, "XPT_UP"));
    assert_string_equal(buf + w.len - 2, "}\n");
    w = wr_init(buf, 10);
    iscsi_conn_fsm_print_graph(ISCSI_ROLE_INITIATOR, &w);
    assert_true(wr_truncated(&w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(initiator_cells), cmocka_unit_test(target_cells),
        cmocka_unit_test(null_transition), cmocka_unit_test(names_outside),
        cmocka_unit_test(printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
