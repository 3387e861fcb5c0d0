/* Certificates made on the spot: an authority, and what it signs for "localhost". PEM texts, freed with certs_free(). */
#ifndef OPS_TESTS_CERTS_H
#define OPS_TESTS_CERTS_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct certs {
    char *ca, *cert, *key;
};

static inline char *certs_text(BIO *bio)
{
    char *p, *copy;
    const long n = BIO_get_mem_data(bio, &p);
    copy = calloc(1, (size_t)n + 1);
    if (copy != NULL)
        memcpy(copy, p, (size_t)n);
    BIO_free(bio);
    return copy;
}

static inline X509 *certs_sign(EVP_PKEY *key, const char *name, X509 *issuer, EVP_PKEY *issuer_key)
{
    X509 *x = X509_new();
    (void)X509_set_version(x, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(x), issuer != NULL ? 2 : 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    (void)X509_set_pubkey(x, key);
    X509_NAME *subject = X509_get_subject_name(x);
    (void)X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    (void)X509_set_issuer_name(x, issuer != NULL ? X509_get_subject_name(issuer) : subject);
    X509_EXTENSION *e = issuer != NULL
                            ? X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost")
                            : X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    (void)X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    (void)X509_sign(x, issuer_key != NULL ? issuer_key : key, EVP_sha256());
    return x;
}

static inline char *certs_pem(X509 *x)
{
    BIO *bio = BIO_new(BIO_s_mem());
    (void)PEM_write_bio_X509(bio, x);
    return certs_text(bio);
}

/* `authority` names it: two of different names do not trust each other. */
static inline struct certs certs_new(const char *authority)
{
    struct certs c;
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *ca = certs_sign(ca_key, authority, NULL, NULL), *leaf = certs_sign(key, "localhost", ca, ca_key);
    BIO *bio = BIO_new(BIO_s_mem());
    (void)PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    c.key = certs_text(bio);
    c.ca = certs_pem(ca);
    c.cert = certs_pem(leaf);
    X509_free(ca);
    X509_free(leaf);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
    return c;
}

static inline void certs_free(struct certs *c)
{
    free(c->ca);
    free(c->cert);
    free(c->key);
}

#endif
