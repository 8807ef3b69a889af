/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "iscsiadm/param.h"

#include <stdlib.h>
#include <string.h>

#define DIGESTS "None|CRC32C|CRC32C,None|None,CRC32C"

static const struct adm_param head[] = {
    { "node.name", "", ADM_TEXT, NULL, false },
    { "node.tpgt", "-1", ADM_NUMBER, NULL, false },
    { "node.startup", "manual", ADM_CHOICE, "manual|automatic|onboot", false },
    { "node.leading_login", "No", ADM_YES_NO, NULL, false },
    { 0 },
};

static const struct adm_param iface[] = {
    { "iface.iscsi_ifacename", "default", ADM_TEXT, NULL, false },
    { "iface.net_ifacename", "", ADM_TEXT, NULL, false },
    { "iface.ipaddress", "", ADM_TEXT, NULL, false },
    { "iface.prefix_len", "0", ADM_NUMBER, NULL, false },
    { "iface.hwaddress", "", ADM_TEXT, NULL, false },
    { "iface.transport_name", "tcp", ADM_TEXT, NULL, false },
    { "iface.initiatorname", "", ADM_TEXT, NULL, false },
    { "iface.state", "", ADM_TEXT, NULL, false },
    { "iface.vlan_id", "0", ADM_NUMBER, NULL, false },
    { "iface.vlan_priority", "0", ADM_NUMBER, NULL, false },
    { "iface.vlan_state", "", ADM_TEXT, NULL, false },
    { "iface.iface_num", "0", ADM_NUMBER, NULL, false },
    { "iface.mtu", "0", ADM_NUMBER, NULL, false },
    { "iface.port", "0", ADM_NUMBER, NULL, false },
    { "iface.bootproto", "", ADM_TEXT, NULL, false },
    { "iface.subnet_mask", "", ADM_TEXT, NULL, false },
    { "iface.gateway", "", ADM_TEXT, NULL, false },
    { "iface.dhcp_alt_client_id_state", "", ADM_TEXT, NULL, false },
    { "iface.dhcp_alt_client_id", "", ADM_TEXT, NULL, false },
    { "iface.dhcp_dns", "", ADM_TEXT, NULL, false },
    { "iface.dhcp_learn_iqn", "", ADM_TEXT, NULL, false },
    { "iface.dhcp_req_vendor_id_state", "", ADM_TEXT, NULL, false },
    { "iface.dhcp_vendor_id_state", "", ADM_TEXT, NULL, false },
    { "iface.dhcp_vendor_id", "", ADM_TEXT, NULL, false },
    { "iface.dhcp_slp_da", "", ADM_TEXT, NULL, false },
    { "iface.fragmentation", "", ADM_TEXT, NULL, false },
    { "iface.gratuitous_arp", "", ADM_TEXT, NULL, false },
    { "iface.incoming_forwarding", "", ADM_TEXT, NULL, false },
    { "iface.tos_state", "", ADM_TEXT, NULL, false },
    { "iface.tos", "0", ADM_NUMBER, NULL, false },
    { "iface.ttl", "0", ADM_NUMBER, NULL, false },
    { "iface.delayed_ack", "", ADM_TEXT, NULL, false },
    { "iface.tcp_nagle", "", ADM_TEXT, NULL, false },
    { "iface.tcp_wsf_state", "", ADM_TEXT, NULL, false },
    { "iface.tcp_wsf", "0", ADM_NUMBER, NULL, false },
    { "iface.tcp_timer_scale", "0", ADM_NUMBER, NULL, false },
    { "iface.tcp_timestamp", "", ADM_TEXT, NULL, false },
    { "iface.redirect", "", ADM_TEXT, NULL, false },
    { "iface.def_task_mgmt_timeout", "0", ADM_NUMBER, NULL, false },
    { "iface.header_digest", "", ADM_TEXT, NULL, false },
    { "iface.data_digest", "", ADM_TEXT, NULL, false },
    { "iface.immediate_data", "", ADM_TEXT, NULL, false },
    { "iface.initial_r2t", "", ADM_TEXT, NULL, false },
    { "iface.data_seq_inorder", "", ADM_TEXT, NULL, false },
    { "iface.data_pdu_inorder", "", ADM_TEXT, NULL, false },
    { "iface.erl", "0", ADM_NUMBER, NULL, false },
    { "iface.max_receive_data_len", "0", ADM_NUMBER, NULL, false },
    { "iface.first_burst_len", "0", ADM_NUMBER, NULL, false },
    { "iface.max_outstanding_r2t", "0", ADM_NUMBER, NULL, false },
    { "iface.max_burst_len", "0", ADM_NUMBER, NULL, false },
    { "iface.chap_auth", "", ADM_TEXT, NULL, false },
    { "iface.bidi_chap", "", ADM_TEXT, NULL, false },
    { "iface.strict_login_compliance", "", ADM_TEXT, NULL, false },
    { "iface.discovery_auth", "", ADM_TEXT, NULL, false },
    { "iface.discovery_logout", "", ADM_TEXT, NULL, false },
    { 0 },
};

