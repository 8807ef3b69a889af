/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "initiator/url.h"

#include "base/clock.h"
#include "initiator/url_params.h"
#include "iscsi/initiator.h"
#include "iscsi/names.h"
#include "store/opt.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEME "iscsi://"

const struct store_opt_desc ini_url_opts[] = { INI_URL_OPTIONS, { .key = NULL } };

/* ---- pieces of text ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* text, len bytes, with %HH replaced. what names the part; the text itself may be secret. */
static int unescape(const char *what, const char *text, size_t len, char *buf, size_t cap,
                    struct err_text *e)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int hi = i + 1 < len ? hex_digit(text[i + 1]) : -1;
            int lo = hi >= 0 && i + 2 < len ? hex_digit(text[i + 2]) : -1;
            if (lo < 0 || hi + lo == 0)
                return err_set(e, USAN_EINVAL,
                               "%s: %% is not followed by two hexadecimal digits (%%25 stands for "
                               "%%)",
                               what);
            c = (char)(hi * 16 + lo);
            i += 2;
        }
        if (n + 1 >= cap)
            return err_set(e, USAN_EINVAL, "%s: is longer than %zu bytes", what, cap - 1);
        buf[n++] = c;
    }
    buf[n] = '\0';
    return 0;
}

/* Digits only, 0 to max. */
static bool parse_number(const char *text, size_t len, uint32_t max, uint32_t *ret_value)
{
    uint32_t v = 0;
    if (len == 0 || len > 6)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        v = v * 10 + (uint32_t)(text[i] - '0');
    }
    if (v > max)
        return false;
    *ret_value = v;
    return true;
}

/* ---- before the "?" ---- */

/* "user" or "user%secret" */
static int parse_user(const char *text, size_t len, struct ini_url *url, struct err_text *e)
{
    const char *percent = memchr(text, '%', len);
    size_t name = percent ? (size_t)(percent - text) : len;
    if (name == 0)
        return err_set(e, USAN_EINVAL, "the user's name before @ is missing");
    int err = unescape("the user's name", text, name, url->user, sizeof(url->user), e);
    if (err || !percent)
        return err;
    if (name + 1 == len)
        return err_set(e, USAN_EINVAL, "the secret between %% and @ is missing");
    return unescape("the secret before @", percent + 1, len - name - 1, url->secret,
                    sizeof(url->secret), e);
}

static int parse_host(const char *text, size_t len, struct ini_url *url, struct err_text *e)
{
    const char *host = text, *end = text + len, *rest;
    if (len && *text == '[') {
        host++;
        rest = memchr(text, ']', len);
        if (!rest)
            return err_set(e, USAN_EINVAL, "the host has no ] after the [");
        len = (size_t)(rest - host);
        rest++;
    } else {
        rest = memchr(text, ':', len);
        if (rest && memchr(rest + 1, ':', (size_t)(end - rest - 1)))
            return err_set(e, USAN_EINVAL,
                           "the host has several colons; write an IPv6 address in brackets, "
                           "iscsi://[ADDRESS]:PORT");
        len = (size_t)((rest ? rest : end) - host);
        rest = rest ? rest : end;
    }
    if (len == 0)
        return err_set(e, USAN_EINVAL, "the host is missing");
    if (len >= SOCK_ADDR_SPEC_BYTES - 8) /* with brackets and port */
        return err_set(e, USAN_EINVAL, "the host is longer than any name can be");
    for (size_t i = 0; i < len; i++) {
        bool printable = host[i] > ' ' && host[i] < 0x7f;
        if (!printable || strchr("%@?#\\\"<>[]", host[i]))
            return err_set(e, USAN_EINVAL, "the host has a character that no host name has");
    }
    memcpy(url->host, host, len);
    url->host[len] = '\0';
    uint32_t port = INI_PORT;
    if (rest < end) {
        if (*rest != ':' || !parse_number(rest + 1, (size_t)(end - rest - 1), UINT16_MAX, &port) ||
            port == 0)
            return err_set(e, USAN_EINVAL, "'%.*s' behind the host is not : and a port, 1 to 65535",
                           (int)(end - rest < 32 ? end - rest : 32), rest);
    }
    url->port = (uint16_t)port;
    return 0;
}

