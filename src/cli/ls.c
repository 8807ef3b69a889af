/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usan ls: targets and their units. */
#include "base/number.h"
#include "cli/remote.h"
#include "initiator/probe.h"

#include <string.h>

const struct cli_opt cli_ls_opts[] = { REMOTE_OPTS, { 0 } };

struct listing {
    const struct cli_command *cmd;
    struct report r;
    bool json;
    int code;
};

static void complain(struct listing *l, const char *text)
{
    l->code = cli_fail(l->cmd, CLI_FAILED, text);
}

/* ---- one unit ---- */

static void print_disk(struct listing *l, const char *url, const struct ini_disk_info *d)
{
    const struct ini_identity *id = &d->identity;
    if (!l->json) {
        printf("%s  %s  %u  %s %s  %s\n", url, num_size_text(d->blocks * d->block_bytes).s,
               d->block_bytes, id->vendor, id->product, *d->serial ? d->serial : "-");
        return;
    }
    struct report *r = &l->r;
    report_begin(r, NULL, NULL);
    report_text(r, "url", NULL, url);
    report_text(r, "type", NULL, ini_type_name(id->type));
    report_text(r, "vendor", NULL, id->vendor);
    report_text(r, "product", NULL, id->product);
    report_text(r, "revision", NULL, id->revision);
    report_text(r, "serial", NULL, d->serial);
    report_text(r, "id", NULL, d->id);
    report_number(r, "size_bytes", NULL, d->blocks * d->block_bytes, NULL);
    report_number(r, "block_bytes", NULL, d->block_bytes, NULL);
    report_number(r, "physical_block_bytes", NULL, d->phys_block_bytes, NULL);
    report_bool(r, "read_only", NULL, d->write_protected);
    report_bool(r, "thin", NULL, d->thin);
    report_bool(r, "write_cache", NULL, d->write_cache);
    report_end(r);
}

static void print_other(struct listing *l, const char *url, const struct ini_identity *id)
{
    if (!l->json) {
        printf("%s  %s  -  %s %s  -\n", url, ini_type_name(id->type), id->vendor, id->product);
        return;
    }
    struct report *r = &l->r;
    report_begin(r, NULL, NULL);
    report_text(r, "url", NULL, url);
    report_text(r, "type", NULL, ini_type_name(id->type));
    report_text(r, "vendor", NULL, id->vendor);
    report_text(r, "product", NULL, id->product);
    report_text(r, "revision", NULL, id->revision);
    report_end(r);
}

static void list_unit(struct listing *l, struct ini_sync *sync, const struct ini_url *target,
                      uint16_t lun)
{
    struct ini_url url = *target;
    char text[INI_URL_TEXT_MAX];
    struct ini_identity id;
    struct ini_disk_info disk;
    struct err_text e = { "" };
    url.has_lun = true;
    url.lun = lun;
    ini_url_text(&url, text, sizeof(text));
    int err = ini_probe_identity(sync, lun, &id, &e);
    bool is_disk = !err && (id.type == 0x00 || id.type == 0x0e);
    if (is_disk)
        err = ini_probe_disk(sync, lun, &disk, &e);
    if (err) {
        err_prefix(&e, "%s", text);
        complain(l, e.text);
    } else if (is_disk) {
        print_disk(l, text, &disk);
    } else {
        print_other(l, text, &id);
    }
    ini_url_wipe(&url);
}

/* ---- one target ---- */

static void list_units(struct listing *l, struct ini_sync *sync, const struct ini_url *url)
{
    uint16_t luns[INI_LUNS_MAX];
    unsigned count = 0;
    struct err_text e = { "" };
    if (url->has_lun) {
        list_unit(l, sync, url, url->lun);
        return;
    }
    if (ini_probe_luns(sync, luns, &count, &e)) {
        err_prefix(&e, "%s", url->target);
        complain(l, e.text);
    }
    for (unsigned i = 0; i < count; i++)
        list_unit(l, sync, url, luns[i]);
}

static void list_target(struct listing *l, const struct ini_url *url)
{
    struct ini_sync *sync;
    struct err_text e = { "" };
    if (ini_sync_open(url, &sync, &e)) {
        complain(l, e.text);
        return;
    }
    list_units(l, sync, url);
    ini_sync_close(sync);
}

/* At the first of its addresses that lets us in. */
static void list_found(struct listing *l, const struct ini_url *portal, const struct ini_target *t)
{
    struct ini_url url = *portal;
    struct err_text e = { "" };
    struct ini_sync *sync = NULL;
    (void)snprintf(url.target, sizeof(url.target), "%s", t->name);
    for (size_t i = 0; !sync && i < t->address_count; i++) {
        if (ini_portal_split(t->addresses[i], url.host, &url.port))
            (void)err_set(&e, USAN_EPROTO, "%s: '%.80s' is no address", t->name, t->addresses[i]);
        else if (ini_sync_open(&url, &sync, &e))
            sync = NULL;
    }
    if (sync)
        list_units(l, sync, &url);
    else
        complain(l, *e.text ? e.text : t->name);
    ini_sync_close(sync);
    ini_url_wipe(&url);
}

static void list_portal(struct listing *l, const struct ini_url *url)
{
    struct ini_sync *sync = NULL;
    struct ini_targets targets = { .count = 0 };
    struct err_text e = { "" };
    if (ini_sync_open(url, &sync, &e) || ini_sync_targets(sync, &targets, &e))
        complain(l, e.text);
    ini_sync_close(sync);
    for (size_t i = 0; i < targets.count; i++)
        list_found(l, url, &targets.v[i]);
    ini_targets_fini(&targets);
}

int cli_ls(const struct cli_command *cmd, int argc, char **argv)
{
    struct remote_args a = { 0 };
    int words, code;
    if (!cli_begin(cmd, &a, argc, argv, &words, &code))
        return code;
    const char *text = cli_remote_argument(cmd, words, argv);
    struct ini_url url = { .port = 0 };
    if (!text)
        return CLI_USAGE;
    code = cli_remote_url(cmd, &a, text, &url);
    if (code)
        return code;
    struct listing l = { .cmd = cmd, .json = a.json, .code = CLI_OK };
    report_init(&l.r, stdout, a.json);
    report_begin_list(&l.r, NULL, NULL);
    if (*url.target)
        list_target(&l, &url);
    else
        list_portal(&l, &url);
    report_end(&l.r);
    ini_url_wipe(&url);
    return l.code;
}
