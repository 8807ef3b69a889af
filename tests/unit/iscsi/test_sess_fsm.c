/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every cell of the session machine against a list written from RFC 7143 8.3. */
#include "iscsi/sess_fsm.h"

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
    { "N1", I, "Q1 FREE", "Q3 LOGGED_IN", "CONN_LOGGED_IN" },
    { "N1", T, "Q1 FREE", "Q2 ACTIVE", "CONN_IN_LOGIN" },
    { "N2", T, "Q2 ACTIVE", "Q3 LOGGED_IN", "CONN_LOGGED_IN" },
    { "N3", I, "Q3 LOGGED_IN", "Q1 FREE", "CLOSED" },
    { "N3", T, "Q3 LOGGED_IN", "Q1 FREE", "CLOSED REINSTATED" },
    { "N4", I, "Q4 FAILED", "Q3 LOGGED_IN", "CONTINUED" },
    { "N5", B, "Q3 LOGGED_IN", "Q4 FAILED", "CONNS_FAILED" },
    { "N6", B, "Q4 FAILED", "Q1 FREE", "TIMED_OUT REINSTATED" },
    { "N7", T, "Q4 FAILED", "Q5 IN_CONTINUE", "CONTINUE_STARTED" },
    { "N8", T, "Q5 IN_CONTINUE", "Q4 FAILED", "CONTINUE_FAILED" },
    { "N9", T, "Q2 ACTIVE", "Q1 FREE", "LOGIN_FAILED" },
    { "N10", T, "Q5 IN_CONTINUE", "Q3 LOGGED_IN", "CONTINUED" },
    { "N11", T, "Q5 IN_CONTINUE", "Q1 FREE", "REINSTATED" },
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
    for (unsigned s = 0; s < ISCSI_SESS_STATE_COUNT; s++) {
        for (unsigned e = 0; e < ISCSI_SESS_EVENT_COUNT; e++) {
            enum iscsi_sess_state from = (enum iscsi_sess_state)s, state = from;
            enum iscsi_sess_event ev = (enum iscsi_sess_event)e;
            const char *transition = "unset";
            int err = iscsi_sess_fsm_step(&state, role, ev, &transition);
            const struct expect *x =
                expected(role, iscsi_sess_state_name(from), iscsi_sess_event_name(ev));
            if (!x) {
                assert_int_equal(err, USAN_EPROTO);
                assert_int_equal(state, from);
                assert_string_equal(transition, "unset");
                continue;
            }
            assert_int_equal(err, 0);
            assert_string_equal(iscsi_sess_state_name(state), x->to);
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
    enum iscsi_sess_state s = ISCSI_SESS_FREE;
    assert_int_equal(iscsi_sess_fsm_step(&s, ISCSI_ROLE_TARGET, ISCSI_SESS_EV_CONN_IN_LOGIN, NULL),
                     0);
    assert_int_equal(s, ISCSI_SESS_ACTIVE);
}

static void names_outside(void **st)
{
    (void)st;
    assert_string_equal(iscsi_sess_state_name(ISCSI_SESS_STATE_COUNT), "?");
    assert_string_equal(iscsi_sess_event_name(ISCSI_SESS_EVENT_COUNT), "?");
    for (unsigned s = 0; s < ISCSI_SESS_STATE_COUNT; s++)
        assert_true(strlen(iscsi_sess_state_text((enum iscsi_sess_state)s)) > 5);
    for (unsigned e = 0; e < ISCSI_SESS_EVENT_COUNT; e++)
        assert_true(strlen(iscsi_sess_event_text((enum iscsi_sess_event)e)) > 5);
    enum iscsi_sess_state s = ISCSI_SESS_FREE;
    assert_int_equal(iscsi_sess_fsm_step(&s, ISCSI_ROLE_TARGET, ISCSI_SESS_EVENT_COUNT, NULL),
                     USAN_EPROTO);
}

static void printed(void **st)
{
    (void)st;
    char buf[8192];
    struct wr w = wr_init(buf, sizeof(buf) - 1);
    iscsi_sess_fsm_print_list(ISCSI_ROLE_TARGET, &w);
    assert_false(wr_truncated(&w));
    buf[w.len] = '\0';
    assert_non_null(strstr(buf, "| Q2 ACTIVE | login on the leading connection failed | N9 | "
                                "Q1 FREE |\n"));
    assert_null(strstr(buf, "N4")); /* illegal for a target */
    w = wr_init(buf, sizeof(buf) - 1);
    iscsi_sess_fsm_print_graph(ISCSI_ROLE_INITIATOR, &w);
    assert_false(wr_truncated(&w));
    buf[w.len] = '\0';
    assert_non_null(strstr(buf, "digraph sess_initiator {\n"));
    assert_non_null(
        strstr(buf, "    \"Q1 FREE\" -> \"Q3 LOGGED_IN\" [label=\"N1 CONN_LOGGED_IN\"];\n"));
    assert_null(strstr(buf, "ACTIVE"));
    assert_string_equal(buf + w.len - 2, "}\n");
    w = wr_init(buf, 10);
    iscsi_sess_fsm_print_graph(ISCSI_ROLE_INITIATOR, &w);
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
