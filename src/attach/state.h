/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the program share. From bottom to top: reactor.c; listen.c, mount.c (with
 * loopdev.c) and portal.c (with share.c), a kind of front end each; record.c and control.c; stop.c,
 * the end; fronts.c, the front ends together, and status.c; attach.c, the start.
 */
#ifndef USAN_ATTACH_STATE_H
#define USAN_ATTACH_STATE_H

#include "attach/attach.h"
#include "attach/control.h"
#include "attach/listen.h"
#include "attach/mount.h"
#include "attach/portal.h"
#include "attach/reactor.h"
#include "io/control.h"

#include <stdatomic.h>

struct attach {
    const struct attach_config *cfg;
    struct store *store;
    struct store_watcher watcher;
    struct payload_limit limit;
    struct attach_reactor **reactors;
    unsigned reactor_count;

    /* Front ends, by kind; and what clients reach them by, in the order they were asked for. */
    struct attach_listener *listeners;
    size_t listener_count;
    struct attach_mount **mounts;
    size_t mount_count, mounts_open;
    struct attach_portal **portals;
    size_t portal_count;
    char *uris[2 * ATTACH_FRONTS_MAX];
    size_t uri_count;

    struct attach_record_file record;
    struct attach_control socket;

    /* The control thread: signals, the control socket, and the stop. */
    struct control control;
    struct loop_timer look; /* at the size, for loop devices */
    struct loop_msg unmounted_msg;
    atomic_flag unmounted_posted;

    /* The stop. */
    struct loop_timer give_up;
    bool stopping;
    const char *incomplete; /* it was, and why */
    int write_err;          /* not all of the kernel's cache could be written */
    bool hangs;             /* something does, and must not be freed */
    struct thread parter;   /* lets go of mounts and portals */
    struct loop_msg parted_msg;
    atomic_uint undrained; /* reactors */
    struct bio flush_bio;
    int flush_err;
    struct loop_msg close_msg, flush_msg, stopped_msg;
    struct err_text result; /* for those who asked for the stop; "" = well */
};

#endif
