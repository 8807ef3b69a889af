/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/port.h"

#include "fuse/io.h"
#include "fuse/reply.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { READ_ROUNDS = 32 }; /* requests taken before other descriptors have their turn */

static void watch(struct fuse_port *p, bool on)
{
    p->paused = !on;
    if (p->ended || p->draining || p->lfd.events == (on ? LOOP_IN : 0u))
        return;
    p->lfd.events = on ? LOOP_IN : 0u;
    loop_fd_update(&p->lfd);
}

/* The kernel says that the mount is gone. */
static void end(struct fuse_port *p)
{
    p->ended = true;
    loop_fd_del(&p->lfd);
    if (!atomic_exchange(&p->disk->told, true))
        p->disk->unmounted(p->disk);
}

static void got_rx(struct front_waiter *w, void *buf, size_t cap)
{
    struct fuse_port *p = list_entry(w, struct fuse_port, want);
    p->rx = buf;
    p->rx_cap = cap;
    loop_work_queue(p->front->loop, &p->more);
}

/* Is there a place for a request, and may there be one more? */
static bool can_read(struct fuse_port *p)
{
    if (p->in_hand >= FUSE_PORT_REQUESTS_MAX || p->want.waits)
        return false;
    if (!p->rx)
        p->rx = front_get(p->front, &p->want, FUSE_PORT_DATA_AT + FUSE_PORT_DATA_MAX, &p->rx_cap);
    return p->rx;
}

/* One request. False when there is none. */
static bool read_one(struct fuse_port *p)
{
    uint8_t *at = p->rx + FUSE_PORT_DATA_AT - FUSE_PORT_HEADERS;
    ssize_t n = read(p->lfd.fd, at, FUSE_PORT_HEADERS + FUSE_PORT_DATA_MAX);
    if (n < 0) {
        if (errno == ENODEV)
            end(p);
        return errno == ENOENT; /* it was taken back in the last moment */
    }
    const struct fuse_buf buf = { .size = (size_t)n, .mem = at };
    fuse_port_enter(p);
    fuse_session_process_buf(p->disk->session, &buf);
    return true;
}

/* True if there was something. */
static bool read_some(struct fuse_port *p)
{
    for (int i = 0; i < READ_ROUNDS; i++) {
        if (!can_read(p)) {
            watch(p, false); /* goes on when something is answered, or when memory comes */
            return true;
        }
        if (!read_one(p))
            return i > 0 || p->ended;
    }
    loop_work_queue(p->front->loop, &p->more);
    return true;
}

static bool ready(struct loop_fd *lfd, uint32_t events)
{
    (void)events;
    return read_some(list_entry(lfd, struct fuse_port, lfd));
}

static void go_on(struct loop_work *w)
{
    struct fuse_port *p = list_entry(w, struct fuse_port, more);
    if (p->ended || p->draining)
        return;
    watch(p, true);
    read_some(p);
}

static void stop_reading(struct fuse_port *p)
{
    if (!p->ended && !p->draining)
        loop_fd_del(&p->lfd);
    p->draining = true;
    front_forget(&p->want);
}

static void drain(struct front_part *part)
{
    stop_reading(list_entry(part, struct fuse_port, part));
}

static bool drained(struct front_part *part, uint64_t age_ns)
{
    (void)age_ns;
    return list_entry(part, struct fuse_port, part)->in_hand == 0;
}

void fuse_port_init(struct fuse_port *p, struct fuse_disk *d, struct front *f, int fd)
{
    *p = (struct fuse_port){ .disk = d, .front = f };
    p->want.got = got_rx;
    loop_work_init(&p->more, go_on);
    p->lfd = (struct loop_fd){ .fd = fd, .events = LOOP_IN, .ready = ready };
    p->part = (struct front_part){ .drain = drain, .drained = drained };
    list_push_back(&f->parts, &p->part.node);
}

int fuse_port_open(struct fuse_port *p, struct fuse_disk *d, struct front *f, struct err_text *e)
{
    int fd = open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    uint32_t master = (uint32_t)fuse_session_fd(d->session);
    if (fd >= 0 && ioctl(fd, FUSE_DEV_IOC_CLONE, &master) == 0) {
        fuse_port_init(p, d, f, fd);
        return 0;
    }
    int errnum = errno;
    if (fd >= 0)
        close(fd);
    return err_set(e, usan_err_from_errno(errnum), "/dev/fuse: %s", strerror(errnum));
}

int fuse_port_start(struct fuse_port *p)
{
    int err = loop_fd_add(p->front->loop, &p->lfd);
    p->ended = err != 0;
    return err;
}

void fuse_port_close(struct fuse_port *p)
{
    if (!p->disk)
        return;
    assert(p->in_hand == 0);
    stop_reading(p);
    list_del(&p->part.node);
    loop_work_cancel(&p->more);
    front_put(p->front, p->rx, p->rx_cap);
    fuse_io_free_idle(p);
    close(p->lfd.fd);
    p->disk = NULL;
}
