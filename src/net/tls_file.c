// SPDX-License-Identifier: Apache-2.0
#include "net/tls_file.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include "base/mem.h"

// Of a file; what stands behind that is not looked at.
// A quoted name has four bytes for each apostrophe, and one at each end.
enum {
	look_bytes_max = 256 * 1024,
	name_bytes_max = 400,
	quoted_bytes_max = 4 * name_bytes_max + 3
};

// What a file may hold, as bits: PEM has room for several.
enum content {
	HAS_CERT = 1,
	HAS_KEY = 2,
	HAS_ENCRYPTED_KEY = 4,
	HAS_LIST = 8,
	HAS_REQUEST = 16,
	HAS_PUBLIC_KEY = 32,
	HAS_PKCS12 = 64,
	HAS_PKCS7 = 128,
	HAS_SSH_KEY = 256,
	HAS_OCSP = 512,
};

static const struct {
	enum content content;
	const char *prose;
} contents[] = {
	{HAS_CERT, "a certificate"},
	{HAS_KEY, "a private key"},
	{HAS_ENCRYPTED_KEY, "an encrypted private key"},
	{HAS_LIST, "a list of revoked certificates"},
	{HAS_REQUEST, "a certificate request, which its authority has not answered yet"},
	{HAS_PUBLIC_KEY, "a public key"},
	{HAS_PKCS12, "a PKCS#12 store"},
	{HAS_PKCS7, "certificates as PKCS#7"},
	{HAS_SSH_KEY, "a private key of OpenSSH"},
	{HAS_OCSP, "an OCSP response"},
};

struct found {
	u32 contents; // bits of enum content
	bool is_empty, is_pem, is_utf16;
};

// Each `parse` moves `at`, and what it gives is freed by `drop`.
#define IS(parse, drop)                                             \
	({                                                          \
		const unsigned char *at = data;                     \
		__auto_type object = parse;                         \
		bool is_it = object && (size_t)(at - data) <= size; \
		drop(object);                                       \
		is_it;                                              \
	})

static u32 look_into_der(const unsigned char *data, size_t size)
{
	long len = (long)size;
	u32 has = 0;

	if (IS(d2i_X509(NULL, &at, len), X509_free))
		has = HAS_CERT;
	else if (IS(d2i_X509_CRL(NULL, &at, len), X509_CRL_free))
		has = HAS_LIST;
	else if (IS(d2i_X509_REQ(NULL, &at, len), X509_REQ_free))
		has = HAS_REQUEST;
	else if (IS(d2i_PKCS12(NULL, &at, len), PKCS12_free))
		has = HAS_PKCS12;
	else if (IS(d2i_PKCS7(NULL, &at, len), PKCS7_free))
		has = HAS_PKCS7;
	else if (IS(d2i_OCSP_RESPONSE(NULL, &at, len), OCSP_RESPONSE_free))
		has = HAS_OCSP;
	else if (IS(d2i_AutoPrivateKey(NULL, &at, len), EVP_PKEY_free))
		has = HAS_KEY;
	else if (IS(d2i_PUBKEY(NULL, &at, len), EVP_PKEY_free))
		has = HAS_PUBLIC_KEY;
	else if (IS(d2i_X509_SIG(NULL, &at, len), X509_SIG_free))
		has = HAS_ENCRYPTED_KEY;
	ERR_clear_error();
	return has;
}

// RFC 7468: the word between BEGIN and the dashes.
static u32 content_of(struct str label, struct str next_line)
{
	if (str_eq(label, STR("OPENSSH PRIVATE KEY")))
		return HAS_SSH_KEY;
	if (str_eq(label, STR("ENCRYPTED PRIVATE KEY")))
		return HAS_ENCRYPTED_KEY;
	if (str_ends(label, STR("PRIVATE KEY"))) // RFC 1421 4.6.1.1
		return str_starts(next_line, STR("Proc-Type: 4,ENCRYPTED")) ? HAS_ENCRYPTED_KEY
									    : HAS_KEY;
	if (str_ends(label, STR("CERTIFICATE REQUEST")))
		return HAS_REQUEST;
	if (str_ends(label, STR("CERTIFICATE")))
		return HAS_CERT;
	if (str_ends(label, STR("PUBLIC KEY")))
		return HAS_PUBLIC_KEY;
	if (str_eq(label, STR("X509 CRL")))
		return HAS_LIST;
	if (str_eq(label, STR("PKCS7")) || str_eq(label, STR("CMS")))
		return HAS_PKCS7;
	return 0;
}

