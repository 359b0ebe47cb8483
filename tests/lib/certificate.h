/* SPDX-License-Identifier: Apache-2.0
 *
 * certificate.h - a self-signed certificate for "localhost" in a folder of its own, for one test.
 */
#pragma once

#include <sys/stat.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "core/check.h"

struct certificate {
    char folder[64];
    char certificate_path[96];
    char key_path[96];
};

static inline FILE *certificate_open(const char *path)
{
    FILE *file = fopen(path, "we");

    CHECK(file != NULL);
    CHECK(chmod(path, 0600) == 0);
    return file;
}

static inline void certificate_write(const struct certificate *certificate, EVP_PKEY *key)
{
    X509 *x509 = X509_new();
    X509_NAME *name = X509_get_subject_name(x509);
    FILE *file;

    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x509), 1) == 1);
    CHECK(X509_gmtime_adj(X509_getm_notBefore(x509), 0) != NULL);
    CHECK(X509_gmtime_adj(X509_getm_notAfter(x509), 3600) != NULL);
    CHECK(X509_set_pubkey(x509, key) == 1);
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
                                     -1, -1, 0) == 1);
    CHECK(X509_set_issuer_name(x509, name) == 1);
    CHECK(X509_sign(x509, key, EVP_sha256()) > 0);

    file = certificate_open(certificate->certificate_path);
    CHECK(PEM_write_X509(file, x509) == 1);
    CHECK(fclose(file) == 0);
    file = certificate_open(certificate->key_path);
    CHECK(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
    CHECK(fclose(file) == 0);
    X509_free(x509);
}

static inline void certificate_make(struct certificate *certificate)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    CHECK(key != NULL);
    (void)snprintf(certificate->folder, sizeof(certificate->folder), P_tmpdir "/weir-test-XXXXXX");
    CHECK(mkdtemp(certificate->folder) != NULL);
    (void)snprintf(certificate->certificate_path, sizeof(certificate->certificate_path),
                   "%s/server.pem", certificate->folder);
    (void)snprintf(certificate->key_path, sizeof(certificate->key_path), "%s/server.key",
                   certificate->folder);
    certificate_write(certificate, key);
    EVP_PKEY_free(key);
}

static inline void certificate_remove(const struct certificate *certificate)
{
    (void)unlink(certificate->certificate_path);
    (void)unlink(certificate->key_path);
    (void)rmdir(certificate->folder);
}
