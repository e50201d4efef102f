/* Every message is compared to the letter: people read them, and read them out to each other. */
#include "runtime/compose/report.h"
#include "tests/unit/runtime/compose/compose_support.h"

#include <criterion/criterion.h>

/* `number` empty lines, "fettle: 1" the first of them, so that a text begins on the line a message speaks of. */
static void on_line(unsigned number, const char *text, char *out, size_t out_bytes)
{
    (void)snprintf(out, out_bytes, "fettle: 1\n");
    for (unsigned line = 2; line < number; line++) {
        strncat(out, "\n", out_bytes - strlen(out) - 1);
    }
    strncat(out, text, out_bytes - strlen(out) - 1);
}

static void expect_error_in(const char *text, const char *overrides, const char *expected)
{
    char error[512];
    struct ftli_topology *topology = test_compose(text, overrides, error, sizeof error);
    cr_expect(topology == NULL, "accepted, but expected: %s", expected);
    cr_expect(strcmp(error, expected) == 0, "\n     got: %s\nexpected: %s", error, expected);
    ftli_compose_free(topology);
}

static void expect_error(unsigned line, const char *text, const char *expected)
{
    static char placed[8192];
    on_line(line, text, placed, sizeof placed);
    expect_error_in(placed, NULL, expected);
}

/* ---- the five of the first minutes, and the runners-up ---------------------------------------------------- */

Test(messages, unknown_key)
{
    expect_error(40, "actors:\n  defragmentatoin:\n    idle: 1s\n",
                 "topology:41:3: actors.defragmentatoin: no such key; did you mean defragmentation?");
}

Test(messages, no_unit)
{
    expect_error(
        35, "actors:\n  cleanup:\n    batch: {messages: 64, age: 10}\n",
        "topology:37:32: actors.cleanup.batch.age: \"10\" has no unit; expected a time such as 100ms (us, ms, s, "
        "min, h)");
}

Test(messages, no_such_group)
{
    expect_error(
        30,
        "threads:\n  service: {count: 2}\n  background: {count: 1, nice: 15}\n\nactors:\n  cleanup:\n"
        "    finalizers: finaliser\n",
        "topology:36:17: actors.cleanup.finalizers: no thread group is called \"finaliser\"; there are service, "
        "background, finalizers; did you mean finalizers?");
}

Test(messages, levels_must_rise)
{
    expect_error(50, "pressure:\n  levels: {medium: 90%, high: 85%}\n",
                 "topology:51:31: pressure.levels.high: 85% is not above medium, which is 90%");
}

Test(messages, twice)
{
    expect_error(34, "actors:\n  cleanup:\n    policy: auto\n\n  cleanup:\n    policy: auto\n",
                 "topology:38:3: actors.cleanup: is here twice; first on line 35");
}

Test(messages, wrong_unit)
{
    expect_error(
        24, "devices:\n  cpu:\n    arena: 1GB\n",
        "topology:26:12: devices.cpu.arena: \"GB\" is no unit of size; expected a size such as 64MiB (B, KiB, MiB, "
        "GiB, TiB); did you mean 1GiB?");
}

#if FETTLE_TELEMETRY
Test(messages, endpoints)
{
    expect_error(46, "actors:\n  telemetry:\n    publish: tcp://*:9000\n",
                 "topology:48:14: actors.telemetry.publish: tcp:// is not in this version; use ipc://");
    expect_error(46, "actors:\n  telemetry:\n    publish: /run/x\n",
                 "topology:48:14: actors.telemetry.publish: \"/run/x\" is no endpoint; expected none, or one such as "
                 "ipc:///run/fettle.sock");
    expect_error(
        46,
        "actors:\n  telemetry:\n    publish: "
        "ipc:///0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456"
        "7890123456\n",
        "topology:48:14: actors.telemetry.publish: is too long; the path of a socket has at most 107 characters");
    char error[256];
    struct ftli_topology *topology =
        test_compose("fettle: 1\nactors: {telemetry: {publish: 'ipc:///run/f'}}\n", NULL, error, sizeof error);
    cr_assert_not_null(topology, "%s", error);
    const struct ftli_telemetry_settings *telemetry = ftli_topology_actor(topology, "telemetry")->settings;
    cr_expect_str_eq(telemetry->publish, "ipc:///run/f");
    ftli_compose_free(topology);
}
#endif

