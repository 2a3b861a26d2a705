// SPDX-License-Identifier: Apache-2.0
// The dashboard: files that hold no data, so everybody may have them. What they show they ask of
// the API.
#include "admin/admin_inside.h"
#include "admin/page.h"

static const char policy[] =
	"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
	"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static const struct page_file *find(struct str name)
{
	for (u32 i = 0; i < page_file_count; i++)
		if (str_eq(name, str_from(page_files[i].name)))
			return &page_files[i];
	return NULL;
}

static void send_file(struct admin_call *call, const struct page_file *file)
{
	struct str known = admin_field(call, "if-none-match");

	admin_add_field(call, "ETag", str_from(file->etag));
	admin_add_field(call, "Cache-Control", STR("no-cache"));
	if (str_eq(known, str_from(file->etag))) {
		admin_answer(call, 304, NULL, NULL);
		return;
	}
	admin_add_field(call, "Content-Security-Policy", str_from(policy));
	admin_answer_static(call, 200, file->content_type, str_make(file->data, file->len));
}

void api_page(void *owner, struct admin_call *call)
{
	struct admin *admin = owner;
	struct str name = call->param_count ? call->params[0] : STR_EMPTY;
	const struct page_file *file = find(name.len ? name : STR("index.html"));

	if (!admin->face.conf->admin.dashboard)
		admin_problem(call, 404, "See GET /api/v1/openapi.json, or set admin.dashboard.",
			"there is nothing at %.*s", STR_FMT(call->path));
	else if (!file)
		admin_problem(call, 404, "See GET /api/v1/openapi.json.",
			"there is nothing at %.*s", STR_FMT(call->path));
	else
		send_file(call, file);
}
