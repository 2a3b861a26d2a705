// SPDX-License-Identifier: Apache-2.0
#include "proxy/parcel.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"

struct parcel *parcel_new(void)
{
	struct parcel *parcel = mem_try_alloc(sizeof(*parcel));

	if (parcel)
		*parcel = (struct parcel){.client = -1, .backend = -1, .claim = -1};
	return parcel;
}

void parcel_free(struct parcel *parcel)
{
	if (!parcel)
		return;
	if (parcel->client >= 0)
		close(parcel->client);
	if (parcel->backend >= 0)
		close(parcel->backend);
	if (parcel->claim >= 0)
		close(parcel->claim);
	text_done(&parcel->words);
	text_done(&parcel->up);
	text_done(&parcel->down);
	mem_free(parcel);
}

int parcel_claim_new(void)
{
	int claim = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);

	return claim < 0 ? -errno : claim;
}

// The first read takes all that is in it.
bool parcel_claim(int claim)
{
	u64 value;

	return read(claim, &value, sizeof(value)) == (ssize_t)sizeof(value);
}

void parcel_facts_init(struct parcel_facts *facts)
{
	*facts = (struct parcel_facts){
#define PARCEL_NUMBER(field, key) .field = PARCEL_UNTOLD,
#include "proxy/parcel.def"
	};
}

static bool fits_line(struct str value)
{
	for (size_t i = 0; i < value.len; i++)
		if ((unsigned char)value.ptr[i] < ' ')
			return false;
	return value.len > 0;
}

static void write_text(struct text *words, struct str key, struct str value)
{
	value.len = MIN(value.len, (size_t)PARCEL_TEXT_MAX);
	if (!fits_line(value))
		return;
	text_add(words, key);
	text_addc(words, ' ');
	text_add(words, value);
	text_addc(words, '\n');
}

static void write_number(struct text *words, struct str key, u64 value)
{
	if (value == PARCEL_UNTOLD)
		return;
	text_add(words, key);
	text_addc(words, ' ');
	text_u64(words, value);
	text_addc(words, '\n');
}

void parcel_write(const struct parcel_facts *facts, struct text *words)
{
#define PARCEL_TEXT(field, key)	  write_text(words, STR(key), facts->field);
#define PARCEL_NUMBER(field, key) write_number(words, STR(key), facts->field);
#include "proxy/parcel.def"
}

static int read_line(struct parcel_facts *facts, struct str line)
{
	struct str key = str_cut(&line, ' ');

	if (!line.len)
		return -EINVAL;
#define PARCEL_TEXT(field, word)      \
	if (str_eq(key, STR(word))) { \
		facts->field = line;  \
		return 0;             \
	}
#define PARCEL_NUMBER(field, word)  \
	if (str_eq(key, STR(word))) \
		return str_to_u64(line, PARCEL_UNTOLD - 1, &facts->field) == 0 ? 0 : -EINVAL;
#include "proxy/parcel.def"
	return 0;
}

int parcel_read(struct str words, struct parcel_facts *ret_facts)
{
	struct parcel_facts facts;

	parcel_facts_init(&facts);
	while (words.len)
		if (read_line(&facts, str_cut(&words, '\n')) != 0)
			return -EINVAL;
	*ret_facts = facts;
	return 0;
}