Test(messages, off_means_nothing)
{
    expect_error(37, "actors:\n  tracking:\n    level: off\n",
                 "topology:39:12: actors.tracking.level: \"off\" means nothing here; say none");
    expect_error(37, "actors:\n  tracking: off\n",
                 "topology:38:13: actors.tracking: \"off\" means nothing here; say none");
    expect_error(37, "actors:\n  tracking:\n    level: on\n",
                 "topology:39:12: actors.tracking.level: \"on\" means nothing here; expected none, minimal, standard, "
                 "detailed, debug");
}

Test(messages, not_a_share)
{
    expect_error(
        22, "devices:\n  cpu:\n    soft: 0.75\n",
        "topology:24:11: devices.cpu.soft: \"0.75\" is not a share; expected a percentage such as 80%; did you "
        "mean 75%?");
}

Test(messages, tab)
{
    expect_error(9, "actors:\n  - \t- a\n", "topology:10:5: YAML: a tab; indent with spaces");
    expect_error(9, "\tactors:\n", "topology:9:1: YAML: a tab; indent with spaces");
    expect_error(9, "actors:\n \ttracking:\n", "topology:10:2: YAML: a tab; indent with spaces");
}

Test(messages, anchors_aliases_tags)
{
    expect_error(40, "actors:\n  cleanup:\n    batch: *b\n",
                 "topology:42:12: actors.cleanup.batch: anchors and aliases are not taken; write the value out");
    expect_error(40, "actors:\n  cleanup:\n    batch: &b {age: 1ms}\n",
                 "topology:42:12: actors.cleanup.batch: anchors and aliases are not taken; write the value out");
    expect_error(40, "actors:\n  tracking: &t none\n",
                 "topology:41:13: actors.tracking: anchors and aliases are not taken; write the value out");
    expect_error(40, "runtime:\n  <<: *base\n",
                 "topology:41:7: runtime.<<: anchors and aliases are not taken; write the value out");
    expect_error(40, "runtime:\n  tensors: !!int 65536\n",
                 "topology:41:12: runtime.tensors: tags are not taken; write the value alone");
}

Test(messages, one_value)
{
    expect_error(35, "actors:\n  cleanup:\n    batch: 64\n",
                 "topology:37:12: actors.cleanup.batch: \"64\" is one value; expected a map with messages, age");
}

Test(messages, mandatory)
{
    expect_error(34, "actors:\n  cleanup: none\n",
                 "topology:35:12: actors.cleanup: cannot be left out: allocation and cleanup must run");
}

/* ---- the rest --------------------------------------------------------------------------------------------- */

Test(messages, grammar)
{
    expect_error_in("runtime: {name: x}\n", NULL,
                    "topology:1:1: fettle: is missing; expected fettle: 1, the grammar of the file");
    expect_error_in("fettle: 2\nelsewhere: new\n", NULL,
                    "topology:1:9: fettle: \"2\" is no grammar that this library reads; expected 1");
    expect_error_in("", NULL, "topology:1:1: nothing is in it; expected at least fettle: 1");
    expect_error_in("# only this\n", NULL, "topology:1:1: nothing is in it; expected at least fettle: 1");
    expect_error_in("- fettle\n", NULL, "topology:1:1: is no map; expected keys and values, of them fettle: 1");
    expect_error_in("fettle: 1\nfettle: 1\n", NULL, "topology:2:1: fettle: is here twice; first on line 1");
}

Test(messages, yaml)
{
    expect_error_in("fettle: 1\n---\nfettle: 1\n", NULL, "topology:2:1: YAML: a second document begins; expected one");
    expect_error_in("fettle: 1\n? {a: b}\n: c\n", NULL,
                    "topology:2:3: YAML: a map or list stands where a key should; expected a word and a colon");
    expect_error_in("fettle: 1\nruntime: {name: \"a\\0b\"}\n", NULL, "topology:2:17: YAML: a zero character");
    expect_error_in("fettle: 1\nx: [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n", NULL,
                    "topology:2:19: YAML: nests deeper than 16 levels");
    expect_error_in("fettle: 1\nname: \xff\n", NULL, "topology:2:7: YAML: invalid leading UTF-8 octet");
    expect_error_in("fettle: 1\n\"a\\0b\": c\n", NULL, "topology:2:1: YAML: a zero character");
    expect_error_in("fettle: 1\nruntime: {\n", NULL, "topology:3:1: YAML: did not find expected node content");
}

