/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fields of INQUIRY data, and the printers of pages, for inq*.c. */
#ifndef USAN_CLI_INQ_FIELD_H
#define USAN_CLI_INQ_FIELD_H

#include "cli/report.h"

enum inq_kind { INQ_FLAG, INQ_U8, INQ_U16, INQ_U32, INQ_U64 };

/* One with a place of its own; a table of them ends with key NULL. */
struct inq_field {
    const char *key, *label;
    uint8_t at; /* byte of the page */
    enum inq_kind kind;
    uint8_t mask; /* of INQ_FLAG and INQ_U8 */
    const char *unit;
};

/* Those that lie in the page. */
void inq_fields(struct report *r, const struct inq_field *fields, const uint8_t *p, size_t len);
/* The n bytes at p as text, without blanks at the end; what is not printable becomes '?'. */
void inq_text(struct report *r, const char *key, const char *label, const uint8_t *p, size_t n);

/* A page each; len is at least what the table of inq_page.c says. */
void inq_software(struct report *r, const uint8_t *p, size_t len);
void inq_management(struct report *r, const uint8_t *p, size_t len);
void inq_ata(struct report *r, const uint8_t *p, size_t len);
void inq_power(struct report *r, const uint8_t *p, size_t len);
void inq_consumption(struct report *r, const uint8_t *p, size_t len);
void inq_third_party_copy(struct report *r, const uint8_t *p, size_t len);
void inq_block_limits(struct report *r, const uint8_t *p, size_t len);
void inq_characteristics(struct report *r, const uint8_t *p, size_t len);
void inq_provisioning(struct report *r, const uint8_t *p, size_t len);
void inq_referrals(struct report *r, const uint8_t *p, size_t len);
void inq_block_lengths(struct report *r, const uint8_t *p, size_t len);
void inq_utilization(struct report *r, const uint8_t *p, size_t len);
void inq_zoned(struct report *r, const uint8_t *p, size_t len);
void inq_limits_extension(struct report *r, const uint8_t *p, size_t len);
void inq_format_presets(struct report *r, const uint8_t *p, size_t len);
void inq_positioning(struct report *r, const uint8_t *p, size_t len);
void inq_constituents(struct report *r, const uint8_t *p, size_t len);
void inq_cfa_profiles(struct report *r, const uint8_t *p, size_t len);
void inq_protocol_unit(struct report *r, const uint8_t *p, size_t len);
void inq_protocol_port(struct report *r, const uint8_t *p, size_t len);
void inq_feature_sets(struct report *r, const uint8_t *p, size_t len);

#endif
