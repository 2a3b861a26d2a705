// SPDX-License-Identifier: Apache-2.0
#include "net/tls_make.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include "base/addr.h"

enum { names_bytes_max = 8 * 1024 };

// "DNS:a.example,IP:127.0.0.1"
static bool list_names(const struct str *names, u32 count, char *text, struct tls_error *ret_error)
{
	size_t len = 0;

	for (u32 i = 0; i < count; i++) {
		struct addr addr;
		bool is_address = addr_parse_ip(names[i], &addr) == 0;

		for (size_t j = 0; j < names[i].len; j++)
			if (names[i].ptr[j] <= ' ' || names[i].ptr[j] >= 127 ||
				names[i].ptr[j] == ',')
				len = names_bytes_max;
		if (names[i].len == 0 || len + names[i].len + 8 > names_bytes_max) {
			tls_error_set(ret_error, names[i], "it is no name of a server");
			return false;
		}
		len += (size_t)snprintf(text + len, names_bytes_max - len, "%s%s:%.*s",
			i ? "," : "", is_address ? "IP" : "DNS", STR_FMT(names[i]));
	}
	return true;
}

static bool extend(X509 *cert, int kind, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool good;

	X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
	good = extension && X509_add_ext(cert, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return good;
}

static bool set_serial(X509 *cert)
{
	u64 serial = 0;

	return RAND_bytes((unsigned char *)&serial, sizeof(serial)) == 1 &&
	       ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1;
}

static X509 *make_cert(EVP_PKEY *key, struct str first, const char *names, u32 days)
{
	X509 *cert = X509_new();
	X509_NAME *subject = cert ? X509_get_subject_name(cert) : NULL;

	if (subject && X509_set_version(cert, 2) == 1 && set_serial(cert) &&
		X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
		X509_time_adj_ex(X509_getm_notAfter(cert), (int)days, 0, NULL) &&
		X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
			(const unsigned char *)first.ptr, (int)MIN(first.len, (size_t)64), -1,
			0) == 1 &&
		X509_set_issuer_name(cert, subject) == 1 && X509_set_pubkey(cert, key) == 1 &&
		extend(cert, NID_basic_constraints, "critical,CA:FALSE") &&
		extend(cert, NID_ext_key_usage, "serverAuth,clientAuth") &&
		extend(cert, NID_subject_alt_name, names) && X509_sign(cert, key, EVP_sha256()) > 0)
		return cert;
	X509_free(cert);
	return NULL;
}

static FILE *create(const char *file, mode_t mode, struct tls_error *ret_error)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;

	if (!out)
		snprintf(ret_error->text, sizeof(ret_error->text), "%s: it cannot be created: %s",
			file, strerror(errno));
	return out;
}

static bool write_pair(const char *cert_file, const char *key_file, X509 *cert, EVP_PKEY *key,
	struct tls_error *ret_error)
{
	FILE *out = create(key_file, 0600, ret_error);
	bool good;

	if (!out)
		return false;
	good = PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1;
	good &= fclose(out) == 0;
	if (!good) {
		tls_error_set(ret_error, str_from(key_file), "it cannot be written");
		return false;
	}
	out = create(cert_file, 0644, ret_error);
	if (!out) {
		unlink(key_file);
		return false;
	}
	good = PEM_write_X509(out, cert) == 1;
	good &= fclose(out) == 0;
	if (!good)
		tls_error_set(ret_error, str_from(cert_file), "it cannot be written");
	return good;
}

bool tls_make_pair(const char *cert_file, const char *key_file, const struct str *names,
	u32 name_count, u32 days, struct tls_error *ret_error)
{
	char text[names_bytes_max];
	EVP_PKEY *key;
	X509 *cert;
	bool good = false;

	ASSERT(name_count > 0);
	if (!list_names(names, name_count, text, ret_error))
		return false;
	key = EVP_EC_gen("P-256");
	cert = key ? make_cert(key, names[0], text, days) : NULL;
	if (cert)
		good = write_pair(cert_file, key_file, cert, key, ret_error);
	else
		tls_error_set(ret_error, names[0], "no certificate can be made for it");
	X509_free(cert);
	EVP_PKEY_free(key);
	return good;
}
