/* Who is at the other end of a TLS connection. */
#include <gnutls/gnutls.h>

#include "coordinator/http/internal.h"

/* MHD asks the client for a certificate and leaves it to us to look at what came. */
bool ops_http_peer_is_known(struct MHD_Connection *conn)
{
    unsigned status = 0;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);

    return info != NULL && info->tls_session != NULL &&
           gnutls_certificate_verify_peers2((gnutls_session_t)info->tls_session, &status) ==
               GNUTLS_E_SUCCESS &&
           status == 0;
}
