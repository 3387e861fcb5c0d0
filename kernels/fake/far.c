#include "kernels/fake/far.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/fake/far_wire.h"

/* What a caller holds are boxes with the other process' names in them. */
struct ops_kern_dev {
    int fd;
    pid_t child;
};
struct ops_kern_buf {
    uint64_t name;
};
struct ops_kern_plan {
    uint64_t name;
};

static ops_kern_status call(const ops_kern_dev *d, const far_call *c, const void *payload,
                            uint64_t *ret_thing)
{
    far_answer a;
    if (!far_write(d->fd, c, sizeof *c) || (payload != NULL && !far_write(d->fd, payload, c->bytes)) ||
        !far_read(d->fd, &a, sizeof a))
        return OPS_KERN_ENOMEM;
    if (ret_thing != NULL)
        *ret_thing = a.thing;
    return a.status;
}

static ops_kern_status make_buf(ops_kern_dev *d, const far_call *c, const void *payload, ops_kern_buf **ret)
{
    *ret = NULL;
    ops_kern_buf *b = calloc(1, sizeof *b);
    const ops_kern_status st = b != NULL ? call(d, c, payload, &b->name) : OPS_KERN_ENOMEM;
    if (st != OPS_KERN_OK)
        free(b);
    else
        *ret = b;
    return st;
}

static ops_kern_status buf_new(ops_kern_dev *d, size_t bytes, ops_kern_buf **ret)
{
    const far_call c = {.what = FAR_BUF_NEW, .bytes = bytes};
    return make_buf(d, &c, NULL, ret);
}

static void buf_free(ops_kern_dev *d, ops_kern_buf *b)
{
    if (b == NULL)
        return;
    const far_call c = {.what = FAR_BUF_FREE, .thing = b->name};
    (void)call(d, &c, NULL, NULL);
    free(b);
}

static ops_kern_status upload(ops_kern_dev *d, ops_kern_buf *b, size_t at, const void *from, size_t bytes)
{
    const far_call c = {.what = FAR_UPLOAD, .thing = b->name, .at = at, .bytes = bytes};
    return call(d, &c, from, NULL);
}

static ops_kern_status download(ops_kern_dev *d, const ops_kern_buf *b, size_t at, void *to, size_t bytes)
{
    const far_call c = {.what = FAR_DOWNLOAD, .thing = b->name, .at = at, .bytes = bytes};
    const ops_kern_status st = call(d, &c, NULL, NULL);
    return st != OPS_KERN_OK || far_read(d->fd, to, bytes) ? st : OPS_KERN_ENOMEM;
}

static ops_kern_status plan_new(ops_kern_dev *d, const ops_kern_shape *s, ops_kern_plan **ret)
{
    const far_call c = {.what = FAR_PLAN_NEW, .shape = *s};
    *ret = NULL;
    ops_kern_plan *p = calloc(1, sizeof *p);
    const ops_kern_status st = p != NULL ? call(d, &c, NULL, &p->name) : OPS_KERN_ENOMEM;
    if (st != OPS_KERN_OK)
        free(p);
    else
        *ret = p;
    return st;
}

static void plan_free(ops_kern_dev *d, ops_kern_plan *p)
{
    if (p == NULL)
        return;
    const far_call c = {.what = FAR_PLAN_FREE, .thing = p->name};
    (void)call(d, &c, NULL, NULL);
    free(p);
}

static ops_kern_status submit(ops_kern_dev *d, const ops_kern_plan *p, ops_kern_buf *const *args, size_t n,
                              ops_kern_fence *ret)
{
    far_call c = {.what = FAR_SUBMIT, .thing = p->name, .n = (int)n};
    if (n > OPS_KERN_ARGS_MAX)
        return OPS_KERN_EINVAL;
    for (size_t i = 0; i < n; i++)
        c.args[i] = args[i]->name;
    return call(d, &c, NULL, ret);
}

static ops_kern_status wait_fence(ops_kern_dev *d, ops_kern_fence fence)
{
    const far_call c = {.what = FAR_WAIT, .thing = fence};
    return call(d, &c, NULL, NULL);
}

static void dev_free(ops_kern_dev *d)
{
    if (d == NULL)
        return;
    (void)close(d->fd);
    (void)waitpid(d->child, NULL, 0);
    free(d);
}

static ops_kern_status pack(ops_kern_dev *d, ops_kern_type type, int n, int k, const float *w,
                            ops_kern_buf **ret)
{
    *ret = NULL;
    if (n < 1 || k < 1 || n > OPS_KERN_EXTENT_MAX || k > OPS_KERN_EXTENT_MAX)
        return OPS_KERN_EINVAL;
    const far_call c = {
        .what = FAR_PACK, .type = (int)type, .n = n, .k = k, .bytes = (size_t)n * (size_t)k * sizeof *w};
    return make_buf(d, &c, w, ret);
}

static ops_kern_status pack_quant(ops_kern_dev *d, int type, int n, int k, const void *from, size_t bytes,
                                  ops_kern_buf **ret)
{
    const far_call c = {.what = FAR_PACK_QUANT, .type = type, .n = n, .k = k, .bytes = bytes};
    return make_buf(d, &c, from, ret);
}

const ops_kern *ops_kern_far(void)
{
    static const ops_kern table = {.name = "far",
                                   .buf_new = buf_new,
                                   .buf_free = buf_free,
                                   .upload = upload,
                                   .download = download,
                                   .plan_new = plan_new,
                                   .plan_free = plan_free,
                                   .submit = submit,
                                   .wait = wait_fence,
                                   .dev_free = dev_free,
                                   .pack = pack,
                                   .pack_quant = pack_quant};
    return &table;
}

ops_kern_status ops_kern_far_open(int threads, ops_kern_dev **ret)
{
    int fd[2];
    far_answer a = {OPS_KERN_ENOMEM, 0};
    *ret = NULL;
    ops_kern_dev *d = calloc(1, sizeof *d);
    if (d == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0) {
        free(d);
        return OPS_KERN_ENOMEM;
    }
    const pid_t child = fork();
    if (child == 0) {
        (void)close(fd[0]);
        far_serve(fd[1], threads);
        _exit(0);
    }
    (void)close(fd[1]);
    *d = (ops_kern_dev){fd[0], child};
    if (child < 0 || !far_read(fd[0], &a, sizeof a) || a.status != OPS_KERN_OK) {
        (void)close(fd[0]);
        if (child > 0)
            (void)waitpid(child, NULL, 0);
        free(d);
        return a.status != OPS_KERN_OK ? a.status : OPS_KERN_ENOMEM;
    }
    *ret = d;
    return OPS_KERN_OK;
}
