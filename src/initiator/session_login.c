/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/session_login.h"

#include "initiator/session_cmd.h"
#include "initiator/session_conn.h"

#include <string.h>

#define BACKOFF_FIRST_NS (100 * NS_PER_MS)
#define BACKOFF_MAX_NS   (2 * NS_PER_SEC)

static void fail_waiting(struct ini_session *s)
{
    ini_cmds_fail_waiting(
        s, s->phase == INI_PHASE_ENDED && s->error_code ? s->error_code : USAN_ETIMEOUT,
        s->refused ? "the unit is another one now"
                   : "the session was lost and did not come back in time");
}

/* When commands wait no longer. However short that is meant to be, the very first attempt may take
 * the time of a login. */
static uint64_t give_up_at(const struct ini_session *s)
{
    bool first = !s->was_up && s->failures == 0;
    return first && s->first_ns > s->give_up_ns ? s->first_ns : s->give_up_ns;
}

/* The timer wakes for whichever is first: the next attempt or the end of the wait. */
static void arm(struct ini_session *s)
{
    uint64_t at = s->phase == INI_PHASE_IDLE ? s->next_ns : TIME_NEVER;
    if (!s->given_up)
        at = time_min(at, give_up_at(s));
    if (loop_timer_set(s->loop, &s->retry, at)) {
        s->phase = list_empty(&s->conns) ? INI_PHASE_ENDED : s->phase;
        s->given_up = true;
        ini_session_set_error(s, USAN_ENOMEM, "out of memory for a timer");
        fail_waiting(s);
        if (s->phase == INI_PHASE_ENDED)
            ini_session_changed(s, INI_FAILED);
    }
}

static uint64_t backoff(unsigned failures)
{
    uint64_t ns = BACKOFF_FIRST_NS;
    for (unsigned i = 1; i < failures && ns < BACKOFF_MAX_NS; i++)
        ns *= 2;
    return ns < BACKOFF_MAX_NS ? ns : BACKOFF_MAX_NS;
}

/* The whole attempt has failed. */
static void give_up_attempt(struct ini_session *s)
{
    s->phase = INI_PHASE_IDLE;
    s->failures++;
    if (s->refused || (!s->was_up && !s->retry_first)) {
        s->phase = INI_PHASE_ENDED;
        s->given_up = true;
        fail_waiting(s);
        ini_session_changed(s, INI_FAILED);
        return;
    }
    s->next_ns = loop_now(s->loop) + backoff(s->failures);
    arm(s);
}

/* Try the addresses of the attempt's portal from attempt.addr on. */
static void connect_next(struct ini_session *s)
{
    struct ini_attempt *a = &s->attempt;
    while (a->addr < a->at.count) {
        a->reached = false;
        int rc = ini_conn_open(s, &a->at.addrs[a->addr++]);
        if (rc == 0) {
            s->phase = INI_PHASE_CONNECT;
            return;
        }
        ini_session_set_error(s, usan_err_from_errno(rc), "cannot connect: %s", strerror(rc));
    }
    give_up_attempt(s);
}

/* ---- redirects ---- */

static bool been_there(const struct ini_attempt *a, const char *text)
{
    for (unsigned i = 0; i < a->hops; i++) {
        if (strcmp(a->been[i], text) == 0)
            return true;
    }
    return false;
}

