/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmocka_all.h"

#include "target/access.h"

#include <string.h>

static char alice[] = "alice", bob[] = "bob", gate[] = "gate";
static char alice_secret[] = "alices-secret", bob_secret[] = "bobs-secret!!",
            gate_secret[] = "gates-secret!";
static struct tgt_config_user users[] = { { .name = alice, .secret = alice_secret },
                                          { .name = bob, .secret = bob_secret },
                                          { .name = gate, .secret = gate_secret } };
static char *only_alice[] = { alice };
static char host1[] = "iqn.2025-01.com.example:host1";
static char *initiators[] = { host1 };
static char name_open[] = "iqn.2025-01.com.example:open";
static char name_closed[] = "iqn.2025-01.com.example:closed";

static const struct tgt_config_target targets[] = {
    { .name = name_open },
    { .name = name_closed,
      .users = only_alice,
      .user_count = 1,
      .mutual_user = gate,
      .initiators = initiators,
      .initiator_count = 1 },
};
static struct tgt_node nodes[] = { { .cfg = &targets[0] }, { .cfg = &targets[1] } };
static const struct tgt_config cfg = {
    .users = users, .user_count = 3, .discovery_users = only_alice, .discovery_user_count = 1
};

static void targets_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(tgt_node_find(nodes, 2, "iqn.2025-01.com.example:closed"), &nodes[1]);
    assert_null(tgt_node_find(nodes, 2, "iqn.2025-01.com.example:close"));
    assert_null(tgt_node_find(nodes, 2, ""));
}

static void initiators_by_exact_name(void **state)
{
    (void)state;
    assert_true(tgt_access_initiator(&nodes[0], "iqn.whoever"));
    assert_true(tgt_access_initiator(&nodes[1], "iqn.2025-01.com.example:host1"));
    assert_false(tgt_access_initiator(&nodes[1], "iqn.2025-01.com.example:host11"));
    assert_false(tgt_access_initiator(&nodes[1], "iqn.2025-01.com.example:host"));
    assert_false(tgt_access_initiator(&nodes[1], ""));
}

static void open_target_asks_for_nothing(void **state)
{
    (void)state;
    struct iscsi_auth a;
    tgt_access_auth(&cfg, &nodes[0], NULL, &a);
    assert_false(a.required);
    assert_null(a.target_user);
    /* Who authenticates all the same is nobody we know. */
    tgt_access_auth(&cfg, &nodes[0], "alice", &a);
    assert_null(a.secret);
}

static void closed_target_knows_its_users_only(void **state)
{
    (void)state;
    struct iscsi_auth a;
    tgt_access_auth(&cfg, &nodes[1], NULL, &a);
    assert_true(a.required);
    assert_null(a.secret);
    assert_string_equal(a.target_user, "gate");
    assert_string_equal(a.target_secret, "gates-secret!");
    tgt_access_auth(&cfg, &nodes[1], "alice", &a);
    assert_string_equal(a.user, "alice");
    assert_string_equal(a.secret, "alices-secret");
    /* Bob exists, but not for this target; the target's own name is no way in either. */
    tgt_access_auth(&cfg, &nodes[1], "bob", &a);
    assert_true(a.required);
    assert_null(a.secret);
    tgt_access_auth(&cfg, &nodes[1], "gate", &a);
    assert_null(a.secret);
}

static void discovery_has_users_of_its_own(void **state)
{
    (void)state;
    struct iscsi_auth a;
    tgt_access_auth(&cfg, NULL, "alice", &a);
    assert_true(a.required);
    assert_string_equal(a.secret, "alices-secret");
    tgt_access_auth(&cfg, NULL, "bob", &a);
    assert_null(a.secret);
    assert_null(a.target_secret);
}

/* Credentials are checked if there are any, and nobody is asked for them. */
static void discovery_may_be_optional(void **state)
{
    (void)state;
    struct iscsi_auth a;
    struct tgt_config may = cfg;
    may.discovery_optional = true;
    tgt_access_auth(&may, NULL, "alice", &a);
    assert_false(a.required);
    assert_true(a.optional);
    assert_string_equal(a.secret, "alices-secret");
    tgt_access_auth(&may, NULL, "bob", &a);
    assert_null(a.secret);
    tgt_access_auth(&may, &nodes[1], "alice", &a);
    assert_true(a.required); /* targets are as strict as before */
    assert_false(a.optional);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_by_name),
        cmocka_unit_test(initiators_by_exact_name),
        cmocka_unit_test(open_target_asks_for_nothing),
        cmocka_unit_test(closed_target_knows_its_users_only),
        cmocka_unit_test(discovery_has_users_of_its_own),
        cmocka_unit_test(discovery_may_be_optional),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
