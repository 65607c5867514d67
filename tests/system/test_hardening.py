#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What an attacker finds locked around the work: the control socket by who asks, the service unit by systemd's own measure and by
the system calls the daemon really makes, the binaries by their headers, and TLS to PostgreSQL by real servers and certificates."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import harness
from harness import BUILD, TOP, World, free_ports, main, registration, school, wait_for
from security_record import record

EXPOSURE = 11  # tenths, as systemd-analyze takes its threshold
BINARIES = ("teldagd", "teldagctl", "teldag-feed")


def run(*argv, **options):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, **options)


# ---- the control socket ----

def ask_as(uid, gid, groups, path, request):
    """One request from another user's process: the answer's object, or the name of the error that kept it out."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(20)
            s.connect(path)
            s.sendall(json.dumps(request).encode() + b"\n")
            os.write(writing, s.makefile().readline().encode())
        except OSError as error:
            os.write(writing, json.dumps({"refused": type(error).__name__}).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return json.loads(text)


def start_as(w, uid):
    """A daemon that runs as a user of its own."""
    os.chmod(w.home, 0o777)
    binary = os.path.join(w.home, "teldagd")
    shutil.copy(os.path.join(BUILD, "teldagd"), binary)
    shutil.copytree(os.path.join(TOP, "conf/rules"), os.path.join(w.home, "rules"))
    d = w.daemon([w.feed("school.0")], rules=os.path.join(w.home, "rules")).migrate()
    with open(d.log, "a") as log:
        d.process = subprocess.Popen(["setpriv", "--reuid=%d" % uid, "--regid=%d" % uid, "--clear-groups", binary,
                                      "-c", d.config, "--today", d.today], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    wait_for(lambda: os.path.exists(d.control), 20, "no control socket")
    d.caught_up()
    return d


def test_orders_are_taken_by_peer_credentials():
    if os.geteuid() != 0:
        print("skipped: needs root to speak as other users")
        return
    daemon_uid, member_uid, stranger_uid = 61001, 61002, 61003
    with World() as w:
        d = start_as(w, daemon_uid)
        pause = {"command": "pause", "stream": "school.0"}
        orders = [pause, {"command": "resume", "stream": "school.0"}, {"command": "reload"}, {"command": "fix", "what": "budget",
                  "school_year": "2025-2026"}, {"command": "accept", "stream": "school.0", "mode": "resend"},
                  {"command": "dead-letter", "act": "retry", "stream": "school.0"}]
        # A stranger does not even connect; a member of the group asks, and orders nothing.
        stranger = ask_as(stranger_uid, stranger_uid, [], d.control, {"command": "status"})
        assert stranger == {"refused": "PermissionError"}, stranger
        record("control socket: status", "another user of the machine", 0)
        for gid, groups in ((daemon_uid, []), (member_uid, [daemon_uid])):
            assert "version" in ask_as(member_uid, gid, groups, d.control, {"command": "status"})
            for order in orders:
                answer = ask_as(member_uid, gid, groups, d.control, order)
                assert answer.get("code") == 77 and "sudo" in answer["error"], (order, answer)
        record("control socket: every order", "a member of the daemon's group", 0)
        assert d.json("streams")["streams"][0]["state"] != "stopped"
        wait_for(lambda: d.logged("pause refused to uid %d" % member_uid), 5, "the refusal is not logged")
        # The daemon's own user and root do.
        for uid in (daemon_uid, 0):
            for order in orders[:2]:
                answer = ask_as(uid, uid, [], d.control, order)
                assert "answer" in answer, (uid, order, answer)


def blanks_as(uid, group, path, count, seconds):
    """Another user's process that holds connections and says a blank on each every second; the descriptor that tells how many
    were still open after so many seconds."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            os.setgroups([group])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            held = []
            for _ in range(count):
                held.append(socket.socket(socket.AF_UNIX))
                held[-1].connect(path)
            os.write(writing, b"!")
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for s in list(held):
                    try:
                        s.send(b" ")
                    except OSError:
                        held.remove(s)
                time.sleep(1)
            os.write(writing, b"%d" % len(held))
        finally:
            os._exit(0)
    os.close(writing)
    assert os.read(reading, 1) == b"!", "no connection"
    return reading