static const struct adm_param session[] = {
    { "node.discovery_address", "", ADM_TEXT, NULL, false },
    { "node.discovery_port", "0", ADM_NUMBER, NULL, false },
    { "node.discovery_type", "static", ADM_CHOICE,
      "send_targets|isns|offload_send_targets|slp|static|fw", false },
    { "node.session.initial_cmdsn", "0", ADM_NUMBER, NULL, false },
    { "node.session.initial_login_retry_max", "4", ADM_NUMBER, NULL, false },
    { "node.session.xmit_thread_priority", "-20", ADM_NUMBER, NULL, false },
    { "node.session.cmds_max", "128", ADM_NUMBER, NULL, false },
    { "node.session.queue_depth", "32", ADM_NUMBER, NULL, false },
    { "node.session.nr_sessions", "1", ADM_NUMBER, NULL, false },
    { "node.session.auth.authmethod", "None", ADM_CHOICE, "None|CHAP", false },
    { "node.session.auth.username", "", ADM_TEXT, NULL, false },
    { "node.session.auth.password", "", ADM_TEXT, NULL, true },
    { "node.session.auth.username_in", "", ADM_TEXT, NULL, false },
    { "node.session.auth.password_in", "", ADM_TEXT, NULL, true },
    { "node.session.auth.chap_algs", "MD5", ADM_TEXT, NULL, false },
    { "node.session.timeo.replacement_timeout", "120", ADM_NUMBER, NULL, false },
    { "node.session.err_timeo.abort_timeout", "15", ADM_NUMBER, NULL, false },
    { "node.session.err_timeo.lu_reset_timeout", "30", ADM_NUMBER, NULL, false },
    { "node.session.err_timeo.tgt_reset_timeout", "30", ADM_NUMBER, NULL, false },
    { "node.session.err_timeo.host_reset_timeout", "60", ADM_NUMBER, NULL, false },
    { "node.session.iscsi.FastAbort", "Yes", ADM_YES_NO, NULL, false },
    { "node.session.iscsi.InitialR2T", "No", ADM_YES_NO, NULL, false },
    { "node.session.iscsi.ImmediateData", "Yes", ADM_YES_NO, NULL, false },
    { "node.session.iscsi.FirstBurstLength", "262144", ADM_NUMBER, NULL, false },
    { "node.session.iscsi.MaxBurstLength", "16776192", ADM_NUMBER, NULL, false },
    { "node.session.iscsi.DefaultTime2Retain", "0", ADM_NUMBER, NULL, false },
    { "node.session.iscsi.DefaultTime2Wait", "2", ADM_NUMBER, NULL, false },
    { "node.session.iscsi.MaxConnections", "1", ADM_NUMBER, NULL, false },
    { "node.session.iscsi.MaxOutstandingR2T", "1", ADM_NUMBER, NULL, false },
    { "node.session.iscsi.ERL", "0", ADM_NUMBER, NULL, false },
    { "node.session.scan", "auto", ADM_CHOICE, "auto|manual", false },
    { "node.session.reopen_max", "0", ADM_NUMBER, NULL, false },
    { "node.conn[0].address", "", ADM_TEXT, NULL, false },
    { "node.conn[0].port", "3260", ADM_NUMBER, NULL, false },
    { "node.conn[0].startup", "manual", ADM_CHOICE, "manual|automatic|onboot", false },
    { "node.conn[0].tcp.window_size", "524288", ADM_NUMBER, NULL, false },
    { "node.conn[0].tcp.type_of_service", "0", ADM_NUMBER, NULL, false },
    { "node.conn[0].timeo.logout_timeout", "15", ADM_NUMBER, NULL, false },
    { "node.conn[0].timeo.login_timeout", "30", ADM_NUMBER, NULL, false },
    { "node.conn[0].timeo.auth_timeout", "45", ADM_NUMBER, NULL, false },
    { "node.conn[0].timeo.noop_out_interval", "5", ADM_NUMBER, NULL, false },
    { "node.conn[0].timeo.noop_out_timeout", "5", ADM_NUMBER, NULL, false },
    { "node.conn[0].iscsi.MaxXmitDataSegmentLength", "0", ADM_NUMBER, NULL, false },
    { "node.conn[0].iscsi.MaxRecvDataSegmentLength", "262144", ADM_NUMBER, NULL, false },
    { "node.conn[0].iscsi.HeaderDigest", "None", ADM_CHOICE, DIGESTS, false },
    { "node.conn[0].iscsi.DataDigest", "None", ADM_CHOICE, DIGESTS, false },
    { "node.conn[0].iscsi.IFMarker", "No", ADM_YES_NO, NULL, false },
    { "node.conn[0].iscsi.OFMarker", "No", ADM_YES_NO, NULL, false },
    { 0 },
};

