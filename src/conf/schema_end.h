// SPDX-License-Identifier: Apache-2.0
// Takes the macros of schema.def away; see schema_empty.h.
#undef MAP
#undef NESTED
#undef FLAG
#undef COUNT
#undef DURATION
#undef DURATION_OR
#undef PERCENT
#undef DECIMAL
#undef SIZE
#undef WORDS
#undef OTHER
#undef OTHER_AT
#undef NEEDED
#undef SECRET
#undef SECRET_URL
#undef BRANCH
#undef BRANCH_OR
#undef ALIAS
#undef ALIAS_IN
#undef LATER
#undef WORD
#undef WORD_ALIAS
#undef WORD_LATER