Test(messages, keys_that_are_not_there)
{
    expect_error_in("fettle: 1\nwhatever: {}\n", NULL,
                    "topology:2:1: whatever: no such key; there are fettle, runtime, threads, back_pressure, lanes, "
                    "devices, pressure, actors, supervision, recovery, routes");
    expect_error_in("fettle: 1\nlanes:\n  urgent: {share: 1}\n", NULL,
                    "topology:3:3: lanes.urgent: no such key; there are emergency, high, normal, background");
    expect_error_in(
        "fettle: 1\nlanes: {high: {alarm: 10}}\n", NULL,
        "topology:2:23: lanes.high.alarm: \"10\" has no unit; expected none or a time such as 100ms (us, ms, "
        "s, min, h)");
    expect_error_in("fettle: 1\nlanes: {high: {alarm: 10us}}\n", NULL,
                    "topology:2:23: lanes.high.alarm: 10us is too small; at least 1ms");
    expect_error_in("fettle: 1\nlanes: {high: {alarm: off}}\n", NULL,
                    "topology:2:23: lanes.high.alarm: \"off\" means nothing here; say none");
    expect_error_in("fettle: 1\nlanes: {hihg: {share: 1}}\n", NULL,
                    "topology:2:9: lanes.hihg: no such key; did you mean high?");
    expect_error_in("fettle: 1\npressure: {level: {low: 1%}}\n", NULL,
                    "topology:2:12: pressure.level: no such key; did you mean levels?");
    expect_error_in("fettle: 1\nactors: {tracking: {colour: none}}\n", NULL,
                    "topology:2:21: actors.tracking.colour: no such key; there are type, threads, receive, level, "
                    "target, every_one_from, tiers, adapt, events, sites, stacks, pause");
    expect_error_in("fettle: 1\nactors: {watcher: {level: debug}}\n", NULL,
                    "topology:2:10: actors.watcher: no such key; there are allocation, cleanup, tracking, "
                    "defragmentation, leak_detection, telemetry, or give it one of these as its type");
    expect_error_in(
        "fettle: 1\nactors: {watcher: {type: trakking}}\n", NULL,
        "topology:2:26: actors.watcher.type: no actor is of type \"trakking\"; there are allocation, cleanup, "
        "tracking, defragmentation, leak_detection, telemetry; did you mean tracking?");
}

static void expect_route(const char *route, unsigned column, const char *expected)
{
    char text[512], message[512];
    (void)snprintf(text, sizeof text, "fettle: 1\nroutes:\n  - {%s}\n", route);
    (void)snprintf(message, sizeof message, "topology:3:%u: routes.1%s", column, expected);
    expect_error_in(text, NULL, message);
}

Test(messages, routes)
{
    expect_route("when: cleanup.complete, tell: tracking, do: update", 12,
                 ".when: cleanup has no event \"complete\"; there are completed, failed, restarted, down, degraded, "
                 "recovered, overdue, alarm; did you mean cleanup.completed?");
    expect_route(
        "when: tracking.zzz, tell: tracking, do: update", 12,
        ".when: tracking has no event \"zzz\"; there are over_target, failed, restarted, down, degraded, recovered, "
        "overdue, alarm");
    expect_route("when: pressure.hihg, tell: cleanup, do: run", 12,
                 ".when: pressure has no event \"hihg\"; there are none, low, medium, high, critical; did you mean "
                 "pressure.high?");
    expect_route("when: completed, tell: tracking, do: update", 12,
                 ".when: \"completed\" is no event; expected one such as cleanup.completed or pressure.medium");
    expect_route("tell: tracking, do: update, when: \"cleanup.\"", 40,
                 ".when: \"cleanup.\" is no event; expected one such as cleanup.completed or pressure.medium");
    expect_route("when: pressure.medium, tell: clenup, do: run", 35,
                 ".tell: no actor is called \"clenup\"; there are allocation, cleanup, tracking, defragmentation, "
                 "leak_detection, telemetry; did you mean cleanup?");
    expect_route("when: presure.medium, tell: cleanup, do: run", 12,
                 ".when: no actor is called \"presure\"; there are allocation, cleanup, tracking, defragmentation, "
                 "leak_detection, telemetry, and pressure; did you mean pressure.medium?");
    expect_route("when: pressure.medium, tell: cleanup, do: rum", 48,
                 ".do: cleanup has no message \"rum\"; there is run; did you mean run?");
    expect_route("when: pressure.medium, tell: allocation, do: run", 35,
                 ".tell: allocation takes no messages of routes; there are cleanup (run), tracking (update), "
                 "leak_detection (recheck), and the program's own actors");
    expect_route("when: pressure.medium, tell: cleanup", 5, ": has no do; expected a map with when, tell, do");
    expect_route("when: pressure.medium, tell: cleanup, do: run, if: x", 53,
                 ".if: no such key; there are when, tell, do");
    expect_error_in("fettle: 1\nroutes: cleanup\n", NULL,
                    "topology:2:9: routes: is no list; expected none, or 1 to 64 maps with when, tell, do");
    expect_error_in("fettle: 1\nroutes:\n  - {when: pressure.low, tell: cleanup, do: run}\n"
                    "  - {when: pressure.low, do: run, tell: cleanup}\n",
                    NULL, "topology:4:12: routes.2: is the same as routes.1");
}