void ini_login_redirected(struct ini_session *s, const char *address, bool permanent)
{
    struct ini_attempt *a = &s->attempt;
    char host[SOCK_ADDR_SPEC_BYTES];
    uint16_t port;
    struct ini_portal to;
    struct err_text e = { "" };
    s->stats.redirects++;
    if (a->hops == INI_REDIRECTS_MAX) {
        ini_session_set_error(s, USAN_ELIMIT, "redirected more than %d times", INI_REDIRECTS_MAX);
        return;
    }
    if (ini_portal_split(address, host, &port)) {
        ini_session_set_error(s, USAN_EPROTO, "redirected to '%.80s', which is no address",
                              address);
        return;
    }
    if (ini_portal_resolve(host, port, &to, &e)) {
        ini_session_set_error(s, USAN_ENOENT, "redirected to '%.80s': %s", address, e.text);
        return;
    }
    memcpy(a->been[a->hops], a->at.text, sizeof(a->been[0]));
    a->hops++;
    if (been_there(a, to.text)) {
        ini_session_set_error(s, USAN_EPROTO, "redirected in a circle, back to %s", to.text);
        return;
    }
    a->permanent = a->permanent && permanent;
    a->at = to;
    a->addr = 0;
    a->hop = true;
}

/* ---- how it ended ---- */

bool ini_login_done(struct ini_session *s)
{
    s->phase = INI_PHASE_CHECK;
    s->addr = ini_conns_first(s)->addr;
    return s->ops && s->ops->check;
}

void ini_login_up(struct ini_session *s)
{
    s->phase = INI_PHASE_UP;
    s->failures = 0;
    s->given_up = false;
    s->place += s->was_up && !ini_portal_same_addr(&s->addr, &s->last_addr);
    s->was_up = true;
    s->give_up_ns = TIME_NEVER;
    s->stats.logins++;
    if (s->attempt.hops && s->attempt.permanent)
        s->home = s->attempt.at;
    arm(s);
    ini_cmds_send_waiting(s);
    s->last_addr = s->addr;
    ini_session_changed(s, INI_LOGGED_IN);
}

void ini_login_failed(struct ini_session *s)
{
    struct ini_attempt *a = &s->attempt;
    /* A target that answered and refused would do so at its other addresses; one that was not
     * reached may be there. */
    a->addr -= a->again ? 1u : 0u;
    a->on = a->hop || a->again || (!a->reached && a->addr < a->at.count);
    a->hop = a->again = false;
    if (a->on) { /* from the loop: what is below us still looks at the old socket */
        s->phase = INI_PHASE_IDLE;
        s->next_ns = loop_now(s->loop);
        arm(s);
    } else {
        give_up_attempt(s);
    }
}

void ini_login_lost(struct ini_session *s)
{
    uint64_t now = loop_now(s->loop);
    s->phase = INI_PHASE_IDLE;
    s->failures = 0;
    s->attempt.on = false;
    s->stats.losses++;
    s->next_ns = now + s->time2wait * NS_PER_SEC;
    s->give_up_ns = now + s->url.reconnect_timeout_ns;
    arm(s);
    ini_session_changed(s, INI_LOST);
}

static void fired(struct loop_timer *t)
{
    struct ini_session *s = list_entry(t, struct ini_session, retry);
    uint64_t now = loop_now(s->loop);
    if (s->give_up_ns == 0) { /* the very first time */
        /* One attempt, with all its addresses, ends by itself. */
        s->give_up_ns = s->retry_first ? now + s->url.reconnect_timeout_ns : TIME_NEVER;
        s->first_ns = now + s->url.login_timeout_ns;
    }
    if (!s->given_up && now >= give_up_at(s) && s->phase != INI_PHASE_UP) {
        s->given_up = true;
        fail_waiting(s);
        ini_session_changed(s, INI_TIMED_OUT);
    }
    if (s->phase == INI_PHASE_IDLE && now >= s->next_ns) {
        if (!s->attempt.on)
            s->attempt = (struct ini_attempt){ .at = s->home, .permanent = true };
        s->attempt.on = false;
        connect_next(s);
    }
    if (s->phase != INI_PHASE_ENDED)
        arm(s);
}

/* ---- life ---- */

int ini_login_init(struct ini_session *s)
{
    loop_timer_init(&s->retry, fired);
    return loop_timer_set(s->loop, &s->retry, 0) ? USAN_ENOMEM : 0;
}

void ini_login_fini(struct ini_session *s)
{
    loop_timer_cancel(s->loop, &s->retry);
}
