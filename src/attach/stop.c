/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach/stop.h"

#include "io/clock.h"

static void end(struct attach *a)
{
    loop_timer_cancel(a->control.loop, &a->give_up);
    loop_stop(a->control.loop);
}

static void give_up_now(struct attach *a, const char *why)
{
    front_report(&a->cfg->front, FRONT_ERROR, "stop-incomplete", "why=\"%s\"", why);
    a->incomplete = why;
    end(a);
}

static void stopped(struct loop_msg *m)
{
    end(list_entry(m, struct attach, stopped_msg));
}

static void flushed(struct bio *bio)
{
    struct attach *a = list_entry(bio, struct attach, flush_bio);
    a->flush_err = bio->err;
    if (bio->err)
        front_report(&a->cfg->front, FRONT_ERROR, "flush-failed", "store=\"%s\" why=\"%s\"",
                     store_spec_text(a->cfg->store).s, usan_strerror(bio->err));
    a->stopped_msg.deliver = stopped;
    loop_post(a->control.loop, &a->stopped_msg);
}

static void flush(struct loop_msg *m)
{
    struct attach *a = list_entry(m, struct attach, flush_msg);
    if (!a->reactors[0]->front.ch) { /* portals flush what they have written */
        a->stopped_msg.deliver = stopped;
        loop_post(a->control.loop, &a->stopped_msg);
        return;
    }
    a->flush_bio = (struct bio){ .op = BIO_FLUSH, .done = flushed };
    store_submit(a->reactors[0]->front.ch, &a->flush_bio);
}

static void drained(struct attach_reactor *r)
{
    struct attach *a = r->drained_arg;
    if (atomic_fetch_sub(&a->undrained, 1) > 1)
        return;
    a->flush_msg.deliver = flush;
    loop_post(a->reactors[0]->front.loop, &a->flush_msg);
}

static void close_listeners(struct loop_msg *m)
{
    struct attach *a = list_entry(m, struct attach, close_msg);
    for (size_t i = 0; i < a->listener_count; i++)
        attach_listener_close(&a->listeners[i]);
    for (unsigned i = 0; i < a->reactor_count; i++)
        attach_reactor_drain(a->reactors[i], drained, a);
}

void attach_stop_gave_up(struct loop_timer *t)
{
    give_up_now(list_entry(t, struct attach, give_up),
                "requests did not finish in the store in time");
}

static void drain(struct attach *a)
{
    if (loop_timer_set(a->control.loop, &a->give_up, clock_now_ns() + ATTACH_GIVE_UP_NS)) {
        give_up_now(a, "out of memory");
        return;
    }
    atomic_store(&a->undrained, a->reactor_count);
    a->close_msg.deliver = close_listeners;
    loop_post(a->reactors[0]->front.loop, &a->close_msg);
}

/* ---- mounts and portals ---- */

static void parted(struct loop_msg *m)
{
    struct attach *a = list_entry(m, struct attach, parted_msg);
    thread_join(&a->parter);
    if (a->hangs) {
        give_up_now(a, "a session of the iSCSI front end hangs");
        return;
    }
    if (a->write_err)
        front_report(&a->cfg->front, FRONT_ERROR, "cache-not-written", "why=\"%s\"",
                     usan_strerror(a->write_err));
    drain(a);
}

/* A thread of its own, for all of this blocks: what the kernel still has in its cache is written
 * first, and that takes as long as it takes. The reactors serve it, and the control thread hears
 * signals. */
static void part(void *arg)
{
    struct attach *a = arg;
    for (size_t i = 0; i < a->portal_count; i++) {
        int err = attach_portal_stop(a->portals[i]);
        a->hangs |= err == USAN_ETIMEOUT;
        if (err)
            a->write_err = err;
    }
    for (size_t i = 0; i < a->mount_count; i++) {
        int err = attach_mount_stop(a->mounts[i]);
        if (err)
            a->write_err = err;
    }
    a->parted_msg.deliver = parted;
    loop_post(a->control.loop, &a->parted_msg);
}

void attach_stop_begin(struct attach *a)
{
    struct err_text e = { "" };
    enum control_wish wish = control_told_to_stop(&a->control);
    if (wish == CONTROL_STOP_AT_ONCE)
        give_up_now(a, "told to stop a second time");
    if (wish != CONTROL_STOP)
        return;
    a->stopping = true;
    front_report(&a->cfg->front, FRONT_INFO, "stopping", "store=\"%s\"",
                 store_spec_text(a->cfg->store).s);
    if (a->mount_count + a->portal_count == 0)
        drain(a);
    else if (thread_start(&a->parter, "parter", part, a, &e))
        give_up_now(a, "there is no thread for it");
}
