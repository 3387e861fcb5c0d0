/* The far side. Its pointers are names to the caller, which sent back come to the same process. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernels/fake/far_wire.h"

int far_write(int fd, const void *from, size_t bytes)
{
    const char *p = from;
    while (bytes > 0) {
        const ssize_t n = write(fd, p, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        p += n;
        bytes -= (size_t)n;
    }
    return 1;
}

int far_read(int fd, void *to, size_t bytes)
{
    char *p = to;
    while (bytes > 0) {
        const ssize_t n = read(fd, p, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0;
        p += n;
        bytes -= (size_t)n;
    }
    return 1;
}

static ops_kern_status submit(const ops_kern *t, ops_kern_dev *dev, const far_call *c, uint64_t *ret)
{
    ops_kern_buf *args[OPS_KERN_ARGS_MAX];
    for (int i = 0; i < c->n; i++)
        args[i] = (ops_kern_buf *)(uintptr_t)c->args[i];
    return t->submit(dev, (ops_kern_plan *)(uintptr_t)c->thing, args, (size_t)c->n, ret);
}

static ops_kern_status make(const ops_kern *t, ops_kern_dev *dev, const far_call *c, const void *payload,
                            uint64_t *ret)
{
    ops_kern_buf *b = NULL;
    ops_kern_plan *p = NULL;
    ops_kern_status st = OPS_KERN_EINVAL;
    if (c->what == FAR_BUF_NEW)
        st = t->buf_new(dev, c->bytes, &b);
    else if (c->what == FAR_PACK)
        st = t->pack(dev, (ops_kern_type)c->type, c->n, c->k, payload, &b);
    else if (c->what == FAR_PACK_QUANT)
        st = t->pack_quant(dev, c->type, c->n, c->k, payload, c->bytes, &b);
    else
        st = t->plan_new(dev, &c->shape, &p);
    *ret = b != NULL ? (uintptr_t)b : (uintptr_t)p;
    return st;
}

static far_answer act(const ops_kern *t, ops_kern_dev *dev, const far_call *c, void *payload)
{
    far_answer a = {OPS_KERN_OK, 0};
    ops_kern_buf *b = (ops_kern_buf *)(uintptr_t)c->thing;
    switch (c->what) {
    case FAR_BUF_FREE:
        t->buf_free(dev, b);
        break;
    case FAR_PLAN_FREE:
        t->plan_free(dev, (ops_kern_plan *)(uintptr_t)c->thing);
        break;
    case FAR_UPLOAD:
        a.status = t->upload(dev, b, c->at, payload, c->bytes);
        break;
    case FAR_DOWNLOAD:
        a.status = t->download(dev, b, c->at, payload, c->bytes);
        break;
    case FAR_SUBMIT:
        a.status = submit(t, dev, c, &a.thing);
        break;
    case FAR_WAIT:
        a.status = t->wait(dev, c->thing);
        break;
    case FAR_BUF_NEW:
    case FAR_PACK:
    case FAR_PACK_QUANT:
    case FAR_PLAN_NEW:
    default:
        a.status = make(t, dev, c, payload, &a.thing);
        break;
    }
    return a;
}

void far_serve(int fd, int threads)
{
    const ops_kern *t = ops_kern_cpu();
    const ops_kern_cpu_conf conf = {.delayed = 1, .threads = threads};
    ops_kern_dev *dev = NULL;
    far_call c;
    far_answer a = {ops_kern_cpu_open(&conf, &dev), 0};
    int good = far_write(fd, &a, sizeof a) && a.status == OPS_KERN_OK;
    while (good && far_read(fd, &c, sizeof c)) {
        const int carries = c.what == FAR_UPLOAD || c.what == FAR_PACK || c.what == FAR_PACK_QUANT;
        void *payload = carries || c.what == FAR_DOWNLOAD ? malloc(c.bytes + 1) : NULL;
        good = (payload != NULL || !(carries || c.what == FAR_DOWNLOAD)) &&
               (!carries || far_read(fd, payload, c.bytes));
        if (good)
            a = act(t, dev, &c, payload);
        good = good && far_write(fd, &a, sizeof a);
        if (good && c.what == FAR_DOWNLOAD && a.status == OPS_KERN_OK)
            good = far_write(fd, payload, c.bytes);
        free(payload);
    }
    if (dev != NULL)
        t->dev_free(dev);
}
