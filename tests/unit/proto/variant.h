// SPDX-License-Identifier: Apache-2.0
// Included before every line of a second or third build of the parser, which gives its functions
// other names: VARIANT is the prefix.
#pragma once

#define VARIANT_JOIN(prefix, name) prefix##_##name
#define VARIANT_NAME(prefix, name) VARIANT_JOIN(prefix, name)
#define h1_head_end		   VARIANT_NAME(VARIANT, h1_head_end)
#define h1_parse_request	   VARIANT_NAME(VARIANT, h1_parse_request)
#define h1_parse_response	   VARIANT_NAME(VARIANT, h1_parse_response)
#define h1_parse_trailers	   VARIANT_NAME(VARIANT, h1_parse_trailers)
#define h1_trailers_end		   VARIANT_NAME(VARIANT, h1_trailers_end)
#define http_authority_valid	   VARIANT_NAME(VARIANT, http_authority_valid)
#define http_head_copy		   VARIANT_NAME(VARIANT, http_head_copy)
#define http_head_find_name	   VARIANT_NAME(VARIANT, http_head_find_name)
#define http_host_of		   VARIANT_NAME(VARIANT, http_host_of)
#define http_mark_hop_fields	   VARIANT_NAME(VARIANT, http_mark_hop_fields)
#define http_path_normalize	   VARIANT_NAME(VARIANT, http_path_normalize)
#define http_request_rules	   VARIANT_NAME(VARIANT, http_request_rules)
#define http_response_rules	   VARIANT_NAME(VARIANT, http_response_rules)
#define http_upgrade_agrees	   VARIANT_NAME(VARIANT, http_upgrade_agrees)
