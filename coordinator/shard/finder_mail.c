/* What others post to the finder: vectors, feedback. */
#include "base/log/log.h"
#include "base/mem/alloc.h"
#include "coordinator/shard/finder_internal.h"

enum { FEEDBACK_WAIT_MS = 10000 };

/* Posted when there is something new; one in the box is enough, and it is never freed. */
mail ops_finder_wake_mail = {.kind = MAIL_WAKE};

void ops_finder_mail_free(mail *m)
{
    if (m == NULL || m == &ops_finder_wake_mail)
        return;
    ops_reply_unref(m->reply);
    ops_free(m->tenant);
    ops_free(m->vector);
    ops_free(m->id);
    ops_free(m->author);
    ops_free(m->comment);
    ops_finder_alert_mail_free(m->alerts);
    ops_free(m);
}

static ops_status give_feedback(ops_finder *f, const mail *m, ops_err *reterr)
{
    ops_finder_tenant *t;
    ops_status st = ops_finder_tenant_open(f, ops_slice_str(m->tenant), &t, reterr);
    if (st != OPS_OK)
        return st;
    const ops_finding_feedback fb = {ops_slice_str(m->author), ops_slice_str(m->comment), m->verdict,
                                     m->time_ns};
    ops_strbuf before, body;
    ops_strbuf_init(&before, FINDER_BODY_BYTES_MAX);
    ops_strbuf_init(&body, FINDER_BODY_BYTES_MAX);
    ops_slice id = ops_slice_str(m->id);
    st = ops_finder_stored_body(t, id, &before, reterr);
    if (st == OPS_OK)
        st = ops_finding_add_feedback(ops_strbuf_get(&before), &fb, &body, reterr);
    if (st == OPS_OK && (st = ops_finder_keep_change(t, id, &body)) != OPS_OK)
        (void)ops_fail(reterr, st, "feedback to %s", m->id);
    ops_strbuf_done(&before);
    ops_strbuf_done(&body);
    uint64_t revision = 0;
    if (st == OPS_OK) {
        st = ops_finder_tenant_commit(t, &revision, reterr);
        if (st == OPS_OK)
            ops_finder_turn_clear(t);
        else
            ops_finder_tenant_forget(f, t);
    }
    if (st == OPS_OK && f->conf.on_findings != NULL)
        f->conf.on_findings(f->conf.u, revision);
    return st;
}

void ops_finder_mail_open(ops_finder *f, mail *m)
{
    ops_err err = {0};
    ops_finder_tenant *t;
    if (m->kind == MAIL_VECTOR) {
        ops_status st = ops_finder_tenant_open(f, ops_slice_str(m->tenant), &t, &err);
        if (st == OPS_OK)
            st = ops_finding_book_vector(t->book, m->template_id, m->vector, m->dim, &err);
        if (st != OPS_OK)
            OPS_LOG(OPS_LOG_WARN, "meaning_not_taken", OPS_KV_STR("why", err.msg));
    } else if (m->kind == MAIL_ALERTS) {
        ops_finder_alert_mail_open(f, m);
    } else if (m->kind == MAIL_FEEDBACK) {
        ops_status st = give_feedback(f, m, &err);
        ops_reply_give(m->reply, st, &err);
    }
    ops_finder_mail_free(m);
}

ops_status ops_finder_vector(ops_finder *f, ops_slice tenant_name, uint64_t template_id, const float *v,
                             size_t dim, ops_err *reterr)
{
    mail *m = ops_calloc(1, sizeof *m);
    if (m != NULL) {
        m->kind = MAIL_VECTOR;
        m->tenant = ops_strndup(tenant_name.p, tenant_name.n);
        m->template_id = template_id;
        m->vector = ops_memdup(v, dim * sizeof *v);
        m->dim = dim;
    }
    ops_status st = m != NULL && m->tenant != NULL && m->vector != NULL ? OPS_OK : OPS_ENOMEM;
    if (st == OPS_OK)
        st = ops_mailbox_post(f->mail, m, dim * sizeof *v);
    if (st != OPS_OK)
        ops_finder_mail_free(m);
    return st == OPS_OK ? OPS_OK : ops_fail(reterr, st, "the meaning of a template");
}

static mail *feedback_mail(ops_slice tenant_name, ops_slice id, const ops_finding_feedback *fb,
                           ops_reply *reply)
{
    mail *m = ops_calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    *m = (mail){.kind = MAIL_FEEDBACK,
                .tenant = ops_strndup(tenant_name.p, tenant_name.n),
                .id = ops_strndup(id.p, id.n),
                .author = ops_strndup(fb->author.p, fb->author.n),
                .comment = ops_strndup(fb->comment.p != NULL ? fb->comment.p : "", fb->comment.n),
                .verdict = fb->verdict,
                .time_ns = fb->time_ns,
                .reply = ops_reply_ref(reply)};
    if (m->tenant == NULL || m->id == NULL || m->author == NULL || m->comment == NULL) {
        ops_finder_mail_free(m);
        return NULL;
    }
    return m;
}

ops_status ops_finder_feedback(ops_finder *f, ops_slice tenant_name, ops_slice id,
                               const ops_finding_feedback *fb, ops_err *reterr)
{
    OPS_AUTO(ops_reply_unref) ops_reply *reply = NULL;
    ops_status st = ops_reply_new(0, &reply, reterr);
    if (st != OPS_OK)
        return st;
    mail *m = feedback_mail(tenant_name, id, fb, reply);
    if (m == NULL)
        return ops_fail(reterr, OPS_ENOMEM, "feedback");
    st = ops_mailbox_post(f->mail, m, 0);
    if (st != OPS_OK) {
        ops_finder_mail_free(m);
        return ops_fail(reterr, st, "feedback: %s", ops_status_text(st));
    }
    st = ops_reply_wait(reply, FEEDBACK_WAIT_MS, reterr);
    if (st == OPS_ETIMEOUT)
        ops_err_prefix(reterr, "feedback");
    return st;
}