/* "", "TARGET", "TARGET/" or "TARGET/LUN" */
static int parse_path(const char *text, struct ini_url *url, struct err_text *e)
{
    if (!*text)
        return 0;
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    char name[3 * ISCSI_NAME_MAX + 1];
    int err = unescape("the target's name", text, len, name, sizeof(name), e);
    if (err)
        return err;
    if (iscsi_name_prepare(name, strlen(name), url->target, NULL))
        return err_set(e, USAN_EINVAL,
                       "'%.80s' is not the name of a target (it begins with iqn., eui. or naa.)",
                       name);
    if (!slash || !slash[1])
        return 0;
    uint32_t lun;
    /* As other initiators write it: the first two bytes of the field, flat space addressing (SAM-6
     * 4.7.7.3); no number of a unit is that large. */
    if (!parse_number(slash + 1, strlen(slash + 1), INI_LUN_FLAT | INI_LUN_MAX, &lun))
        return err_set(e, USAN_EINVAL, "'%.32s' behind the target is not a LUN, 0 to %d", slash + 1,
                       INI_LUN_MAX);
    url->lun = (uint16_t)(lun & INI_LUN_MAX);
    url->has_lun = true;
    return 0;
}

static void set_defaults(struct ini_url *url)
{
    *url = (struct ini_url){ .port = INI_PORT, .params = iscsi_iparams_default };
    for (const struct store_opt_desc *d = ini_url_opts; d->key; d++) {
        int err = *d->def ? ini_url_set_option(url, d->key, d->def, NULL) : 0;
        assert(!err);
        (void)err;
    }
}

int ini_url_parse_address(const char *text, struct ini_url *ret_url, struct err_text *e)
{
    struct ini_url url;
    set_defaults(&url);
    size_t scheme = strlen(SCHEME);
    if (strncmp(text, SCHEME, scheme) != 0)
        return err_set(e, USAN_EINVAL, "the URL does not begin with " SCHEME);
    if (strlen(text) > INI_URL_MAX)
        return err_set(e, USAN_EINVAL, "the URL is longer than %d bytes", INI_URL_MAX);
    text += scheme;
    size_t len = strcspn(text, "/");
    const char *path = text + len + (text[len] == '/');
    /* No target's name has one, so it belongs to a secret: which must not come up below. */
    if (strchr(path, '@'))
        return err_set(e, USAN_EINVAL,
                       "write %%2f for / and %%40 for @ in a user's name or secret");
    const char *at = memrchr(text, '@', len);
    int err = 0;
    if (at) {
        err = parse_user(text, (size_t)(at - text), &url, e);
        len -= (size_t)(at + 1 - text);
        text = at + 1;
    }
    if (!err)
        err = parse_host(text, len, &url, e);
    if (!err)
        err = parse_path(path, &url, e);
    if (!err)
        *ret_url = url;
    ini_url_wipe(&url);
    return err;
}

/* ---- options ---- */

int ini_url_read_secret(const char *path, char ret_secret[INI_USER_MAX + 1], struct err_text *e)
{
    char line[INI_USER_MAX + 3]; /* room to see that it is too long */
    FILE *f = fopen(path, "re");
    if (!f)
        return err_set(e, usan_err_from_errno(errno), "file %s: %s", path, strerror(errno));
    setvbuf(f, NULL, _IONBF, 0); /* no copy of the secret is left on the heap */
    bool got = fgets(line, (int)sizeof(line), f) != NULL;
    fclose(f);
    size_t len = got ? strcspn(line, "\r\n") : 0;
    int err = 0;
    if (len == 0)
        err = err_set(e, USAN_EINVAL, "file %s: its first line has to be the secret", path);
    else if (len > INI_USER_MAX)
        err = err_set(e, USAN_EINVAL, "file %s: the secret is longer than %d bytes", path,
                      INI_USER_MAX);
    if (!err) {
        memcpy(ret_secret, line, len);
        ret_secret[len] = '\0';
    }
    explicit_bzero(line, sizeof(line));
    return err;
}

static int set_digest(const char *key, const char *value, enum ini_digest *to, struct err_text *e)
{
    static const struct {
        const char *word;
        enum ini_digest digest;
    } words[] = { { "none", INI_DIGEST_NONE },
                  { "crc32c", INI_DIGEST_REQUIRED },
                  { "crc32c-none", INI_DIGEST_OFFERED } };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(value, words[i].word) == 0) {
            *to = words[i].digest;
            return 0;
        }
    }
    return err_set(e, USAN_EINVAL, "%s: '%.32s' is not one of none, crc32c, crc32c-none", key,
                   value);
}