static void look_into_pem(struct str text, struct found *found)
{
	static const struct str begin = {"-----BEGIN ", 11};

	while (text.len) {
		struct str line = str_cut(&text, '\n');
		size_t end;

		if (!str_starts(line, begin))
			continue;
		line = str_make(line.ptr + begin.len, line.len - begin.len);
		end = str_find(line, '-');
		if (end == line.len)
			continue;
		found->is_pem = true;
		found->contents |= content_of(str_make(line.ptr, end), text);
	}
}

static struct found look_into(struct str text)
{
	struct found found = {.is_empty = text.len == 0};

	found.is_utf16 = str_starts(text, STR("\xff\xfe")) || str_starts(text, STR("\xfe\xff"));
	look_into_pem(text, &found);
	if (!found.is_pem && text.len)
		found.contents = look_into_der((const unsigned char *)text.ptr, text.len);
	return found;
}

// ---- Words --------------------------------------------------------------------------------------

// For a shell; false: it is too long.
static bool quote(struct str name, char text[static quoted_bytes_max])
{
	static const char plain[] = "_-./+:@%,=";
	bool is_plain = true;
	size_t len = 0;

	if (name.len == 0 || name.len > name_bytes_max)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		is_plain &= (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || ascii_is_digit(c) ||
			    strchr(plain, c) != NULL;
	}
	if (!is_plain)
		text[len++] = '\'';
	for (size_t i = 0; i < name.len; i++) {
		if (name.ptr[i] == '\'') {
			memcpy(text + len, "'\\'", 3);
			len += 3;
		}
		text[len++] = name.ptr[i];
	}
	if (!is_plain)
		text[len++] = '\'';
	text[len] = '\0';
	return true;
}

// "site.der" becomes "site.pem", and "site.pem" itself "site.new.pem".
static struct str other_name(struct str file, const char *ending, char text[static name_bytes_max])
{
	size_t dot = file.len, slash = file.len;
	int len;

	while (dot && file.ptr[dot - 1] != '.' && file.ptr[dot - 1] != '/')
		dot--;
	while (slash && file.ptr[slash - 1] != '/')
		slash--;
	dot = dot > slash + 1 && file.ptr[dot - 1] == '.' ? dot - 1 : file.len;
	len = snprintf(text, name_bytes_max, "%.*s.%s", (int)dot, file.ptr, ending);
	if (len > 0 && (size_t)len == file.len && memcmp(text, file.ptr, file.len) == 0)
		len = snprintf(text, name_bytes_max, "%.*s.new.%s", (int)dot, file.ptr, ending);
	return str_make(text, len > 0 && len < name_bytes_max ? (size_t)len : 0);
}

// "BEFORE`COMMAND -in FILE -out OTHER`BEHIND"; of names that are too long, the command alone.
static void advise(struct tls_error *error, const char *before, const char *command,
	const char *ending, const char *behind)
{
	char name[name_bytes_max], from[quoted_bytes_max], to[quoted_bytes_max];
	int len = 0;

	if (quote(error->file, from) && quote(other_name(error->file, ending, name), to))
		len = snprintf(error->cure, sizeof(error->cure), "%s`%s -in %s -out %s`%s", before,
			command, from, to, behind);
	if (len <= 0 || (size_t)len >= sizeof(error->cure))
		snprintf(error->cure, sizeof(error->cure), "%s`%s -in FILE -out OTHER`%s", before,
			command, behind);
}

static const char *prose_of(enum content content)
{
	for (size_t i = 0; i < ARRAY_LEN(contents); i++)
		if (contents[i].content == content)
			return contents[i].prose;
	return "something else";
}

