// SPDX-License-Identifier: Apache-2.0
// TOML through tomlplusplus, header-only. No exception leaves this file.
#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#define TOML_HEADER_ONLY       1
#define TOML_EXCEPTIONS	       0
#define TOML_MAX_NESTED_VALUES 40
// Its assertions fail for some wrong texts ("[/a]") that the code behind them reports well, and
// with NDEBUG they become promises to the compiler: so they are neither.
#undef NDEBUG
#define TOML_ASSERT(expression) static_assert(true)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wextra"
#include <toml++/toml.h>
#pragma GCC diagnostic pop

#include <algorithm>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "conf/read_toml.h"

namespace
{

toml_position position_of(const toml::source_region &region)
{
	toml_position position = {region.begin.line, region.begin.column, 1};

	if (region.begin.line == region.end.line && region.end.column > region.begin.column)
		position.width = region.end.column - region.begin.column;
	return position;
}

struct walker {
	const toml_events *events;
	void *context;

	bool walk_scalar(const toml::node &node)
	{
		std::string text;
		bool is_string = false;

		if (const auto *string = node.as_string()) {
			text = string->get();
			is_string = true;
		} else if (const auto *integer = node.as_integer()) {
			text = std::to_string(integer->get());
		} else if (const auto *flag = node.as_boolean()) {
			text = flag->get() ? "true" : "false";
		} else {
			std::ostringstream stream;

			node.visit([&stream](auto &&value) {
				if constexpr (toml::is_value<decltype(value)>)
					stream << value.get();
			});
			text = stream.str();
		}
		return events->scalar(context, text.data(), text.size(), is_string,
			       position_of(node.source())) == 0;
	}

	bool walk_table(const toml::table &table)
	{
		// The library orders keys by their letters; people see them as they are written.
		std::vector<std::pair<const toml::key *, const toml::node *>> members;

		for (auto &&[key, value] : table)
			members.emplace_back(&key, &value);
		std::stable_sort(members.begin(), members.end(), [](const auto &a, const auto &b) {
			const auto &x = a.first->source().begin, &y = b.first->source().begin;

			return x.line != y.line ? x.line < y.line : x.column < y.column;
		});
		for (const auto &[key, value] : members) {
			std::string_view name = key->str();

			if (events->key(context, name.data(), name.size(),
				    position_of(key->source())) != 0 ||
				!walk(*value))
				return false;
		}
		return true;
	}

	bool walk(const toml::node &node)
	{
		bool ok = true;

		if (!node.is_table() && !node.is_array())
			return walk_scalar(node);
		if (events->open(context, node.is_table(), position_of(node.source())) != 0)
			return false;
		if (const auto *table = node.as_table()) {
			ok = walk_table(*table);
		} else {
			for (const auto &item : *node.as_array())
				ok = ok && walk(item);
		}
		return ok && events->close(context) == 0;
	}
};

} // namespace

extern "C" int toml_walk(const char *text, size_t len, const toml_events *events, void *context)
{
	try {
		toml::parse_result result = toml::parse(std::string_view(text, len));

		if (!result) {
			std::string message(result.error().description());

			events->error(
				context, message.c_str(), position_of(result.error().source()));
			return -1;
		}
		return walker{events, context}.walk(result.table()) ? 0 : -1;
	} catch (...) {
		events->error(context, "no memory for the parser", toml_position{1, 1, 1});
		return -1;
	}
}