/* Names with commas between them; RFC 7143 12.1.3 and the IANA registry of CHAP algorithms. */
static int set_hashes(const char *value, unsigned *to, struct err_text *e)
{
    static const struct {
        const char *word;
        unsigned alg;
    } words[] = { { "md5", 5 }, { "sha1", 6 }, { "sha256", 7 }, { "sha3-256", 8 } };
    unsigned algs = 0;
    for (const char *p = value; *p;) {
        size_t len = strcspn(p, ","), i = 0, count = sizeof(words) / sizeof(words[0]);
        while (i < count &&
               (strlen(words[i].word) != len || strncasecmp(words[i].word, p, len) != 0))
            i++;
        if (i == count || (p[len] && !p[len + 1]))
            return err_set(e, USAN_EINVAL,
                           "chap_hashes: '%.32s' is not a list of md5, sha1, sha256, sha3-256",
                           value);
        algs |= 1u << words[i].alg;
        p += len + (p[len] == ',');
    }
    *to = algs;
    return 0;
}

static int set_time(const char *key, const char *value, uint64_t *to, struct err_text *e)
{
    if (opt_parse_time(value, to) || *to > UINT64_MAX / 4)
        return err_set(e, USAN_EINVAL, "%s: '%.32s' is not a time such as 500ms or 15s", key,
                       value);
    return 0;
}

static int set_initiator(const char *value, struct ini_url *url, struct err_text *e)
{
    if (iscsi_name_prepare(value, strlen(value), url->initiator, NULL))
        return err_set(e, USAN_EINVAL,
                       "initiator: '%.80s' is not an iSCSI name (iqn., eui. or naa.)", value);
    return 0;
}

static int set_count(const char *key, const char *value, uint16_t max, uint16_t *to,
                     struct err_text *e)
{
    uint32_t n;
    if (!parse_number(value, strlen(value), max, &n) || n == 0)
        return err_set(e, USAN_EINVAL, "%s: '%.32s' is not a number from 1 to %d", key, value, max);
    *to = (uint16_t)n;
    return 0;
}

/* RFC 7143 11.12.5: the two highest bits say how the rest is made; 11b is reserved. */
static int set_isid(const char *value, struct ini_url *url, struct err_text *e)
{
    bool good = strlen(value) == 12;
    for (unsigned i = 0; good && i < 6; i++) {
        int hi = hex_digit(value[2 * i]), lo = hex_digit(value[2 * i + 1]);
        good = hi >= 0 && lo >= 0;
        url->isid[i] = (uint8_t)(hi * 16 + lo);
    }
    if (!good || url->isid[0] >= 0xc0)
        return err_set(e, USAN_EINVAL,
                       "isid: '%.32s' is not 12 hexadecimal digits from 000000000000 to "
                       "bfffffffffff",
                       value);
    url->has_isid = true;
    return 0;
}

static int set_value(struct ini_url *url, const char *key, const char *value, struct err_text *e)
{
    int err;
    if (ini_url_set_param(&url->params, key, value, &err, e))
        return err;
    const struct {
        const char *key;
        uint64_t *ns;
    } times[] = { { "login_timeout", &url->login_timeout_ns },
                  { "reconnect_timeout", &url->reconnect_timeout_ns },
                  { "nop_interval", &url->nop_interval_ns },
                  { "nop_timeout", &url->nop_timeout_ns },
                  { "command_timeout", &url->command_timeout_ns },
                  { "settle_timeout", &url->settle_timeout_ns } };
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        if (strcmp(key, times[i].key) == 0)
            return set_time(key, value, times[i].ns, e);
    }
    if (strcmp(key, "header_digest") == 0)
        return set_digest(key, value, &url->header_digest, e);
    if (strcmp(key, "data_digest") == 0)
        return set_digest(key, value, &url->data_digest, e);
    if (strcmp(key, "chap_hashes") == 0)
        return set_hashes(value, &url->chap_hashes, e);
    if (strcmp(key, "initiator") == 0)
        return set_initiator(value, url, e);
    if (strcmp(key, "password_file") == 0)
        return ini_url_read_secret(value, url->secret, e);
    if (strcmp(key, "target_password_file") == 0)
        return ini_url_read_secret(value, url->target_secret, e);
    if (strcmp(key, "isid") == 0)
        return set_isid(value, url, e);
    if (strcmp(key, "error_recovery") == 0) {
        bool good = value[0] >= '0' && value[0] <= '2' && !value[1];
        url->error_recovery = good ? (uint8_t)(value[0] - '0') : 0;
        return good ? 0
                    : err_set(e, USAN_EINVAL, "error_recovery: '%.32s' is not 0, 1 or 2", value);
    }
    if (strcmp(key, "connections") == 0)
        return set_count(key, value, INI_CONNECTIONS_MAX, &url->connections, e);
    assert(strcmp(key, "queue_depth") == 0);
    return set_count(key, value, ISCSI_QUEUE_DEPTH_MAX, &url->queue_depth, e);
}

