/* Log files of any known line shape as one sequence of records in the order of their times.
 *
 * A source is a file, standard input, or a folder. Of a CASE folder its logs/COMPONENT.log are read, without them its
 * logs.jsonl; of any other folder its *.log, *.json, *.jsonl and *.txt. A file's service is its name without ending unless
 * its lines say otherwise. Stack traces are joined, every message is redacted.
 *
 * Each file holds what its next record needs and no more, so memory does not grow with the files: at most FILES_MAX
 * files, UNTIMED_MAX records ahead of a file's first time stamp, one OTLP request of a line. A record without a time
 * has the time of the one before it in its file. Files are merged by time as they come: a file whose own
 * lines are out of order stays so. @thread: one owner. */
#ifndef OPS_OPSCTL_RECORDS_H
#define OPS_OPSCTL_RECORDS_H

#include <stdint.h>
#include <stdio.h>

#include "base/mem/auto.h"
#include "base/status/status.h"
#include "base/text/slice.h"

typedef struct ops_records ops_records;

typedef enum ops_records_format {
    OPS_RECORDS_AUTO = 0, /* OTLP where a line begins an ExportLogsServiceRequest, else by line shape */
    OPS_RECORDS_LINES,
    OPS_RECORDS_OTLP, /* one ExportLogsServiceRequest in JSON a line, as the Collector's file exporter writes it */
    OPS_RECORDS_CASE /* a CASE folder and nothing else */
} ops_records_format;

typedef struct ops_records_row {
    int64_t time_ns;
    uint8_t severity;
    ops_slice service, message; /* until the next call */
} ops_records_row;

typedef struct ops_records_stats {
    uint64_t lines, records, rejected; /* rejected: parts of OTLP requests that could not be kept */
    uint64_t untimed;                  /* lines left out: no line of their file carries a time */
    uint64_t redactions;
    size_t files;
} ops_records_stats;

OPS_MUST_USE ops_status ops_records_new(ops_records_format format, FILE *in, ops_records **ret,
                                        ops_err *reterr);
void ops_records_free(ops_records *r);
OPS_AUTO_DEFINE(ops_records, ops_records_free)

/* "-" is standard input. `service` empty: the file's own. OPS_ENOTFOUND, OPS_ETOOBIG: too many files, OPS_EINVAL. */
OPS_MUST_USE ops_status ops_records_open(ops_records *r, const char *path, ops_slice service,
                                         ops_err *reterr);
/* OPS_ENOTFOUND at the end. */
OPS_MUST_USE ops_status ops_records_next(ops_records *r, ops_records_row *ret, ops_err *reterr);
void ops_records_stats_get(const ops_records *r, ops_records_stats *ret);

#endif
