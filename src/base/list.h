/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Intrusive doubly linked list. A node that is in no list points at itself. */
#ifndef USAN_BASE_LIST_H
#define USAN_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define list_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_between(struct list *node, struct list *prev, struct list *next)
{
    node->prev = prev;
    node->next = next;
    prev->next = node;
    next->prev = node;
}

static inline void list_push_back(struct list *l, struct list *node)
{
    list_insert_between(node, l->prev, l);
}

static inline void list_push_front(struct list *l, struct list *node)
{
    list_insert_between(node, l, l->next);
}

/* Safe on a node that is in no list. */
static inline void list_del(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

static inline struct list *list_pop_front(struct list *l)
{
    if (list_empty(l))
        return NULL;
    struct list *node = l->next;
    list_del(node);
    return node;
}

/* Move all of `from` to the end of `to`; `from` is empty afterwards. */
static inline void list_splice_back(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define list_for_each(l, pos) for (struct list *pos = (l)->next; pos != (l); pos = pos->next)
/* pos may be deleted in the body. */
#define list_for_each_safe(l, pos)                                                                 \
    for (struct list *pos = (l)->next, *pos##_next = pos->next; pos != (l);                        \
         pos = pos##_next, pos##_next = pos->next)

#endif