def test_who_may_only_ask_locks_nobody_out():
    """Members of the group hold connections and send a blank each second: operator and other members are answered, and the
    places come back though no connection was ever silent."""
    if os.geteuid() != 0:
        print("skipped: needs root to speak as other users")
        return
    daemon_uid, members = 61001, (61002, 61003, 61004, 61005)
    with World() as w:
        d = start_as(w, daemon_uid)
        status = {"command": "status"}
        one = blanks_as(members[0], daemon_uid, d.control, 16, 13)
        answers = [ask_as(uid, uid, [daemon_uid], d.control, status) for uid in (0, daemon_uid, members[1])]
        others = [blanks_as(uid, daemon_uid, d.control, 16, 13) for uid in members[1:]]
        answers += [ask_as(uid, uid, [daemon_uid], d.control, status) for uid in (0, daemon_uid)]
        refused = sum("version" not in a for a in answers)
        record("control socket: others kept out by held connections", "members of the daemon's group", refused)
        assert not refused, answers
        for pipe in [one, *others]:
            with os.fdopen(pipe) as left:
                assert left.read() == "0", "blanks hold a place"
            os.wait()
        assert "version" in ask_as(members[0], members[0], [daemon_uid], d.control, status)


def test_every_order_is_marked_as_one():
    """A command that is not marked `changes` would be taken from anyone: the list of questions is short, and stands here."""
    with open(os.path.join(TOP, "workers/operator.c")) as source:
        table = re.findall(r'\{"([a-z-]+)", \w+, (true|false)\}', source.read())
    assert len(table) >= 9
    assert {name for name, changes in table if changes == "false"} == {"status", "streams", "hello"}, table


# ---- what events say ----

def test_hostile_text_reaches_no_terminal_log_or_sql():
    hostile = "\x1b[2J\x1b]0;owned\x07'; DROP TABLE teldag_data.school; --\n2025-01-01T00:00:00Z teldagd[1] notice: forged\u009b31m\u202e%n%s"
    with World() as w:
        d = w.daemon([w.feed("school.0"), w.feed("registration.0")]).migrate().start()
        w.feeds[0].send([school(4, "bao", name=hostile, municipality=hostile, board_id=hostile)])
        w.feeds[1].send([registration(4, i, "lager", ["thuistaal"]) for i in range(12)] + ['{"type": "' + hostile.replace("\n", "")])
        d.caught_up()
        assert w.cluster.one("SELECT count(*) FROM teldag.school") == "1"
        with open(d.log, "rb") as log:
            shown = {"the log": log.read()}
        for command in (["school", "4"], ["school", "4", "--registrations"], ["explain", "4"], ["alerts"], ["status"], ["streams"],
                        ["dead-letter", "list"]):
            done = subprocess.run([os.path.join(BUILD, "teldagctl"), "-c", d.config, *command], capture_output=True)
            shown["teldagctl " + command[0]] = done.stdout + done.stderr
        assert b"DROP TABLE" in shown["teldagctl school"]
        bad = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\n[^\n]{0,30}teldagd\[1\]")
        found = {name: bad.findall(text) for name, text in shown.items() if bad.search(text)}
        record("terminal escapes, forged log lines and SQL in names and free text", "a registry's events", len(found))
        assert not found, found


# ---- the service unit ----

def units():
    folder = os.path.join(TOP, "systemd")
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".service")]