Test(messages, names)
{
    expect_error_in("fettle: 1\nruntime: {name: My Server}\n", NULL,
                    "topology:2:17: runtime.name: \"My Server\" is no name; expected 1 to 15 characters of a-z 0-9 -");
    expect_error_in("fettle: 1\nthreads: {Service: {count: 1}}\n", NULL,
                    "topology:2:11: threads.Service: is no name; expected 1 to 15 characters of a-z 0-9 - _");
    expect_error_in("fettle: 1\nthreads: {servce: none}\n", NULL,
                    "topology:2:11: threads.servce: is not there to be taken out; there are service, finalizers, "
                    "background; did you mean service?");
    expect_error_in("fettle: 1\nthreads: 3\n", NULL,
                    "topology:2:10: threads: holds things by name; expected a map such as NAME: {..}");
}

Test(messages, groups)
{
    expect_error_in("fettle: 1\nthreads: {background: none}\n", NULL,
                    "topology:2:23: threads.background: cannot be taken out: actors.tracking.threads is background");
    expect_error_in("fettle: 1\nactors: {tracking: {threads: gpu}}\n", NULL,
                    "topology:2:30: actors.tracking.threads: no thread group is called \"gpu\"; there are service, "
                    "finalizers, background");
}

Test(messages, devices)
{
    expect_error_in("fettle: 1\ndevices: {gpu0: {kind: cuda}}\n", NULL,
                    "topology:2:24: devices.gpu0.kind: \"cuda\" is not known here; expected host");
    expect_error_in("fettle: 1\ndevices: {cpu: none}\n", NULL,
                    "topology:2:16: devices: none is left; expected at least one");
    expect_error_in("fettle: 1\ndevices: {cpu: {soft: 97%}}\n", NULL,
                    "topology:2:23: devices.cpu.soft: 97% is not below hard, which is 95%");
    expect_error_in("fettle: 1\ndevices: {cpu: {arena: 5MiB}}\n", NULL,
                    "topology:2:24: devices.cpu.arena: 5MiB is no multiple of 2MiB");
    expect_error_in("fettle: 1\ndevices: {cpu: {keep: 10}}\n", NULL,
                    "topology:2:23: devices.cpu.keep: \"10\" has no unit; expected a percentage such as 80%, or a size "
                    "such as 64MiB (B, KiB, MiB, GiB, TiB)");
    expect_error_in("fettle: 1\ndevices: {cpu: {limit: lots}}\n", NULL,
                    "topology:2:24: devices.cpu.limit: \"lots\" is no size; expected auto or a size such as 64MiB (B, "
                    "KiB, MiB, GiB, TiB)");
}

Test(messages, two_of_one_type)
{
    expect_error_in(
        "fettle: 1\nactors:\n  sweeper: {type: cleanup}\n", NULL,
        "topology:3:3: actors.sweeper: is a second actor of type cleanup; the first is cleanup, and one runs");
}

