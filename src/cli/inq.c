/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan inq: what a unit says about itself. */
#include "cli/inq.h"
#include "cli/remote.h"
#include "initiator/probe.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct inq_args {
    struct remote_args remote; /* first */
    const char *page;          /* NULL = all */
    bool standard;
};

const struct cli_opt cli_inq_opts[] = {
    { "page", 'p', CLI_TEXT, "HEX", NULL, "only this page of vital product data, such as b0",
      offsetof(struct inq_args, page), 0, 0 },
    { "standard", 's', CLI_FLAG, NULL, NULL, "only the standard data, no pages",
      offsetof(struct inq_args, standard), 0, 0 },
    REMOTE_OPTS,
    { 0 },
};

static int print_standard(struct ini_sync *sync, uint16_t lun, struct report *r, struct err_text *e)
{
    uint8_t d[255] = { 0 };
    const uint8_t cdb[6] = { 0x12, 0, 0, 0, sizeof(d), 0 };
    struct ini_identity id;
    uint32_t got;
    int err = ini_probe_identity(sync, lun, &id, e); /* is there such a unit? */
    if (!err)
        err = ini_sync_ask(sync, lun, cdb, sizeof(cdb), d, sizeof(d), &got, "INQUIRY", e);
    if (err)
        return err;
    report_begin(r, "standard", "Standard INQUIRY data");
    inq_standard(r, d, got);
    report_end(r);
    return 0;
}

static int print_page(struct ini_sync *sync, uint16_t lun, uint8_t page, struct report *r,
                      struct err_text *e)
{
    uint8_t d[INI_INQUIRY_MAX];
    uint32_t len;
    char label[80];
    const char *name = inq_page_name(page);
    int err = ini_probe_vpd(sync, lun, page, d, &len, e);
    if (err)
        return err;
    snprintf(label, sizeof(label), "Page %02xh, %s", page, name ? name : "without a name here");
    report_begin(r, NULL, label);
    if (r->json) {
        report_number(r, "page", NULL, page, NULL);
        report_text(r, "name", NULL, name ? name : "");
    }
    inq_page(r, page, d, len);
    report_end(r);
    return 0;
}

static int print_pages(struct ini_sync *sync, uint16_t lun, int only, struct report *r,
                       struct err_text *e)
{
    uint8_t list[INI_INQUIRY_MAX];
    uint32_t count = 0;
    int err;
    if (only >= 0) {
        err = print_page(sync, lun, (uint8_t)only, r, e);
        return err != USAN_ENOTSUP ? err
                                   : err_set(e, err,
                                             "the unit has no page %02xh; page 00h "
                                             "has those there are",
                                             (unsigned)only);
    }
    /* A unit without any is none the worse for it. */
    err = ini_probe_vpd(sync, lun, 0x00, list, &count, e);
    if (err == USAN_ENOTSUP)
        return 0;
    for (uint32_t i = 4; !err && i < count; i++)
        err = print_page(sync, lun, list[i], r, e);
    return err;
}

/* page < 0: all */
static int print_all(struct ini_sync *sync, const struct ini_url *url, const struct inq_args *a,
                     int page, struct err_text *e)
{
    struct report r;
    char text[INI_URL_TEXT_MAX];
    int err = 0;
    ini_url_text(url, text, sizeof(text));
    report_init(&r, stdout, a->remote.json);
    report_begin(&r, NULL, NULL);
    if (a->remote.json)
        report_text(&r, "url", NULL, text);
    if (page < 0)
        err = print_standard(sync, url->lun, &r, e);
    if (!err && !a->standard) {
        report_begin_list(&r, "pages", NULL);
        err = print_pages(sync, url->lun, page, &r, e);
        report_end(&r);
    }
    report_end(&r);
    if (err)
        err_prefix(e, "%s", text);
    return err;
}

/* "b0", "0xb0", "b0h" */
static bool parse_page(const char *text, int *ret_page)
{
    char *end;
    unsigned long v = strtoul(text, &end, 16);
    if (!isxdigit((unsigned char)*text) || v > 0xff || (*end && strcmp(end, "h") != 0))
        return false;
    *ret_page = (int)v;
    return true;
}

int cli_inq(const struct cli_command *cmd, int argc, char **argv)
{
    struct inq_args a = { .page = NULL };
    int words, code, page = -1;
    if (!cli_begin(cmd, &a, argc, argv, &words, &code))
        return code;
    const char *text = cli_remote_argument(cmd, words, argv);
    struct ini_url url = { .port = 0 };
    struct ini_sync *sync = NULL;
    struct err_text e = { "" };
    code = text ? cli_remote_url(cmd, &a.remote, text, &url) : CLI_USAGE;
    if (!code && (!*url.target || !url.has_lun))
        code = cli_fail(cmd, CLI_USAGE, "the URL has to name a unit: iscsi://HOST/TARGET/LUN");
    if (!code && a.page && !parse_page(a.page, &page)) {
        (void)err_set(&e, USAN_EINVAL, "--page %s: is not a hexadecimal number from 0 to ff",
                      a.page);
        code = cli_fail(cmd, CLI_USAGE, e.text);
    }
    if (!code && (ini_sync_open(&url, &sync, &e) || print_all(sync, &url, &a, page, &e)))
        code = cli_fail(cmd, CLI_FAILED, e.text);
    ini_sync_close(sync);
    ini_url_wipe(&url);
    return code;
}
