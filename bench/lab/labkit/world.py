"""One scenario's little world: a network namespace per service on one bridge, and its processes.

Runs as pid 1 of a pid namespace of its own, with a mount and a network namespace of its own (bench/lab/record
sees to that), so that the end of this process is the end of everything it started, mounted or configured.
"""
import ctypes
import grp
import os
import pwd
import resource
import shutil
import signal
import subprocess
import time

from .supervise import Supervisor

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
ADDRESSES = {"proxy": 10, "shop": 11, "pricing": 12, "postgres": 13, "redis": 14}
EXTRA = {"dns": 15}       # a component of the scenarios that ask for it
OUTSIDER = 66             # a client that is none of the shoppers; no component
PG_BIN = "/usr/lib/postgresql/15/bin"
HERE = os.path.dirname(os.path.abspath(__file__))
libc = ctypes.CDLL(None, use_errno=True)


def setns(fd):
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def die_with_parent():
    """For a child before it runs its program: SIGKILL when the parent is gone, however that came."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def address(name):
    """Where the load and the scraper find a component: they must not lean on the names that a scenario breaks."""
    return f"10.77.0.{(ADDRESSES | EXTRA)[name]}"


def tag(directory):
    """What the control groups made for a run in `directory` are called by."""
    return os.path.basename(os.path.normpath(directory)).removeprefix("lab-")


def sh(*argv, **more):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}: {done.stdout.strip()}")
    return done.stdout


class World:
    """Namespaces, files and processes of one scenario. `dir` is a directory that the caller removes."""

    def __init__(self, directory, pg_template, pg_disk_mib=0):
        self.dir = directory
        self.tag = tag(os.path.dirname(directory)) + "-" + os.path.basename(directory)
        self.pg_template = pg_template
        self.pg_disk_mib = pg_disk_mib
        self.net = {}
        self.procs = {}
        self.args = {}        # component: more arguments for its program
        self.groups = {}      # component: control groups that its processes enter
        self.limits = {}      # component: {resource: size} of its processes
        self.tls = set()      # components that are called over TLS
        self.admin_users = {} # who may see /admin, and the password
        self.supervisors = []
        self.stray = []       # processes that are no service's own
        self.load = None
        self.outside = None
        os.chmod(directory, 0o755)
        for name in ("logs", "spans", "redis", "nginx"):
            os.makedirs(self.path(name), exist_ok=True)
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._network()
        self.outside = self._namespace("outsider", OUTSIDER)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def log(self, component):
        return self.path("logs", component + ".log")

    def _network(self):
        sh("ip", "link", "set", "lo", "up")
        sh("ip", "link", "add", "br0", "type", "bridge")
        sh("ip", "addr", "add", "10.77.0.1/24", "dev", "br0")
        sh("ip", "link", "set", "br0", "up")
        for name, last in ADDRESSES.items():
            self.net[name] = self._namespace(name, last)
        self.over("/etc/hosts", "127.0.0.1 localhost\n" + self.zone())

    def _namespace(self, name, last):
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        setns(self.home)
        sh("ip", "link", "add", "v-" + name, "type", "veth", "peer", "name", "eth0",
           "netns", f"/proc/{os.getpid()}/fd/{fd}")
        sh("ip", "link", "set", "v-" + name, "master", "br0", "up")
        for line in (("link", "set", "lo", "up"), ("addr", "add", f"10.77.0.{last}/24", "dev", "eth0"),
                     ("link", "set", "eth0", "up")):
            sh("ip", *line, preexec_fn=lambda: setns(fd))
        return fd

    @staticmethod
    def zone():
        return "".join(f"10.77.0.{last} {name}\n" for name, last in ADDRESSES.items())

    def put(self, name, text):
        """Writes a file of the scenario that every service may read; returns its path."""
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), 0o644)
        return self.path(name)

    def over(self, target, text):
        """Lays a file of ours over one of the system's, for this mount namespace only."""
        sh("mount", "--bind", self.put(os.path.basename(target), text), target)

    def run_in(self, component, *argv, timeout=60):
        """Runs a command in the component's network namespace."""
        fd = self.net[component]
        return sh(*argv, preexec_fn=lambda: setns(fd), timeout=timeout)

    def go_outside(self):
        """Moves the calling thread to the address of a client that is none of the shoppers."""
        setns(self.outside)

    def spawn(self, component, argv, user=None, stray=False):
        """Starts a process of `component` inside its namespace and groups; output is appended to its log."""
        fd, groups, limits = self.net[component], self.groups.get(component, ()), self.limits.get(component, {})
        who = pwd.getpwnam(user) if user else None

        def enter():
            setns(fd)
            for group in groups:
                group.enter()
            for what, size in limits.items():
                resource.setrlimit(what, (size, size))
            if who:
                os.setgroups([g.gr_gid for g in grp.getgrall() if user in g.gr_mem])
                os.setgid(who.pw_gid)
                os.setuid(who.pw_uid)
            os.umask(0o077 if user == "postgres" else 0o022)

        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        with open(self.log(component), "ab") as out:
            proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                                    cwd=self.dir, preexec_fn=enter)
        if stray:
            self.stray.append(proc)
        else:
            self.procs[component] = proc
        return proc

    def supervise(self, component, start, again_s, group=None):
        """From now on the component is started again whenever it ends; `start` starts it."""
        self.supervisors.append(Supervisor(self, component, start, again_s, group))
        self.supervisors[-1].start()

    def stop(self, component, sig=signal.SIGTERM, wait_s=15.0):
        proc = self.procs[component]
        proc.send_signal(sig)
        try:
            proc.wait(wait_s)
        except subprocess.TimeoutExpired:
            proc.kill()
            proc.wait()

    # --- the services -------------------------------------------------------------------------------------
    def start_dns(self):
        """A resolver that knows the scenario's zone and nothing else; from now on names are its business."""
        self.net["dns"] = self._namespace("dns", EXTRA["dns"])
        zone = self.put("zone", self.zone())
        self.over("/etc/resolv.conf", f"nameserver {address('dns')}\n")
        self.put("hosts", "127.0.0.1 localhost\n")   # already lies over /etc/hosts
        return self.spawn("dns", ["/usr/sbin/dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root",
                                  "--no-resolv", "--no-hosts", "--addn-hosts=" + zone, "--local=//",
                                  "--bind-interfaces", "--listen-address=" + address("dns"), "--pid-file=",
                                  "--log-facility=" + self.log("dns")])

    def start_postgres(self):
        data = self.path("pg", "data")
        if not os.path.exists(data):
            os.makedirs(self.path("pg"))
            if self.pg_disk_mib:
                image = self.path("pg.img")
                with open(image, "wb") as file:
                    file.truncate(self.pg_disk_mib << 20)
                sh("mkfs.ext4", "-q", "-m", "0", image)
                sh("mount", "-o", "loop", image, self.path("pg"))
            shutil.chown(self.path("pg"), "postgres", "postgres")
            sh("cp", "-a", self.pg_template, data)
        return self.spawn("postgres", [f"{PG_BIN}/postgres", "-D", data, "-k", self.path("pg")], user="postgres")

    def start_redis(self, maxmemory="16mb"):
        shutil.chown(self.path("redis"), "redis", "redis")
        conf = self.path("redis.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write(f"bind 0.0.0.0\nprotected-mode no\nport 6379\ndir {self.path('redis')}\nsave 60 100\n"
                       f"maxmemory {maxmemory}\nmaxmemory-policy noeviction\ndaemonize no\nloglevel notice\n"
                       "stop-writes-on-bgsave-error no\n")
        return self.spawn("redis", ["/usr/bin/redis-server", conf], user="redis")

    def start_app(self, role, release=1):
        port = 8080 if role == "shop" else 8081
        home = self.path("app", "labkit")   # installed outside the checkout, as any service is
        if not os.path.exists(home):
            shutil.copytree(HERE, home, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.chown(self.path("spans"), "www-data", "www-data")
        more = self.args.get(role, [])
        return self.spawn(role, ["/usr/bin/python3", os.path.join(home, "app.py"), "--role", role, "--port", str(port),
                                 "--release", str(release), "--spans", self.path("spans", role + ".jsonl"), *more],
                          user="www-data")

    def start_proxy(self):
        conf = self.path("nginx", "nginx.conf")
        os.makedirs(self.path("nginx", "admin"), exist_ok=True)
        with open(self.path("nginx", "admin", "index.html"), "w", encoding="ascii") as file:
            file.write("<title>back office</title>\n")
        with open(self.path("nginx", "users"), "w", encoding="ascii") as file:
            for user, password in self.admin_users.items():
                file.write(f"{user}:{sh('openssl', 'passwd', '-apr1', password).strip()}\n")
        with open(conf, "w", encoding="utf-8") as file:
            file.write(NGINX_CONF.format(log=self.log("proxy"), dir=self.path("nginx"),
                                         spans=self.path("spans", "proxy.raw")))
        return self.spawn("proxy", ["/usr/sbin/nginx", "-c", conf, "-e", self.log("proxy"), "-g", "daemon off;"])

    def wait_for(self, what, check, limit_s=60.0):
        until = time.monotonic() + limit_s
        last = None
        while time.monotonic() < until:
            try:
                return check()
            except Exception as err:  # whatever the service says while it is not up yet
                last = err
                time.sleep(0.1)
        raise RuntimeError(f"{what} did not come up within {limit_s:.0f} s: {last}")

    def stop_all(self):
        for supervisor in self.supervisors:
            supervisor.end()
        for proc in self.stray:
            proc.kill()
            proc.wait()
        for component, proc in self.procs.items():
            if proc.poll() is None:
                proc.send_signal(signal.SIGCONT)
                self.stop(component, signal.SIGINT if component == "postgres" else signal.SIGTERM, 5.0)
        for groups in self.groups.values():
            for group in groups:
                group.remove()


NGINX_CONF = """
user www-data;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {log} notice;
events {{ worker_connections 256; }}
http {{
  log_format line '$remote_addr - - [$time_local] "$request" $status $body_bytes_sent "-" "$http_user_agent" '
                  'rt=$request_time ut=$upstream_response_time';
  log_format span '$msec $request_time $status $request_method $http_traceparent $request_uri';
  access_log {log} line;
  access_log {spans} span;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  upstream shop {{ server shop:8080 max_fails=0; }}
  server {{
    listen 80;
    location = /nginx_status {{ stub_status; access_log off; }}
    location /admin/ {{ auth_basic "back office"; auth_basic_user_file {dir}/users; alias {dir}/admin/; }}
    location / {{
      proxy_pass http://shop;
      proxy_connect_timeout 2s; proxy_read_timeout 5s; proxy_send_timeout 5s;
    }}
  }}
}}
"""


def postgres_template(directory):
    """Makes a database cluster with the shop's tables once; each scenario copies it."""
    data = os.path.join(directory, "pg-template")
    os.makedirs(data)
    shutil.chown(data, "postgres", "postgres")
    sh("runuser", "-u", "postgres", "--", f"{PG_BIN}/initdb", "-D", data, "-U", "postgres", "-A", "trust",
       "-E", "UTF8", "--locale=C.UTF-8", "--wal-segsize=1", "--no-sync", cwd="/")
    with open(os.path.join(data, "postgresql.conf"), "a", encoding="utf-8") as file:
        file.write(PG_CONF)
    with open(os.path.join(data, "pg_hba.conf"), "w", encoding="utf-8") as file:
        file.write("local all all trust\nhost all all 10.77.0.0/24 trust\n")
    for sql, base in ((PG_ROLE, "postgres"), (PG_SCHEMA, "shop")):
        sh("runuser", "-u", "postgres", "--", f"{PG_BIN}/postgres", "--single", "-j", "-D", data, base,
           input=sql, cwd="/")
    return data


PG_CONF = """
listen_addresses = '*'
max_connections = 24
shared_buffers = 16MB
max_wal_size = 16MB
min_wal_size = 4MB
checkpoint_timeout = 60s
log_line_prefix = '%m [%p] %q%u@%d '
log_timezone = 'UTC'
timezone = 'UTC'
log_min_duration_statement = 1000
log_lock_waits = on
log_autovacuum_min_duration = 0
autovacuum_naptime = 20s
"""
PG_ROLE = "CREATE ROLE shop LOGIN;\n\nCREATE DATABASE shop OWNER shop;\n\n"
PG_SCHEMA = """SET ROLE shop;

CREATE TABLE tariff (id int PRIMARY KEY, tax numeric(5,4) NOT NULL);

INSERT INTO tariff SELECT i, 0.07 + i * 0.03 FROM generate_series(1, 5) i;

CREATE TABLE item (id int PRIMARY KEY, name text, price numeric(9,2), stock int, tariff int REFERENCES tariff);

INSERT INTO item SELECT i, (ARRAY['lamp','chair','table','shelf','clock'])[1 + i % 5] || ' ' || i,
 (i * 37 % 900) / 7.0 + 1, 500 + i, 1 + i % 5 FROM generate_series(1, 400) i;

CREATE TABLE orders (id bigserial PRIMARY KEY, at timestamptz DEFAULT now(), customer text, item int,
 quantity int, total numeric(12,2), note text);

"""