Test(messages, values)
{
    expect_error_in("fettle: 1\nruntime: {tensors: 1}\n", NULL,
                    "topology:2:20: runtime.tensors: 1 is too small; at least 1024");
    expect_error_in("fettle: 1\nruntime: {tensors: many}\n", NULL,
                    "topology:2:20: runtime.tensors: \"many\" is no whole number; expected a whole number from 1024 to "
                    "268435455");
    expect_error_in("fettle: 1\nruntime: {tensors: }\n", NULL,
                    "topology:2:20: runtime.tensors: has no value; expected a whole number from 1024 to 268435455");
    expect_error_in("fettle: 1\nruntime: {drain_on_close: 2h}\n", NULL,
                    "topology:2:27: runtime.drain_on_close: 2h is too large; at most 1h");
    expect_error_in("fettle: 1\nruntime: {pinned_on_close: kep}\n", NULL,
                    "topology:2:28: runtime.pinned_on_close: \"kep\" is not known here; expected keep, refuse; did you "
                    "mean keep?");
    expect_error_in("fettle: 1\nruntime: {name: [a]}\n", NULL,
                    "topology:2:17: runtime.name: is a list; expected a word");
    expect_error_in("fettle: 1\nruntime: []\n", NULL,
                    "topology:2:10: runtime: is a list; expected a map with name, tensors, drain_on_close, "
                    "pinned_on_close");
    expect_error_in("fettle: 1\nthreads: {service: {nice: 20}}\n", NULL,
                    "topology:2:27: threads.service.nice: 20 is too large; at most 19");
    expect_error_in(
        "fettle: 1\nthreads: {service: {cpus: [0, x]}}\n", NULL,
        "topology:2:31: threads.service.cpus: \"x\" names no processors; expected any, or processors such as "
        "[0-3, 8]");
    expect_error_in("fettle: 1\nthreads: {service: {cpus: [*a]}}\n", NULL,
                    "topology:2:28: threads.service.cpus: anchors and aliases are not taken; write the value out");
    expect_error_in("fettle: 1\nthreads: {service: {cpus: [[1]]}}\n", NULL,
                    "topology:2:28: threads.service.cpus: is no number; expected any, or processors such as [0-3, 8]");
    expect_error_in("fettle: 1\nthreads: {service: {cpus: []}}\n", NULL,
                    "topology:2:27: threads.service.cpus: is empty; expected any, or processors such as [0-3, 8]");
    expect_error_in("fettle: 1\nthreads: {service: {cpus: {a: 1}}}\n", NULL,
                    "topology:2:27: threads.service.cpus: is a map; expected any, or processors such as [0-3, 8]");
    expect_error_in("fettle: 1\nruntime: {pinned_on_close: no}\n", NULL,
                    "topology:2:28: runtime.pinned_on_close: \"no\" means nothing here; expected keep, refuse");
    expect_error_in(
        "fettle: 1\nactors: {leak_detection: {quota: {site: 1G}}}\n", NULL,
        "topology:2:41: actors.leak_detection.quota.site: \"G\" is no unit of size; expected none or a size such "
        "as 64MiB (B, KiB, MiB, GiB, TiB); did you mean 1GiB?");
    expect_error_in("fettle: 1\nactors: {leak_detection: {quota: {site: 0B}}}\n", NULL,
                    "topology:2:41: actors.leak_detection.quota.site: 0B is too small; at least 1B");
    expect_error_in("fettle: 1\nactors: {leak_detection: {mitigate: scope}}\n", NULL,
                    "topology:2:37: actors.leak_detection.mitigate: \"scope\" is not known here; expected none, "
                    "overdue_scope");
    expect_error_in("fettle: 1\nactors: {leak_detection: {quota: {label: null}}}\n", NULL,
                    "topology:2:42: actors.leak_detection.quota.label: \"null\" means nothing here; say none");
    expect_error_in("fettle: 1\nactors: {leak_detection: {outlived: {scope: null}}}\n", NULL,
                    "topology:2:45: actors.leak_detection.outlived.scope: \"null\" means nothing here; say none");
    expect_error_in("fettle: 1\nactors: {allocation: {small: 33KiB}}\n", NULL,
                    "topology:2:30: actors.allocation.small: 33KiB is too large; at most 32KiB");
    expect_error_in(
        "fettle: 1\nactors: {tracking: {threads: abcdefghijklmnopqrst}}\n", NULL,
        "topology:2:30: actors.tracking.threads: no thread group is called \"abcdefghijklmnopqrst\"; a name "
        "has at most 15 characters");
    expect_error_in("fettle: 1\nthreads: {service: {cpus: 1024}}\n", NULL,
                    "topology:2:27: threads.service.cpus: \"1024\" is too large; the last processor is 1023");
    expect_error_in("fettle: 1\nlanes: {high: {share: 10}}\n", NULL,
                    "topology:2:23: lanes: the shares add up to 66; they are of 64 messages");
    expect_error_in(
        "fettle: 1\nsupervision: {strategy: all}\n", NULL,
        "topology:2:25: supervision.strategy: \"all\" is not known here; expected one_for_one, one_for_all, "
        "rest_for_one");
    expect_error_in("fettle: 1\nrecovery: {transient: retry}\n", NULL,
                    "topology:2:23: recovery.transient: is no list; expected a list of retry, degrade, restart, "
                    "quarantine, escalate");
    expect_error_in("fettle: 1\nrecovery: {transient: []}\n", NULL,
                    "topology:2:23: recovery.transient: is empty; expected a list of retry, degrade, restart, "
                    "quarantine, escalate");
    expect_error_in("fettle: 1\nrecovery: {fatal: [restart, restrat]}\n", NULL,
                    "topology:2:29: recovery.fatal: \"restrat\" is not known here; expected retry, degrade, restart, "
                    "quarantine, escalate; did you mean restart?");
    expect_error_in("fettle: 1\nrecovery: {fatal: [retry, retry]}\n", NULL,
                    "topology:2:27: recovery.fatal: retry is here twice");
    expect_error_in("fettle: 1\nrecovery: {fatal: [escalate, retry]}\n", NULL,
                    "topology:2:19: recovery.fatal: nothing comes after escalate");
    expect_error_in("fettle: 1\nrecovery: {fatal: [[retry]]}\n", NULL,
                    "topology:2:20: recovery.fatal: is no word; expected a list of retry, degrade, restart, "
                    "quarantine, escalate");
    expect_error_in("fettle: 1\nrecovery: {fatal: [off]}\n", NULL,
                    "topology:2:20: recovery.fatal: \"off\" is not known here; expected retry, degrade, restart, "
                    "quarantine, escalate");
    expect_error_in("fettle: 1\nrecovery: {lethal: [retry]}\n", NULL,
                    "topology:2:12: recovery.lethal: no such key; there are transient, resource, configuration, "
                    "corruption, fatal");
    expect_error_in("fettle: 1\nsupervision: {breaker: {failures: 0}}\n", NULL,
                    "topology:2:35: supervision.breaker.failures: 0 is too small; at least 1");
    expect_error_in("fettle: 1\nactors: {cleanup: {receive: 10us}}\n", NULL,
                    "topology:2:29: actors.cleanup.receive: 10us is too small; at least 1ms");
    expect_error_in("fettle: 1\nsupervision: {backoff: {first: 2s}}\n", NULL,
                    "topology:2:32: supervision.backoff.first: is longer than most");
    expect_error_in("fettle: 1\nsupervision: {backoff: {factor: 0.5}}\n", NULL,
                    "topology:2:33: supervision.backoff.factor: 0.5 is too small; at least 1");
}

