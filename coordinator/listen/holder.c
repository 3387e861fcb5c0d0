/* Reads /proc/net/tcp{,6} for the listening socket's inode, then the fd folders of /proc for who holds it. */
#include "coordinator/listen/holder.h"

#include "base/text/slice.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATE_LISTEN 0x0A /* linux/tcp_states.h */

static bool listening_inode(const char *table, uint16_t port, unsigned long *ret)
{
    FILE *f = fopen(table, "re");
    if (f == NULL)
        return false;
    char line[512];
    bool found = false;
    while (!found && fgets(line, sizeof line, f) != NULL) {
        unsigned local = 0, state = 0;
        unsigned long inode = 0;
        if (sscanf(line, " %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*u %*u %lu", &local,
                   &state, &inode) == 3 &&
            local == port && state == STATE_LISTEN) {
            *ret = inode;
            found = true;
        }
    }
    fclose(f);
    return found;
}

static bool holds(const char *pid, const char *link_wanted)
{
    char folder[64];
    snprintf(folder, sizeof folder, "/proc/%.20s/fd", pid);
    DIR *d = opendir(folder);
    if (d == NULL)
        return false;
    bool found = false;
    for (struct dirent *e; !found && (e = readdir(d)) != NULL;) {
        char target[64];
        ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof target - 1);
        if (n > 0) {
            target[n] = '\0';
            found = strcmp(target, link_wanted) == 0;
        }
    }
    closedir(d);
    return found;
}

static void comm(const char *pid, char name[64])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
    FILE *f = fopen(path, "re");
    if (f == NULL || fgets(name, 64, f) == NULL)
        snprintf(name, 64, "?");
    if (f != NULL)
        fclose(f);
    name[strcspn(name, "\n")] = '\0';
}

ops_status ops_port_holder(uint16_t port, ops_port_holder_info *ret)
{
    unsigned long inode = 0;
    if (!listening_inode("/proc/net/tcp", port, &inode) && !listening_inode("/proc/net/tcp6", port, &inode))
        return OPS_ENOTFOUND;
    char wanted[64];
    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    DIR *d = opendir("/proc");
    if (d == NULL)
        return OPS_EPERM;
    ops_status st = OPS_EPERM;
    for (struct dirent *e; st != OPS_OK && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] < '1' || e->d_name[0] > '9' || !holds(e->d_name, wanted))
            continue;
        ret->pid = (pid_t)strtol(e->d_name, NULL, 10);
        comm(e->d_name, ret->name);
        st = OPS_OK;
    }
    closedir(d);
    return st;
}

ops_status ops_port_in_use(const char *address, uint16_t port, ops_err *reterr)
{
    ops_port_holder_info who = {0};
    ops_status st = ops_port_holder(port, &who);
    if (st == OPS_OK)
        return ops_fail(reterr, OPS_EEXIST, "%s is in use by %s (pid %d)", address, who.name, (int)who.pid);
    return ops_fail(reterr, OPS_EEXIST, "%s is in use%s", address,
                    st == OPS_EPERM ? " by a process of another user" : "");
}
