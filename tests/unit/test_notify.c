/* SPDX-License-Identifier: MIT
 * links: daemon/notify.o daemon/clock.o
 *
 * sd_notify: exactly one datagram per message, to a path or an abstract name, and nothing without a manager.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/notify.h"

static int manager;
static char folder[64];

/* Binds a datagram socket and puts its name into NOTIFY_SOCKET; '@' for the abstract namespace. */
static void listen_as(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    manager = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_true(manager >= 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    assert_int_equal(bind(manager, (struct sockaddr *)&address, size), 0);
    setenv("NOTIFY_SOCKET", name, 1);
}

static void expect(const char *text)
{
    char got[1024];
    ssize_t n = recv(manager, got, sizeof got - 1, MSG_DONTWAIT);
    if (n < 0)
        fail_msg("no datagram, but \"%s\" was expected", text);
    got[n] = '\0';
    assert_string_equal(got, text);
}

static void expect_nothing(void)
{
    char got[16];
    assert_int_equal(recv(manager, got, sizeof got, MSG_DONTWAIT), -1);
}

static int setup(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    manager = -1;
    snprintf(folder, sizeof folder, "/tmp/test_notify.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/notify", folder);
    unlink(path);
    rmdir(folder);
    if (manager >= 0)
        close(manager);
    return 0;
}

static void check_messages(void)
{
    struct notify n;
    assert_int_equal(notify_init(&n), 0);
    notify_ready(&n);
    expect("READY=1");
    notify_status(&n, "running\nREADY=0");
    expect("STATUS=running READY=0"); /* a status cannot smuggle in another assignment */
    notify_status(&n, "running\nREADY=0");
    expect_nothing(); /* unchanged */
    notify_watchdog(&n);
    expect("WATCHDOG=1");
    notify_stopping(&n);
    expect("STOPPING=1");
    notify_fini(&n);
}

static void test_messages_by_path(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/notify", folder);
    listen_as(path);
    check_messages();
}

static void test_messages_by_abstract_name(void **state)
{
    (void)state;
    char name[64];
    snprintf(name, sizeof name, "@teldag-test-notify-%d", (int)getpid());
    listen_as(name);
    check_messages();
}

static void test_reloading_carries_the_time(void **state)
{
    (void)state;
    char path[128], got[256];
    snprintf(path, sizeof path, "%s/notify", folder);
    listen_as(path);
    struct notify n;
    assert_int_equal(notify_init(&n), 0);
    notify_reloading(&n);
    ssize_t len = recv(manager, got, sizeof got - 1, MSG_DONTWAIT);
    assert_true(len > 0);
    got[len] = '\0';
    unsigned long long us = 0;
    assert_int_equal(sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%llu", &us), 1);
    assert_true(us > 0);
    notify_fini(&n);
}

static void test_without_a_manager_nothing_happens(void **state)
{
    (void)state;
    struct notify n;
    assert_int_equal(notify_init(&n), 0);
    assert_int_equal(n.fd, -1);
    notify_ready(&n);
    notify_fini(&n);
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_int_equal(notify_init(&n), ERR_INVALID);
    setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
    assert_int_equal(notify_init(&n), ERR_INVALID);
}

static void test_watchdog_is_read(void **state)
{
    (void)state;
    struct notify n;
    char pid[16];
    setenv("WATCHDOG_USEC", "60000000", 1);
    assert_int_equal(notify_init(&n), 0);
    assert_int_equal(n.watchdog_us, 60000000);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    assert_int_equal(notify_init(&n), 0);
    assert_int_equal(n.watchdog_us, 60000000);
    setenv("WATCHDOG_PID", "1", 1); /* somebody else's */
    assert_int_equal(notify_init(&n), 0);
    assert_int_equal(n.watchdog_us, 0);
    unsetenv("WATCHDOG_PID");
    setenv("WATCHDOG_USEC", "soon", 1);
    assert_int_equal(notify_init(&n), 0);
    assert_int_equal(n.watchdog_us, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_messages_by_path, setup, teardown),
        cmocka_unit_test_setup_teardown(test_messages_by_abstract_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reloading_carries_the_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_a_manager_nothing_happens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watchdog_is_read, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
