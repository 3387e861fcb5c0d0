/* PEM texts looked at before gRPC core gets them: core says of bad ones only that no handshake works. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "rpc/internal.h"

/* The first certificate of a text, and how many there are; NULL: none, or one that does not read. */
static X509 *first_certificate(const char *pem, int *ret_count)
{
    X509 *first = NULL;
    BIO *bio = BIO_new_mem_buf(pem, -1);
    *ret_count = 0;
    for (X509 *c; bio != NULL && (c = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL; ++*ret_count) {
        if (first == NULL)
            first = c;
        else
            X509_free(c);
    }
    /* Anything but the end of the text is a certificate that does not read. */
    const unsigned long why = ERR_peek_last_error();
    const bool broken =
        ERR_GET_LIB(why) != ERR_LIB_PEM || ERR_GET_REASON(why) != PEM_R_NO_START_LINE || *ret_count == 0;
    ERR_clear_error();
    BIO_free(bio);
    if (broken) {
        X509_free(first);
        return NULL;
    }
    return first;
}

/* Nobody is there to type it. */
static int no_password(char *buf, int size, int writing, void *u)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)u;
    return -1;
}

static ops_status check_pair(const ops_rpc_tls *tls, ops_err *reterr)
{
    int count = 0;
    X509 *cert = first_certificate(tls->cert, &count);
    if (cert == NULL)
        return ops_fail(reterr, OPS_EINVAL, "tls: the certificate is not good PEM");
    BIO *bio = BIO_new_mem_buf(tls->key, -1);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    ops_status st = OPS_OK;
    if (key == NULL)
        st = ops_fail(reterr, OPS_EINVAL, "tls: the private key is not good PEM, or asks for a password");
    else if (X509_check_private_key(cert, key) != 1)
        st = ops_fail(reterr, OPS_EINVAL, "tls: the private key is not the certificate's");
    ERR_clear_error();
    EVP_PKEY_free(key);
    BIO_free(bio);
    X509_free(cert);
    return st;
}

ops_status rpc_pem_check(const ops_rpc_tls *tls, bool whole, ops_err *reterr)
{
    if ((tls->cert == NULL) != (tls->key == NULL) || (whole && tls->cert == NULL))
        return ops_fail(reterr, OPS_EINVAL, "tls: a certificate and its private key go together");
    if (tls->client_ca != NULL) {
        int count = 0;
        X509 *ca = first_certificate(tls->client_ca, &count);
        if (ca == NULL)
            return ops_fail(reterr, OPS_EINVAL, "tls: the authority's certificate is not good PEM");
        X509_free(ca);
    }
    return tls->cert != NULL ? check_pair(tls, reterr) : OPS_OK;
}