static const struct {
	u32 content;
	const char *prose; // "it holds no ..."
	const char *damaged;
} wants[] = {
	[TLS_WANT_CERT] = {HAS_CERT, "certificate", "a certificate in it is damaged"},
	[TLS_WANT_KEY] = {HAS_KEY, "private key", "the private key in it is damaged"},
	[TLS_WANT_AUTHORITIES] = {HAS_CERT, "authority's certificate",
		"a certificate in it is damaged"},
	[TLS_WANT_LIST] = {HAS_LIST, "list of revoked certificates",
		"a list of revoked certificates in it is damaged"},
	[TLS_WANT_OCSP] = {HAS_OCSP, "OCSP response in DER", "the OCSP response in it is damaged"},
};

static void say(struct tls_error *error, enum tls_trouble trouble, const char *what)
{
	error->trouble = trouble;
	snprintf(error->text, sizeof(error->text), "%.*s: %s", STR_FMT(error->file), what);
}

// ---- Reasons ------------------------------------------------------------------------------------

// Something that OpenSSL's own tools turn into what is wanted. The last column: into which ending.
static const struct {
	enum content content;
	enum tls_want want;
	bool is_pem;
	const char *command, *ending;
} converters[] = {
	{HAS_CERT, TLS_WANT_CERT, false, "openssl x509 -inform DER", "pem"},
	{HAS_CERT, TLS_WANT_AUTHORITIES, false, "openssl x509 -inform DER", "pem"},
	{HAS_LIST, TLS_WANT_LIST, false, "openssl crl -inform DER", "pem"},
	{HAS_KEY, TLS_WANT_KEY, false, "openssl pkey -inform DER", "pem"},
	{HAS_PKCS12, TLS_WANT_CERT, false, "openssl pkcs12 -nokeys", "crt"},
	{HAS_PKCS12, TLS_WANT_AUTHORITIES, false, "openssl pkcs12 -nokeys -cacerts", "crt"},
	{HAS_PKCS12, TLS_WANT_KEY, false, "openssl pkcs12 -nocerts -noenc", "key"},
	{HAS_PKCS7, TLS_WANT_CERT, false, "openssl pkcs7 -inform DER -print_certs", "pem"},
	{HAS_PKCS7, TLS_WANT_CERT, true, "openssl pkcs7 -print_certs", "pem"},
	{HAS_PKCS7, TLS_WANT_AUTHORITIES, false, "openssl pkcs7 -inform DER -print_certs", "pem"},
	{HAS_PKCS7, TLS_WANT_AUTHORITIES, true, "openssl pkcs7 -print_certs", "pem"},
};

static bool explain_form(struct tls_error *error, const struct found *found, enum tls_want want)
{
	char what[160];

	if (found->is_utf16) {
		say(error, TLS_TROUBLE_FORM, "it is text in UTF-16, where ASCII is wanted");
		snprintf(error->cure, sizeof(error->cure), "save it as ASCII or UTF-8");
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(converters); i++) {
		if (converters[i].want != want || !(found->contents & converters[i].content) ||
			converters[i].is_pem != found->is_pem)
			continue;
		snprintf(what, sizeof(what), "it holds %s%s, where %s is wanted",
			prose_of(converters[i].content),
			found->is_pem || converters[i].content == HAS_PKCS12 ? "" : " in DER",
			found->is_pem ? "each by itself" : "PEM");
		say(error, TLS_TROUBLE_FORM, what);
		advise(error, "convert it: ", converters[i].command, converters[i].ending,
			converters[i].content == HAS_PKCS12 ? " (it asks for the store's password)"
							    : "");
		return true;
	}
	return false;
}

static bool explain_encryption(
	struct tls_error *error, const struct found *found, enum tls_want want)
{
	if (want != TLS_WANT_KEY)
		return false;
	if (found->contents & HAS_SSH_KEY) {
		say(error, TLS_TROUBLE_FORM,
			"it holds a private key of OpenSSH, where one for TLS is wanted");
		snprintf(error->cure, sizeof(error->cure),
			"name the key that belongs to the certificate");
		return true;
	}
	if (!(found->contents & HAS_ENCRYPTED_KEY))
		return false;
	say(error, TLS_TROUBLE_ENCRYPTED,
		"its private key is encrypted, and at a start nobody is there to be asked for the "
		"password");
	advise(error, "decrypt it: ", found->is_pem ? "openssl pkey" : "openssl pkey -inform DER",
		"plain.key", " (it asks for the password); let only those read it who run weir");
	return true;
}