Test(messages, lists)
{
    expect_error_in("fettle: 1\nactors: {tracking: {tiers: 4}}\n", NULL,
                    "topology:2:28: actors.tracking.tiers: is no list; expected 1 to 4 maps with up_to, rate");
    expect_error_in("fettle: 1\nactors: {tracking: {tiers: []}}\n", NULL,
                    "topology:2:28: actors.tracking.tiers: is empty; expected 1 to 4 maps with up_to, rate");
    expect_error_in("fettle: 1\nactors: {tracking: {tiers: [{up_to: 1KiB}]}}\n", NULL,
                    "topology:2:29: actors.tracking.tiers.1: has no rate; expected a map with up_to, rate");
    expect_error_in("fettle: 1\nactors: {tracking: {tiers: [{up_to: 2KiB, rate: 1%}, {up_to: 1KiB, rate: 1%}]}}\n",
                    NULL, "topology:2:62: actors.tracking.tiers.2.up_to: is not above the tier before it");
    expect_error_in("fettle: 1\nactors: {tracking: {tiers: [a, b]}}\n", NULL,
                    "topology:2:29: actors.tracking.tiers.1: \"a\" is one value; expected a map with up_to, rate");
    expect_error_in(
        "fettle: 1\nactors:\n  tracking:\n    tiers:\n      - {up_to: 1B, rate: 1%}\n      - {up_to: 2B, rate: "
        "1%}\n      - {up_to: 3B, rate: 1%}\n      - {up_to: 4B, rate: 1%}\n      - {up_to: 5B, rate: 1%}\n",
        NULL, "topology:9:9: actors.tracking.tiers: is too long; at most 4");
}