def test_exposure_of_the_units():
    assert units()
    for unit in units():
        done = run("systemd-analyze", "security", "--offline=true", "--threshold=%d" % EXPOSURE, unit)
        assert done.returncode == 0, done.stdout[-600:]
        print(done.stdout.strip().splitlines()[-1])
    # The gate can fail: the same unit without its lock on privileges.
    with tempfile.TemporaryDirectory() as home:
        weak = os.path.join(home, "teldagd.service")
        with open(units()[0]) as unit, open(weak, "w") as out:
            out.write(unit.read().replace("NoNewPrivileges=yes", "NoNewPrivileges=no").replace("PrivateUsers=yes", "PrivateUsers=no"))
        assert run("systemd-analyze", "security", "--offline=true", "--threshold=%d" % EXPOSURE, weak).returncode != 0


def allowed_calls(unit):
    """The system calls the unit's SystemCallFilter= lines leave, as systemd itself lists its groups."""
    def members(name, seen=()):
        if not name.startswith("@"):
            return {name}
        if name in seen:
            return set()
        lines = [line.strip() for line in run("systemd-analyze", "--no-pager", "syscall-filter", name).stdout.splitlines()[1:]]
        names = [line for line in lines if line and not line.startswith("#")]
        return set().union(*(members(n, seen + (name,)) for n in names)) if names else set()
    left = set()
    with open(unit) as text:
        for value in re.findall(r"^SystemCallFilter=(.*)$", text.read(), re.M):
            for word in value.lstrip("~").split():
                left = left - members(word) if value.startswith("~") else left | members(word)
    assert "read" in left and "ptrace" not in left and "mount" not in left
    return left


def traced(path, *argv):
    return ["strace", "-f", "-qq", "-o", path, os.path.join(BUILD, argv[0]), *argv[1:]]


def end_traced(process):
    with open("/proc/%d/task/%d/children" % (process.pid, process.pid)) as children:
        os.kill(int(children.read().split()[0]), signal.SIGTERM)
    process.wait(60)


def expect_allowed(trace, unit):
    with open(trace) as lines:
        calls = lines.read()
    used = set(re.findall(r"^\d+ +(?:<\.\.\. )?([a-z0-9_]+)[( ]", calls, re.M))
    print("%s: %d system calls used" % (unit, len(used)))
    assert {"openat", "futex", "sched_setscheduler"} <= used
    refused = used - allowed_calls(os.path.join(TOP, "systemd", unit))
    assert not refused, "%s refuses %s" % (unit, refused)
    families = set(re.findall(r" socket\((AF_\w+)", calls))
    with open(os.path.join(TOP, "systemd", unit)) as text:
        allowed = set(re.search(r"^RestrictAddressFamilies=(.*)$", text.read(), re.M)[1].split())
    assert {"AF_INET", "AF_NETLINK"} <= families <= allowed, "%s refuses %s" % (unit, families - allowed)


