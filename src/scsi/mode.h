/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mode pages (SPC-6 7.5, SBC-4 6.5): what the mode_*.c files share. Internal to src/scsi. */
#ifndef USAN_SCSI_MODE_H
#define USAN_SCSI_MODE_H

#include "scsi/lu.h"

enum {
    MODE_PAGES_BYTES = 112, /* all pages one after the other */
    MODE_PAGE_MAX = 32,     /* the longest one */
    MODE_PAGE_ALL = 0x3f,
    MODE_SUBPAGE_ALL = 0xff,
};

/* PC field of MODE SENSE (SPC-6 table "page control") */
enum scsi_mode_pc { MODE_CURRENT, MODE_CHANGEABLE, MODE_DEFAULT, MODE_SAVED };

struct scsi_mode_page {
    uint8_t code, subpage;
    uint8_t len; /* with its header */
    uint8_t off; /* in struct scsi_modes */
    bool thin;   /* thin units only */
};

struct scsi_modes {
    uint8_t current[MODE_PAGES_BYTES];
    uint8_t saved[MODE_PAGES_BYTES];
    uint8_t before[MODE_PAGES_BYTES]; /* `saved`, as long as it is not known to be */
};

/* Ordered by code and subpage; ends with len == 0. */
extern const struct scsi_mode_page scsi_mode_pages[];

bool scsi_mode_page_exists(const struct scsi_lu *lu, const struct scsi_mode_page *p);
/* NULL: the unit has no such page. */
const struct scsi_mode_page *scsi_mode_page_find(const struct scsi_lu *lu, unsigned code,
                                                 unsigned subpage);
/* The page's p->len bytes; PS is not set. */
void scsi_mode_page_get(const struct scsi_lu *lu, const struct scsi_mode_page *p,
                        enum scsi_mode_pc pc, uint8_t *ret_page);
/* Can any of it be changed, and so saved? */
bool scsi_mode_page_savable(const struct scsi_lu *lu, const struct scsi_mode_page *p);
/* Make the pages in `current` count; after any change to lu->modes->current. Holds the gate. */
void scsi_modes_changed(struct scsi_lu *lu);

/* The medium type and device specific parameter of the header, and the block descriptor. */
uint8_t scsi_mode_device_specific(const struct scsi_itl *itl);

/* ---- for all (inside the section, but scsi_mode_d_sense) ---- */

int scsi_modes_init(struct scsi_lu *lu);
void scsi_modes_free(struct scsi_lu *lu);
void scsi_modes_reset(struct scsi_lu *lu); /* LU reset: current = saved */
void scsi_modes_clear(struct scsi_lu *lu); /* current = saved = default */
bool scsi_mode_wce(const struct scsi_lu *lu);
/* The same in these pages. */
bool scsi_modes_wce(const uint8_t *pages);
bool scsi_mode_d_sense(const struct scsi_lu *lu);
bool scsi_mode_swp(const struct scsi_lu *lu); /* software write protect */
bool scsi_mode_tas(const struct scsi_lu *lu);
bool scsi_mode_lbpere(const struct scsi_lu *lu); /* report thin thresholds */
void scsi_modes_save(const struct scsi_lu *lu, struct wr *w);
USAN_MUST_CHECK
int scsi_modes_load(struct scsi_lu *lu, struct rd *r);

#endif
