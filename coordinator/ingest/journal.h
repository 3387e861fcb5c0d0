/* coordinator/ingest/journal.h: the Journal Export Format of systemd, to ops_record.
 *
 * Entries are fields and an empty line after them. A field is KEY=VALUE and a newline, or KEY, a newline, the length of
 * the value in 8 bytes little-endian, the value (any bytes) and a newline.
 * Source: https://systemd.io/JOURNAL_EXPORT_FORMATS/ and systemd.journal-fields(7).
 *
 *   message    MESSAGE                      time      _SOURCE_REALTIME_TIMESTAMP, else __REALTIME_TIMESTAMP (microseconds)
 *   severity   PRIORITY 0..7, as syslog's   service   SYSLOG_IDENTIFIER, _SYSTEMD_UNIT without its suffix, _COMM
 *
 * _HOSTNAME becomes `host.name`, _SYSTEMD_UNIT `systemd.unit`, _PID `process.pid`, _COMM `process.command`, _EXE
 * `process.executable.path`; __CURSOR and every field of the sender (those without a leading underscore) keep their names in
 * lower case. Other fields of the journal's own are left out.
 *
 * The request fails as a whole, with the byte, on a field that does not read; an entry without MESSAGE or with a
 * timestamp or priority that is no number is rejected alone. A last entry may lack its empty line. */
#ifndef OPS_COORDINATOR_INGEST_JOURNAL_H
#define OPS_COORDINATOR_INGEST_JOURNAL_H

#include "base/status/status.h"
#include "coordinator/ingest/normal.h"

/* An ops_ingest_decoder. @thread any */
OPS_MUST_USE ops_status ops_journal_decode(const uint8_t *p, size_t n, const ops_ingest_limits *limits,
                                           int64_t recv_ns, ops_ingest_sink sink, ops_ingest_reject reject,
                                           void *u, ops_ingest_counters *counters, ops_err *reterr);

#endif
