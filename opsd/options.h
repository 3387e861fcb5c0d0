/* The command line, the variables and the file, as one finished configuration. */
#ifndef OPSD_OPTIONS_H
#define OPSD_OPTIONS_H

#include "opsd/keys.h"

typedef struct opsd_options {
    ops_conf *conf;
    char *config_path; /* NULL: none read */
    char *data;        /* absolute or as given */
    bool zh;
    int32_t zone_offset_s;
    int argc; /* what is left: argv[0] and words */
    char **argv;
    bool help, version;
    char **words_again; /* the command line as it was, for a reload */
    int words_count;
} opsd_options;

/* argv is reordered; it must live as long as the options. OPS_EINVAL says what is wrong and where. */
OPS_MUST_USE ops_status opsd_options_read(int argc, char **argv, opsd_options *ret, ops_err *reterr);
/* The same sources read again: for SIGHUP. *ret is the caller's. */
OPS_MUST_USE ops_status opsd_options_again(const opsd_options *o, ops_conf **ret, ops_err *reterr);
/* What no single key can say: relations between them, files that must be readable. */
OPS_MUST_USE ops_status opsd_options_check(const ops_conf *c, ops_err *reterr);
void opsd_options_done(opsd_options *o);

bool opsd_is_off(const char *address);
/* True for 127.0.0.0/8, ::1 and localhost. */
bool opsd_is_loopback(const char *address);

#endif
