/* A configuration file of any bytes: read or refused, and what was read can be written and read again. */
#include <stdlib.h>

#include "base/conf/conf.h"

static const ops_conf_row rows[] = {
    {"role", OPS_CONF_CHOICE, "all", .choices = "all|worker", .help = "Role."},
    {"a.text", OPS_CONF_STR, "", .help = "Text."},
    {"a.b.size", OPS_CONF_BYTES, "1KiB", .help = "Size."},
    {"a.b.wait", OPS_CONF_DURATION, "1s", .help = "Wait."},
    {"a.list", OPS_CONF_LIST, "", .help = "List."},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OPS_AUTO(ops_conf_free) ops_conf *c = NULL;
    OPS_AUTO(ops_conf_free) ops_conf *again = NULL;
    ops_err err = {0};
    if (ops_conf_new(rows, 5, &c, NULL) != OPS_OK || ops_conf_new(rows, 5, &again, NULL) != OPS_OK)
        return 0;
    if (ops_conf_read_yaml(c, "f", ops_slice_of(data, size), &err) != OPS_OK)
        return err.msg[0] == '\0' ? abort(), 0 : 0;
    ops_strbuf out;
    ops_strbuf_init(&out, 16 << 20);
    ops_conf_effective(c, &out);
    if (!out.failed && ops_conf_read_yaml(again, "g", ops_strbuf_get(&out), &err) != OPS_OK)
        abort();
    ops_strbuf_done(&out);
    return 0;
}