def test_no_more_calls_than_the_units_allow():
    if run("strace", "-f", "true").returncode != 0:
        print("skipped: this machine does not allow tracing")
        return
    with World() as w:
        schools, registrations = w.feed("school.0"), w.feed("registration.0")
        d = w.daemon([schools, registrations]).migrate()
        trace, feed_trace = os.path.join(w.home, "trace"), os.path.join(w.home, "feed-trace")
        schools.stop()
        schools.process = subprocess.Popen(
            traced(feed_trace, "teldag-feed", "serve", "--stream", "school.0", "--journal", schools.journal, "--publish", schools.publish,
                   "--fetch", schools.fetch), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(d.log, "a") as log:
            d.process = subprocess.Popen(traced(trace, "teldagd", "-c", d.config, "--today", d.today), stdout=log, stderr=log,
                                         stdin=subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(d.control), 60, "no control socket")
        schools.append([school(100, "bao")])
        registrations.send([registration(100, i, "lager", ["thuistaal"]) for i in range(40)])
        d.caught_up()
        d.ctl("reload")
        d.ctl("status")
        w.cluster.crash()
        w.cluster.up()
        d.caught_up()
        end_traced(d.process)
        end_traced(schools.process)
        expect_allowed(trace, "teldagd.service")
        expect_allowed(feed_trace, "teldag-feed@.service")


def test_password_from_a_credential():
    """The service manager's folder of credentials; also where an access list makes the file look readable by a group, which libpq
    would refuse."""
    with World() as w:
        start_tls(w)
        conninfo = w.cluster.conninfo.replace("user=postgres", "user=agency").replace("host=" + w.cluster.dir + "/socket", "host=127.0.0.1")
        d = w.daemon([w.feed("school.0")], conninfo=conninfo)
        w.cluster.shell("psql -X -q -d '%s' -c 'SELECT 1'" % w.cluster.conninfo)
        credentials = os.path.join(w.home, "credentials")
        os.mkdir(credentials)
        for mode in (0o400, 0o440):
            path = os.path.join(credentials, "pgpass")
            if os.path.exists(path):
                os.unlink(path)
            with open(path, "w") as out:
                out.write("*:*:*:agency:not-a-secret\n")
            os.chmod(path, mode)
            with open(d.log, "a") as log:
                d.process = subprocess.Popen([os.path.join(BUILD, "teldagd"), "-c", d.config], stdout=log, stderr=log,
                                             env=dict(os.environ, CREDENTIALS_DIRECTORY=credentials))
            # No schema yet: that it says so shows that the password was taken.
            wait_for(lambda: d.logged("teldagctl migrate"), 20, "the daemon did not get in with mode %o" % mode)
            assert not d.logged("password authentication failed") and not d.logged("no password supplied")
            assert d.process.wait(20) == 78
            os.truncate(d.log, 0)


def test_users_and_folders_of_the_unit():
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(os.path.join(root, "etc"))
        done = run("systemd-sysusers", "--root=" + root, os.path.join(TOP, "systemd/teldagd.sysusers"))
        assert done.returncode == 0, done.stdout
        with open(os.path.join(root, "etc/passwd")) as passwd:
            users = [line.rstrip() for line in passwd if line.startswith("teldag")]
        assert len(users) == 2 and all(line.endswith("/usr/sbin/nologin") for line in users), users
        with open(os.path.join(TOP, "systemd/teldagd.service")) as unit:
            text = unit.read()
        for wanted in ("LimitNOFILE=65536", "LimitCORE=0", "UMask=0077", "LoadCredential="):
            assert wanted in text, wanted


# ---- the binaries ----

def test_binaries_are_hardened():
    for name in BINARIES:
        path = os.path.join(BUILD, name)
        header, program = run("readelf", "-hW", path).stdout, run("readelf", "-lW", path).stdout
        dynamic, symbols = run("readelf", "-dW", path).stdout, run("readelf", "-sW", "--dyn-syms", path).stdout
        assert re.search(r"Type:\s+DYN", header) and "PIE" in dynamic, name + ": not position-independent"
        assert "GNU_RELRO" in program, name + ": no RELRO"
        assert re.search(r"FLAGS.*(BIND_NOW|NOW)", dynamic), name + ": not bound at start (full RELRO)"
        assert re.search(r"GNU_STACK.* RW ", program), name + ": executable stack"
        assert not re.search(r" RWE ", program), name + ": a segment both writable and executable"
        assert "__stack_chk_fail" in symbols, name + ": no stack protector"
        assert re.search(r"__(memcpy|snprintf|vsnprintf|read|fprintf)_chk", symbols), name + ": not fortified"
        assert "RPATH" not in dynamic and "RUNPATH" not in dynamic and "TEXTREL" not in dynamic, name
        built = run("readelf", "--debug-dump=info", "--dwarf-depth=1", path).stdout
        ours = [line for line in built.splitlines() if "DW_AT_producer" in line and "GNU C11" in line]
        assert ours and all("-fstack-clash-protection" in line and "-fstack-protector-strong" in line for line in ours), name


# ---- TLS to PostgreSQL ----

def make_certificates(folder):
    """Two authorities, and a server's certificate for the name db.test and the address 127.0.0.1 from the first."""
    def openssl(*argv):
        done = run("openssl", *argv, cwd=folder)
        assert done.returncode == 0, done.stdout
    for ca in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=" + ca,
                "-keyout", ca + ".key", "-out", ca + ".crt")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost", "-keyout", "server.key",
            "-out", "server.csr")
    with open(os.path.join(folder, "names"), "w") as out:
        out.write("subjectAltName=DNS:localhost\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names",
            "-out", "server.crt")


