"""One scenario's little world: a network namespace per service on one bridge, and its processes.

Runs as pid 1 of a pid namespace of its own, with a mount and a network namespace of its own (bench/lab/record
sees to that), so that the end of this process is the end of everything it started, mounted or configured.
"""
import ctypes
import grp
import os
import pwd
import shutil
import signal
import subprocess
import time

CLONE_NEWNET = 0x40000000
ADDRESSES = {"proxy": 10, "shop": 11, "pricing": 12, "postgres": 13, "redis": 14}
PG_BIN = "/usr/lib/postgresql/15/bin"
HERE = os.path.dirname(os.path.abspath(__file__))
libc = ctypes.CDLL(None, use_errno=True)


def setns(fd):
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def sh(*argv, **more):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: exit {done.returncode}: {done.stdout.strip()}")
    return done.stdout


class World:
    """Namespaces, files and processes of one scenario. `dir` is a directory that the caller removes."""

    def __init__(self, directory, pg_template, pg_disk_mib=0):
        self.dir = directory
        self.pg_template = pg_template
        self.pg_disk_mib = pg_disk_mib
        self.net = {}
        self.procs = {}
        os.chmod(directory, 0o755)
        for name in ("logs", "spans", "redis", "nginx"):
            os.makedirs(self.path(name), exist_ok=True)
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self._network()

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def log(self, component):
        return self.path("logs", component + ".log")

    def _network(self):
        sh("ip", "link", "set", "lo", "up")
        sh("ip", "link", "add", "br0", "type", "bridge")
        sh("ip", "addr", "add", "10.77.0.1/24", "dev", "br0")
        sh("ip", "link", "set", "br0", "up")
        hosts = ["127.0.0.1 localhost"]
        for name, last in ADDRESSES.items():
            if libc.unshare(CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "unshare")
            fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
            setns(self.home)
            self.net[name] = fd
            sh("ip", "link", "add", "v-" + name, "type", "veth", "peer", "name", "eth0",
               "netns", f"/proc/{os.getpid()}/fd/{fd}")
            sh("ip", "link", "set", "v-" + name, "master", "br0", "up")
            for line in (("link", "set", "lo", "up"), ("addr", "add", f"10.77.0.{last}/24", "dev", "eth0"),
                         ("link", "set", "eth0", "up")):
                sh("ip", *line, preexec_fn=lambda fd=fd: setns(fd))
            hosts.append(f"10.77.0.{last} {name}")
        with open(self.path("hosts"), "w", encoding="utf-8") as file:
            file.write("\n".join(hosts) + "\n")
        os.chmod(self.path("hosts"), 0o644)
        sh("mount", "--bind", self.path("hosts"), "/etc/hosts")

    def spawn(self, component, argv, user=None):
        """Starts a process of `component` inside its namespace; output is appended to its log."""
        fd = self.net[component]
        who = pwd.getpwnam(user) if user else None

        def enter():
            setns(fd)
            if who:
                os.setgroups([g.gr_gid for g in grp.getgrall() if user in g.gr_mem])
                os.setgid(who.pw_gid)
                os.setuid(who.pw_uid)
            os.umask(0o077 if user == "postgres" else 0o022)

        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        with open(self.log(component), "ab") as out:
            proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                                    cwd=self.dir, preexec_fn=enter)
        self.procs[component] = proc
        return proc

    def stop(self, component, sig=signal.SIGTERM, wait_s=15.0):
        proc = self.procs[component]
        proc.send_signal(sig)
        try:
            proc.wait(wait_s)
        except subprocess.TimeoutExpired:
            proc.kill()
            proc.wait()

    # --- the services -------------------------------------------------------------------------------------
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

    def start_redis(self):
        shutil.chown(self.path("redis"), "redis", "redis")
        conf = self.path("redis.conf")
        with open(conf, "w", encoding="utf-8") as file:
            file.write(f"bind 0.0.0.0\nprotected-mode no\nport 6379\ndir {self.path('redis')}\nsave 60 100\n"
                       "maxmemory 16mb\nmaxmemory-policy noeviction\ndaemonize no\nloglevel notice\n"
                       "stop-writes-on-bgsave-error no\n")
        return self.spawn("redis", ["/usr/bin/redis-server", conf], user="redis")

    def start_app(self, role, release=1):
        port = 8080 if role == "shop" else 8081
        home = self.path("app", "labkit")   # installed outside the checkout, as any service is
        if not os.path.exists(home):
            shutil.copytree(HERE, home, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.chown(self.path("spans"), "www-data", "www-data")
        return self.spawn(role, ["/usr/bin/python3", os.path.join(home, "app.py"), "--role", role, "--port", str(port),
                                 "--release", str(release), "--spans", self.path("spans", role + ".jsonl")],
                          user="www-data")

    def start_proxy(self):
        conf = self.path("nginx", "nginx.conf")
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
        for component, proc in self.procs.items():
            if proc.poll() is None:
                proc.send_signal(signal.SIGCONT)
                self.stop(component, signal.SIGINT if component == "postgres" else signal.SIGTERM, 5.0)


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