Test(messages, settings_that_do_not_fit)
{
    expect_error_in("fettle: 1\nactors: {cleanup: {retry: {most: 10us}}}\n", NULL,
                    "topology:2:34: actors.cleanup.retry.most: is shorter than retry.first");
    expect_error_in("fettle: 1\nactors: {cleanup: {retry: {first: 1min}}}\n", NULL,
                    "topology:2:10: actors.cleanup.retry.most: is shorter than retry.first");
    expect_error_in("fettle: 1\nactors: {cleanup: {emergency_above: 50%}}\n", NULL,
                    "topology:2:37: actors.cleanup.emergency_above: is below at_once_above");
}

Test(messages, overrides)
{
    expect_error_in(NULL, "\n# a comment\nactors.tracking.levl: debug\n",
                    "overrides:3:17: actors.tracking.levl: no such key; did you mean level?");
    expect_error_in(NULL, "actors.tracking.level: loud",
                    "overrides:1:24: actors.tracking.level: \"loud\" is not known here; expected none, minimal, "
                    "standard, detailed, debug");
    expect_error_in(NULL, "actors.tracking.level debug",
                    "overrides:1:1: \"actors.tracking.level debug\" sets nothing; expected a line such as "
                    "actors.tracking.level: debug");
    expect_error_in(NULL, "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a: 1", "overrides:1:1: nests deeper than 16 levels");
    expect_error_in(NULL, "actors.cleanup: none",
                    "overrides:1:17: actors.cleanup: cannot be left out: allocation and cleanup must run");
}

Test(messages, too_many_things)
{
    char text[4096] = "fettle: 1\nthreads:\n";
    for (int i = 0; i < 14; i++) { /* three are there */
        ftli_append(text, sizeof text, "  n%d: {count: 1}\n", i);
    }
    expect_error_in(text, NULL, "topology:16:3: threads: holds more than 16");
    (void)snprintf(text, sizeof text, "fettle: 1\nactors:\n");
    for (int i = 0; i < 65; i++) {
        ftli_append(text, sizeof text, "  %s%d: none\n", i == 0 ? "tracking: none\n  x" : "y", i);
    }
    expect_error_in(text, NULL,
                    "topology:4:3: actors.x0: is not there to be taken out; there are allocation, cleanup, "
                    "defragmentation, leak_detection, telemetry");
}

/* What a quoted text smuggles in stays out of the message, which is one line for a terminal. */
Test(messages, are_one_line)
{
    expect_error_in("fettle: 1\nruntime: {name: \"a\\nb\\e[31m\"}\n", NULL,
                    "topology:2:17: runtime.name: \"a?b?[31m\" is no name; expected 1 to 15 characters of a-z 0-9 -");
}

Test(messages, fit_any_buffer)
{
    for (size_t bytes = 0; bytes < 90; bytes++) {
        char error[100];
        memset(error, 'x', sizeof error);
        struct ftli_topology *untouched = (struct ftli_topology *)error, *out = untouched;
        struct ftli_compose_input input = test_input();
        input.text = "fettle: 1\nruntime: {tensors: many}\n";
        input.text_bytes = strlen(input.text);
        cr_assert_eq(ftli_compose(&input, &out, error, bytes), FTL_ECONFIG);
        cr_assert(out == untouched, "the out parameter was touched");
        cr_assert(bytes == 0 || memchr(error, '\0', bytes) != NULL);
        cr_assert_eq(error[bytes], 'x', "a byte behind the buffer was written");
    }
}