def start_tls(w):
    """The world's cluster speaks TLS only on TCP, and asks for a password there."""
    certificates = os.path.join(w.home, "certificates")
    os.mkdir(certificates)
    make_certificates(certificates)
    data = os.path.join(w.cluster.dir, "data")
    owner = os.stat(data)
    for name in ("server.key", "server.crt"):
        shutil.copy(os.path.join(certificates, name), os.path.join(data, name))
        os.chown(os.path.join(data, name), owner.st_uid, owner.st_gid)
        os.chmod(os.path.join(data, name), 0o600)
    port, = free_ports(1)
    with open(os.path.join(data, "postgresql.conf"), "a") as out:
        out.write("listen_addresses = '127.0.0.1'\nport = %d\nssl = on\n" % port)
    with open(os.path.join(data, "pg_hba.conf"), "w") as out:
        out.write("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
    w.cluster.shell("cluster_crash; cluster_up")
    w.cluster.conninfo += " port=%d" % port
    w.cluster.sql("CREATE ROLE agency LOGIN SUPERUSER PASSWORD 'not-a-secret'")
    passfile = os.path.join(w.home, "pgpass")
    with open(passfile, "w") as out:
        out.write("*:*:*:agency:not-a-secret\n")
    os.chmod(passfile, 0o600)
    base = "host=%s port=%d dbname=teldag user=agency passfile=%s sslmode=verify-full sslrootcert=%s/%s.crt"
    return lambda host, ca: base % (host, port, passfile, certificates, ca)


def test_tls_to_postgresql():
    with World() as w:
        conninfo = start_tls(w)
        good = conninfo("localhost", "ca")
        d = w.daemon([w.feed("school.0")], conninfo=good).migrate().start()
        w.feeds[0].send([school(7, "bao")])
        d.caught_up()
        d.verify()
        used = w.cluster.sql("SELECT DISTINCT ssl, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'agency'")
        assert used == [["t", "TLSv1.3"]], used
        assert d.stop() == 0
        # A server that cannot prove its name, or that another authority signed, gets nothing: not even the password.
        for number, (host, ca, says) in enumerate((("127.0.0.1", "ca", "does not match host name"),
                                                   ("localhost", "other", "certificate verify failed"))):
            bad = w.daemon(w.feeds, name="bad%d" % number, conninfo=conninfo(host, ca)).start()
            wait_for(lambda: bad.logged(says), 20, "the log does not say why: %s" % says)
            assert w.cluster.one("SELECT count(*) FROM pg_stat_activity WHERE usename = 'agency'") == "0"
            assert bad.stop() == 0
            record("TLS: a server with a false name or authority", "between daemon and PostgreSQL", 0)
        # A server that offers no TLS: refused, not spoken to in the clear.
        with open(os.path.join(w.cluster.dir, "data/postgresql.conf"), "a") as out:
            out.write("ssl = off\n")
        w.cluster.shell("cluster_crash; cluster_up")
        bare = w.daemon(w.feeds, name="bare", conninfo=good).start()
        wait_for(lambda: bare.logged("server does not support SSL"), 20, "the log does not say that TLS is off")
        assert bare.stop() == 0
        record("TLS: a server without TLS", "between daemon and PostgreSQL", 0)


if __name__ == "__main__":
    main({k: v for k, v in list(globals().items()) if k.startswith("test_")})