int ini_url_set_option(struct ini_url *url, const char *key, const char *value, struct err_text *e)
{
    const struct store_opt_desc *d = ini_url_opts;
    while (d->key && strcmp(d->key, key) != 0)
        d++;
    if (!d->key)
        return err_set(e, USAN_EINVAL, "unknown option '%.32s'", key);
    const struct {
        const char *key;
        char *to;
    } texts[] = { { "user", url->user },
                  { "password", url->secret },
                  { "target_user", url->target_user },
                  { "target_password", url->target_secret } };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(key, texts[i].key) == 0)
            return unescape(key, value, strlen(value), texts[i].to, INI_USER_MAX + 1, e);
    }
    char plain[INI_URL_MAX + 1];
    int err = unescape(key, value, strlen(value), plain, sizeof(plain), e);
    return err ? err : set_value(url, key, plain, e);
}

int ini_url_check(const struct ini_url *url, struct err_text *e)
{
    if (*url->secret && !*url->user)
        return err_set(e, USAN_EINVAL, "there is a secret but no user");
    if (*url->user && !*url->secret)
        return err_set(e, USAN_EINVAL,
                       "there is a user but no secret (USER%%SECRET@HOST or password_file)");
    if (*url->target_user && !*url->target_secret)
        return err_set(e, USAN_EINVAL, "target_user needs target_password or target_password_file");
    if (*url->target_secret && !*url->secret)
        return err_set(e, USAN_EINVAL,
                       "a target authenticates itself only to initiators that do so too: user and "
                       "secret are missing");
    if (*url->target_secret && strcmp(url->target_secret, url->secret) == 0) /* RFC 7143 12.1.3 */
        return err_set(e, USAN_EINVAL, "both secrets are the same, which mutual CHAP forbids");
    if (url->login_timeout_ns == 0)
        return err_set(e, USAN_EINVAL, "login_timeout: a login takes more than no time");
    if (url->nop_interval_ns && url->nop_timeout_ns == 0)
        return err_set(e, USAN_EINVAL, "nop_timeout: an answer takes more than no time");
    return ini_url_check_params(&url->params, e);
}

static int parse_options(char *text, struct ini_url *url, struct err_text *e)
{
    while (*text) {
        size_t len = strcspn(text, "&");
        char *next = text + len + (text[len] == '&');
        if (text[len] && !*next)
            return err_set(e, USAN_EINVAL, "an option is missing behind the last &");
        text[len] = '\0';
        char *eq = strchr(text, '=');
        if (!eq || eq == text)
            return err_set(e, USAN_EINVAL, "an option is not KEY=VALUE");
        *eq = '\0';
        int err = ini_url_set_option(url, text, eq + 1, e);
        if (err)
            return err;
        text = next;
    }
    return 0;
}

int ini_url_parse_parts(const char *text, struct ini_url *ret_url, struct err_text *e)
{
    struct ini_url url = { .port = 0 };
    char *copy = strdup(text);
    if (!copy)
        return err_set(e, USAN_ENOMEM, "%s", usan_strerror(USAN_ENOMEM));
    char *opts = strchr(copy, '?');
    if (opts)
        *opts++ = '\0';
    int err = ini_url_parse_address(copy, &url, e);
    if (!err && opts)
        err = parse_options(opts, &url, e);
    if (!err)
        *ret_url = url;
    ini_url_wipe(&url);
    explicit_bzero(copy, strlen(text));
    free(copy);
    return err;
}

int ini_url_parse(const char *text, struct ini_url *ret_url, struct err_text *e)
{
    struct ini_url url = { .port = 0 };
    int err = ini_url_parse_parts(text, &url, e);
    if (err)
        return err;
    err = ini_url_check(&url, e);
    if (!err)
        *ret_url = url;
    ini_url_wipe(&url);
    return err;
}

/* ---- text ---- */

void ini_url_portal(const struct ini_url *url, char *buf, size_t cap)
{
    bool v6 = strchr(url->host, ':') != NULL;
    (void)snprintf(buf, cap, "%s%s%s:%u", v6 ? "[" : "", url->host, v6 ? "]" : "", url->port);
}

void ini_url_text(const struct ini_url *url, char *buf, size_t cap)
{
    char portal[SOCK_ADDR_SPEC_BYTES + 8], lun[16] = "";
    ini_url_portal(url, portal, sizeof(portal));
    if (url->has_lun)
        (void)snprintf(lun, sizeof(lun), "/%u", url->lun);
    (void)snprintf(buf, cap, SCHEME "%s%s%s%s%s%s", url->user, *url->user ? "@" : "", portal,
                   *url->target ? "/" : "", url->target, lun);
}

void ini_url_wipe(struct ini_url *url)
{
    explicit_bzero(url->secret, sizeof(url->secret));
    explicit_bzero(url->target_secret, sizeof(url->target_secret));
}