static const struct adm_param sendtargets[] = {
    { "discovery.startup", "manual", ADM_CHOICE, "manual|automatic", false },
    { "discovery.type", "sendtargets", ADM_TEXT, NULL, false },
    { "discovery.sendtargets.address", "", ADM_TEXT, NULL, false },
    { "discovery.sendtargets.port", "3260", ADM_NUMBER, NULL, false },
    { "discovery.sendtargets.auth.authmethod", "None", ADM_CHOICE, "None|CHAP", false },
    { "discovery.sendtargets.auth.username", "", ADM_TEXT, NULL, false },
    { "discovery.sendtargets.auth.password", "", ADM_TEXT, NULL, true },
    { "discovery.sendtargets.auth.username_in", "", ADM_TEXT, NULL, false },
    { "discovery.sendtargets.auth.password_in", "", ADM_TEXT, NULL, true },
    { "node.session.auth.chap_algs", "MD5", ADM_TEXT, NULL, false },
    { "discovery.sendtargets.timeo.login_timeout", "15", ADM_NUMBER, NULL, false },
    { "discovery.sendtargets.use_discoveryd", "No", ADM_YES_NO, NULL, false },
    { "discovery.sendtargets.discoveryd_poll_inval", "30", ADM_NUMBER, NULL, false },
    { "discovery.sendtargets.reopen_max", "5", ADM_NUMBER, NULL, false },
    { "discovery.sendtargets.timeo.auth_timeout", "45", ADM_NUMBER, NULL, false },
    { "discovery.sendtargets.timeo.active_timeout", "30", ADM_NUMBER, NULL, false },
    { "discovery.sendtargets.iscsi.MaxRecvDataSegmentLength", "32768", ADM_NUMBER, NULL, false },
    { 0 },
};

/* The tables of which a record consists, one behind the other. */
static const struct adm_param *const kinds[ADM_KINDS][4] = {
    [ADM_NODE] = { head, iface, session, NULL },
    [ADM_IFACE] = { iface, NULL },
    [ADM_SENDTARGETS] = { sendtargets, NULL },
};

const struct adm_param *adm_param_at(enum adm_kind kind, size_t i)
{
    for (const struct adm_param *const *table = kinds[kind]; *table; table++) {
        const struct adm_param *p = *table;
        for (; p->name && i; p++)
            i--;
        if (p->name)
            return p;
    }
    return NULL;
}

const struct adm_param *adm_param_find(enum adm_kind kind, const char *name)
{
    const struct adm_param *p;
    for (size_t i = 0; (p = adm_param_at(kind, i)); i++) {
        if (strcmp(p->name, name) == 0)
            return p;
    }
    return NULL;
}

static bool is_one_of(const char *words, const char *value)
{
    size_t len = strlen(value);
    for (const char *w = words; *w; w += *w == '|') {
        size_t n = strcspn(w, "|");
        if (n == len && memcmp(w, value, n) == 0)
            return true;
        w += n;
    }
    return false;
}

bool adm_param_takes(const struct adm_param *p, const char *value)
{
    char *end;
    switch (p->type) {
    case ADM_TEXT:
        return true;
    case ADM_NUMBER:
        (void)strtol(value, &end, 10);
        return *value && *value != ' ' && !*end;
    case ADM_YES_NO:
        return strcmp(value, "Yes") == 0 || strcmp(value, "No") == 0;
    case ADM_CHOICE:
        return is_one_of(p->choices, value);
    }
    return false;
}