static void explain_content(
	struct tls_error *error, const struct found *found, enum tls_want want, const char *why)
{
	bool is_there = (found->contents & wants[want].content) != 0;
	char what[300];
	u32 other = found->contents & ~wants[want].content;

	if (is_there)
		snprintf(what, sizeof(what), "%s%s%s", wants[want].damaged, why ? ": " : "",
			why ? why : "");
	else
		snprintf(what, sizeof(what), "it holds no %s that can be read%s: %s",
			wants[want].prose, want == TLS_WANT_KEY ? " without a password" : "",
			found->is_empty ? "it is empty"
			: other		? prose_of((enum content)(other & -other))
			: found->is_pem ? "the PEM in it is something else"
			: want == TLS_WANT_OCSP
				? "it is something else"
				: "no line in it begins with -----BEGIN, as PEM does");
	say(error, TLS_TROUBLE_CONTENT, what);
	if (is_there)
		snprintf(error->cure, sizeof(error->cure),
			"copy it anew from where it came from, with all its lines");
	else if (want == TLS_WANT_CERT && found->contents & (HAS_KEY | HAS_ENCRYPTED_KEY))
		snprintf(error->cure, sizeof(error->cure), "are 'cert' and 'key' swapped?");
	else if (want == TLS_WANT_KEY && found->contents & HAS_CERT)
		snprintf(error->cure, sizeof(error->cure),
			"name the file of its private key as 'key'");
	else if (want == TLS_WANT_AUTHORITIES)
		snprintf(error->cure, sizeof(error->cure),
			"name a file with the certificates of those who sign");
	else if (want == TLS_WANT_LIST)
		snprintf(error->cure, sizeof(error->cure),
			"name what `openssl ca -gencrl` writes, or what the authority publishes");
	else if (want == TLS_WANT_CERT && found->contents & HAS_REQUEST)
		snprintf(error->cure, sizeof(error->cure),
			"send it to an authority, and name what comes back");
}

static void explain_no_file(struct tls_error *error, const char *what, int number)
{
	snprintf(error->text, sizeof(error->text), "%.*s: %s: %s", STR_FMT(error->file), what,
		strerror(number));
	error->trouble = TLS_TROUBLE_UNREADABLE;
	if (number == EACCES)
		snprintf(error->cure, sizeof(error->cure),
			"the user who starts weir needs the right to read it, and to enter the "
			"folders above");
	else if (number == ENOENT)
		snprintf(error->cure, sizeof(error->cure),
			"a path that does not begin with / counts from the folder of the "
			"configuration file");
}

void tls_file_refuse(struct tls_error *error, struct str file, enum tls_want want)
{
	unsigned long code = ERR_peek_error();
	const char *why = ERR_GET_LIB(code) == ERR_LIB_SYS ? NULL : ERR_reason_error_string(code);
	char *text;
	struct found found;
	BIO *bio;
	int len, number;

	*error = (struct tls_error){.file = file};
	errno = 0;
	bio = BIO_new_file(file.ptr, "r");
	if (!bio) {
		explain_no_file(error, "it cannot be opened", errno ? errno : ENOENT);
		ERR_clear_error();
		return;
	}
	text = mem_alloc(look_bytes_max);
	errno = 0;
	len = BIO_read(bio, text, look_bytes_max);
	number = errno;
	BIO_free(bio);
	ERR_clear_error();
	found = look_into(str_make(text, len > 0 ? (size_t)len : 0));
	OPENSSL_cleanse(text, look_bytes_max);
	mem_free(text);
	if (len < 0 || (len == 0 && number))
		explain_no_file(error, "it cannot be read", number ? number : EIO);
	else if (!explain_form(error, &found, want) && !explain_encryption(error, &found, want))
		explain_content(error, &found, want, why);
}

void tls_error_set(struct tls_error *error, struct str file, const char *what)
{
	unsigned long code = ERR_peek_error();
	const char *why = ERR_reason_error_string(code);

	if (ERR_GET_LIB(code) == ERR_LIB_SYS)
		why = strerror(ERR_GET_REASON(code));
	*error = (struct tls_error){.file = file};
	snprintf(error->text, sizeof(error->text), "%.*s: %s%s%s", STR_FMT(file), what,
		why ? ": " : "", why ? why : "");
	ERR_clear_error();
}
